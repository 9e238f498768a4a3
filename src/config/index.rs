//! The index of vectors.

use super::error::ConfigError;
use super::fields::Fields;
use super::resolved::{GraphKind, Index};

const KEYS: &[&str] = &["graph", "ef_search", "threads"];

/// Reads `index`.
pub(super) fn index(root: &Fields<'_>) -> Result<Index, ConfigError> {
    let fields = root.child("index", KEYS)?;
    Ok(Index {
        graph: fields.word("graph", GraphKind::Packed)?,
        ef_search: fields.count("ef_search", 48, 1..=4_096)?,
        threads: fields.count("threads", 0, 0..=256)?,
    })
}
