//! The folder against a plain map: stopped at every step, cut and flipped at every byte, on a full disk, and with many threads.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;

use crate::files::check::check;
use crate::files::disk::{Disk, RealDisk};
use crate::files::folder::{Folder, Settings};
use crate::files::header::Kind;
use crate::files::image::Restored;
use crate::files::names::{self, Name};
use crate::files::open::Sink;
use crate::files::reader::Checkpoint;
use crate::files::record::Change;
use crate::files::section;
use crate::files::trial::TrialDisk;
use crate::graph::{Census, Entry, Graph};
use crate::quantize::{Query, Row, RowRef};
use crate::top::Top;
use crate::{IndexError, ScopeKey};

const WIDTH: usize = 5;

/// The scope that has a graph which saves its links, and the one with a graph that does not.
const GRAPHED: ScopeKey = ScopeKey([9; 16]);
const LOOSE: ScopeKey = ScopeKey([8; 16]);
const NEVER: Duration = Duration::from_secs(3600);

type Rows = BTreeMap<(ScopeKey, u64), Row>;

fn scope(n: u8) -> ScopeKey {
    ScopeKey([n; 16])
}

fn row(seed: u64) -> Row {
    let vector: Vec<f32> = (0..WIDTH as u64).map(|i| ((seed * 31 + i * 17) % 101) as f32 / 101.0 - 0.5).collect();
    Row::new(&vector)
}

fn settings(sync_window: Duration) -> Settings {
    Settings { width: WIDTH, variant: "test@1".to_owned(), sync_window, checkpoint_from_bytes: 1 << 20 }
}

/// A graph of rows at every other slot, the rest dead; its links are arbitrary bytes.
pub(crate) struct FakeGraph {
    entries: Vec<Entry>,
    saves: bool,
    dead: Row,
}

impl FakeGraph {
    fn new(entries: Vec<Entry>, saves: bool, width: usize) -> FakeGraph {
        FakeGraph { entries, saves, dead: Row::new(&vec![0.5; width]) }
    }
}

impl Graph for FakeGraph {
    fn insert(&self, _: &[Entry]) -> Vec<u32> {
        Vec::new()
    }

    fn kill(&self, _: u32) -> bool {
        false
    }

    fn id(&self, slot: u32) -> u64 {
        self.entries[slot as usize / 2].id
    }

    fn row(&self, slot: u32) -> Row {
        match slot % 2 {
            0 => self.entries[slot as usize / 2].row.clone(),
            _ => self.dead.clone(),
        }
    }

    fn with_row(&self, slot: u32, look: &mut dyn FnMut(RowRef<'_>)) {
        match slot % 2 {
            0 => look(self.entries[slot as usize / 2].row.view()),
            _ => look(self.dead.view()),
        }
    }

    fn search(&self, _: &Query, _: usize, _: &mut Top) {}

    fn tidy(&self, _: &AtomicBool) -> bool {
        false
    }

    fn is_untidy(&self) -> bool {
        false
    }

    fn census(&self) -> Census {
        Census::default()
    }

    fn live(&self) -> Vec<(u32, u64)> {
        self.entries.iter().enumerate().map(|(i, entry)| (2 * i as u32, entry.id)).collect()
    }

    fn slots(&self) -> u32 {
        2 * self.entries.len() as u32
    }

    fn kind(&self) -> u32 {
        77
    }

    fn save(&self, piece: usize, bytes: &mut Vec<u8>) -> bool {
        if !self.saves || piece >= 3 {
            return false;
        }
        bytes.extend(std::iter::repeat_n(piece as u8, 30 * piece + 1));
        true
    }
}

/// Takes what a start finds.
#[derive(Default)]
struct Shelf {
    rows: Mutex<Rows>,
    graphs: Mutex<usize>,
}

impl Sink for Shelf {
    fn restore(&self, restored: Restored<'_>) {
        let graph: Vec<Entry> = restored.graph.iter().flat_map(|graph| graph.entries()).collect();
        if let Some(graph) = &restored.graph {
            assert_eq!((graph.kind, graph.width, graph.slots as usize), (77, WIDTH, 2 * graph.entries().count()));
            assert_eq!(graph.links, [&[0; 1][..], &[1; 31], &[2; 61]]);
            *self.graphs.lock() += 1;
        }
        let mut rows = self.rows.lock();
        for entry in restored.flat.into_iter().chain(graph) {
            assert_eq!(rows.insert((restored.scope, entry.id), entry.row), None, "handed out twice");
        }
    }

