//! Floor 2: what outlives the process.
//!
//! - `entry_log`: the cache's entries, in an append log that survives a kill at any byte
//! - `line_log`: lines in files of bounded size, the older ones kept beside the new one
//! - `state_file`: a small file that is written whole
//! - `rows`: entries as they are written, apart from entries as they are used

pub mod entry_log;
pub mod line_log;
mod rows;
pub mod state_file;
