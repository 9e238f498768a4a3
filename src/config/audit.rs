//! `audit`: what is kept of who did what.

use super::audit_export::{AuditExport, exports};
use super::env::Env;
use super::error::ConfigError;
use super::fields::Fields;
use std::time::Duration;

/// The longest time that anything is kept.
const MAX_DAYS: u64 = 36_500;

/// The audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// Rows are kept for so many days. `None`: for ever.
    pub retention_days: Option<u64>,
    /// A checkpoint is signed after so many rows,
    pub checkpoint_rows: u64,
    /// or after this time, where there are new rows.
    pub checkpoint: Duration,
    /// Refused requests are kept, too: one row a minute for each key, or address, and reason.
    pub refusals: bool,
    /// Where rows are sent to as they are written.
    pub export: Vec<AuditExport>,
}

/// Reads `audit`.
pub(super) fn audit(root: &Fields<'_>, env: &Env<'_>) -> Result<AuditSettings, ConfigError> {
    let fields = root.child("audit", &["retention_days", "checkpoint_rows", "checkpoint_s", "refusals", "export"])?;
    Ok(AuditSettings {
        retention_days: fields.get("retention_days").map(|item| item.integer(1..=MAX_DAYS)).transpose()?,
        checkpoint_rows: fields.integer("checkpoint_rows", 1_000, 1..=1_000_000)?,
        checkpoint: fields.seconds("checkpoint_s", 600, 1..=86_400)?,
        refusals: fields.bool("refusals", true)?,
        export: exports(&fields, env)?,
    })
}