    fn apply(&self, change: Change<'_>) {
        match change {
            Change::Insert { scope, id, row } => {
                let mut bytes = Vec::new();
                row.pack(WIDTH, &mut bytes);
                self.rows.lock().insert((scope, id), Row::unpack(&bytes, WIDTH).unwrap());
            }
            Change::Remove { scope, id } => drop(self.rows.lock().remove(&(scope, id))),
        }
    }
}

/// A folder, and what it should hold.
struct Model {
    folder: Folder,
    rows: Mutex<Rows>,
    notes: Vec<String>,
    graphs: usize,
}

fn open(dir: &Path, settings: Settings, disk: Arc<dyn Disk>) -> Result<Model, IndexError> {
    let shelf = Shelf::default();
    let (folder, notes) = Folder::open(dir, settings, disk, &shelf)?;
    Ok(Model { folder, rows: shelf.rows, notes, graphs: shelf.graphs.into_inner() })
}

fn reopen(dir: &Path) -> Model {
    open(dir, settings(NEVER), Arc::new(RealDisk)).unwrap()
}

impl Model {
    fn insert(&self, scope: ScopeKey, id: u64, seed: u64) -> Result<(), IndexError> {
        let row = row(seed);
        let mut rows = self.rows.lock();
        let written = self.folder.append(Change::Insert { scope, id, row: row.view() });
        rows.insert((scope, id), row);
        written
    }

    fn remove(&self, scope: ScopeKey, id: u64) -> Result<(), IndexError> {
        let mut rows = self.rows.lock();
        rows.remove(&(scope, id));
        self.folder.append(Change::Remove { scope, id })
    }

    fn clear(&self) -> Result<(), IndexError> {
        let mut rows = self.rows.lock();
        rows.clear();
        self.folder.clear()
    }

    fn checkpoint(&self) -> io::Result<()> {
        let stop = AtomicBool::new(false);
        self.folder.checkpoint(&stop, |writer| {
            let mut scopes: Vec<ScopeKey> = self.rows.lock().keys().map(|(scope, _)| *scope).collect();
            scopes.dedup();
            for scope in scopes {
                let entries: Vec<Entry> = {
                    let rows = self.rows.lock();
                    let rows = rows.iter().filter(|((s, _), _)| *s == scope);
                    let entries = rows.map(|((_, id), row)| Entry { id: *id, row: row.clone() });
                    // In a scope with a graph, the odd ids are not in it yet.
                    let has_graph = scope == GRAPHED || scope == LOOSE;
                    let (graphed, flat): (Vec<Entry>, _) = entries.partition(|e| has_graph && e.id % 2 == 0);
                    writer.begin(scope);
                    flat.iter().for_each(|entry| writer.row(entry.id, entry.row.view()));
                    graphed
                };
                writer.spill()?;
                if !entries.is_empty() {
                    writer.graph(scope, &FakeGraph::new(entries, scope == GRAPHED, WIDTH))?;
                }
            }
            Ok(())
        })
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Insert(ScopeKey, u64, u64),
    Remove(ScopeKey, u64),
    Checkpoint,
    Clear,
}

impl Op {
    /// Does it; gives an error when it was not acknowledged.
    fn run(self, model: &Model) -> Result<(), String> {
        match self {
            Op::Insert(scope, id, seed) => model.insert(scope, id, seed).map_err(|e| e.to_string()),
            Op::Remove(scope, id) => model.remove(scope, id).map_err(|e| e.to_string()),
            Op::Checkpoint => model.checkpoint().map_err(|e| e.to_string()),
            Op::Clear => model.clear().map_err(|e| e.to_string()),
        }
    }

