//! [`IndexStats`], what an index holds now, and [`Recovery`], what it found when it was opened.

/// What an index holds at one moment. Counts of a running index: parts may be a few changes apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Scopes that hold at least one vector.
    pub scopes: usize,
    /// Vectors that a lookup can return.
    pub live: usize,
    /// Removed vectors whose memory is not given back yet.
    pub dead: usize,
    /// Live or dead vectors in no graph (all of a small scope), which a lookup scans.
    pub fresh: usize,
    /// Vectors that their graph does not find by themselves; they are scanned beside it.
    pub strays: usize,
    /// Graphs. A scope has none, one, or several when one would lose rows.
    pub graphs: usize,
    /// Memory in bytes, estimated from what was allocated.
    pub bytes: u64,
    /// Bytes of the log and of the last checkpoint; 0 for an index in memory.
    pub file_bytes: u64,
    /// Changes since the start that could not be written to the log (a full disk, say).
    pub write_errors: u64,
    /// Which instructions compare vectors: `avx512`, `avx2`, `neon` or `portable`.
    pub kernels: &'static str,
    /// Jobs that wait for the background thread, or run there.
    pub pending: usize,
}

/// What [`Index::open`](crate::Index::open) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Vectors read back.
    pub live: usize,
    /// What was torn, damaged or set aside, and where its bytes are now; empty when all was well.
    pub notes: Vec<String>,
}
