//! [`Folder`]: the log and the checkpoints of an index, put together.
//!
//! A checkpoint goes: begin log n + 1, to which changes go from then on; write checkpoint n + 1 under another name, while changes
//! go on; bring it to the disk; give it its name; bring that to the disk; remove what came before generation n + 1. Stopped anywhere
//! in between, the next start finds all it needs: the logs are read from the newest whole checkpoint on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::IndexError;
use crate::files::disk::{Disk, Medium};
use crate::files::header::{Header, Kind};
use crate::files::log::{Log, Target, not_written};
use crate::files::names::{self, Name, OLD_LOG, unfinished};
use crate::files::open::{Sink, open};
use crate::files::record::Change;
use crate::files::writer::Writer;

/// What the files are for, and when they are written.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) width: usize,
    pub(crate) variant: String,
    /// The longest that a change waits for a sync; zero: its caller waits.
    pub(crate) sync_window: Duration,
    /// A checkpoint is due when the log is longer than this and than half of the last checkpoint.
    pub(crate) checkpoint_from_bytes: u64,
}

impl Settings {
    pub(crate) fn header(&self, name: Name, begins_empty: bool) -> Header {
        Header {
            kind: name.kind,
            width: self.width,
            variant: self.variant.clone(),
            generation: name.generation,
            begins_empty,
        }
    }
}

/// The folder of an index.
pub(crate) struct Folder {
    dir: PathBuf,
    settings: Settings,
    disk: Arc<dyn Disk>,
    log: Log,
    state: Mutex<State>,
    /// Somebody was told that a checkpoint is due.
    claimed: AtomicBool,
    /// Length of the log from which a checkpoint is due, and below which none is begun, whatever else: after one failed.
    due_from: AtomicU64,
    not_before: AtomicU64,
}

/// Generations. Locked for moments, and while small files are created.
struct State {
    /// Of the log that is appended to.
    current: u64,
    /// The last one of which any file was begun.
    last: u64,
    /// Generation and bytes of the checkpoint on the disk.
    checkpoint: Option<(u64, u64)>,
    /// Rises when everything is forgotten, so that a checkpoint under way knows that it is late.
    epoch: u64,
}

/// A checkpoint under way.
struct Step {
    generation: u64,
    epoch: u64,
}

impl Folder {
    /// Opens the folder, which must exist and be locked, and gives what it holds to `sink`; says what was not as it should
    /// be. Uses the thread pool that it is called in.
    pub(crate) fn open(
        dir: &Path,
        settings: Settings,
        disk: Arc<dyn Disk>,
        sink: &dyn Sink,
    ) -> Result<(Folder, Vec<String>), IndexError> {
        let opened = open(dir, &settings, &*disk, sink)?;
        let log = Log::start(opened.target, settings.width, settings.sync_window, opened.behind)?;
        let checkpoint = opened.checkpoint;
        let state = State { current: opened.generation, last: opened.generation, checkpoint, epoch: 0 };
        let folder = Folder {
            dir: dir.to_owned(),
            disk,
            log,
            state: Mutex::new(state),
            claimed: AtomicBool::new(false),
            due_from: AtomicU64::new(due_from(&settings, checkpoint)),
            not_before: AtomicU64::new(0),
            settings,
        };
        Ok((folder, opened.notes))
    }

    /// Writes a change to the log: see [`Log::append`]. The caller makes it in memory before it lets go of the lock that it shares
    /// with [`Folder::checkpoint`]'s `fill`.
    ///
    /// # Errors
    /// [`IndexError::NotWritten`]. A later checkpoint will hold the change all the same.
    pub(crate) fn append(&self, change: Change<'_>) -> Result<(), IndexError> {
        self.log.append(change)
    }

    /// Brings all changes to the disk.
    pub(crate) fn sync(&self) -> Result<(), IndexError> {
        self.log.sync()
    }

    /// Bytes of the log and of the checkpoint.
    pub(crate) fn bytes(&self) -> u64 {
        self.log.health().len + self.state.lock().checkpoint.map_or(0, |(_, bytes)| bytes)
    }

    /// Appends and syncs that failed.
    pub(crate) fn write_errors(&self) -> u64 {
        self.log.health().errors
    }

    /// Whether a checkpoint should be written. Says so to one caller, who then has to call [`Folder::checkpoint`].
    pub(crate) fn claim_checkpoint(&self) -> bool {
        let health = self.log.health();
        if health.failing || health.len < self.not_before.load(Ordering::Relaxed) {
            return false;
        }
        let is_long = health.records > 0 && health.len >= self.due_from.load(Ordering::Relaxed);
        let due = health.behind || is_long;
        due && !self.claimed.swap(true, Ordering::AcqRel)
    }

    /// The same for who has a reason that the log does not know.
    pub(crate) fn claim_for_links(&self) -> bool {
        let health = self.log.health();
        let may = !health.failing && health.len >= self.not_before.load(Ordering::Relaxed);
        may && !self.claimed.swap(true, Ordering::AcqRel)
    }

    /// Writes a checkpoint of what `fill` gives, which is everything: for each scope under the lock under which changes of it are
    /// appended and made. When it fails the files stay as they were, and it is due again later. May be due again after it.
    pub(crate) fn checkpoint(
        &self,
        stop: &AtomicBool,
        fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        // Before anything is read: a write that fails from now on is not in it, and sets it again.
        let behind = self.log.take_behind();
        let errors = self.write_errors();
        let done = self.write_checkpoint(stop, fill);
        match &done {
            Ok(()) => self.log.settle_doubt(errors),
            Err(_) => {
                if behind {
                    self.log.set_behind();
                }
                let wait = self.log.health().len + self.settings.checkpoint_from_bytes;
                self.not_before.store(wait, Ordering::Relaxed);
            }
        }
        self.claimed.store(false, Ordering::Release);
        done
    }

