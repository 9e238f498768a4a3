//! [`IndexConfig`]: the knobs of an index, with their units, and the check that they make sense.

use std::time::Duration;

use crate::{IndexError, kernels};

/// Threads that build graphs, at most.
const MOST_THREADS: usize = 256;

/// Which graph large scopes get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GraphKind {
    /// Ours: rows in planes of bytes, links in packed lists.
    #[default]
    Packed,
    /// One by the crate `hnsw_rs`: larger and slower, there to compare with.
    HnswRs,
}

/// How an index is built. [`IndexConfig::new`] gives the defaults; the fields are public to change single ones.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexConfig {
    /// Numbers in a vector (384 for all-MiniLM-L6-v2). 1 to 65,536.
    pub width: usize,
    /// Which model made the vectors (name, revision, precision): free text of 1 to 255 bytes. What was written for another
    /// variant is set aside on open, because vectors of two models cannot be compared.
    pub variant: String,
    /// Live vectors in a scope from which it gets a graph; below, and for what the graph lacks yet, it is scanned
    /// exactly.
    pub graph_from: usize,
    /// Which graph.
    pub graph: GraphKind,
    /// Links of a graph node on the upper layers; twice as many on the ground layer. 4 to 32, of `hnsw_rs` to 96.
    pub m: usize,
    /// Candidates kept while a node is linked into the graph: larger builds slower and finds better. At least `m`.
    pub ef_construction: usize,
    /// Candidates kept by a lookup in the graph: larger is slower and finds better. At least 1.
    pub ef_search: usize,
    /// Threads that build graphs and put them in order. 0: half the processors, at least one; the others belong to requests.
    pub threads: usize,
    /// Share of dead rows in a scope's graph at which it is cleared of them, in (0, 1].
    pub rebuild_dead_share: f32,
    /// A checkpoint is written once the log is longer than this many bytes, and than half of the last checkpoint.
    pub checkpoint_from_bytes: u64,
    /// How long after it was written a change may wait for the disk, so that many share one sync. Zero: an insert returns
    /// when the disk has it.
    pub sync_window: Duration,
}

impl IndexConfig {
    /// The defaults for vectors of `width` numbers made by the model variant `variant`.
    pub fn new(width: usize, variant: impl Into<String>) -> IndexConfig {
        IndexConfig {
            width,
            variant: variant.into(),
            graph_from: 12_288,
            graph: GraphKind::default(),
            m: 16,
            ef_construction: 96,
            ef_search: 48,
            threads: 0,
            rebuild_dead_share: 0.2,
            checkpoint_from_bytes: 64 * 1024 * 1024,
            sync_window: Duration::from_millis(50),
        }
    }

    /// Refuses settings that no index can work with, naming the field.
    pub(crate) fn check(&self) -> Result<(), IndexError> {
        let wrong = |what: String| Err(IndexError::Config(what));
        if !(1..=65_536).contains(&self.width) {
            return wrong(format!("width is {}, expected 1 to 65536", self.width));
        }
        if !(1..=255).contains(&self.variant.len()) {
            return wrong(format!("variant has {} bytes, expected 1 to 255", self.variant.len()));
        }
        if self.graph_from < 1 {
            return wrong("graph_from is 0, expected at least 1".to_owned());
        }
        // The packed graph compares the neighbours of a node at one go. hnsw_rs ends the process on a degree over 256; 96
        // keeps twice the degree well below.
        let most = if self.graph == GraphKind::Packed { kernels::MANY / 2 } else { 96 };
        if !(4..=most).contains(&self.m) {
            return wrong(format!("m is {}, expected 4 to {most}", self.m));
        }
        if self.ef_construction < self.m {
            return wrong(format!("ef_construction is {}, expected at least m = {}", self.ef_construction, self.m));
        }
        if self.ef_search < 1 {
            return wrong("ef_search is 0, expected at least 1".to_owned());
        }
        if self.threads > MOST_THREADS {
            return wrong(format!("threads is {}, expected at most {MOST_THREADS}", self.threads));
        }
        if !(self.rebuild_dead_share > 0.0 && self.rebuild_dead_share <= 1.0) {
            return wrong(format!("rebuild_dead_share is {}, expected above 0 and at most 1", self.rebuild_dead_share));
        }
        Ok(())
    }

    /// How many threads [`IndexConfig::threads`] means here.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1),
            given => given,
        }
    }

    /// Flat rows that go into the graph together: enough to be worth a turn, and few enough that a graph can begin at
    /// `graph_from`. Fewer stay flat.
    pub(crate) fn batch(&self) -> usize {
        (self.graph_from / 4).next_power_of_two().clamp(16, 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_and_each_wrong_field_is_named() {
        let good = IndexConfig::new(384, "mini");
        good.check().unwrap();
        type Spoil = fn(&mut IndexConfig);
        let table: [(&str, Spoil); 10] = [
            ("width", |c| c.width = 0),
            ("variant", |c| c.variant.clear()),
            ("variant", |c| c.variant = "x".repeat(256)),
            ("graph_from", |c| c.graph_from = 0),
            ("m is", |c| c.m = 300),
            ("4 to 32", |c| c.m = 33),
            ("ef_construction", |c| c.ef_construction = 3),
            ("ef_search", |c| c.ef_search = 0),
            ("threads", |c| c.threads = 257),
            ("rebuild_dead_share", |c| c.rebuild_dead_share = f32::NAN),
        ];
        for (word, spoil) in table {
            let mut config = good.clone();
            spoil(&mut config);
            let text = config.check().unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }
}
