//! Floor 5b: replay. Recorded traffic through the cache, in order, from empty, with a judge who knows the truth.
//!
//! - `import`: files of other tools → requests; `trace`: one request
//! - `truth`: do two requests have the same answer: by groups, else by comparing recorded answers
//! - `run`: the pass through the real cache
//! - `stream`, `asking`, `near`: a trace made ready once for any number of passes; `pass`, `shelf`: one pass on numbers,
//!   in agreement with the real one; `policies`: who decides
//! - `sweep`, `pareto`: many passes, and what none beats
//! - `tally`, `money`: hits and errors; savings and costs
//! - `report`: the figures, and their JSON; `print`: on a terminal; `page`: as a page of HTML

mod asking;
pub mod import;
mod money;
mod near;
mod page;
pub mod pareto;
mod pass;
mod policies;
mod print;
mod report;
mod run;
mod shelf;
mod stream;
mod sweep;
mod tally;
mod trace;
mod truth;

pub use money::{Prices, Savings};
pub use page::{About, page};
pub use pass::Plan;
pub use policies::{Kind, Strictness};
pub use report::{FalseHit, Latency, Report};
pub use run::run;
pub use shelf::{Eviction, Room};
pub use stream::{Stream, Vector, Vectors};
pub use sweep::{Knob, Options, Sweep, kinds, passes, single, sweep};
pub use trace::Request;
pub use truth::{Scoring, scoring};
