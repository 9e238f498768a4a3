//! When and how often a target is tried again, and when it is left alone.

use super::error::ConfigError;
use super::fields::Fields;
use super::limits::MAX_MS;
use super::resolved::{Breaker, Retry};
use std::time::Duration;

const KEYS: &[&str] =
    &["attempts", "backoff_ms", "backoff_max_ms", "retry_after_max_ms", "budget_percent", "total_timeout_ms"];

const BREAKER_KEYS: &[&str] = &["failures", "open_ms", "open_max_ms", "slow_start_ms", "probe_interval_ms"];

/// Providers are not asked for their model lists more often than this.
const LEAST_PROBE_MS: u64 = 100;

/// Reads `breaker`.
pub(super) fn breaker(root: &Fields<'_>) -> Result<Breaker, ConfigError> {
    let fields = root.child("breaker", BREAKER_KEYS)?;
    let probe = fields.get("probe_interval_ms").map(|item| item.integer(LEAST_PROBE_MS..=MAX_MS));
    let breaker = Breaker {
        failures: small(fields.integer("failures", 5, 1..=1000)?),
        open: fields.millis("open_ms", 1_000, 1..=MAX_MS)?,
        open_max: fields.millis("open_max_ms", 60_000, 1..=MAX_MS)?,
        slow_start: fields.millis("slow_start_ms", 10_000, 0..=MAX_MS)?,
        probe_interval: probe.transpose()?.map(Duration::from_millis),
    };
    if breaker.open > breaker.open_max {
        let (open, most) = (breaker.open.as_millis(), breaker.open_max.as_millis());
        let error = fields.error(format!("`open_ms` ({open}) is above `open_max_ms` ({most})"));
        return Err(error.with_suggestion("raise `open_max_ms`"));
    }
    Ok(breaker)
}

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
