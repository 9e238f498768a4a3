//! Files that were cut, flipped, emptied, locked or made for something else: told, kept, never fatal.

mod support;

use std::fs;
use std::path::Path;

use askonce_index::{Index, IndexConfig, IndexError, Recovery};
use support::{Dice, scope};

const WIDTH: usize = 8;
const RECORD: usize = 36 + 2 + 2 * WIDTH;

/// The log of a new folder.
const LOG: &str = "log-1.log";

fn config() -> IndexConfig {
    IndexConfig::new(WIDTH, "model@1")
}

fn vector(id: u64) -> Vec<f32> {
    Dice(100 + id).direction(WIDTH)
}

fn open(dir: &Path) -> (Index, Recovery) {
    Index::open(dir, config()).unwrap()
}

fn ids(index: &Index) -> Vec<u64> {
    let mut ids: Vec<u64> = index.ids().iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids
}

/// What was set aside. (A `.tmp` is a checkpoint at work.)
fn others(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let is_other = |name: &String| (name.contains(".log.") || name.contains(".bin.")) && !name.ends_with(".tmp");
    let mut names: Vec<String> = names.filter(is_other).collect();
    names.sort_unstable();
    names
}

/// A folder with a log of `count` inserts, ids 0, 1, …; the log's bytes; where the first record begins.
fn sample(count: u64) -> (tempfile::TempDir, Vec<u8>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let (index, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery::default());
    let begin = fs::read(dir.path().join(LOG)).unwrap().len();
    (0..count).for_each(|id| index.insert(scope(1), id, &vector(id)).unwrap());
    drop(index);
    let bytes = fs::read(dir.path().join(LOG)).unwrap();
    assert_eq!(bytes.len(), begin + count as usize * RECORD);
    (dir, bytes, begin)
}

#[test]
fn a_log_cut_anywhere_keeps_its_whole_records() {
    let (_, bytes, begin) = sample(4);
    for end in 0..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOG), &bytes[..end]).unwrap();
        let (index, recovery) = open(dir.path());
        let whole = end.saturating_sub(begin) / RECORD;
        assert_eq!(ids(&index), (0..whole as u64).collect::<Vec<_>>(), "cut at {end}");
        assert_eq!(recovery.live, whole);
        let clean = end >= begin && (end - begin) % RECORD == 0;
        assert_eq!(recovery.notes.is_empty(), clean, "cut at {end}: {:?}", recovery.notes);
        let word = if end < begin { "log-1.log.unreadable-1" } else { "log-1.log.torn-1" };
        assert_eq!(others(dir.path()), if clean { vec![] } else { vec![word.to_owned()] });
        if !clean && end >= begin {
            assert_eq!(fs::read(dir.path().join(word)).unwrap(), bytes[begin + whole * RECORD..end]);
        }
        // Life goes on, and the next start has nothing to tell.
        index.insert(scope(1), 77, &vector(77)).unwrap();
        drop(index);
        let (index, recovery) = open(dir.path());
        assert_eq!((recovery.live, recovery.notes), (whole + 1, vec![]), "cut at {end}");
        assert_eq!(index.nearest(scope(1), &vector(77), 1, 0.99).unwrap()[0].id, 77);
    }
}

#[test]
fn a_flipped_bit_loses_one_record_at_most() {
    let (_, bytes, begin) = sample(4);
    for at in 0..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(dir.path().join(LOG), &flipped).unwrap();
        let (index, recovery) = open(dir.path());
        let expected: Vec<u64> = match at.checked_sub(begin) {
            // What the header should say is known.
            None => vec![0, 1, 2, 3],
            Some(offset) => (0..4).filter(|id| *id != (offset / RECORD) as u64).collect(),
        };
        assert_eq!(ids(&index), expected, "byte {at}");
        assert_eq!(recovery.notes.len(), 1, "byte {at}: {:?}", recovery.notes);
        assert_eq!(others(dir.path()).len(), 1);
        // The log is rewritten without the damage.
        index.settle();
        drop(index);
        let (index, recovery) = open(dir.path());
        assert_eq!((ids(&index), recovery.notes), (expected, vec![]), "byte {at}");
    }
}

#[test]
fn damage_in_the_middle_is_skipped_wherever_it_ends() {
    let (_, bytes, begin) = sample(6);
    // Bytes gone, and bytes too many: the records behind are found again.
    for (cut, insert) in [(10, 0), (RECORD + 3, 0), (0, 13), (0, 5 * RECORD), (7, 4000)] {
        let dir = tempfile::tempdir().unwrap();
        let mut broken = bytes[..begin + RECORD + 20].to_vec();
        broken.extend(std::iter::repeat_n(0x01, insert));
        broken.extend(&bytes[begin + RECORD + 20 + cut..]);
        fs::write(dir.path().join(LOG), &broken).unwrap();
        let (index, recovery) = open(dir.path());
        let survivors: Vec<u64> = if cut > RECORD { vec![0, 3, 4, 5] } else { vec![0, 2, 3, 4, 5] };
        assert_eq!(ids(&index), survivors, "{cut} out, {insert} in");
        assert!(recovery.notes[0].contains("damaged bytes in 1 places"), "{:?}", recovery.notes);
    }
}

