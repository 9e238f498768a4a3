//! Names that the operator gives to keys, tenants and providers. They become labels of metrics and parts of log lines.

use super::error::ConfigError;
use super::fields::Item;

const MAX_CHARS: usize = 64;

/// A name at `item`: letters, digits and a few signs.
pub(super) fn read(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    let fits = |c: char| c.is_alphanumeric() || "-_.:@".contains(c);
    if text.chars().count() <= MAX_CHARS && text.chars().all(fits) {
        return Ok(text);
    }
    Err(item.error(format!("expected a name of at most {MAX_CHARS} letters, digits and `-`, `_`, `.`, `:`, `@`")))
}
