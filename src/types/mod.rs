//! Floor 0, the ground: the words of the trade. Plain data, no I/O, no serde.

pub mod answer;
pub mod caller;
pub mod clock;
pub mod directives;
pub mod embed;
pub mod entry;
pub mod error;
pub mod ids;
pub mod json;
pub mod money;
pub mod outcome;
pub mod request;
pub mod secret;
pub mod staleness;
pub mod surface;
pub mod usage;