    fn write_checkpoint(
        &self,
        stop: &AtomicBool,
        fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let step = self.begin_generation()?;
        let name = Name { generation: step.generation, kind: Kind::Checkpoint };
        let path = unfinished(&name.path(&self.dir));
        let written = self.write_rows(&path, name, stop, fill).and_then(|bytes| self.put_in_place(&path, &step, bytes));
        if written.is_err() {
            // Left behind, it would only take space; the next start removes it too.
            let _ = self.disk.remove(&path);
        }
        written?;
        self.remove_before(step.generation);
        Ok(())
    }

    /// Has changes go into a new log from now on, unless the present one has none and no checkpoint.
    fn begin_generation(&self) -> io::Result<Step> {
        let mut state = self.state.lock();
        let has_checkpoint = state.checkpoint.is_some_and(|(generation, _)| generation == state.current);
        if has_checkpoint || self.log.health().records > 0 {
            state.last += 1;
            let target = begin_log(&self.dir, &self.settings, &*self.disk, state.last, false)?;
            self.log.switch(target, false);
            state.current = state.last;
        }
        Ok(Step { generation: state.current, epoch: state.epoch })
    }

    fn write_rows(
        &self,
        path: &Path,
        name: Name,
        stop: &AtomicBool,
        fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
    ) -> io::Result<u64> {
        let header = self.settings.header(name, false);
        let medium = self.disk.create(path)?;
        medium.append(&header.bytes())?;
        let mut writer = Writer::new(medium, header.len(), header.width, header.seed(), stop);
        fill(&mut writer)?;
        writer.finish()
    }

    fn put_in_place(&self, path: &Path, step: &Step, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.epoch != step.epoch {
            return self.disk.remove(path);
        }
        let name = Name { generation: step.generation, kind: Kind::Checkpoint };
        self.disk.rename(path, &name.path(&self.dir))?;
        self.disk.sync_folder(&self.dir)?;
        state.checkpoint = Some((step.generation, bytes));
        self.due_from.store(due_from(&self.settings, state.checkpoint), Ordering::Relaxed);
        self.not_before.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Removes files that no longer count. What cannot be removed now is tried again by the next checkpoint, or start.
    fn remove_before(&self, generation: u64) {
        let Ok(listing) = names::list(&self.dir) else { return };
        let old = listing.old_log.then(|| self.dir.join(OLD_LOG));
        let names = listing.names.iter().filter(|name| name.generation < generation).map(|name| name.path(&self.dir));
        for path in old.into_iter().chain(names) {
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(%error, path = %path.display(), "an old file of the vector index could not be removed");
            }
        }
    }

    /// Forgets everything. Nothing may be appended meanwhile, and memory has to have forgotten it before: a checkpoint may
    /// begin at any moment.
    ///
    /// # Errors
    /// [`IndexError::NotWritten`]: a restart would bring back what was there.
    pub(crate) fn clear(&self) -> Result<(), IndexError> {
        let mut state = self.state.lock();
        // Whatever comes of it: a checkpoint under way would write down what is forgotten.
        state.epoch += 1;
        state.last += 1;
        let begin = || begin_log(&self.dir, &self.settings, &*self.disk, state.last, true);
        let target = begin().or_else(|_| {
            // The disk may be full; and what is forgotten need not stay.
            self.remove_checkpoints();
            begin()
        });
        let target = target.map_err(|source| {
            self.log.note_error();
            not_written(&self.dir, source)
        })?;
        self.log.switch(target, true);
        state.current = state.last;
        state.checkpoint = None;
        self.due_from.store(due_from(&self.settings, None), Ordering::Relaxed);
        self.not_before.store(0, Ordering::Relaxed);
        self.remove_before(state.current);
        Ok(())
    }

    fn remove_checkpoints(&self) {
        let Ok(listing) = names::list(&self.dir) else { return };
        for name in listing.names.iter().filter(|name| name.kind == Kind::Checkpoint) {
            let _ = self.disk.remove(&name.path(&self.dir));
        }
    }
}

fn due_from(settings: &Settings, checkpoint: Option<(u64, u64)>) -> u64 {
    settings.checkpoint_from_bytes.max(checkpoint.map_or(0, |(_, bytes)| bytes / 2))
}

/// Creates the log of a generation, so that it is there whole or not at all.
pub(crate) fn begin_log(
    dir: &Path,
    settings: &Settings,
    disk: &dyn Disk,
    generation: u64,
    begins_empty: bool,
) -> io::Result<Target> {
    let name = Name { generation, kind: Kind::Log };
    let header = settings.header(name, begins_empty);
    let path = name.path(dir);
    let new = unfinished(&path);
    let create = || -> io::Result<Arc<dyn Medium>> {
        let medium = disk.create(&new)?;
        medium.append(&header.bytes())?;
        medium.sync()?;
        disk.rename(&new, &path)?;
        Ok(medium)
    };
    let medium = create().inspect_err(|_| {
        let _ = disk.remove(&new);
    })?;
    if let Err(error) = disk.sync_folder(dir) {
        // It must not stay while changes go on into the log before it: the next start may go by it.
        if disk.remove(&path).is_ok() {
            return Err(error);
        }
    }
    let begin = header.len() as u64;
    Ok(Target { path, medium, begin, len: begin, seed: header.seed() })
}
