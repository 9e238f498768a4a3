//! Floor 1b: telemetry.
//!
//! - `metrics`: counters and histograms, named after the OpenTelemetry GenAI conventions
//! - `log`: structured lines, without prompts unless asked, and never with secrets

pub mod log;
pub mod metrics;