    fn imagine(self, rows: &mut Rows) {
        match self {
            Op::Insert(scope, id, seed) => drop(rows.insert((scope, id), row(seed))),
            Op::Remove(scope, id) => drop(rows.remove(&(scope, id))),
            Op::Checkpoint => (),
            Op::Clear => rows.clear(),
        }
    }
}

fn script() -> Vec<Op> {
    let mut ops = Vec::new();
    for id in 0..4 {
        ops.extend([Op::Insert(scope(1), id, id), Op::Insert(GRAPHED, id, 10 + id), Op::Insert(LOOSE, id, 20 + id)]);
    }
    ops.extend([Op::Remove(scope(1), 2), Op::Checkpoint, Op::Insert(scope(1), 0, 50), Op::Remove(GRAPHED, 2)]);
    ops.extend([Op::Checkpoint, Op::Checkpoint, Op::Insert(scope(2), 7, 51), Op::Clear, Op::Checkpoint]);
    ops.extend([Op::Insert(scope(3), 1, 52), Op::Checkpoint, Op::Insert(scope(3), 2, 53), Op::Clear]);
    ops.extend([Op::Insert(GRAPHED, 1, 54), Op::Insert(GRAPHED, 2, 55), Op::Checkpoint, Op::Remove(GRAPHED, 1)]);
    ops
}

/// Runs the script until the disk dies at its `step`-th step; false when it lived to the end.
fn stop_at(step: u64, power: bool) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let disk = TrialDisk::default();
    // A killed process loses nothing that was written; of a power cut that is asked only with a window of zero.
    let window = if power { Duration::ZERO } else { NEVER };
    let model = open(dir.path(), settings(window), Arc::new(disk.clone())).unwrap();
    disk.die_after(step);
    let (mut before, mut after) = (Rows::new(), Rows::new());
    let mut op = None;
    for next in script() {
        op = Some(next);
        let done = next.run(&model);
        before = after.clone();
        next.imagine(&mut after);
        if disk.is_dead() {
            break;
        }
        assert_eq!(done, Ok(()), "{next:?}");
    }
    let died = disk.is_dead();
    drop(model);
    if power {
        disk.cut_power();
    }
    let again = reopen(dir.path());
    let found = again.rows.lock().clone();
    assert!(found == after || (died && found == before), "step {step}, {op:?}, power {power}: {:?}", again.notes);
    assert!(files(dir.path()).iter().all(|name| !name.ends_with(".tmp")));
    // A torn end is all that there may be to tell, and life goes on.
    assert!(again.notes.iter().all(|note| note.contains("torn")), "step {step}, {op:?}: {:?}", again.notes);
    again.insert(scope(4), 4, 4).unwrap();
    again.checkpoint().unwrap();
    again.insert(scope(4), 5, 5).unwrap();
    let expected = again.rows.lock().clone();
    drop(again);
    let last = reopen(dir.path());
    assert_eq!((&*last.rows.lock(), &last.notes), (&expected, &vec![]), "step {step}, {op:?}");
    assert!(check(dir.path()).unwrap().is_sound());
    died
}

#[test]
fn a_process_that_dies_at_any_step_loses_nothing_acknowledged() {
    let steps = (0..).take_while(|step| stop_at(*step, false)).count();
    assert!(steps > 60, "{steps}");
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_that_was_synced() {
    let steps = (0..).take_while(|step| stop_at(*step, true)).count();
    assert!(steps > 90, "{steps}");
}

/// A folder with a checkpoint and changes since; what it holds.
fn sample() -> (tempfile::TempDir, Rows) {
    let dir = tempfile::tempdir().unwrap();
    let model = reopen(dir.path());
    for id in 0..6 {
        [scope(1), scope(2), GRAPHED].iter().for_each(|s| model.insert(*s, id, id).unwrap());
    }
    model.checkpoint().unwrap();
    model.insert(scope(1), 0, 60).unwrap();
    model.insert(GRAPHED, 8, 61).unwrap();
    model.remove(scope(2), 1).unwrap();
    let rows = model.rows.lock().clone();
    (dir, rows)
}

fn path(dir: &Path, kind: Kind) -> std::path::PathBuf {
    Name { generation: 2, kind }.path(dir)
}

/// Copies the sample, with one file changed.
fn spoiled(dir: &Path, kind: Kind, bytes: &[u8]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for kind in [Kind::Log, Kind::Checkpoint] {
        std::fs::copy(path(dir, kind), path(copy.path(), kind)).unwrap();
    }
    std::fs::write(path(copy.path(), kind), bytes).unwrap();
    copy
}

/// Opens what was spoiled; checks that it is told, and gone after a checkpoint.
fn mended(dir: &Path, what: &str) -> (Rows, usize) {
    let report = check(dir).unwrap();
    assert!(!report.is_sound(), "{what}");
    let model = reopen(dir);
    assert!(!model.notes.is_empty(), "{what}");
    let found = model.rows.lock().clone();
    assert_eq!(report.live, found.len() as u64, "{what}");
    // A torn end is cut off there and then; all else is due to be written anew.
    if model.folder.claim_checkpoint() {
        model.checkpoint().unwrap();
    } else {
        assert!(model.notes.iter().all(|note| note.contains("torn")), "{what}: {:?}", model.notes);
    }
    drop(model);
    let again = reopen(dir);
    assert_eq!((&*again.rows.lock(), &again.notes), (&found, &vec![]), "{what}");
    assert!(check(dir).unwrap().is_sound(), "{what}");
    (found, again.graphs)
}

/// The sections of the sample's checkpoint: their kinds and bytes, the header first.
fn sections(bytes: &[u8]) -> Vec<(Option<section::Kind>, Range<usize>)> {
    let header = settings(NEVER).header(Name { generation: 2, kind: Kind::Checkpoint }, false);
    let (mut at, mut found) = (header.len(), vec![(None, 0..header.len())]);
    while let Some(head) = section::Head::read(bytes, at, header.seed()) {
        found.push((Some(head.kind), at..head.body.end));
        at = head.body.end;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(found.len(), 1 + 1 + 3 + 1 + 1 + 1);
    found
}

/// What is left of the sample when a section of the checkpoint is damaged.
fn without(rows: &Rows, kind: Option<section::Kind>) -> Rows {
    let since = [(scope(1), 0), (GRAPHED, 8)];
    let lost = |(scope, id): &(ScopeKey, u64)| match kind {
        Some(section::Kind::Flat) => *scope != GRAPHED || id % 2 == 1,
        Some(section::Kind::Rows) => *scope == GRAPHED && id % 2 == 0,
        _ => false,
    };
    rows.iter().filter(|(key, _)| since.contains(key) || !lost(key)).map(|(k, r)| (*k, r.clone())).collect()
}

#[test]
fn a_checkpoint_with_any_byte_flipped_keeps_its_other_sections() {
    let (dir, rows) = sample();
    let bytes = std::fs::read(path(dir.path(), Kind::Checkpoint)).unwrap();
    for (kind, range) in sections(&bytes) {
        for at in range {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let copy = spoiled(dir.path(), Kind::Checkpoint, &flipped);
            let (found, _) = mended(copy.path(), &format!("{kind:?}, byte {at}"));
            assert_eq!(found, without(&rows, kind), "{kind:?}, byte {at}");
        }
    }
}

#[test]
fn a_checkpoint_cut_anywhere_keeps_its_whole_sections() {
    let (dir, rows) = sample();
    let bytes = std::fs::read(path(dir.path(), Kind::Checkpoint)).unwrap();
    let sections = sections(&bytes);
    for end in 0..bytes.len() {
        let copy = spoiled(dir.path(), Kind::Checkpoint, &bytes[..end]);
        let (found, _) = mended(copy.path(), &format!("cut at {end}"));
        let lost = sections.iter().filter(|(_, range)| range.end > end);
        let expected = lost.fold(rows.clone(), |rows, (kind, _)| without(&rows, *kind));
        assert_eq!(found, expected, "cut at {end}");
    }
}

#[test]
fn bytes_cut_out_or_put_in_cost_no_other_section() {
    let (dir, rows) = sample();
    let bytes = std::fs::read(path(dir.path(), Kind::Checkpoint)).unwrap();
    for (kind, range) in &sections(&bytes)[1..] {
        let middle = range.start + 9;
        for (out, junk) in [(3, 0), (0, 5), (8, 0), (range.end - middle, 0), (1, 3000)] {
            let mut changed = bytes[..middle].to_vec();
            changed.extend(std::iter::repeat_n(b'a', junk));
            changed.extend(&bytes[middle + out..]);
            let copy = spoiled(dir.path(), Kind::Checkpoint, &changed);
            let (found, _) = mended(copy.path(), &format!("{kind:?}: {out} out, {junk} in"));
            assert_eq!(found, without(&rows, *kind), "{kind:?}: {out} out, {junk} in");
        }
    }
}

#[test]
fn a_log_with_any_byte_flipped_loses_one_record_at_most() {
    let (dir, _) = sample();
    let bytes = std::fs::read(path(dir.path(), Kind::Log)).unwrap();
    let checkpoint = {
        // Without the log's records.
        let begin = settings(NEVER).header(Name { generation: 2, kind: Kind::Log }, false).len();
        (begin, reopen(spoiled(dir.path(), Kind::Log, &bytes[..begin]).path()).rows.into_inner())
    };
    let (begin, base) = checkpoint;
    let record = crate::files::record::HEAD + 2 + 2 * WIDTH;
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let copy = spoiled(dir.path(), Kind::Log, &flipped);
        let (found, graphs) = mended(copy.path(), &format!("byte {at}"));
        let lost = at.checked_sub(begin).map(|at| at / record);
        let mut expected = base.clone();
        match lost {
            Some(0) if (at - begin) % record < crate::files::record::HEAD => (),
            // The old row of an id whose new one is unreadable does not count.
            Some(0) => drop(expected.remove(&(scope(1), 0))),
            _ => drop(expected.insert((scope(1), 0), row(60))),
        }
        if lost != Some(1) {
            expected.insert((GRAPHED, 8), row(61));
        }
        if lost != Some(2) {
            expected.remove(&(scope(2), 1));
        }
        assert_eq!((found, graphs), (expected, 1), "byte {at}");
    }
}

#[test]
fn a_log_cut_anywhere_keeps_its_whole_records() {
    let (dir, _) = sample();
    let bytes = std::fs::read(path(dir.path(), Kind::Log)).unwrap();
    let begin = settings(NEVER).header(Name { generation: 2, kind: Kind::Log }, false).len();
    let record = crate::files::record::HEAD + 2 + 2 * WIDTH;
    for end in 0..bytes.len() {
        let copy = spoiled(dir.path(), Kind::Log, &bytes[..end]);
        let whole = end.checked_sub(begin).map(|left| (left / record, left % record));
        let found = match whole {
            Some((_, 0)) => reopen(copy.path()).rows.into_inner(),
            _ => mended(copy.path(), &format!("cut at {end}")).0,
        };
        let records = whole.map_or(0, |(records, _)| records);
        assert_eq!(found.contains_key(&(GRAPHED, 8)), records >= 2, "cut at {end}");
        assert_eq!(found.get(&(scope(1), 0)) == Some(&row(60)), records >= 1, "cut at {end}");
    }
}

#[test]
fn an_older_whole_checkpoint_serves_in_place_of_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = TrialDisk::default();
    let model = open(dir.path(), settings(NEVER), Arc::new(disk.clone())).unwrap();
    (0..5).for_each(|id| model.insert(scope(1), id, id).unwrap());
    model.checkpoint().unwrap();
    model.insert(scope(1), 7, 7).unwrap();
    let kept: Vec<_> = [Kind::Log, Kind::Checkpoint]
        .map(|k| (path(dir.path(), k), std::fs::read(path(dir.path(), k)).unwrap()))
        .into();
    model.checkpoint().unwrap();
    model.insert(scope(1), 8, 8).unwrap();
    let rows = model.rows.lock().clone();
    drop(model);
    // As if it had died before it removed generation 2.
    kept.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    let newest = Name { generation: 3, kind: Kind::Checkpoint }.path(dir.path());
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let model = reopen(dir.path());
    assert_eq!(*model.rows.lock(), rows);
    assert!(model.notes[0].contains("an older one and the logs since serve"), "{:?}", model.notes);
    assert!(model.folder.claim_checkpoint());
    model.checkpoint().unwrap();
    assert_eq!(files(dir.path()), ["checkpoint-3.bin.damaged-1", "checkpoint-4.bin", "log-4.log"]);
}

#[test]
fn missing_files_are_told() {
    for kind in [Kind::Log, Kind::Checkpoint] {
        let (dir, _) = sample();
        std::fs::remove_file(path(dir.path(), kind)).unwrap();
        let model = reopen(dir.path());
        assert!(model.notes[0].contains("is missing"), "{:?}", model.notes);
        assert!(model.folder.claim_checkpoint());
        let rows = model.rows.lock().clone();
        model.checkpoint().unwrap();
        drop(model);
        let model = reopen(dir.path());
        assert_eq!((&*model.rows.lock(), &model.notes), (&rows, &vec![]));
    }
}

#[test]
fn what_was_made_for_something_else_is_set_aside() {
    let other = |width: usize, variant: &str| Settings { width, variant: variant.to_owned(), ..settings(NEVER) };
    for (other, word) in [(other(WIDTH, "test@2"), "variant"), (other(WIDTH + 1, "test@1"), "width")] {
        let (dir, _) = sample();
        let model = open(dir.path(), other, Arc::new(RealDisk)).unwrap();
        assert_eq!((model.rows.lock().len(), model.notes.len()), (0, 2));
        assert_eq!(
            files(dir.path()),
            [format!("checkpoint-2.bin.{word}-1"), format!("log-2.log.{word}-1"), "log-3.log".into()]
        );
    }
    let (dir, _) = sample();
    for kind in [Kind::Log, Kind::Checkpoint] {
        let mut bytes = std::fs::read(path(dir.path(), kind)).unwrap();
        (bytes[8], bytes[20]) = (3, 99);
        std::fs::write(path(dir.path(), kind), bytes).unwrap();
    }
    let model = reopen(dir.path());
    assert!(model.notes[0].contains("format version 3, this program reads 2"), "{:?}", model.notes);
    assert_eq!(model.notes.len(), 2);
    for junk in [vec![0; 5000], b"hello".to_vec(), vec![0xFF; 70], vec![]] {
        for kind in [Kind::Log, Kind::Checkpoint] {
            let (dir, _) = sample();
            std::fs::write(path(dir.path(), kind), &junk).unwrap();
            let model = reopen(dir.path());
            assert!(model.notes.iter().any(|note| note.contains("unreadable-1")), "{:?}", model.notes);
        }
    }
}

#[test]
fn a_full_disk_spoils_no_other_record_and_a_checkpoint_mends() {
    let record = (crate::files::record::HEAD + 2 + 2 * WIDTH) as u64;
    for cut_fails in [false, true] {
        for room in 0..record {
            let dir = tempfile::tempdir().unwrap();
            let disk = TrialDisk::default();
            let model = open(dir.path(), settings(NEVER), Arc::new(disk.clone())).unwrap();
            model.insert(scope(1), 1, 1).unwrap();
            disk.set_room(Some(room), cut_fails);
            let text = model.insert(scope(1), 2, 2).unwrap_err().to_string();
            assert!(text.contains("holds until a restart") && text.contains("space"), "{text}");
            model.insert(scope(1), 3, 3).unwrap_err();
            assert!(!model.folder.claim_checkpoint(), "not while writing fails");
            disk.set_room(None, false);
            model.insert(scope(1), 4, 4).unwrap();
            let crashed = tempfile::tempdir().unwrap();
            let log = Name { generation: 1, kind: Kind::Log };
            std::fs::copy(log.path(dir.path()), log.path(crashed.path())).unwrap();
            let found = reopen(crashed.path());
            let ids: Vec<u64> = found.rows.lock().keys().map(|(_, id)| *id).collect();
            assert_eq!((ids, &found.notes), (vec![1, 4], &vec![]), "room {room}");
            assert!(model.folder.claim_checkpoint() && !model.folder.claim_checkpoint());
            model.checkpoint().unwrap();
            assert_eq!(model.folder.write_errors(), 2);
            drop(model);
            assert_eq!(reopen(dir.path()).rows.lock().len(), 4);
        }
    }
}

#[test]
fn a_checkpoint_on_a_full_disk_leaves_all_as_it_was() {
    let (dir, rows) = sample();
    let size = std::fs::metadata(path(dir.path(), Kind::Checkpoint)).unwrap().len();
    for room in (0..size).step_by(7) {
        let copy = tempfile::tempdir().unwrap();
        for kind in [Kind::Log, Kind::Checkpoint] {
            std::fs::copy(path(dir.path(), kind), path(copy.path(), kind)).unwrap();
        }
        let disk = TrialDisk::default();
        let model = open(copy.path(), settings(NEVER), Arc::new(disk.clone())).unwrap();
        disk.set_room(Some(room), false);
        model.checkpoint().unwrap_err();
        assert!(files(copy.path()).iter().all(|name| !name.ends_with(".tmp")));
        assert!(!model.folder.claim_checkpoint());
        disk.set_room(None, false);
        model.insert(scope(3), 3, 3).unwrap();
        drop(model);
        let model = reopen(copy.path());
        let mut expected = rows.clone();
        expected.insert((scope(3), 3), row(3));
        assert_eq!((&*model.rows.lock(), &model.notes), (&expected, &vec![]), "room {room}");
        model.checkpoint().unwrap();
    }
}

#[test]
fn clearing_makes_room_on_a_full_disk() {
    let (dir, _) = sample();
    let disk = TrialDisk::default();
    let model = open(dir.path(), settings(NEVER), Arc::new(disk.clone())).unwrap();
    disk.set_room(Some(10), false);
    assert!(matches!(model.clear(), Err(IndexError::NotWritten { .. })));
    assert!(!path(dir.path(), Kind::Checkpoint).exists());
    // A later checkpoint knows that nothing is left.
    disk.set_room(None, false);
    model.insert(scope(1), 1, 1).unwrap();
    assert!(model.folder.claim_checkpoint());
    model.checkpoint().unwrap();
    drop(model);
    assert_eq!(reopen(dir.path()).rows.lock().len(), 1);
}

#[test]
fn a_checkpoint_under_way_does_not_bring_back_what_is_cleared() {
    for after in [false, true] {
        let (dir, _) = sample();
        let model = reopen(dir.path());
        model.insert(scope(1), 9, 9).unwrap();
        let fill = |writer: &mut crate::files::writer::Writer<'_>| {
            writer.begin(scope(1));
            writer.row(7, row(7).view());
            writer.spill()?;
            model.clear().unwrap();
            if after {
                model.insert(scope(2), 2, 2).unwrap();
            }
            Ok(())
        };
        model.folder.checkpoint(&AtomicBool::new(false), fill).unwrap();
        let rows = model.rows.lock().clone();
        assert_eq!(rows.len(), usize::from(after));
        drop(model);
        let model = reopen(dir.path());
        assert_eq!((&*model.rows.lock(), &model.notes), (&rows, &vec![]));
        assert_eq!(files(dir.path()).len(), 1);
    }
}

