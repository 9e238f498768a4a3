//! `askonce-index`: vectors in, neighbours out. An in-memory vector index for a cache, which lives by forgetting.
//!
//! A *scope* ([`ScopeKey`]) is a partition of its own: a lookup touches the vectors of its scope and no others. A small
//! scope is scanned exactly; a large one gets a graph in the background, and what the graph does not hold yet is
//! scanned beside it, so that a vector is found from the moment its insert returned. Removal sets a bit; when too many bits are set, the
//! scope is rebuilt from its live vectors. Everything is written to one append log, which survives a killed process.
//!
//! | file | job |
//! |---|---|
//! | `index` | [`Index`]: scopes, log and background worker put together |
//! | `store` | what the background work shares with the index; when the log is rewritten |
//! | `config`, `error`, `stats` | [`IndexConfig`]; [`IndexError`]; [`IndexStats`] and [`Recovery`] |
//! | `scope` | [`ScopeKey`] and the sharded map from a scope to its partition |
//! | `partition`, `body` | one scope: its locks and chores; its rows and all that points into them |
//! | `tail`, `chunk` | the growing end; the sealed rows with their tombstones |
//! | `lookup` | one search: fresh rows exactly, graphed rows through the graph, widened past the dead |
//! | `top` | [`Neighbor`] and the k best seen so far |
//! | `cover` | the graphs over a scope's chunks, and what they lose |
//! | `graph`, `hnsw` | the trait of a graph; the one made by `hnsw_rs` (the only file that imports it) |
//! | `bench` | measuring an index, and vectors to measure it on |
//! | `drain`, `rebuild` | background work on a partition: fresh rows into the graph; a new body without the dead |
//! | `worker`, `workshop` | the background thread and its queue; what its work needs at hand |
//! | `log`, `medium`, `format`, `recover`, `compact` | the append log: writing, the file below it, bytes, reading back, shrinking |
//! | `distance`, `vector` | the dot product; what counts as a vector |

pub mod bench;
mod body;
mod chunk;
mod compact;
mod config;
mod cover;
mod distance;
mod drain;
mod error;
mod format;
mod graph;
mod hnsw;
mod index;
mod kernels;
mod log;
mod lookup;
mod medium;
mod partition;
mod quantize;
mod rebuild;
mod recover;
mod scope;
mod signature;
mod stats;
mod store;
mod tail;
mod top;
mod vector;
mod worker;
mod workshop;

pub use config::{GraphKind, IndexConfig};
pub use error::IndexError;
pub use index::Index;
pub use scope::ScopeKey;
pub use stats::{IndexStats, Recovery};
pub use top::Neighbor;
