//! `usage` and `request_log`: what is kept of requests once they have ended.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use regex::RegexBuilder;
use std::time::Duration;

const USAGE_KEYS: &[&str] = &["enabled", "flush_ms", "retention_days"];
const LOG_KEYS: &[&str] = &["sample", "retention_days", "prompts", "body_bytes", "redact"];
/// Ten years.
const MOST_DAYS: u64 = 3_660;
/// Patterns, and what one of them may take when it is compiled.
const MOST_PATTERNS: usize = 64;
const PATTERN_BYTES: usize = 1 << 20;

/// Sums by the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// They are kept at all.
    pub enabled: bool,
    /// They are written no later than this after a request has ended.
    pub flush: Duration,
    /// They are kept for so many days.
    pub retention_days: u64,
}

/// Requests one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLog {
    /// This share of them, above 0 and up to 1.
    pub sample: f64,
    /// They are kept for so many days.
    pub retention_days: u64,
    /// Whether what was asked and answered is kept as well.
    pub prompts: bool,
    /// Of either, so many bytes.
    pub body_bytes: usize,
    /// Regular expressions; what they match is left out.
    pub redact: Vec<String>,
}

/// Reads `usage`.
pub(super) fn usage(root: &Fields<'_>) -> Result<Usage, ConfigError> {
    let fields = root.child("usage", USAGE_KEYS)?;
    Ok(Usage {
        enabled: fields.bool("enabled", true)?,
        flush: fields.millis("flush_ms", 1_000, 10..=60_000)?,
        retention_days: fields.integer("retention_days", 400, 1..=MOST_DAYS)?,
    })
}

/// Reads `request_log`, if it is there.
pub(super) fn request_log(root: &Fields<'_>) -> Result<Option<RequestLog>, ConfigError> {
    let Some(item) = root.get("request_log") else { return Ok(None) };
    let fields = item.fields(LOG_KEYS)?;
    let patterns = fields.list("redact")?;
    if let Some(item) = patterns.get(MOST_PATTERNS) {
        return Err(item.error(format!("expected at most {MOST_PATTERNS} of them")));
    }
    Ok(Some(RequestLog {
        sample: fields.get("sample").map_or(Ok(1.0), |item| item.float(0.000_001..=1.0))?,
        retention_days: fields.integer("retention_days", 30, 1..=MOST_DAYS)?,
        prompts: fields.bool("prompts", false)?,
        body_bytes: usize::try_from(fields.bytes("body_bytes", 64 << 10, 1 << 10..=4 << 20)?).unwrap_or(usize::MAX),
        redact: patterns.iter().map(pattern).collect::<Result<_, _>>()?,
    }))
}

fn pattern(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    match RegexBuilder::new(&text).size_limit(PATTERN_BYTES).build() {
        Ok(read) if !read.is_match("") => Ok(text),
        Ok(_) => {
            let error = item.error("the pattern matches a text of no length");
            Err(error.with_suggestion("say what has to be there, as in `[0-9]+` in place of `[0-9]*`"))
        }
        Err(_) => {
            let error = item.error("expected a regular expression");
            Err(error.with_suggestion("the syntax is that of the Rust crate `regex`, without look-around"))
        }
    }
}
