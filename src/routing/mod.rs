//! Floor 3: routing. It only decides; the pipeline sends.
//!
//! - `plan`: a model's name → the targets to try, in order
//! - `next`: after a failure: try again, go on to the next target, or give up
//! - `retry_budget`: retries as a share of requests, so that a failing provider is not stormed

mod next;
mod plan;
mod retry_budget;

pub use next::{Next, Tried, next};
pub use plan::{Plan, Router, Target};
pub use retry_budget::RetryBudget;
