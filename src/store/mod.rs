//! Floor 2: what outlives the process.
//!
//! - `audit_chain`: the audit log as a chain of digests with signed checkpoints
//! - `database`: SQLite or PostgreSQL: what was used of budgets
//! - `entry_log`: the cache's entries, in an append log that survives a kill at any byte
//! - `lease`: how much of a budget a node gets that asks for it
//! - `line_log`: lines in files of bounded size, the older ones kept beside the new one
//! - `state_file`: a small file that is written whole
//! - `sealed`: values that lie in the database sealed
//! - `rows`: entries as they are written, apart from entries as they are used

pub mod audit_chain;
pub mod database;
pub mod entry_log;
pub mod lease;
pub mod line_log;
mod rows;
pub mod sealed;
pub mod state_file;