#[test]
fn threads_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let disk = TrialDisk::default();
    disk.set_sync(Duration::from_millis(3), false);
    let model = open(dir.path(), settings(Duration::ZERO), Arc::new(disk.clone())).unwrap();
    let before = disk.syncs();
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let folder = &model.folder;
            threads.spawn(move || {
                for id in 0..25 {
                    folder.append(Change::Insert { scope: scope(thread), id, row: row(id).view() }).unwrap();
                }
            });
        }
    });
    let syncs = disk.syncs() - before;
    // Alone each of the 200 changes would have its own.
    assert!((25..=80).contains(&syncs), "{syncs} syncs");
    // Nothing of it is lost without power.
    disk.die_after(0);
    drop(model);
    disk.cut_power();
    assert_eq!(reopen(dir.path()).rows.lock().len(), 200);
}

#[test]
fn a_window_gathers_changes_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let disk = TrialDisk::default();
    let model = open(dir.path(), settings(Duration::from_millis(40)), Arc::new(disk.clone())).unwrap();
    let before = disk.syncs();
    let start = std::time::Instant::now();
    (0..200).for_each(|id| model.insert(scope(1), id, id).unwrap());
    let took = start.elapsed();
    std::thread::sleep(Duration::from_millis(400));
    let syncs = disk.syncs() - before;
    assert!(syncs >= 1 && u128::from(syncs) <= 1 + took.as_millis() / 40 + 1, "{syncs} syncs in {took:?}");
    // Without anything new, nothing is synced.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(disk.syncs() - before, syncs);
    disk.die_after(0);
    drop(model);
    disk.cut_power();
    assert_eq!(reopen(dir.path()).rows.lock().len(), 200);
}

