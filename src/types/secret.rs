//! `Secret`: text that may be used but never shown.

use std::fmt;
use std::sync::Arc;

/// A secret string. `Debug` and `Display` print `[secret]`, so that no log line or error can carry it.
///
/// Where the configuration refers to it, it knows the reference, which may be shown.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret {
    text: String,
    reference: Option<Arc<str>>,
}

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret { text: text.into(), reference: None }
    }

    /// What `reference` stands for.
    pub fn referred(reference: &str, text: impl Into<String>) -> Secret {
        Secret { text: text.into(), reference: Some(reference.into()) }
    }

    /// What `reference` stands for, which nobody has read yet. It is no secret to use: [`Secret::is_read`] is false.
    pub fn unread(reference: &str) -> Secret {
        Secret::referred(reference, "")
    }

    /// The text itself, for the one place that must send or compare it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The reference that it came from, as it is written.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Is the text known? What a reference stands for is never empty.
    pub fn is_read(&self) -> bool {
        self.reference.is_none() || !self.text.is_empty()
    }

    /// Is it the same text as `other`, or the same reference, where a text is not known?
    pub fn is_same(&self, other: &Secret) -> bool {
        match self.is_read() && other.is_read() {
            true => self.text == other.text,
            false => self.reference.is_some() && self.reference == other.reference,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
