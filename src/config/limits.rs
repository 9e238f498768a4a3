//! What one process takes on at most.

use super::error::ConfigError;
use super::fields::Fields;
use super::resolved::Limits;

/// A day: longer than anybody waits.
pub(super) const MAX_MS: u64 = 86_400_000;

const KEYS: &[&str] =
    &["body_bytes", "upload_bytes", "in_flight", "header_timeout_ms", "request_timeout_ms", "shutdown_timeout_ms"];

/// The most that `body_bytes` and `upload_bytes` may be: it fits a `usize` everywhere.
const MAX_BYTES: u64 = 1 << 30;

/// Reads `limits`.
pub(super) fn limits(root: &Fields<'_>) -> Result<Limits, ConfigError> {
    let fields = root.child("limits", KEYS)?;
    let size = |key: &str, default: u64| -> Result<usize, ConfigError> {
        let bytes = fields.bytes(key, default, 1 << 10..=MAX_BYTES)?;
        usize::try_from(bytes).map_err(|_| fields.error(format!("`{key}` is too large for this machine")))
    };
    let body_bytes = size("body_bytes", 32 << 20)?;
    Ok(Limits {
        body_bytes,
        // The default takes the largest file that OpenAI takes for a batch, which is 200 MB.
        upload_bytes: size("upload_bytes", 256 << 20)?.max(body_bytes),
        in_flight: fields.count("in_flight", 4096, 1..=1_000_000)?,
        header_timeout: fields.millis("header_timeout_ms", 10_000, 1..=MAX_MS)?,
        request_timeout: fields.millis("request_timeout_ms", 600_000, 1..=MAX_MS)?,
        shutdown_timeout: fields.millis("shutdown_timeout_ms", 30_000, 0..=MAX_MS)?,
    })
}
