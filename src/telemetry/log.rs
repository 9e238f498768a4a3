//! Structured lines on standard error, pretty or JSON.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging as configured. `RUST_LOG` wins over the configured level. A second start changes nothing.
pub fn start(settings: &Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        // Our own packages at the configured level; the ones below only when something is wrong.
        let level = settings.level.as_str();
        EnvFilter::new(format!("warn,askonce={level},askonce_models={level},askonce_index={level}"))
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a subscriber is there already, as in tests that start several gateways.
    let _ = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
    };
}
