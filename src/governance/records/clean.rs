//! `Cleaner`: texts without what may not stand in a log: keys, and what the operator's patterns match.

use crate::types::secret::Secret;
use regex::Regex;
use std::borrow::Cow;

/// Shorter texts are no keys, and would be found everywhere.
const SECRET_BYTES: usize = 8;
/// Virtual keys, of which only hashes are known here.
const VIRTUAL_KEY: &str = "sk-ao-[0-9A-Za-z]{16,}";

/// Takes out what matches.
#[derive(Debug)]
pub(super) struct Cleaner {
    virtual_key: Option<Regex>,
    patterns: Vec<Regex>,
}

impl Cleaner {
    /// For these patterns, which the configuration has read already.
    pub(super) fn new(patterns: &[String]) -> Cleaner {
        let read = |text: &str| {
            let read = Regex::new(text);
            if let Err(error) = &read {
                tracing::error!(%error, "a pattern of `request_log.redact` cannot be used");
            }
            read.ok()
        };
        Cleaner { virtual_key: read(VIRTUAL_KEY), patterns: patterns.iter().filter_map(|text| read(text)).collect() }
    }

    /// `text` without keys and without what the patterns match, and as a table takes it.
    pub(super) fn clean<'s>(&self, text: &str, secrets: impl Iterator<Item = &'s Secret>) -> String {
        let mut text = storable(text);
        for secret in secrets {
            text = without(text, secret.expose());
        }
        let replaced = |text: String, pattern: &Regex, word: &str| match pattern.replace_all(&text, word) {
            Cow::Borrowed(_) => text,
            Cow::Owned(changed) => changed,
        };
        text = self.virtual_key.iter().fold(text, |text, pattern| replaced(text, pattern, "[secret]"));
        self.patterns.iter().fold(text, |text, pattern| replaced(text, pattern, "[redacted]"))
    }
}

/// `text` with what PostgreSQL keeps in no text replaced.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// `line`, JSON or plain, with a secret replaced wherever it stands in a text.
pub fn without(line: String, secret: &str) -> String {
    if secret.len() < SECRET_BYTES {
        return line;
    }
    // As it would stand in JSON.
    let quoted = serde_json::Value::from(secret).to_string();
    let inside = &quoted[1..quoted.len() - 1];
    if line.contains(inside) { line.replace(inside, "[secret]") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_patterns_match_stay_out() {
        let cleaner = Cleaner::new(&["[0-9]{4}-[0-9]{4}".to_owned(), "(?i)miss piggy".to_owned()]);
        let secrets = [Secret::new("sk-\"quoted\"-0123"), Secret::new("short")];
        let text = "{\"a\":\"sk-\\\"quoted\\\"-0123 short 1234-5678 MISS Piggy sk-ao-0123456789abcdefXYZ\\u0000\"}\0";
        assert_eq!(
            cleaner.clean(text, secrets.iter()),
            "{\"a\":\"[secret] short [redacted] [redacted] [secret]\\u0000\"}\u{fffd}"
        );
    }
}
