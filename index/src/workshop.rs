//! [`Workshop`]: what background work needs at hand: settings, threads, and new graphs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::files::image::GraphImage;
use crate::graph::Graph;
use crate::hnsw::HnswRs;
use crate::packed::Packed;
use crate::packed::image::KIND;
use crate::partition::Partition;
use crate::{GraphKind, IndexConfig, IndexError};

/// What background work on a partition needs.
pub(crate) struct Workshop {
    pub(crate) config: IndexConfig,
    /// As many threads as the settings say.
    pub(crate) pool: ThreadPool,
    /// Set when the index is dropped: leave what is unfinished.
    pub(crate) stop: AtomicBool,
    /// Rows that went into graphs since the last checkpoint: a restart would link them again.
    pub(crate) linked: AtomicUsize,
}

impl Workshop {
    pub(crate) fn new(config: IndexConfig) -> Result<Workshop, IndexError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(config.threads())
            .thread_name(|i| format!("askonce-index-{i}"))
            .build()
            .map_err(|e| IndexError::Thread(e.to_string()))?;
        Ok(Workshop { config, pool, stop: AtomicBool::new(false), linked: AtomicUsize::new(0) })
    }

    /// An empty graph that will hold about `expected` rows at first.
    pub(crate) fn new_graph(&self, expected: usize) -> Arc<dyn Graph> {
        new_graph(&self.config, expected)
    }

    /// Drops a graph in the pool: `hnsw_rs` frees its nodes in parallel, on the pool it is dropped in. A lookup may hold
    /// it a moment longer, and should not be the one to pay.
    pub(crate) fn release(&self, graph: Option<Arc<dyn Graph>>) {
        let Some(graph) = graph else { return };
        for _ in 0..1000 {
            if Arc::strong_count(&graph) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.pool.install(|| drop(graph));
    }

    /// Frees the graph of a retired partition here, rather than wherever the last reference ends.
    pub(crate) fn free(&self, partition: &Partition) {
        self.release(partition.drop_graph());
    }
}

/// The graph that a checkpoint remembers, if it is of the kind that is configured and can be had again.
pub(crate) fn restore_graph(config: &IndexConfig, image: &GraphImage<'_>) -> Option<Arc<dyn Graph>> {
    if config.graph != GraphKind::Packed || image.kind != KIND {
        return None;
    }
    match Packed::restore(image, config) {
        Ok(graph) => Some(Arc::new(graph)),
        Err(why) => {
            tracing::warn!(why, "a graph of the vector index could not be restored; it is built anew");
            None
        }
    }
}

/// An empty graph of the kind that is configured.
pub(crate) fn new_graph(config: &IndexConfig, expected: usize) -> Arc<dyn Graph> {
    match config.graph {
        GraphKind::Packed => Arc::new(Packed::new(config)),
        GraphKind::HnswRs => Arc::new(HnswRs::new(config, expected)),
    }
}
