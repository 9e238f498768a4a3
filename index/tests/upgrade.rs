//! Folders written by earlier versions open, with all that they held.

mod support;

use std::path::{Path, PathBuf};

use askonce_index::{Index, IndexConfig, Recovery, check};
use support::{Dice, cosine, scope};

fn config() -> IndexConfig {
    IndexConfig { graph_from: 16, ..IndexConfig::new(8, "model@1") }
}

/// A copy of the fixture: opening changes it.
fn copy(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version);
    for file in std::fs::read_dir(fixture).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

fn open(dir: &Path) -> (Index, Recovery) {
    Index::open(dir, config()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "vectors.lock");
    names.sort_unstable();
    names
}

/// Ids 0 to 29 in three scopes; 0 to 4 were replaced, 10 to 14 removed.
fn holds_version_1(index: &Index) {
    for id in 0..30 {
        let vector = Dice(if id < 5 { 200 + id } else { 100 + id }).direction(8);
        let found = index.nearest(scope(id % 3), &vector, 1, 0.9999).unwrap();
        let there = !(10..15).contains(&id);
        assert_eq!(found.first().map(|n| n.id), there.then_some(id));
        assert!(found.iter().all(|n| (n.similarity - cosine(&vector, &vector)).abs() < 1e-4));
    }
}

#[test]
fn a_log_of_version_1_becomes_a_checkpoint() {
    let dir = copy("v1");
    let report = check(dir.path()).unwrap();
    assert!(report.is_sound() && report.live == 25, "{report}");
    assert_eq!((report.files[0].version, report.files[0].records), (Some(1), Some(40)));
    let (index, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery { live: 25, notes: vec![] });
    holds_version_1(&index);
    index.settle();
    assert_eq!(names(dir.path()), ["checkpoint-1.bin", "log-1.log"]);
    index.insert(scope(5), 99, &Dice(99).direction(8)).unwrap();
    drop(index);
    let (index, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery { live: 26, notes: vec![] });
    holds_version_1(&index);
    assert!(index.contains(scope(5), 99));
}

#[test]
fn a_crash_before_the_upgrade_is_done_loses_nothing() {
    let dir = copy("v1");
    let old = std::fs::read(dir.path().join("vectors.log")).unwrap();
    let (index, _) = open(dir.path());
    index.settle();
    index.insert(scope(0), 0, &Dice(77).direction(8)).unwrap();
    drop(index);
    // As it was before the checkpoint had its name: the old log and a new one behind it.
    std::fs::rename(dir.path().join("checkpoint-1.bin"), dir.path().join("checkpoint-1.bin.tmp")).unwrap();
    std::fs::write(dir.path().join("vectors.log"), &old).unwrap();
    let (index, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery { live: 25, notes: vec![] });
    assert_eq!(index.nearest(scope(0), &Dice(77).direction(8), 1, 0.9999).unwrap()[0].id, 0);
    index.settle();
    drop(index);
    assert_eq!(names(dir.path()), ["checkpoint-2.bin", "log-2.log"]);
    // As it was before the old log was removed.
    std::fs::write(dir.path().join("vectors.log"), &old).unwrap();
    let (index, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery { live: 25, notes: vec![] });
    assert_eq!(index.nearest(scope(0), &Dice(77).direction(8), 1, 0.9999).unwrap()[0].id, 0);
    assert!(!dir.path().join("vectors.log").exists());
}

#[test]
fn a_damaged_log_of_version_1_keeps_its_other_records() {
    let old = std::fs::read(copy("v1").path().join("vectors.log")).unwrap();
    for at in (0..old.len()).step_by(7) {
        let dir = copy("v1");
        let mut flipped = old.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(dir.path().join("vectors.log"), &flipped).unwrap();
        let (index, recovery) = open(dir.path());
        assert_eq!(recovery.notes.len(), 1, "byte {at}: {:?}", recovery.notes);
        let expected = if at < 32 { 0..1 } else { 24..27 };
        assert!(expected.contains(&recovery.live), "byte {at}: {}", recovery.live);
        index.settle();
        drop(index);
        let (_, again) = open(dir.path());
        assert_eq!(again, Recovery { live: recovery.live, notes: vec![] }, "byte {at}");
    }
}

#[test]
fn a_folder_of_version_2_opens() {
    let dir = copy("v2");
    let report = check(dir.path()).unwrap();
    assert!(report.is_sound() && report.live == 25 + 60 + 3 - 1, "{report}");
    let (index, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery { live: 87, notes: vec![] });
    holds_version_1(&index);
    // From the checkpoint, in a graph, but for one that the log removed.
    for id in 0..60 {
        let found = index.nearest(scope(5), &Dice(300 + id).direction(8), 1, 0.9999).unwrap();
        assert_eq!(found.first().map(|n| n.id), (id != 7).then_some(id));
    }
    // From the log.
    for id in 90..93 {
        assert_eq!(index.nearest(scope(6), &Dice(id).direction(8), 1, 0.9999).unwrap()[0].id, id);
    }
}

/// Not a test of its own: how the folder of version 2 was made.
#[test]
#[ignore = "writes the folder that ASKONCE_INDEX_FIXTURE names"]
fn make_version_2() {
    let Ok(folder) = std::env::var("ASKONCE_INDEX_FIXTURE") else { return };
    let old = copy("v1");
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(old.path().join("vectors.log"), folder.join("vectors.log")).unwrap();
    let (index, _) = open(folder);
    (0..60).for_each(|id| index.insert(scope(5), id, &Dice(300 + id).direction(8)).unwrap());
    index.settle();
    drop(index);
    // A log so long that a checkpoint is due once the graph is there.
    let (index, _) = Index::open(folder, IndexConfig { checkpoint_from_bytes: 1, ..config() }).unwrap();
    index.settle();
    (0..60).for_each(|id| index.insert(scope(5), id, &Dice(300 + id).direction(8)).unwrap());
    index.settle();
    drop(index);
    let (index, _) = open(folder);
    (90..93).for_each(|id| index.insert(scope(6), id, &Dice(id).direction(8)).unwrap());
    index.remove(scope(5), 7).unwrap();
    drop(index);
    std::fs::remove_file(folder.join("vectors.lock")).unwrap();
}
