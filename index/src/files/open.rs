//! What a start finds in the folder. Nothing here is fatal but a disk that refuses: files for another model or format are set
//! aside, torn ends cut off, damaged parts skipped; each is kept beside and told.
//!
//! What counts is the newest whole checkpoint and the logs from its generation on; or the newest log that begins empty, when
//! no checkpoint is newer; or the log of format version 1, as generation 0, and all logs.

use std::io;
use std::path::Path;

use memmap2::Mmap;

use crate::IndexError;
use crate::files::disk::Disk;
use crate::files::folder::{Settings, begin_log};
use crate::files::header::{self, Beginning, Kind, MOST};
use crate::files::image::Restored;
use crate::files::inspect::{Care, Files, LogFile, UNREADABLE};
use crate::files::log::Target;
use crate::files::map::map;
use crate::files::names::{self, Name};
use crate::files::reader::Checkpoint;
use crate::files::record::{Change, Layout};
use crate::files::replay::{Found, replay};

/// Who takes what the files hold: first the scopes of the checkpoint, several at a time, and each once; then the
/// changes since, in their order. An id that is inserted replaces what it had.
pub(crate) trait Sink: Sync {
    fn restore(&self, restored: Restored<'_>);

    fn apply(&self, change: Change<'_>);
}

/// What a start found.
pub(crate) struct Opened {
    /// The log to append to, and its generation.
    pub(crate) target: Target,
    pub(crate) generation: u64,
    /// The checkpoint that was read: its generation and bytes.
    pub(crate) checkpoint: Option<(u64, u64)>,
    /// Something is damaged, or of an older format: a checkpoint is due.
    pub(crate) behind: bool,
    pub(crate) notes: Vec<String>,
}

/// Reads the folder into `sink`.
pub(crate) fn open(dir: &Path, settings: &Settings, disk: &dyn Disk, sink: &dyn Sink) -> Result<Opened, IndexError> {
    let listing = names::list(dir).map_err(IndexError::io("list", dir))?;
    for left in &listing.unfinished {
        // What it was to replace is whole.
        let _ = disk.remove(left);
    }
    let care = Care { dir, disk, notes: Vec::new(), behind: false };
    let mut start = Start { care, settings, sink, is_empty: true };
    let files = start.care.inspect(&listing, settings)?;
    let source = start.newest_checkpoint(&files)?;
    let begin = start.begin(&files, source.as_ref());
    let checkpoint = source.as_ref().map(|source| (source.generation, source.file.len() as u64));
    if let Some(source) = source {
        start.restore(&source);
    }
    if let (0, Some((path, at))) = (begin, &files.old_log) {
        start.replay_old(path, *at)?;
    }
    let last = start.replay_logs(begin, &files)?;
    start.remove_before(begin, &files);
    let (generation, target) = match last {
        Some(last) => last,
        None => {
            let generation = listing.names.last().map_or(0, |name| name.generation) + 1;
            let target = begin_log(dir, settings, disk, generation, start.is_empty);
            (generation, target.map_err(IndexError::io("begin a log in", dir))?)
        }
    };
    Ok(Opened { target, generation, checkpoint, behind: start.care.behind, notes: start.care.notes })
}

struct Start<'a> {
    care: Care<'a>,
    settings: &'a Settings,
    sink: &'a dyn Sink,
    /// Nothing was found.
    is_empty: bool,
}

/// A checkpoint that was looked through.
struct Source {
    generation: u64,
    file: Mmap,
    found: Checkpoint,
    /// Its header is as it should be.
    sound: bool,
}

impl Source {
    fn is_whole(&self) -> bool {
        self.sound && self.found.is_whole
    }
}

impl Start<'_> {
    /// The checkpoint that counts: the newest whole one, or the newest damaged one if there is none that can take its place.
    fn newest_checkpoint(&mut self, files: &Files) -> Result<Option<Source>, IndexError> {
        let empty = files.logs.iter().rev().find(|log| log.begins_empty).map_or(0, |log| log.generation);
        let mut damaged: Option<Source> = None;
        for &generation in files.checkpoints.iter().rev().filter(|&&generation| generation >= empty) {
            let path = Name { generation, kind: Kind::Checkpoint }.path(self.care.dir);
            let source = self.look(generation).map_err(IndexError::io("read", &path))?;
            if source.found.sections() == 0 {
                drop(source);
                self.care.set_aside(&path, "unreadable", UNREADABLE)?;
                self.care.behind = true;
            } else if source.is_whole() {
                // An older one is as good as the damaged one, if no log since is missing.
                match damaged.take() {
                    Some(newer) if !has_logs(files, generation..newer.generation) => return Ok(Some(newer)),
                    Some(newer) => self.set_damaged_aside(newer)?,
                    None => (),
                }
                return Ok(Some(source));
            } else if damaged.is_none() {
                damaged = Some(source);
            }
        }
        Ok(damaged)
    }

