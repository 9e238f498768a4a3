//! `Writer`: the thread that takes changes to the index and the log.
//!
//! Changes are taken in order. Whoever stores an entry waits for the acknowledgement: the entry is then in the index,
//! and written to the log so that a killed process does not lose it. Syncs against a power cut are grouped by time.

use super::semantic::scope_key;
use crate::store::entry_log::EntryLog;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;
use askonce_index::Index;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Changes that may wait; whoever brings more waits for room, but never longer than [`ACK_WAIT`].
const QUEUE: usize = 4096;
/// A slow disk holds the end of an answer up no longer than this; the change is still made.
const ACK_WAIT: Duration = Duration::from_millis(250);

enum Change {
    Store {
        entry: Arc<Entry>,
        vector: Option<Arc<[f32]>>,
        done: oneshot::Sender<()>,
    },
    Index {
        entry: Arc<Entry>,
        vector: Arc<[f32]>,
    },
    Remove(Vec<Arc<Entry>>),
    Clear,
    /// Takes what is gone out of the log's file too.
    Compact,
    Flush(oneshot::Sender<()>),
}

pub(super) struct Writer {
    changes: SyncSender<Change>,
    errors: Arc<AtomicU64>,
}

/// What the thread writes to.
pub(super) struct Targets {
    pub(super) index: Option<Arc<Index>>,
    pub(super) log: Option<EntryLog>,
    pub(super) sync_interval: Duration,
    /// Gives the live entries for a compaction of the log.
    pub(super) live: Box<dyn Fn() -> Vec<Arc<Entry>> + Send>,
    /// Is an entry still in the table? What left it while its change was waiting is not written any more.
    pub(super) holds: Box<dyn Fn(EntryId) -> bool + Send>,
}

impl Writer {
    pub(super) fn start(targets: Targets) -> std::io::Result<Writer> {
        let (changes, queue) = sync_channel(QUEUE);
        let errors = Arc::new(AtomicU64::new(0));
        let worker =
            Worker { targets, errors: errors.clone(), last_sync: Instant::now(), unsynced: false, failing: false };
        std::thread::Builder::new().name("askonce-cache".to_owned()).spawn(move || worker.run(&queue))?;
        Ok(Writer { changes, errors })
    }

    /// Stores `entry` and its vector.
    pub(super) fn store(&self, entry: Arc<Entry>, vector: Option<Arc<[f32]>>) -> Storing {
        let (done, acknowledged) = oneshot::channel();
        if self.changes.try_send(Change::Store { entry, vector, done }).is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the cache's writer is {QUEUE} changes behind; an entry stays in memory only");
        }
        Storing(acknowledged)
    }

    pub(super) fn remove(&self, gone: &[Arc<Entry>]) {
        // Blocks when the queue is full: a removal must not be lost. The worker drains without waiting for anyone.
        self.send(Change::Remove(gone.to_vec()));
    }

    pub(super) fn clear(&self) {
        self.send(Change::Clear);
    }

    /// Takes removed entries out of the file, where their words would stand until the next compaction.
    pub(super) fn compact(&self) {
        self.send(Change::Compact);
    }

    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.send(Change::Flush(done));
        // An error means that the thread has ended, and with it all that could be flushed.
        let _ = flushed.await;
    }

    /// For tasks that bring vectors later.
    pub(super) fn handle(&self) -> Handle {
        Handle(self.changes.clone())
    }

    /// Changes that could not be written, since the start.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn send(&self, change: Change) {
        if self.changes.send(change).is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An entry on its way to the disk.
pub(super) struct Storing(oneshot::Receiver<()>);

impl Storing {
    /// Returns when the entry is acknowledged as stored, or the disk is too slow to wait for.
    pub(super) async fn acknowledged(self) {
        if tokio::time::timeout(ACK_WAIT, self.0).await.is_err() {
            tracing::warn!("the disk takes longer than {} ms to store an entry", ACK_WAIT.as_millis());
        }
    }
}

/// Brings vectors to the writer from background tasks.
pub(super) struct Handle(SyncSender<Change>);

impl Handle {
    /// Indexes `entry`, unless the writer is too busy: then only its own words will find it until a restart.
    pub(super) fn index(&self, entry: Arc<Entry>, vector: Arc<[f32]>) {
        if self.0.try_send(Change::Index { entry, vector }).is_err() {
            tracing::warn!("the cache's writer is busy; an entry is not indexed until a restart");
        }
    }
}

