//! [`Links`]: one graph by the crate `hnsw_rs`, in the only file that imports it.
//!
//! What the crate does on odd input, and why it cannot happen here: it panics on a NaN and asserts that distances are
//! not negative (vectors are checked before they come here, and `1 - dot` is clamped); it ends the process on a degree
//! over 256 and on an unreadable dump (the configuration is checked; nothing is dumped). It asks for no inserts during
//! a search only because its own flag for that is not atomic; the flag is unused, and both take a node's lock for reading or writing.
//! Two first inserts at once would leave one node without links: the first one is made alone.

use std::sync::OnceLock;

use hnsw_rs::prelude::{Distance, Hnsw};

use crate::distance;

/// Layers of the graph; the crate's own maximum.
const LAYERS: usize = 16;

/// Bytes of a node beyond its vector at 16 links, measured as growth of the process: neighbour lists for all layers,
/// an allocation for every link.
const NODE_BYTES: u64 = 2500;

/// A slot that the graph found, with its own idea of the similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) slot: u32,
    pub(super) similarity: f32,
}

/// A graph over slots, which keeps its own copy of each vector, and forgets nothing. Searches run while others insert.
pub(super) struct Links {
    graph: Hnsw<'static, f32, OneMinusDot>,
    first: OnceLock<()>,
    width: usize,
    m: usize,
}

impl Links {
    /// An empty graph; `expected` slots are a hint for its tables.
    pub(super) fn new(width: usize, m: usize, ef_construction: usize, expected: usize) -> Links {
        let graph = Hnsw::new(m, expected, LAYERS, ef_construction, OneMinusDot);
        Links { graph, first: OnceLock::new(), width, m }
    }

    /// Links `vector` in under `slot`. Each slot is inserted once.
    pub(super) fn insert(&self, slot: u32, vector: &[f32]) {
        let mut alone = false;
        self.first.get_or_init(|| {
            self.graph.insert((vector, slot as usize));
            alone = true;
        });
        if !alone {
            self.graph.insert((vector, slot as usize));
        }
    }

    /// About `ef` of the nearest slots, best first; fewer than `ef` only when the walk has seen all it can reach.
    pub(super) fn search(&self, query: &[f32], ef: usize) -> Vec<Found> {
        let found = self.graph.search(query, ef, ef);
        found.iter().map(|n| Found { slot: n.d_id as u32, similarity: 1.0 - n.distance }).collect()
    }

    /// Memory in bytes, estimated.
    pub(super) fn bytes(&self) -> u64 {
        let node = self.width as u64 * 4 + NODE_BYTES * self.m as u64 / 16;
        self.graph.get_nb_point() as u64 * node
    }
}

/// Cosine distance of unit vectors.
#[derive(Clone, Copy)]
struct OneMinusDot;

impl Distance<f32> for OneMinusDot {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        // `max` also turns a NaN into 0, should one ever come this far.
        (1.0 - distance::dot(a, b)).max(0.0)
    }
}
