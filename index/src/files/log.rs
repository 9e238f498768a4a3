//! [`Log`]: the log that changes are appended to. A change reaches the operating system before its caller goes on, so a
//! killed process loses nothing; and the disk (*sync*) within a window of time, together with all others of that window. With a
//! window of zero its caller waits for the disk, and callers who wait at the same time share a sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::IndexError;
use crate::files::disk::Medium;
use crate::files::record::{self, Change};

/// The log of an index. Dropping it syncs what is left to sync.
pub(crate) struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A file to append records to.
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(crate) medium: Arc<dyn Medium>,
    /// Bytes of its header.
    pub(crate) begin: u64,
    /// Bytes of header and whole records.
    pub(crate) len: u64,
    /// Of its records' checksums.
    pub(crate) seed: u32,
}

/// What went wrong, and how much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Bytes of the file that is appended to.
    pub(crate) len: u64,
    /// Of them, bytes of records.
    pub(crate) records: u64,
    /// Failed appends and syncs since the start.
    pub(crate) errors: u64,
    /// The files lack a change, or may: a checkpoint would mend that.
    pub(crate) behind: bool,
    /// The last append failed.
    pub(crate) failing: bool,
}

struct Shared {
    width: usize,
    window: Duration,
    state: Mutex<State>,
    /// Tells the syncing thread that there is something to do.
    work: Condvar,
}

struct State {
    target: Target,
    /// A failed write may have left bytes beyond the target's `len`, which must go before anything is appended.
    ragged: bool,
    /// Files that were appended to before the target, and may not be synced yet.
    before: Vec<Arc<dyn Medium>>,
    /// When the first change was appended that no sync has taken yet.
    first_unsynced: Option<Instant>,
    /// What the next sync brings to the disk, and what the one under way does.
    batch: Arc<Batch>,
    under_way: Option<Arc<Batch>>,
    /// Somebody waits: sync now.
    hurry: bool,
    stop: bool,
    /// What a sync said that failed: nobody knows what of the changes before it is on the disk.
    doubt: Option<io::ErrorKind>,
    health: Health,
    record: Vec<u8>,
}

/// Changes that share a sync.
#[derive(Default)]
struct Batch {
    done: Mutex<Option<Result<(), io::ErrorKind>>>,
    told: Condvar,
}

impl Batch {
    fn tell(&self, outcome: Result<(), io::ErrorKind>) {
        *self.done.lock() = Some(outcome);
        self.told.notify_all();
    }

    fn wait(&self) -> Result<(), io::ErrorKind> {
        let mut done = self.done.lock();
        loop {
            if let Some(outcome) = *done {
                return outcome;
            }
            self.told.wait(&mut done);
        }
    }
}

impl Log {
    /// Begins to append to `target`. `behind`: see [`Health`].
    pub(crate) fn start(target: Target, width: usize, window: Duration, behind: bool) -> Result<Log, IndexError> {
        let state = State {
            target,
            ragged: false,
            before: Vec::new(),
            first_unsynced: None,
            batch: Arc::default(),
            under_way: None,
            hurry: false,
            stop: false,
            doubt: None,
            health: Health { behind, ..Health::default() },
            record: Vec::new(),
        };
        let shared = Arc::new(Shared { width, window, state: Mutex::new(state), work: Condvar::new() });
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("askonce-log".to_owned()).spawn(move || its.sync_until_stopped());
        let thread = thread.map_err(|e| IndexError::Thread(e.to_string()))?;
        Ok(Log { shared, thread: Some(thread) })
    }

    /// Writes a record, and with a window of zero waits until it is on the disk. When the write fails the file is cut back to
    /// the last whole record, now or before the next.
    pub(crate) fn append(&self, change: Change<'_>) -> Result<(), IndexError> {
        let mut state = self.shared.state.lock();
        let mut record = std::mem::take(&mut state.record);
        record.clear();
        record::write(&mut record, self.shared.width, state.target.seed, change);
        let written = state.append(&record);
        state.record = record;
        if let Err(source) = written {
            state.health.errors += 1;
            state.health.behind = true;
            state.health.failing = true;
            return Err(IndexError::NotWritten { path: state.target.path.clone(), source });
        }
        state.health.failing = false;
        if state.first_unsynced.is_none() {
            state.first_unsynced = Some(Instant::now());
            self.shared.work.notify_one();
        }
        if self.shared.window > Duration::ZERO {
            return Ok(());
        }
        let (batch, path) = (Arc::clone(&state.batch), state.target.path.clone());
        drop(state);
        batch.wait().map_err(|kind| IndexError::NotWritten { path, source: kind.into() })
    }

