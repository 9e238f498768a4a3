//! What one process takes on at most.

use super::error::ConfigError;
use super::fields::Fields;
use super::resolved::Limits;

/// A day: longer than anybody waits.
pub(super) const MAX_MS: u64 = 86_400_000;

const KEYS: &[&str] = &["body_bytes", "in_flight", "header_timeout_ms", "request_timeout_ms", "shutdown_timeout_ms"];

/// Reads `limits`.
pub(super) fn limits(root: &Fields<'_>) -> Result<Limits, ConfigError> {
    let fields = root.child("limits", KEYS)?;
    // At most 1 GiB, so that it fits a `usize` everywhere.
    let body_bytes = fields.bytes("body_bytes", 32 << 20, 1 << 10..=1 << 30)?;
    Ok(Limits {
        body_bytes: usize::try_from(body_bytes)
            .map_err(|_| fields.error("`body_bytes` is too large for this machine"))?,
        in_flight: fields.count("in_flight", 4096, 1..=1_000_000)?,
        header_timeout: fields.millis("header_timeout_ms", 10_000, 1..=MAX_MS)?,
        request_timeout: fields.millis("request_timeout_ms", 600_000, 1..=MAX_MS)?,
        shutdown_timeout: fields.millis("shutdown_timeout_ms", 30_000, 0..=MAX_MS)?,
    })
}
