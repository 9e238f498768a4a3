//! Floor 2: what outlives the process.
//!
//! - `entry_log`: the cache's entries, in an append log that survives a kill at any byte
//! - `rows`: entries as they are written, apart from entries as they are used

pub mod entry_log;
mod rows;
