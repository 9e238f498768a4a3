//! [`Workshop`]: what background work needs at hand: settings, threads, and the steps of building a graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::chunk::Chunk;
use crate::cover::{Cover, Segment};
use crate::graph::Graph;
use crate::hnsw::HnswRs;
use crate::partition::Partition;
use crate::{IndexConfig, IndexError};

/// A graph that does not find this share of the rows that were looked at takes no more.
const LOST_SHARE: f32 = 0.04;

/// One row in this many is looked at.
const SAMPLE: usize = 4;

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
        Ok(Workshop { config, pool, stop: AtomicBool::new(false) })
    }

    fn new_graph(&self, expected: usize) -> Arc<dyn Graph> {
        let IndexConfig { width, m, ef_construction, .. } = self.config;
        Arc::new(HnswRs::new(width, m, ef_construction, expected))
    }

    /// Whether work on `partition` is no longer wanted.
    fn is_over(&self, partition: &Partition) -> bool {
        self.stop.load(Ordering::Relaxed) || partition.is_retired()
    }

    /// `cover` and the next of `chunks`; `None` when the work was broken off.
    pub(crate) fn extend(&self, partition: &Partition, chunks: &[Arc<Chunk>], cover: &Cover) -> Option<Cover> {
        let number = cover.end();
        let rows = self.config.chunk_rows();
        let mut wider = cover.clone();
        let mut segment = match wider.segments.pop() {
            Some(last) if !last.full => last,
            last => {
                wider.segments.extend(last);
                let graph = self.new_graph(chunks.len().saturating_sub(number) * rows);
                Segment { graph, chunks: number..number, full: false }
            }
        };
        if !self.link(partition, &*segment.graph, &chunks[number], number) {
            return None;
        }
        // A sample is enough to see a graph come apart, and looking at every row would cost more than linking it.
        let (mut lost, mut checked) = self.strays(&*segment.graph, &chunks[number], number, 0);
        if let Some(older) = segment.revisit(number) {
            let (more, also) = self.strays(&*segment.graph, &chunks[older], older, number);
            lost.extend(more);
            checked += also;
        }
        segment.chunks.end = number + 1;
        // Below the size at which a graph is worth having, a new one would only be one more to search.
        let large = segment.chunks.len() * rows >= self.config.graph_from;
        segment.full = large && lost.len() as f32 > LOST_SHARE * checked as f32;
        wider.segments.push(segment);
        wider.strays.extend(lost);
        wider.strays.sort_unstable();
        wider.strays.dedup();
        Some(wider)
    }

    /// Inserts the live rows of `chunk` into `graph`; false when the work was broken off.
    fn link(&self, partition: &Partition, graph: &dyn Graph, chunk: &Chunk, number: usize) -> bool {
        let rows: Vec<usize> = chunk.live_rows().collect();
        self.pool.install(|| {
            rows.par_iter().for_each(|row| {
                if !self.is_over(partition) {
                    graph.insert(self.slot(number, *row), chunk.vector(*row));
                }
            });
        });
        !self.is_over(partition)
    }

    /// Looks at one row in `SAMPLE` of `chunk`, others with another `turn`: which slots a search for their own vector
    /// does not reach, and how many rows were looked at.
    fn strays(&self, graph: &dyn Graph, chunk: &Chunk, number: usize, turn: usize) -> (Vec<u32>, usize) {
        let ef = self.config.ef_search;
        let rows: Vec<usize> = chunk.live_rows().filter(|row| row % SAMPLE == turn % SAMPLE).collect();
        let lost = |row: &usize| {
            let slot = self.slot(number, *row);
            (!graph.search(chunk.vector(*row), ef).iter().any(|f| f.slot == slot)).then_some(slot)
        };
        (self.pool.install(|| rows.par_iter().filter_map(lost).collect()), rows.len())
    }

    fn slot(&self, number: usize, row: usize) -> u32 {
        (number * self.config.chunk_rows() + row) as u32
    }

    /// Drops graphs in the pool: `hnsw_rs` frees its nodes in parallel, on the pool it is dropped in. A lookup may hold
    /// them a moment longer, and should not be the one to pay.
    pub(crate) fn release(&self, cover: Arc<Cover>) {
        if cover.is_empty() {
            return;
        }
        for _ in 0..1000 {
            if Arc::strong_count(&cover) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.pool.install(|| drop(cover));
    }

    /// Frees the graphs of a retired partition here, rather than wherever the last reference ends.
    pub(crate) fn free(&self, partition: &Partition) {
        let cover = std::mem::take(&mut partition.body.write().cover);
        self.release(cover);
    }
}