#[test]
fn a_failed_sync_is_told_and_a_checkpoint_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = TrialDisk::default();
    let model = open(dir.path(), settings(Duration::ZERO), Arc::new(disk.clone())).unwrap();
    model.insert(scope(1), 1, 1).unwrap();
    disk.set_sync(Duration::ZERO, true);
    assert!(matches!(model.insert(scope(1), 2, 2), Err(IndexError::NotWritten { .. })));
    disk.set_sync(Duration::ZERO, false);
    // The system may have dropped what it could not write, and says nothing when it is asked again.
    model.insert(scope(1), 3, 3).unwrap();
    assert!(model.folder.sync().is_err());
    assert!(model.folder.claim_checkpoint());
    model.checkpoint().unwrap();
    model.folder.sync().unwrap();
    assert!(!model.folder.claim_checkpoint());
    disk.die_after(0);
    drop(model);
    disk.cut_power();
    assert_eq!(reopen(dir.path()).rows.lock().len(), 3);
}

#[test]
fn changes_go_on_while_a_checkpoint_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = reopen(dir.path());
    std::thread::scope(|threads| {
        for thread in 0..3 {
            let model = &model;
            threads.spawn(move || {
                for id in 0..400 {
                    model.insert([scope(1), GRAPHED, LOOSE][thread], id % 50, id).unwrap();
                    if id % 3 == 0 {
                        model.remove([scope(1), GRAPHED, LOOSE][thread], (id + 7) % 50).unwrap();
                    }
                }
            });
        }
        for _ in 0..12 {
            model.checkpoint().unwrap();
        }
    });
    let rows = model.rows.lock().clone();
    drop(model);
    let model = reopen(dir.path());
    assert_eq!((&*model.rows.lock(), &model.notes), (&rows, &vec![]));
}

