//! How many responses are kept for later requests to go on from (`previous_response_id`).

use std::time::Duration;

use super::cache::MAX_S;
use super::error::ConfigError;
use super::fields::Fields;

const KEYS: &[&str] = &["most", "memory_bytes", "ttl_s"];

/// Responses that are kept, in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responses {
    /// So many. Zero: none.
    pub most: usize,
    /// So many bytes of requests and answers.
    pub memory_bytes: usize,
    /// For so long.
    pub ttl: Duration,
}

/// Reads `responses`.
pub(super) fn responses(root: &Fields<'_>) -> Result<Responses, ConfigError> {
    let fields = root.child("responses", KEYS)?;
    Ok(Responses {
        most: fields.count("most", 10_000, 0..=100_000_000)?,
        memory_bytes: usize::try_from(fields.bytes("memory_bytes", 256 << 20, 1 << 10..=1 << 50)?)
            .unwrap_or(usize::MAX),
        ttl: fields.seconds("ttl_s", 86_400, 1..=MAX_S)?,
    })
}