    /// Has all that was appended reach the disk. Appending goes on meanwhile.
    pub(crate) fn sync(&self) -> Result<(), IndexError> {
        let mut state = self.shared.state.lock();
        let path = state.target.path.clone();
        let batch = if state.first_unsynced.is_some() {
            state.hurry = true;
            self.shared.work.notify_one();
            Some(Arc::clone(&state.batch))
        } else {
            state.under_way.clone()
        };
        drop(state);
        let outcome = batch.map_or(Ok(()), |batch| batch.wait());
        let doubt = self.shared.state.lock().doubt;
        match outcome.err().or(doubt) {
            Some(kind) => Err(IndexError::io("sync", path)(kind.into())),
            None => Ok(()),
        }
    }

    /// From now on appends to `target`. What was appended before is synced before anything of `target` is; with `forget`, it
    /// counts no longer.
    pub(crate) fn switch(&self, target: Target, forget: bool) {
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        if state.ragged {
            // What it leaves behind is a torn end, which the next start cuts off.
            let _ = state.target.medium.truncate(state.target.len);
        }
        state.ragged = false;
        let old = std::mem::replace(&mut state.target, target);
        if forget {
            state.before.clear();
            state.doubt = None;
            state.health.behind = false;
        } else if state.first_unsynced.is_some() {
            state.before.push(old.medium);
        }
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.shared.state.lock();
        let (len, begin) = (state.target.len, state.target.begin);
        Health { len, records: len - begin, ..state.health }
    }

    /// Says whether the files lack something, and that this is being mended.
    pub(crate) fn take_behind(&self) -> bool {
        std::mem::take(&mut self.shared.state.lock().health.behind)
    }

    /// The files lack something (still).
    pub(crate) fn set_behind(&self) {
        self.shared.state.lock().health.behind = true;
    }

    /// A change that went another way than [`Log::append`] could not be written.
    pub(crate) fn note_error(&self) {
        let mut state = self.shared.state.lock();
        state.health.errors += 1;
        state.health.behind = true;
    }

    /// A checkpoint is on the disk that began when there had been so many `errors`.
    pub(crate) fn settle_doubt(&self, errors: u64) {
        let mut state = self.shared.state.lock();
        if state.health.errors == errors {
            state.doubt = None;
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; had it all the same, there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl State {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let target = &mut self.target;
        if self.ragged {
            target.medium.truncate(target.len)?;
            self.ragged = false;
        }
        match target.medium.append(bytes) {
            Ok(()) => target.len += bytes.len() as u64,
            Err(error) => {
                self.ragged = target.medium.truncate(target.len).is_err();
                return Err(error);
            }
        }
        Ok(())
    }

    /// What to sync, for whom; from now on changes go into the next batch.
    fn take_batch(&mut self) -> (Arc<Batch>, Vec<Arc<dyn Medium>>) {
        self.first_unsynced = None;
        self.hurry = false;
        let batch = std::mem::take(&mut self.batch);
        self.under_way = Some(Arc::clone(&batch));
        let mut media = std::mem::take(&mut self.before);
        media.push(Arc::clone(&self.target.medium));
        (batch, media)
    }
}

impl Shared {
    fn sync_until_stopped(&self) {
        let mut state = self.state.lock();
        loop {
            let Some(since) = state.first_unsynced else {
                if state.stop {
                    return;
                }
                self.work.wait(&mut state);
                continue;
            };
            let due = since + self.window;
            if !state.hurry && !state.stop && Instant::now() < due {
                self.work.wait_until(&mut state, due);
                continue;
            }
            let (batch, media) = state.take_batch();
            drop(state);
            let synced = media.iter().try_for_each(|m| m.sync()).map_err(|error| error.kind());
            state = self.state.lock();
            state.under_way = None;
            if let Err(kind) = synced {
                // The system may have forgotten which pages it could not write: only new files are sure again.
                state.health.errors += 1;
                state.health.behind = true;
                state.doubt = Some(kind);
                tracing::warn!(path = %state.target.path.display(), "the vector log could not be synced: {kind}");
            }
            batch.tell(synced);
        }
    }
}

/// A change that the file at `path` does not have.
pub(crate) fn not_written(path: &Path, source: io::Error) -> IndexError {
    IndexError::NotWritten { path: path.to_owned(), source }
}
