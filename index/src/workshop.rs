//! [`Workshop`]: what background work needs at hand: settings, threads, and the steps of building a graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::body::View;
use crate::graph::Graph;
use crate::hnsw::HnswRs;
use crate::partition::Partition;
use crate::{IndexConfig, IndexError};

/// What background work on a partition needs.
pub(crate) struct Workshop {
    pub(crate) config: IndexConfig,
    /// Half the processors, at least one: the others belong to requests.
    pub(crate) pool: ThreadPool,
    /// Set when the index is dropped: leave what is unfinished.
    pub(crate) stop: AtomicBool,
}

impl Workshop {
    pub(crate) fn new(config: IndexConfig) -> Result<Workshop, IndexError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = ThreadPoolBuilder::new()
            .num_threads((cores / 2).max(1))
            .thread_name(|i| format!("askonce-index-{i}"))
            .build()
            .map_err(|e| IndexError::Thread(e.to_string()))?;
        Ok(Workshop {
            config,
            pool,
            stop: AtomicBool::new(false),
        })
    }

    pub(crate) fn new_graph(&self, expected: usize) -> Arc<dyn Graph> {
        let IndexConfig {
            width,
            m,
            ef_construction,
            ..
        } = self.config;
        Arc::new(HnswRs::new(width, m, ef_construction, expected))
    }

    /// Whether work on `partition` is no longer wanted.
    pub(crate) fn is_over(&self, partition: &Partition) -> bool {
        self.stop.load(Ordering::Relaxed) || partition.is_retired()
    }

    /// Inserts the live rows of chunk `number` into `graph`; false when the work was broken off.
    pub(crate) fn link(&self, partition: &Partition, graph: &dyn Graph, view: &View, number: usize) -> bool {
        let chunk = &view.chunks[number];
        let rows: Vec<usize> = chunk.live_rows().collect();
        self.pool.install(|| {
            rows.par_iter().for_each(|row| {
                if !self.is_over(partition) {
                    graph.insert(view.slot(number, *row), chunk.vector(*row));
                }
            });
        });
        !self.is_over(partition)
    }

    /// Slots of chunk `number` that a lookup for their own vector does not reach.
    pub(crate) fn strays(&self, graph: &dyn Graph, view: &View, number: usize) -> Vec<u32> {
        let chunk = &view.chunks[number];
        let ef = self.config.ef_search;
        let rows: Vec<usize> = chunk.live_rows().collect();
        let lost = |row: &usize| {
            let slot = view.slot(number, *row);
            (!graph.search(chunk.vector(*row), ef).iter().any(|f| f.slot == slot)).then_some(slot)
        };
        self.pool.install(|| rows.par_iter().filter_map(lost).collect())
    }

    /// Drops a graph in the pool: `hnsw_rs` frees its nodes in parallel, on the pool it is dropped in. A lookup may hold
    /// it a moment longer, and should not be the one to pay.
    pub(crate) fn release(&self, graph: Arc<dyn Graph>) {
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
        let graph = partition.body.write().graph.take();
        if let Some(graph) = graph {
            self.release(graph);
        }
    }
}
