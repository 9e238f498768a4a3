//! [`Partition`]: one scope: its rows, the lock around them, and what they need done in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::body::Body;
use crate::{IndexConfig, IndexStats};

/// Work that a scope needs from the background thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Sealed rows wait to enter the graph.
    Drain,
    /// Too many rows are dead, or a graph is no longer worth having.
    Rebuild,
}

/// One scope.
pub(crate) struct Partition {
    /// Held across writing a change to the log and making it here, so that both see the same order. Apart from
    /// `body`, so that no lookup ever waits for a disk.
    pub(crate) writer: Mutex<()>,
    /// Held for moments only: by changes for writing, by lookups for as long as it takes to scan the tail.
    pub(crate) body: RwLock<Body>,
    retired: AtomicBool,
    queued: AtomicBool,
}

impl Partition {
    pub(crate) fn new(config: &IndexConfig) -> Partition {
        Partition {
            writer: Mutex::new(()),
            body: RwLock::new(Body::new(config.width, config.chunk_rows())),
            retired: AtomicBool::new(false),
            queued: AtomicBool::new(false),
        }
    }

    /// Whether the partition was taken out of the map while somebody still held it. Read it under `writer`.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// What the partition needs now. Never both: a rebuild drains too.
    pub(crate) fn chore(&self, config: &IndexConfig) -> Option<Chore> {
        if self.is_retired() {
            return None;
        }
        let body = self.body.read();
        let crowded = body.dead > 0 && body.dead as f32 >= config.rebuild_dead_share * body.sealed as f32;
        let shrunk = !body.cover.is_empty() && body.live() < config.graph_from / 2;
        if crowded || shrunk {
            return Some(Chore::Rebuild);
        }
        let graphed = !body.no_graph && (!body.cover.is_empty() || body.live() >= config.graph_from);
        (graphed && body.cover.end() < body.chunks.len()).then_some(Chore::Drain)
    }

    /// True once until [`Partition::unqueue`]: whoever gets it puts the partition into the queue.
    pub(crate) fn queue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn unqueue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// After a graph failed: scan all rows from now on.
    pub(crate) fn give_up_graph(&self) {
        let mut body = self.body.write();
        body.no_graph = true;
        body.cover = Arc::default();
        body.journal = None;
    }

    /// Adds this partition's share to `stats`.
    pub(crate) fn count(&self, stats: &mut IndexStats) {
        let body = self.body.read();
        stats.scopes += usize::from(body.live() > 0);
        stats.live += body.live();
        stats.dead += body.dead;
        stats.fresh += body.tail.len() + body.chunks[body.cover.end()..].iter().map(|c| c.len()).sum::<usize>();
        stats.strays += body.cover.strays.len();
        stats.graphs += body.cover.segments.len();
        stats.bytes += size_of::<Arc<Partition>>() as u64 + size_of::<Partition>() as u64 + body.bytes();
    }
}
