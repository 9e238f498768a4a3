//! `askonce-index`: vectors in, neighbours out. An in-memory vector index for a cache, which lives by forgetting.
//!
//! A *scope* ([`ScopeKey`]) is a partition of its own: a lookup touches the vectors of its scope and no others. A small
//! scope is scanned; a large one gets a graph in the background, and what the graph does not hold yet is
//! scanned beside it, so that a vector is found from the moment its insert returned. Removal from a graph sets a bit; the graph
//! is cleared of the dead in the background. Everything is written to a log, which survives a
//! killed process, and from time to time to a checkpoint, from which a restart is quick.
//!
//! | file | job |
//! |---|---|
//! | `index` | [`Index`]: scopes, files and background worker put together |
//! | `store` | what the background work shares with the index; what goes from the scopes to the files and back |
//! | `config`, `error`, `stats` | [`IndexConfig`]; [`IndexError`]; [`IndexStats`] and [`Recovery`] |
//! | `vector`, `quantize`, `signature` | what counts as a vector; rows in planes of bytes; one bit for each number |
//! | `kernels`, `distance` | dot products and bit counts by kind of processor; the dot product of floats |
//! | `scope` | [`ScopeKey`] and the sharded map from a scope to its partition |
//! | `partition` | one scope: its locks, its flat rows and its graph, and what moves between them |
//! | `flat`, `place` | rows that are scanned; where each id is |
//! | `graph`, `packed`, `hnsw` | the trait of a graph; the one of our own; the one made of `hnsw_rs` |
//! | `lookup`, `top` | one search; [`Neighbor`] and the k best seen so far |
//! | `drain`, `rebuild` | background work on a partition: flat rows into the graph; a new graph without the dead |
//! | `bench` | measuring an index, and vectors to measure it on |
//! | `worker`, `workshop` | the background thread and its queue; what its work needs at hand |
//! | `files` | the log of changes and the checkpoints: writing, reading back, checking |

pub mod bench;
mod config;
mod distance;
mod drain;
mod error;
mod files;
mod flat;
mod graph;
mod hnsw;
mod index;
mod kernels;
mod lookup;
mod packed;
mod partition;
mod place;
mod planes;
mod quantize;
mod rebuild;
mod scope;
mod signature;
mod stats;
mod store;
mod top;
mod vector;
mod worker;
mod workshop;

pub use config::{GraphKind, IndexConfig};
pub use error::IndexError;
pub use files::check::{CheckReport, FileReport, check};
pub use index::Index;
pub use scope::ScopeKey;
pub use stats::{IndexStats, Recovery};
pub use top::Neighbor;