    fn set_damaged_aside(&mut self, source: Source) -> Result<(), IndexError> {
        let path = Name { generation: source.generation, kind: Kind::Checkpoint }.path(self.care.dir);
        drop(source);
        self.care.behind = true;
        self.care.set_aside(&path, "damaged", "it is damaged; an older one and the logs since serve")
    }

    fn look(&self, generation: u64) -> io::Result<Source> {
        let name = Name { generation, kind: Kind::Checkpoint };
        let file = map(&name.path(self.care.dir))?;
        let header = self.settings.header(name, false);
        let sound = matches!(header::read(&file[..file.len().min(MOST)]), Beginning::Good(..));
        let begin = if sound { header.len() } else { 0 };
        let found = Checkpoint::verify(&file, begin, header.seed());
        Ok(Source { generation, file, found, sound })
    }

    /// The generation that the logs to be read begin at; 0 for all, and the old log.
    fn begin(&mut self, files: &Files, source: Option<&Source>) -> u64 {
        let empty = files.logs.iter().rev().find(|log| log.begins_empty).map(|log| log.generation);
        match (source.map(|source| source.generation), empty) {
            (Some(generation), _) | (None, Some(generation)) => generation,
            (None, None) => {
                if let (Some(first), None) = (files.logs.first(), &files.old_log) {
                    // Not when it was set aside, which was told, nor when the log may have been one that begins empty.
                    if first.sound && !files.gone.contains(&first.generation) && !self.care.behind {
                        let name = Name { generation: first.generation, kind: Kind::Checkpoint };
                        let name = names::short(&name.path(self.care.dir));
                        self.care.notes.push(format!("{name} is missing; vectors that only it held are lost"));
                    }
                    self.care.behind = true;
                }
                0
            }
        }
    }

    /// Hands out what the checkpoint holds, and tells what it does not hold any more.
    fn restore(&mut self, source: &Source) {
        let contents = source.found.contents(&source.file, self.settings.width);
        let odd = contents.odd;
        let tally = contents.hand_out(&|restored| self.sink.restore(restored));
        self.is_empty &= tally.live == 0;
        if source.is_whole() && odd == 0 && tally.broken == 0 {
            return;
        }
        self.care.behind = true;
        let path = Name { generation: source.generation, kind: Kind::Checkpoint }.path(self.care.dir);
        let mut note = format!("{}: ", names::short(&path));
        let damaged = &source.found.damaged;
        if damaged.is_empty() {
            note += "parts of it are missing";
        } else {
            let bytes: u64 = damaged.iter().map(|range| range.end - range.start).sum();
            let kept = self.care.keep(&path, "damaged", damaged);
            note += &format!("skipped {bytes} damaged bytes in {} places, {kept}", damaged.len());
        }
        note += &match source.found.written.map(|(_, live)| live.saturating_sub(tally.live)) {
            Some(0) => "; no vector is lost".to_owned(),
            Some(lost) => format!("; {lost} vectors are lost"),
            None => "; its end is missing, so that nobody knows how many vectors are lost".to_owned(),
        };
        if tally.broken > 0 {
            note += &format!("; {} graphs are built anew", tally.broken);
        }
        self.care.notes.push(note);
    }

    fn replay_old(&mut self, path: &Path, begin: u64) -> Result<(), IndexError> {
        let layout = Layout::V1 { width: self.settings.width };
        let found = self.replay(path, begin, layout)?;
        self.tell(path, &found);
        if let Some(torn) = found.torn() {
            self.tell_torn(path, torn);
        }
        self.care.behind = true;
        Ok(())
    }