#[test]
fn many_rows_make_many_sections() {
    let dir = tempfile::tempdir().unwrap();
    let model = reopen(dir.path());
    let fill = |rows: &mut Rows| {
        for id in 0..30_000 {
            rows.insert((scope((id % 3) as u8), id), row(id));
            rows.insert((GRAPHED, id), row(id + 1));
            rows.insert((LOOSE, id), row(id + 2));
        }
    };
    fill(&mut model.rows.lock());
    model.checkpoint().unwrap();
    let rows = model.rows.lock().clone();
    drop(model);
    let report = check(dir.path()).unwrap();
    assert!(report.is_sound() && report.live == 90_000, "{report}");
    assert!(report.files[0].sections > Some(30), "{report}");
    let model = reopen(dir.path());
    assert_eq!((model.rows.lock().len(), model.graphs), (90_000, 1));
    assert!(*model.rows.lock() == rows);
}

#[test]
fn a_stop_ends_a_checkpoint() {
    let (dir, rows) = sample();
    let model = reopen(dir.path());
    let stop = AtomicBool::new(true);
    model
        .folder
        .checkpoint(&stop, |writer| {
            writer.begin(scope(1));
            writer.row(1, row(1).view());
            Ok(())
        })
        .unwrap_err();
    drop(model);
    let model = reopen(dir.path());
    assert_eq!((&*model.rows.lock(), &model.notes), (&rows, &vec![]));
}

