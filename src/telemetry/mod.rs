//! Floor 1b: telemetry.
//!
//! - `metrics`: counters and histograms, named after the OpenTelemetry GenAI conventions
//! - `handles`: of series that were recorded before
//! - `log`: structured lines, without prompts unless asked, and never with secrets

mod handles;
pub mod log;
pub mod metrics;
