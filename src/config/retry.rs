//! When and how often a target is tried again.

use super::error::ConfigError;
use super::fields::Fields;
use super::limits::MAX_MS;
use super::resolved::Retry;

const KEYS: &[&str] =
    &["attempts", "backoff_ms", "backoff_max_ms", "retry_after_max_ms", "budget_percent", "total_timeout_ms"];

/// Reads `retry`.
pub(super) fn retry(root: &Fields<'_>) -> Result<Retry, ConfigError> {
    let fields = root.child("retry", KEYS)?;
    let retry = Retry {
        attempts: small(fields.integer("attempts", 3, 1..=20)?),
        backoff: fields.millis("backoff_ms", 200, 0..=MAX_MS)?,
        backoff_max: fields.millis("backoff_max_ms", 5_000, 0..=MAX_MS)?,
        retry_after_max: fields.millis("retry_after_max_ms", 20_000, 0..=MAX_MS)?,
        budget_percent: small(fields.integer("budget_percent", 20, 0..=100)?),
        total_timeout: fields.millis("total_timeout_ms", 300_000, 1..=MAX_MS)?,
    };
    if retry.backoff > retry.backoff_max {
        return Err(fields
            .error(format!(
                "`backoff_ms` ({}) is above `backoff_max_ms` ({})",
                retry.backoff.as_millis(),
                retry.backoff_max.as_millis()
            ))
            .with_suggestion("raise `backoff_max_ms`"));
    }
    Ok(retry)
}

/// `number`, whose range was checked.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