#[test]
fn verifying_finds_every_section() {
    let (dir, _) = sample();
    let bytes = std::fs::read(path(dir.path(), Kind::Checkpoint)).unwrap();
    let header = settings(NEVER).header(Name { generation: 2, kind: Kind::Checkpoint }, false);
    let found = Checkpoint::verify(&bytes, header.len(), header.seed());
    assert!(found.is_whole);
    assert_eq!((found.sections(), found.written), (7, Some((6, 18))));
    assert!(names::list(dir.path()).unwrap().unfinished.is_empty());
}

/// Says how fast large checkpoints are written and read. `ASKONCE_INDEX_ROWS` rows of 384 numbers, half of them in a graph.
#[test]
#[ignore = "measures; takes a gigabyte of disk for a million rows"]
fn speed() {
    const WIDTH: usize = 384;
    let rows: u64 = std::env::var("ASKONCE_INDEX_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(200_000);
    let dir = tempfile::tempdir().unwrap();
    let settings = || Settings { width: WIDTH, ..settings(NEVER) };
    let entry = |id: u64| {
        let vector: Vec<f32> = (0..WIDTH as u64).map(|i| ((id * 31 + i * 17) % 101) as f32 / 1010.0 - 0.05).collect();
        Entry { id, row: Row::new(&vector) }
    };
    let graph = FakeGraph::new((0..rows / 2).map(entry).collect(), true, WIDTH);
    let (folder, _) = Folder::open(dir.path(), settings(), Arc::new(RealDisk), &Nowhere::default()).unwrap();
    let start = std::time::Instant::now();
    let fill = |writer: &mut crate::files::writer::Writer<'_>| writer.graph(GRAPHED, &graph);
    folder.checkpoint(&AtomicBool::new(false), fill).unwrap();
    let megabytes = folder.bytes() as f64 / 1e6;
    let rate = |start: std::time::Instant| megabytes / start.elapsed().as_secs_f64();
    println!("graph: {megabytes:.0} MB written in {:?}, {:.0} MB/s", start.elapsed(), rate(start));
    for step in 0..3 {
        let start = std::time::Instant::now();
        let sink = Nowhere::default();
        let disk = Arc::new(RealDisk);
        drop(Folder::open(dir.path(), settings(), disk, &sink).unwrap());
        assert_eq!(*sink.0.lock(), rows);
        println!("graph: opened in {:?}, {:.0} MB/s (round {step})", start.elapsed(), rate(start));
    }
    let mut next = 0;
    let start = std::time::Instant::now();
    let fill = |writer: &mut crate::files::writer::Writer<'_>| {
        for n in 0..rows / 20 {
            writer.begin(ScopeKey((n as u128).to_le_bytes()));
            for entry in &graph.entries[next..next + 10] {
                writer.row(entry.id, entry.row.view());
            }
            next = (next + 10) % graph.entries.len();
            writer.spill()?;
        }
        Ok(())
    };
    folder.append(Change::Remove { scope: GRAPHED, id: 0 }).unwrap();
    folder.checkpoint(&AtomicBool::new(false), fill).unwrap();
    let megabytes = folder.bytes() as f64 / 1e6;
    println!("scopes of ten: {megabytes:.0} MB written in {:?}", start.elapsed());
    let start = std::time::Instant::now();
    drop(Folder::open(dir.path(), settings(), Arc::new(RealDisk), &Nowhere::default()).unwrap());
    println!("scopes of ten: opened in {:?}", start.elapsed());
}

/// Copies the planes of graphs, as who restores one does, and drops them.
#[derive(Default)]
struct Nowhere(Mutex<u64>);

impl Sink for Nowhere {
    fn restore(&self, restored: Restored<'_>) {
        use rayon::prelude::*;
        let Some(graph) = &restored.graph else { return };
        let copy = |group: &crate::files::image::Group<'_>| [group.high, group.low].concat().len() as u64;
        let bytes: u64 = graph.groups.par_iter().map(copy).sum();
        *self.0.lock() += bytes / (2 * graph.width as u64);
    }

    fn apply(&self, _: Change<'_>) {}
}
