//! What is logged, and how.

use super::error::ConfigError;
use super::fields::Fields;
use super::resolved::{Log, LogFormat, LogLevel, Overrides};

/// Reads `log`.
pub(super) fn log(root: &Fields<'_>, overrides: &Overrides) -> Result<Log, ConfigError> {
    let fields = root.child("log", &["format", "level", "prompts"])?;
    let format = fields.word("format", LogFormat::Pretty)?;
    let level = fields.word("level", LogLevel::Info)?;
    Ok(Log {
        format: overrides.log_format.unwrap_or(format),
        level: overrides.log_level.unwrap_or(level),
        prompts: fields.bool("prompts", false)?,
    })
}
