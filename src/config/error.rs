//! `ConfigError`: what is wrong with the settings, where, and what to do about it.

use std::fmt;

/// A place in a settings file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// The one thing that is wrong with the settings. It never carries a secret's text.
///
/// It reads as one line: source, key, what is wrong, where, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or what else the settings came from.
    pub source_name: String,
    /// Where in it, as far as that is known.
    pub position: Option<Position>,
    /// The path of the key, as in `auth.keys[1].name`; empty for the settings as a whole.
    pub key: String,
    /// What was expected, and what came.
    pub message: String,
    /// What to do.
    pub suggestion: Option<String>,
}

impl ConfigError {
    /// An error about the key at `key`. [`Self::named`] adds the source.
    pub(super) fn new(key: &str, position: Option<Position>, message: impl Into<String>) -> Self {
        let key = key.to_owned();
        Self { source_name: String::new(), position, key, message: message.into(), suggestion: None }
    }

    /// The same, with what to do about it.
    pub(super) fn with_suggestion(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// The same, from the source called `source_name`, unless another was named before.
    pub(super) fn named(mut self, source_name: &str) -> Self {
        if self.source_name.is_empty() {
            source_name.clone_into(&mut self.source_name);
        }
        self
    }
}

impl ConfigError {
    /// The key at fault and what is wrong with it, for somebody who sent it and has no file.
    pub fn in_request(&self) -> (String, String) {
        let about = if self.key.is_empty() { String::new() } else { format!("`{}`: ", self.key) };
        let more = self.suggestion.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
        (self.key.clone(), format!("{about}{}{more}.", self.message))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source_name)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, " at line {line}, column {column}")?;
        }
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
