//! Floor 0, the ground: the words of the trade. Plain data, no I/O, no serde.

pub mod answer;
pub mod audit;
pub mod caller;
pub mod chat;
pub mod clock;
pub mod completion;
pub mod directives;
pub mod embed;
pub mod embeddings;
pub mod entry;
pub mod error;
pub mod ids;
pub mod json;
pub mod lost;
pub mod money;
pub mod outcome;
pub mod params;
pub mod permission;
pub mod record;
pub mod reference;
pub mod request;
pub mod rerank;
pub mod secret;
pub mod staleness;
pub mod surface;
pub mod usage;