struct Worker {
    targets: Targets,
    errors: Arc<AtomicU64>,
    last_sync: Instant,
    unsynced: bool,
    /// The last write failed; said once, until one works again.
    failing: bool,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Change>) {
        loop {
            let wait = if self.unsynced { self.until_sync() } else { Duration::from_secs(3600) };
            match queue.recv_timeout(wait) {
                Ok(change) => self.make(change),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            if self.unsynced && self.until_sync().is_zero() {
                self.sync();
            }
        }
    }

    fn until_sync(&self) -> Duration {
        self.targets.sync_interval.saturating_sub(self.last_sync.elapsed())
    }

    fn make(&mut self, change: Change) {
        match change {
            Change::Store { entry, vector, done } => {
                self.store(&entry, vector.as_deref());
                // The waiter may have gone; the entry is stored all the same.
                let _ = done.send(());
            }
            Change::Index { entry, vector } => self.index(&entry, &vector),
            Change::Remove(gone) => self.remove(&gone),
            Change::Clear => {
                let cleared = self.targets.index.as_ref().map(|index| index.clear().map_err(|error| error.to_string()));
                self.note(cleared.unwrap_or(Ok(())));
                let cleared = self.targets.log.as_mut().map(|log| log.clear().map_err(|error| error.to_string()));
                self.note(cleared.unwrap_or(Ok(())));
                self.compact();
            }
            Change::Compact => self.compact_now(),
            Change::Flush(done) => {
                self.sync();
                let _ = done.send(());
            }
        }
    }

    fn store(&mut self, entry: &Entry, vector: Option<&[f32]>) {
        if !(self.targets.holds)(entry.id) {
            return;
        }
        if let (Some(vector), true) = (vector, entry.semantic) {
            self.index(entry, vector);
        }
        if let Some(log) = &mut self.targets.log {
            let appended = log.append(entry).map_err(|error| format!("the entry log: {error}"));
            self.note(appended);
            if self.targets.sync_interval.is_zero() {
                self.sync();
            }
        }
    }

    fn index(&mut self, entry: &Entry, vector: &[f32]) {
        if !(self.targets.holds)(entry.id) {
            return;
        }
        let Some(index) = &self.targets.index else { return };
        let inserted = index.insert(scope_key(entry.meaning), entry.id.0, vector).map_err(|error| error.to_string());
        self.note(inserted);
    }

    fn remove(&mut self, gone: &[Arc<Entry>]) {
        if let Some(index) = self.targets.index.clone() {
            for entry in gone.iter().filter(|entry| entry.semantic) {
                let removed = index.remove(scope_key(entry.meaning), entry.id.0);
                self.note(removed.map(drop).map_err(|error| error.to_string()));
            }
        }
        if let Some(log) = &mut self.targets.log {
            let ids: Vec<EntryId> = gone.iter().map(|entry| entry.id).collect();
            let removed = log.remove(&ids).map_err(|error| format!("the entry log: {error}"));
            self.note(removed);
        }
        self.compact();
    }

    fn compact(&mut self) {
        if self.targets.log.as_ref().is_some_and(EntryLog::wants_compaction) {
            self.compact_now();
        }
    }

    fn compact_now(&mut self) {
        let Some(log) = self.targets.log.as_mut() else { return };
        let mut live = (self.targets.live)();
        live.sort_unstable_by_key(|entry| entry.id);
        let compacted = log.compact(&live).map_err(|error| format!("compacting the entry log: {error}"));
        self.note(compacted);
    }

    fn sync(&mut self) {
        self.last_sync = Instant::now();
        self.unsynced = false;
        let synced = self.targets.log.as_mut().map(|log| log.sync().map_err(|error| format!("the entry log: {error}")));
        self.note(synced.unwrap_or(Ok(())));
        let synced = self.targets.index.as_ref().map(|index| index.flush().map_err(|error| error.to_string()));
        self.note(synced.unwrap_or(Ok(())));
        self.unsynced = false;
    }

    /// Counts a failure, and says the first of a row of them.
    fn note(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.failing = false;
                self.unsynced = true;
            }
            Err(error) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                if !self.failing {
                    tracing::error!(%error, "a change of the cache was not written; it holds in memory until a restart");
                }
                self.failing = true;
            }
        }
    }
}
