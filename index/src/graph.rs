//! [`Graph`]: what a scope asks of its nearest-neighbour graph. A graph knows slots, not ids, and forgets nothing:
//! tombstones, fresh rows and exact similarities are the scope's business.

/// A slot that a graph found, with the graph's own idea of the similarity, which may be approximate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) slot: u32,
    pub(crate) similarity: f32,
}

/// A graph over slots. Searches run while others insert.
pub(crate) trait Graph: Send + Sync {
    /// Links `vector` in under `slot`. Each slot is inserted once.
    fn insert(&self, slot: u32, vector: &[f32]);

    /// About `ef` of the nearest slots, best first; fewer than `ef` only when the walk has seen all it can reach.
    fn search(&self, query: &[f32], ef: usize) -> Vec<Found>;

    /// Memory in bytes, estimated.
    fn bytes(&self) -> u64;
}
