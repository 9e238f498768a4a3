//! [`Cover`]: the graphs over a scope's first chunks, and what they lose. A cover never changes; a wider one replaces it.
//!
//! Usually there is one graph. But a graph by `hnsw_rs` keeps only the nearest links of a crowded node, and on vectors
//! that fall into separate crowds it was seen to fall apart as it grew: at 100,000 it lost a quarter of its own nodes,
//! at 40,000 hardly one. So each step checks a sample, and a graph that loses too many takes no more; the next rows begin another.

use std::ops::Range;
use std::sync::Arc;

use crate::graph::Graph;

/// Graphs over the chunks from the first to [`Cover::end`].
#[derive(Clone, Default)]
pub(crate) struct Cover {
    pub(crate) segments: Vec<Segment>,
    /// Slots that their graph did not find when asked for their own vector: scanned beside it.
    pub(crate) strays: Vec<u32>,
}

/// One graph and the chunks in it.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) graph: Arc<dyn Graph>,
    pub(crate) chunks: Range<usize>,
    /// It takes no more.
    pub(crate) full: bool,
}

impl Cover {
    /// The first chunk that no graph covers.
    pub(crate) fn end(&self) -> usize {
        self.segments.last().map_or(0, |s| s.chunks.end)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        let graphs: u64 = self.segments.iter().map(|s| s.graph.bytes()).sum();
        graphs + self.strays.len() as u64 * 4
    }
}

impl Segment {
    /// Which older chunk to check again after `newest` was added: later nodes take links from earlier ones. Between
    /// powers of two, every chunk of the older half comes once.
    pub(crate) fn revisit(&self, newest: usize) -> Option<usize> {
        let number = newest.checked_sub(self.chunks.start).filter(|n| *n > 0)?;
        let half = (number + 1).next_power_of_two() / 2;
        Some(self.chunks.start + number - half).filter(|older| *older < newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hnsw::HnswRs;

    #[test]
    fn every_chunk_is_looked_at_again_in_each_doubling() {
        let graph = Arc::new(HnswRs::new(2, 4, 8, 8));
        let segment = Segment { graph, chunks: 10..80, full: false };
        assert_eq!(segment.revisit(10), None);
        for doubling in [1, 2, 4, 8, 64] {
            let seen: Vec<usize> = (doubling..2 * doubling).filter_map(|n| segment.revisit(10 + n)).collect();
            assert_eq!(seen, (10..10 + doubling).collect::<Vec<_>>());
        }
    }
}
