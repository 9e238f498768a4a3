//! [`check`]: looks through the folder of an index, and changes nothing.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::files::header::{self, Beginning, Header, Kind};
use crate::files::inspect::beginning;
use crate::files::map::map;
use crate::files::names::{self, Name, OLD_LOG, short};
use crate::files::old;
use crate::files::reader::Checkpoint;
use crate::files::record::{Change, Layout};
use crate::files::replay::{Found, replay};
use crate::{IndexError, ScopeKey};

/// What [`check`] found. Its text form is for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The files of the index, oldest generation first, then what earlier starts set aside.
    pub files: Vec<FileReport>,
    /// Vectors that a start would find now.
    pub live: u64,
    /// An index has the folder open: what it is writing may look damaged.
    pub in_use: bool,
}

/// One file of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Its name in the folder.
    pub name: String,
    /// "log", "checkpoint", "set aside" or "unfinished".
    pub kind: &'static str,
    /// How long it is.
    pub bytes: u64,
    /// Format version, where its header can be read.
    pub version: Option<u32>,
    /// Numbers in a vector, as its header says.
    pub width: Option<usize>,
    /// The model variant, as its header says.
    pub variant: Option<String>,
    /// Its generation; 0 for a log of format version 1.
    pub generation: Option<u64>,
    /// Whole records of a log.
    pub records: Option<u64>,
    /// Whole sections of a checkpoint.
    pub sections: Option<u64>,
    /// Live vectors in a checkpoint.
    pub vectors: Option<u64>,
    /// A later generation has replaced it, so that a start removes it.
    pub replaced: bool,
    /// What is wrong with it.
    pub damage: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.files.iter().all(|file| file.damage.is_empty())
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "{file}")?;
        }
        if self.in_use {
            writeln!(f, "in use: what is being written may look damaged")?;
        }
        write!(f, "{} vectors, {}", self.live, if self.is_sound() { "sound" } else { "damaged" })
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {} bytes", self.name, self.kind, self.bytes)?;
        let numbers = [
            ("format", self.version.map(u64::from)),
            ("generation", self.generation),
            ("width", self.width.map(|width| width as u64)),
            ("records", self.records),
            ("sections", self.sections),
            ("vectors", self.vectors),
        ];
        for (word, number) in numbers {
            if let Some(number) = number {
                write!(f, ", {word} {number}")?;
            }
        }
        if let Some(variant) = &self.variant {
            write!(f, ", model {variant:?}")?;
        }
        if self.replaced {
            write!(f, ", replaced by a later one")?;
        }
        self.damage.iter().try_for_each(|damage| write!(f, "\n    {damage}"))
    }
}

/// Verifies every file of the index in `dir`, with all checksums, and says what a start would find. Writes nothing.
///
/// # Errors
/// [`IndexError::Io`] when the folder or a file cannot be read. Damage is no error: it is in the report.
pub fn check(dir: &Path) -> Result<CheckReport, IndexError> {
    let listing = names::list(dir).map_err(IndexError::io("list", dir))?;
    let mut found = Vec::new();
    if listing.old_log {
        found.extend(gone_is_none(look_at_old(dir.join(OLD_LOG)))?);
    }
    for name in &listing.names {
        found.extend(gone_is_none(look_at(dir, *name))?);
    }
    adopt_orphans(&mut found);
    let mut report = CheckReport { in_use: in_use(dir), ..CheckReport::default() };
    let base = base(&found);
    let live = Mutex::new(HashSet::new());
    for file in &mut found {
        let counts = file.name.is_none_or(|name| name.generation >= base);
        file.report.replaced = !counts || (file.name.is_none() && base > 0);
        let into = (!file.report.replaced).then_some(&live);
        // A checkpoint that is not the base says nothing that the base and the logs do not say.
        let into = into.filter(|_| !matches!(file.name, Some(n) if n.kind == Kind::Checkpoint && n.generation != base));
        file.read(into).map_err(IndexError::io("read", &file.path))?;
    }
    report.live = live.into_inner().len() as u64;
    report.files = found.into_iter().map(|file| file.report).collect();
    for (paths, kind) in [(&listing.aside, "set aside"), (&listing.unfinished, "unfinished")] {
        report.files.extend(paths.iter().map(|path| {
            let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
            FileReport { name: short(path), kind, bytes, ..FileReport::default() }
        }));
    }
    Ok(report)
}