#[test]
fn a_replacement_that_is_unreadable_does_not_bring_the_old_vector_back() {
    let (dir, mut bytes, _) = sample(2);
    let (index, _) = open(dir.path());
    index.insert(scope(1), 0, &vector(50)).unwrap();
    drop(index);
    bytes = fs::read(dir.path().join(LOG)).unwrap_or(bytes);
    let last = bytes.len() - 1;
    bytes[last] ^= 0x40;
    fs::write(dir.path().join(LOG), &bytes).unwrap();
    assert_eq!(ids(&open(dir.path()).0), [1]);
}

#[test]
fn a_log_for_something_else_is_set_aside() {
    let table = [
        (IndexConfig::new(WIDTH, "model@2"), "variant", "made by \"model@1\", the model is \"model@2\""),
        (IndexConfig::new(16, "model@1"), "width", "have 8 numbers, the model makes 16"),
    ];
    for (other, word, text) in table {
        let (dir, bytes, _) = sample(3);
        for round in 1..3 {
            fs::write(dir.path().join(LOG), &bytes).unwrap();
            let (index, recovery) = Index::open(dir.path(), other.clone()).unwrap();
            assert_eq!((recovery.live, ids(&index).len()), (0, 0));
            assert!(recovery.notes[0].contains(text), "{:?}", recovery.notes);
            assert_eq!(fs::read(dir.path().join(format!("log-1.log.{word}-{round}"))).unwrap(), bytes);
        }
    }
    let (dir, mut bytes, _) = sample(3);
    (bytes[8], bytes[20]) = (9, 9);
    fs::write(dir.path().join(LOG), &bytes).unwrap();
    let (_, recovery) = open(dir.path());
    assert!(recovery.notes[0].contains("format version 9"), "{:?}", recovery.notes);
    assert_eq!(others(dir.path()), ["log-1.log.version-1"]);
}

#[test]
fn junk_is_set_aside() {
    for junk in [b"hello".to_vec(), vec![0; 100_000], vec![0xFF; 70]] {
        let (dir, _, _) = sample(1);
        fs::write(dir.path().join(LOG), &junk).unwrap();
        let (index, recovery) = open(dir.path());
        assert_eq!((ids(&index), recovery.notes.len()), (vec![], 1));
        assert_eq!(fs::read(dir.path().join("log-1.log.unreadable-1")).unwrap(), junk);
    }
}

#[test]
fn one_folder_serves_one_index() {
    let (dir, _, _) = sample(1);
    let (first, _) = open(dir.path());
    let error = Index::open(dir.path(), config()).err().unwrap();
    assert!(matches!(&error, IndexError::Locked { dir: named } if named == dir.path()));
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    assert_eq!(open(dir.path()).1.live, 1);
}

#[test]
fn a_folder_that_cannot_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Index::open(&file.join("index"), config()).err().unwrap().to_string();
    assert!(error.contains("could not create") && error.contains("index"), "{error}");
}

#[test]
fn the_log_shrinks_and_loses_nothing_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let small = IndexConfig { checkpoint_from_bytes: 20_000, ..config() };
    let (index, _) = Index::open(dir.path(), small.clone()).unwrap();
    // Each id is replaced a hundred times, in three scopes, by two threads.
    std::thread::scope(|threads| {
        for half in 0..2 {
            let index = &index;
            threads.spawn(move || {
                for round in 0..100 {
                    for id in (0..60).filter(|id| id % 2 == half) {
                        index.insert(scope(id % 3), id, &vector(id + 1000 * round)).unwrap();
                    }
                    if round % 10 == 9 {
                        index.remove(scope(half), half + 90).unwrap();
                        index.flush().unwrap();
                    }
                }
            });
        }
    });
    index.settle();
    let stats = index.stats();
    assert!(stats.file_bytes < (60 * RECORD + 20_000) as u64 * 3, "{stats:?}");
    drop(index);
    assert_eq!(others(dir.path()), Vec::<String>::new());
    let (index, recovery) = Index::open(dir.path(), small).unwrap();
    assert_eq!((recovery.live, recovery.notes), (60, vec![]));
    for id in 0..60 {
        assert_eq!(index.nearest(scope(id % 3), &vector(id + 99_000), 1, 0.9999).unwrap()[0].id, id);
    }
}

#[test]
fn cleared_is_cleared_after_a_restart() {
    let (dir, _, begin) = sample(5);
    let (index, _) = open(dir.path());
    index.clear().unwrap();
    assert_eq!(index.stats().file_bytes, begin as u64);
    index.insert(scope(2), 9, &vector(9)).unwrap();
    drop(index);
    assert_eq!(ids(&open(dir.path()).0), [9]);
}
