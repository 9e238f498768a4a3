//! [`Store`]: what the background work shares with the index: scopes and log, and when the log is rewritten.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::format::{self, Change};
use crate::log::Log;
use crate::scope::Scopes;
use crate::{IndexConfig, IndexError, compact};

/// Scopes and log.
pub(crate) struct Store {
    pub(crate) config: IndexConfig,
    pub(crate) scopes: Scopes,
    /// None for an index in memory.
    pub(crate) log: Option<Log>,
    /// Held for reading by every change, for writing by the one that forgets everything.
    pub(crate) gate: RwLock<()>,
    /// Live vectors in all scopes.
    pub(crate) live: AtomicUsize,
    write_errors: AtomicU64,
    /// Memory and log disagree (a change was not written, or bytes are damaged): a compaction would mend that.
    behind: AtomicBool,
    compacting: AtomicBool,
    /// Log length below which no compaction is begun: after something failed, wait until writing works again.
    not_before: AtomicU64,
}

impl Store {
    pub(crate) fn new(config: IndexConfig, scopes: Scopes, log: Option<Log>) -> Store {
        let live = scopes.all().iter().map(|(_, p)| p.live()).sum();
        Store {
            config,
            scopes,
            log,
            gate: RwLock::new(()),
            live: AtomicUsize::new(live),
            write_errors: AtomicU64::new(0),
            behind: AtomicBool::new(false),
            compacting: AtomicBool::new(false),
            not_before: AtomicU64::new(0),
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn write_errors(&self) -> u64 {
        self.write_errors.load(Ordering::Relaxed)
    }

    pub(crate) fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Relaxed);
    }

    /// Writes a change to the log, if there is one.
    pub(crate) fn write(&self, change: Change<'_>) -> Result<(), IndexError> {
        let Some(log) = &self.log else { return Ok(()) };
        self.note(log, log.append(change))
    }

    /// Empties the log, if there is one.
    pub(crate) fn reset_log(&self) -> Result<(), IndexError> {
        let Some(log) = &self.log else { return Ok(()) };
        self.note(log, log.reset())
    }

    fn note(&self, log: &Log, written: Result<(), IndexError>) -> Result<(), IndexError> {
        if written.is_err() {
            self.write_errors.fetch_add(1, Ordering::Relaxed);
            self.not_before.store(log.len() + 1, Ordering::Relaxed);
            self.set_behind(true);
        }
        written
    }

    /// Whether the log should be rewritten. Says so to one caller, who then has to call [`Store::compact`].
    pub(crate) fn claim_compaction(&self) -> bool {
        let Some(log) = &self.log else { return false };
        let len = log.len();
        if len < self.not_before.load(Ordering::Relaxed) {
            return false;
        }
        let live = log.header().len() as u64 + self.live() as u64 * format::insert_len(self.config.width);
        let due = self.behind.load(Ordering::Relaxed) || compact::is_due(len, live, self.config.compact_from_bytes);
        due && !self.compacting.swap(true, Ordering::AcqRel)
    }

    /// Rewrites the log, and again while it is due: what was appended during a rewrite is garbage of the next one, and
    /// no later change may come to ask for it.
    pub(crate) fn compact(&self) {
        loop {
            self.compact_once();
            if !self.claim_compaction() {
                return;
            }
        }
    }

    /// Rewrites the log once. When that fails the old one stays, and the next try waits until the log has grown.
    fn compact_once(&self) {
        let Some(log) = &self.log else { return };
        // Before the rows are read: a write that fails from now on is not in them, and sets it again.
        let behind = self.behind.swap(false, Ordering::Relaxed);
        if let Err(error) = compact::compact(log, &self.scopes, self.config.width) {
            tracing::warn!(%error, path = %log.path().display(), "could not rewrite the vector log; it stays as it is");
            self.behind.fetch_or(behind, Ordering::Relaxed);
            self.not_before.store(log.len() + self.config.compact_from_bytes, Ordering::Relaxed);
        }
        self.compacting.store(false, Ordering::Release);
    }
}
