//! Floor 3: routing. It only decides; the pipeline sends.
//!
//! - `route`: where the requests for one model may go; `plan`: which route a model's name means
//! - `condition`: which of them take part in a request
//! - `topic`, `complexity`: what the embedding of a question says of it, for conditions
//! - `course`: one request's way from target to target; `strategy`: which of several gets it
//! - `lane`: one way to a model under one key, and how it is: `breaker`, `latency`, `headroom`
//! - `cap`: so many requests at a time; `line`: those that wait for one of its places, and whose turn it is
//! - `canary`: a target on trial, and when it has failed too often
//! - `fault`: what a failed attempt says
//! - `retry_budget`: retries and hedges as a share of requests, so that a failing provider is not stormed
//! - `moment`: time, as a test can make it; `atomic`: what is shared between threads, so that a test can try out how they meet

mod atomic;
mod breaker;
mod canary;
mod cap;
pub mod complexity;
mod condition;
mod course;
mod fault;
mod headroom;
mod lane;
mod latency;
mod line;
mod moment;
mod plan;
mod retry_budget;
mod route;
mod strategy;
#[cfg(test)]
mod tests;
mod topic;

pub use breaker::Phase;
pub use canary::{Canary, CanaryHealth};
pub use cap::{Cap, Usher};
pub use complexity::Complexity;
pub use condition::{When, no_target};
pub use course::{Course, Refusal, Seen, Sending, Start, Step, Why};
pub use fault::Fault;
pub use lane::{Health, KeyState, Lane, LaneId, LaneSettings, Look, Pass, Taking, Turn};
pub use latency::Form;
pub use line::{Bounds, Full, Line};
pub use moment::Moment;
pub use plan::{Router, Shadow};
pub use retry_budget::RetryBudget;
pub use route::{Leg, Route, Target};
pub use topic::{Near, Topics};