    /// Reads the logs from `begin` on; gives the last, to be appended to, if it can be.
    fn replay_logs(&mut self, begin: u64, files: &Files) -> Result<Option<(u64, Target)>, IndexError> {
        let mut next = begin;
        let mut target = None;
        for log in files.logs.iter().filter(|log| log.generation >= begin) {
            if next > 0 && log.generation > next {
                self.tell_missing(next..log.generation, files);
            }
            next = log.generation + 1;
            target = self.replay_log(log)?.map(|target| (log.generation, target));
        }
        if begin > 0 && next == begin {
            self.tell_missing(begin..begin + 1, files);
        }
        // A file set aside may have had a later name.
        let is_last = |generation| files.gone.iter().chain(&files.checkpoints).all(|&other| other <= generation);
        Ok(target.filter(|(generation, _)| is_last(*generation)))
    }

    fn tell_missing(&mut self, generations: std::ops::Range<u64>, files: &Files) {
        self.care.behind = true;
        for generation in generations.filter(|generation| !files.gone.contains(generation)) {
            let path = Name { generation, kind: Kind::Log }.path(self.care.dir);
            self.care.notes.push(format!("{} is missing; changes that it held are lost", names::short(&path)));
        }
    }

    /// Reads a log, and cuts a torn end off; gives it back if it can be appended to.
    fn replay_log(&mut self, log: &LogFile) -> Result<Option<Target>, IndexError> {
        let name = Name { generation: log.generation, kind: Kind::Log };
        let path = name.path(self.care.dir);
        let header = self.settings.header(name, log.begins_empty);
        let begin = if log.sound { header.len() as u64 } else { 0 };
        let layout = Layout::V2 { width: self.settings.width, seed: header.seed() };
        let found = self.replay(&path, begin, layout)?;
        if !log.sound && found.records == 0 {
            self.care.behind = true;
            self.care.set_aside(&path, "unreadable", UNREADABLE)?;
            return Ok(None);
        }
        self.tell(&path, &found);
        let medium = self.care.disk.open(&path).map_err(IndexError::io("open", &path))?;
        if let Some(torn) = found.torn() {
            self.tell_torn(&path, torn);
            medium.truncate(found.len).map_err(IndexError::io("cut", &path))?;
        }
        let target = Target { path, medium, begin: header.len() as u64, len: found.len, seed: header.seed() };
        Ok(log.sound.then_some(target))
    }

    fn replay(&mut self, path: &Path, begin: u64, layout: Layout) -> Result<Found, IndexError> {
        let found = replay(path, begin, layout, &mut |change| self.sink.apply(change));
        let found = found.map_err(IndexError::io("read", path))?;
        self.is_empty &= found.records == 0;
        Ok(found)
    }

    fn tell(&mut self, path: &Path, found: &Found) {
        // What was dropped with a torn end is in no log once that is cut off.
        self.care.behind |= found.lost > 0;
        if !found.damaged.is_empty() {
            self.care.behind = true;
            let bytes: u64 = found.damaged.iter().map(|range| range.end - range.start).sum();
            let kept = self.care.keep(path, "damaged", &found.damaged);
            let (name, places) = (names::short(path), found.damaged.len());
            self.care.notes.push(format!(
                "{name}: skipped {bytes} damaged bytes in {places} places, {kept}; changes in them are lost"
            ));
        }
        if found.refused > 0 {
            self.care.behind = true;
            let name = names::short(path);
            self.care.notes.push(format!("{name}: skipped {} vectors that are not of length 1", found.refused));
        }
    }

    fn tell_torn(&mut self, path: &Path, torn: std::ops::Range<u64>) {
        let bytes = torn.end - torn.start;
        let kept = self.care.keep(path, "torn", &[torn]);
        self.care.notes.push(format!("{}: cut off a torn end of {bytes} bytes, {kept}", names::short(path)));
    }

    /// Removes what was left of generations before `begin`.
    fn remove_before(&self, begin: u64, files: &Files) {
        let old = files.old_log.iter().filter(|_| begin > 0).map(|(path, _)| path.clone());
        let logs = files.logs.iter().map(|log| Name { generation: log.generation, kind: Kind::Log });
        let checkpoints = files.checkpoints.iter().map(|&generation| Name { generation, kind: Kind::Checkpoint });
        let names = logs.chain(checkpoints).filter(|name| name.generation < begin).map(|name| name.path(self.care.dir));
        for path in old.chain(names) {
            // The next start, or checkpoint, tries again.
            let _ = self.care.disk.remove(&path);
        }
    }
}

/// Whether every log of these generations is there.
fn has_logs(files: &Files, mut generations: std::ops::Range<u64>) -> bool {
    generations.all(|generation| files.logs.iter().any(|log| log.generation == generation && log.sound))
}
