//! How many requests wait for a busy target, and for how long.

use super::error::ConfigError;
use super::fields::Fields;
use super::limits::MAX_MS;
use std::time::Duration;

const KEYS: &[&str] = &["most", "most_per_tenant", "timeout_ms"];

/// Requests that may wait together, more than which no process holds.
const MOST: u64 = 1_000_000;

/// The line in which requests wait for a place at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// So many. Zero: none waits.
    pub most: usize,
    /// So many of one tenant.
    pub most_per_tenant: usize,
    /// For so long.
    pub timeout: Duration,
}

/// Reads `queue`.
pub(super) fn queue(root: &Fields<'_>) -> Result<Queue, ConfigError> {
    let fields = root.child("queue", KEYS)?;
    Ok(Queue {
        most: fields.count("most", 1000, 0..=MOST)?,
        most_per_tenant: fields.count("most_per_tenant", 250, 1..=MOST)?,
        timeout: fields.millis("timeout_ms", 10_000, 1..=MAX_MS)?,
    })
}
