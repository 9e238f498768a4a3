//! Floor 5b: replay. Recorded traffic through the real cache, in order, from empty, with a judge who knows the truth.
//!
//! - `trace`: JSON lines → requests
//! - `run`: the one pass
//! - `tally`: hits and errors, by tier, scope and decile
//! - `report`: what is printed, and its JSON

mod report;
mod run;
mod tally;
mod trace;

pub use report::Report;
pub use run::{Options, run};
pub use trace::{Request, read};