/// A file under examination.
struct Looked {
    path: PathBuf,
    /// None for a log of format version 1.
    name: Option<Name>,
    /// As it says itself, or as its neighbours let it be.
    header: Option<Header>,
    sound: bool,
    /// Where its content begins.
    begin: u64,
    report: FileReport,
}

type Live = Mutex<HashSet<(ScopeKey, u64)>>;

/// A file that an index at work has just removed is none.
fn gone_is_none(looked: Result<Looked, IndexError>) -> Result<Option<Looked>, IndexError> {
    match looked {
        Err(IndexError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn look_at(dir: &Path, name: Name) -> Result<Looked, IndexError> {
    let path = name.path(dir);
    let mut looked = Looked::new(&path, Some(name))?;
    match header::read(&beginning(&path)?) {
        Beginning::Good(header, begin) => {
            let misnamed = (header.generation, header.kind) != (name.generation, name.kind);
            if misnamed {
                looked.report.damage.push(format!("is of generation {}, misnamed", header.generation));
            }
            looked.adopt(header, header::VERSION);
            (looked.sound, looked.begin) = (!misnamed, begin as u64);
        }
        Beginning::Version(version) => {
            looked.report.version = Some(version);
            looked.report.damage.push(format!("has format version {version}, which this program does not read"));
        }
        Beginning::Damaged => looked.report.damage.push("its header is damaged or cut off".to_owned()),
    }
    Ok(looked)
}

fn look_at_old(path: PathBuf) -> Result<Looked, IndexError> {
    let mut looked = Looked::new(&path, None)?;
    match old::read(&beginning(&path)?) {
        old::Beginning::Good { width, variant, len } => {
            let header = Header { kind: Kind::Log, width, variant, generation: 0, begins_empty: false };
            looked.adopt(header, 1);
            (looked.sound, looked.begin) = (true, len);
        }
        old::Beginning::Version(version) => {
            looked.report.version = Some(version);
            looked.report.damage.push(format!("has format version {version}, which no such file should have"));
        }
        old::Beginning::Damaged => looked.report.damage.push("its header is damaged or cut off".to_owned()),
    }
    Ok(looked)
}

/// What files with a damaged header should be, their neighbours say.
fn adopt_orphans(found: &mut [Looked]) {
    let Some(model) = found.iter().find_map(|file| file.header.clone()) else { return };
    for file in found.iter_mut().filter(|file| file.header.is_none() && file.report.version.is_none()) {
        if let Some(name) = file.name {
            let header = Header { kind: name.kind, generation: name.generation, begins_empty: false, ..model.clone() };
            file.header = Some(header);
        }
    }
}

/// The generation that a start would begin at: see [`crate::files::open`].
fn base(found: &[Looked]) -> u64 {
    let generation = |file: &Looked| file.name.map_or(0, |name| name.generation);
    let empty = found.iter().filter(|file| file.header.as_ref().is_some_and(|header| header.begins_empty));
    let empty = empty.map(generation).max().unwrap_or(0);
    let checkpoints = found.iter().rev().filter(|file| file.name.is_some_and(|name| name.kind == Kind::Checkpoint));
    let mut checkpoints = checkpoints.filter(|file| file.header.is_some() && generation(file) >= empty).peekable();
    let newest = checkpoints.peek().map(|file| generation(file));
    let whole = checkpoints.find(|file| file.sound && file.is_whole()).map(generation);
    whole.or(newest).unwrap_or(empty)
}

impl Looked {
    fn new(path: &Path, name: Option<Name>) -> Result<Looked, IndexError> {
        let bytes = std::fs::metadata(path).map_err(IndexError::io("read", path))?.len();
        let kind = match name.map(|name| name.kind) {
            Some(Kind::Checkpoint) => "checkpoint",
            _ => "log",
        };
        let generation = Some(name.map_or(0, |name| name.generation));
        let report = FileReport { name: short(path), kind, bytes, generation, ..FileReport::default() };
        Ok(Looked { path: path.to_owned(), name, header: None, sound: false, begin: 0, report })
    }

    fn adopt(&mut self, header: Header, version: u32) {
        self.report.version = Some(version);
        self.report.width = Some(header.width);
        self.report.variant = Some(header.variant.clone());
        self.header = Some(header);
    }

    fn is_whole(&self) -> bool {
        let Some(header) = &self.header else { return false };
        map(&self.path).is_ok_and(|file| Checkpoint::verify(&file, self.begin as usize, header.seed()).is_whole)
    }

    /// Reads all of the file; puts the vectors that it says are there into `live`.
    fn read(&mut self, live: Option<&Live>) -> io::Result<()> {
        match (&self.header, self.name) {
            (None, _) => Ok(()),
            (Some(header), Some(Name { kind: Kind::Checkpoint, .. })) => {
                let (seed, width) = (header.seed(), header.width);
                self.read_checkpoint(seed, width, live)
            }
            (Some(header), name) => {
                let layout = match name {
                    Some(_) => Layout::V2 { width: header.width, seed: header.seed() },
                    None => Layout::V1 { width: header.width },
                };
                self.read_log(layout, live)
            }
        }
    }

    fn read_checkpoint(&mut self, seed: u32, width: usize, live: Option<&Live>) -> io::Result<()> {
        let file = map(&self.path)?;
        let found = Checkpoint::verify(&file, self.begin as usize, seed);
        self.report.sections = Some(found.sections() as u64);
        for range in &found.damaged {
            self.report.damage.push(format!("damaged: bytes {} to {}", range.start, range.end));
        }
        if found.damaged.is_empty() && !found.is_whole {
            self.report.damage.push("parts of it, or its end, are missing".to_owned());
        }
        let tally = found.contents(&file, width).hand_out(&|restored| {
            let Some(live) = live else { return };
            let graph = restored.graph.iter().flat_map(|graph| &graph.groups);
            let graph = graph.flat_map(|group| (0..group.count).filter(|&i| group.is_live(i)).map(|i| group.id(i)));
            let ids = restored.flat.iter().map(|entry| entry.id).chain(graph);
            live.lock().extend(ids.map(|id| (restored.scope, id)));
        });
        self.report.vectors = Some(tally.live);
        Ok(())
    }

    fn read_log(&mut self, layout: Layout, live: Option<&Live>) -> io::Result<()> {
        let found = replay(&self.path, self.begin, layout, &mut |change| {
            let Some(live) = live else { return };
            match change {
                Change::Insert { scope, id, .. } => live.lock().insert((scope, id)),
                Change::Remove { scope, id } => live.lock().remove(&(scope, id)),
            };
        })?;
        self.report.records = Some(found.records);
        self.report.damage.extend(damage_of(&found));
        Ok(())
    }
}

fn damage_of(found: &Found) -> impl Iterator<Item = String> {
    let places = found.damaged.iter().map(|range| format!("damaged: bytes {} to {}", range.start, range.end));
    let torn = found.torn().map(|range| format!("torn: bytes {} to {}, the end", range.start, range.end));
    let refused = (found.refused > 0).then(|| format!("{} vectors are not of length 1", found.refused));
    places.chain(torn).chain(refused)
}

/// Whether an index holds the lock of the folder.
fn in_use(dir: &Path) -> bool {
    let lock = File::open(dir.join(crate::files::LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}
