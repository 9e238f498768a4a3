//! The files of `src/routing` whose state threads share, over the atomics of this folder.

pub use super::atomic;
#[path = "../../src/routing/breaker.rs"]
pub mod breaker;
#[path = "../../src/routing/canary.rs"]
pub mod canary;
#[path = "../../src/routing/cap.rs"]
pub mod cap;
#[path = "../../src/routing/fault.rs"]
pub mod fault;
#[path = "../../src/routing/headroom.rs"]
pub mod headroom;
#[path = "../../src/routing/lane.rs"]
pub mod lane;
#[path = "../../src/routing/latency.rs"]
pub mod latency;
#[path = "../../src/routing/moment.rs"]
pub mod moment;
#[path = "../../src/routing/retry_budget.rs"]
pub mod retry_budget;

#[path = "../../src/routing/strategy.rs"]
pub mod strategy;

pub use lane::Lane;
pub use latency::Form;
pub use moment::Moment;
