//! `Fields` and `Item`: reading typed settings out of the tree, each refusal with its key path, line and column.
//!
//! A key that is absent or `null` has its default. Messages quote what was written, never what a variable held, and
//! never any part of a secret.
//!
//! - `secret`: secrets, and references to them

mod secret;

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::env::join;
use super::error::{ConfigError, Position};
use super::file::{Key, Node, Text, Value};
use super::kinds::{UnknownWord, quoted, shortened};
use super::nearest::nearest;
use super::size;

/// One node that is not null, and the path to it.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    node: &'a Node,
    /// As in `auth.keys[1].name`.
    pub path: String,
}

/// One map, all of whose keys are known.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    entries: &'a [(Key, Node)],
    path: String,
    at: Option<Position>,
}

impl<'a> Item<'a> {
    /// The item at the top of the file.
    pub fn root(node: &'a Node) -> Option<Self> {
        (!matches!(node.value, Value::Null)).then(|| Self { node, path: String::new() })
    }

    /// An error about this item.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.path, self.node.at, message)
    }

    /// Where it begins.
    pub fn at(&self) -> Option<Position> {
        self.node.at
    }

    fn mismatch(&self, expected: &str) -> ConfigError {
        self.error(format!("expected {expected}, found {}", describe(&self.node.value)))
    }

    /// A map whose keys are all among `known`.
    pub fn fields(&self, known: &[&str]) -> Result<Fields<'a>, ConfigError> {
        let Value::Map(entries) = &self.node.value else {
            let found = kind(&self.node.value);
            return Err(self.error(format!("expected a map with the keys {}, found {found}", quoted(known))));
        };
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                return Err(unknown_key(&self.path, key, known));
            }
        }
        Ok(Fields { entries, path: self.path.clone(), at: self.node.at })
    }

    /// A map with keys of the operator's choice.
    pub fn entries(&self) -> Result<Vec<(&'a Key, Item<'a>)>, ConfigError> {
        let Value::Map(entries) = &self.node.value else {
            return Err(self.error(format!("expected a map, found {}", kind(&self.node.value))));
        };
        let item = |(key, node): &'a (Key, Node)| (key, Item { node, path: join(&self.path, &key.text) });
        Ok(entries.iter().map(item).collect())
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// A list.
    pub fn list(&self) -> Result<Vec<Item<'a>>, ConfigError> {
        let Value::List(nodes) = &self.node.value else {
            let error = self.error(format!("expected a list, found {}", kind(&self.node.value)));
            return Err(error.with_suggestion("begin each element with `- `"));
        };
        let item = |(index, node)| Item { node, path: format!("{}[{index}]", self.path) };
        Ok(nodes.iter().enumerate().map(item).collect())
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Result<bool, ConfigError> {
        match &self.node.value {
            Value::Bool(value) => Ok(*value),
            Value::Text(Text { text, written: Some(_), .. }) if text == "true" => Ok(true),
            Value::Text(Text { text, written: Some(_), .. }) if text == "false" => Ok(false),
            _ => Err(self.mismatch("`true` or `false`")),
        }
    }

    /// A whole number in `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let number = match &self.node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(Text { text, written: Some(_), .. }) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.mismatch(&format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// A number in `range`.
    pub fn float(&self, range: RangeInclusive<f64>) -> Result<f64, ConfigError> {
        let number = match &self.node.value {
            #[allow(clippy::cast_precision_loss, reason = "what a double cannot hold is out of every range")]
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Text(Text { text, written: Some(_), .. }) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.mismatch(&format!("a number from {} to {}", range.start(), range.end())))
    }

    /// A size in bytes, in `range`.
    pub fn bytes(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let bytes = match &self.node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(Text { text, .. }) => size::parse(text),
            _ => None,
        };
        let Some(bytes) = bytes else {
            return Err(self.mismatch(size::FORMS));
        };
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        let (least, most) = (size::format(*range.start()), size::format(*range.end()));
        Err(self.mismatch(&format!("a size from {least} to {most}")))
    }

    /// Text that is not empty and holds no control character.
    pub fn text(&self) -> Result<String, ConfigError> {
        let Value::Text(Text { text, .. }) = &self.node.value else {
            let error = self.mismatch("text");
            return Err(match &self.node.value {
                Value::List(_) | Value::Map(_) => error,
                _ => error.with_suggestion("put it in quotes if it is meant as text"),
            });
        };
        if text.is_empty() {
            return Err(self.error("expected text, found none"));
        }
        if text.chars().any(char::is_control) {
            return Err(self.error("the text holds a line break or another control character"));
        }
        Ok(text.clone())
    }

    /// Text, or `None` where it is empty, as `${VAR:-}` may make it.
    pub fn text_if_any(&self) -> Result<Option<String>, ConfigError> {
        match &self.node.value {
            Value::Text(Text { text, .. }) if text.is_empty() => Ok(None),
            _ => self.text().map(Some),
        }
    }

    /// One word out of a few.
    pub fn word<T: FromStr<Err = UnknownWord>>(&self) -> Result<T, ConfigError> {
        let text = self.text()?;
        T::from_str(&text).map_err(|unknown| {
            let error = self.error(unknown.message(self.written()));
            match unknown.near() {
                Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
                None => error,
            }
        })
    }

    /// It as JSON; `None` where it is `null`.
    pub fn json(&self) -> Result<Option<String>, ConfigError> {
        match &self.node.value {
            Value::Null => Ok(None),
            _ => self.tree().map(|tree| Some(tree.to_string())),
        }
    }

    fn tree(&self) -> Result<serde_json::Value, ConfigError> {
        let beyond = || self.mismatch("a number that JSON can carry");
        Ok(match &self.node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(number) => serde_json::Number::from_i128(*number).ok_or_else(beyond)?.into(),
            Value::Float(number) => serde_json::Number::from_f64(*number).ok_or_else(beyond)?.into(),
            Value::Text(Text { text, .. }) => text.as_str().into(),
            Value::List(_) => self.list()?.iter().map(Item::tree).collect::<Result<_, _>>()?,
            Value::Map(_) => {
                let field = |(key, item): &(&Key, Item<'_>)| Ok((key.text.clone(), item.tree()?));
                self.entries()?.iter().map(field).collect::<Result<_, _>>().map(serde_json::Value::Object)?
            }
        })
    }

    /// Is it a map that has `key`?
    pub fn has(&self, key: &str) -> bool {
        matches!(&self.node.value, Value::Map(entries) if entries.iter().any(|(name, _)| name.text == key))
    }

    /// The text as it was written, where a variable stood in it.
    pub fn written(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(Text { written, .. }) => written.as_deref(),
            _ => None,
        }
    }
}

impl<'a> Fields<'a> {
    /// The map that an absent key stands for.
    pub fn none(path: &str) -> Self {
        Self { entries: &[], path: path.to_owned(), at: None }
    }

    /// An error about this map.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.path, self.at, message)
    }

    /// The path of `key`.
    pub fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// What stands at `key`, if anything does.
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let (_, node) = self.entries.iter().find(|(other, _)| other.text == key)?;
        (!matches!(node.value, Value::Null)).then(|| Item { node, path: self.path(key) })
    }

    /// What stands at `key`, which has to be there.
    pub fn require(&self, key: &str) -> Result<Item<'a>, ConfigError> {
        self.get(key).ok_or_else(|| self.error(format!("the key `{key}` is missing")).with_suggestion("add it"))
    }

    /// The map at `key`, or an empty one.
    pub fn child(&self, key: &str, known: &[&str]) -> Result<Fields<'a>, ConfigError> {
        self.get(key).map_or_else(|| Ok(Fields::none(&self.path(key))), |item| item.fields(known))
    }

    /// The elements of the list at `key`; none where it is absent.
    pub fn list(&self, key: &str) -> Result<Vec<Item<'a>>, ConfigError> {
        self.get(key).map_or_else(|| Ok(Vec::new()), |item| item.list())
    }

    /// `true` or `false` at `key`.
    pub fn bool(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        self.get(key).map_or(Ok(default), |item| item.bool())
    }

    /// A whole number at `key`.
    pub fn integer(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        self.get(key).map_or(Ok(default), |item| item.integer(range))
    }

    /// A whole number at `key` that counts things in memory or threads.
    pub fn count(&self, key: &str, default: usize, range: RangeInclusive<u64>) -> Result<usize, ConfigError> {
        let Some(item) = self.get(key) else { return Ok(default) };
        let number = item.integer(range)?;
        usize::try_from(number).map_err(|_| item.error("the number is too large for this machine"))
    }

    /// A size in bytes at `key`.
    pub fn bytes(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        self.get(key).map_or(Ok(default), |item| item.bytes(range))
    }

    /// Microseconds at `key`.
    pub fn micros(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
        self.integer(key, default, range).map(Duration::from_micros)
    }

    /// Milliseconds at `key`.
    pub fn millis(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
        self.integer(key, default, range).map(Duration::from_millis)
    }

    /// Seconds at `key`.
    pub fn seconds(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
        self.integer(key, default, range).map(Duration::from_secs)
    }

    /// One word out of a few at `key`.
    pub fn word<T: FromStr<Err = UnknownWord>>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        self.get(key).map_or(Ok(default), |item| item.word())
    }

    /// Text at `key`, if there is any.
    pub fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.get(key).map_or(Ok(None), |item| item.text_if_any())
    }
}

/// The refusal of a key that is none of `known`, in the map at `path`.
fn unknown_key(path: &str, key: &Key, known: &[&str]) -> ConfigError {
    let all = format!("the keys here are {}", quoted(known));
    let suggestion = match nearest(&key.text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? ({all})"),
        None => all,
    };
    ConfigError::new(path, key.at, format!("unknown key `{}`", shortened(&key.text))).with_suggestion(suggestion)
}

/// What kind of node this is, for a message that must not quote it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "`true` or `false`",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}

/// The node itself, for a message.
fn describe(value: &Value) -> String {
    match value {
        Value::Bool(value) => format!("`{value}`"),
        Value::Integer(number) => format!("`{number}`"),
        Value::Float(number) => format!("`{number:?}`"),
        Value::Text(Text { text, written, .. }) => {
            format!("the text `{}`", shortened(written.as_ref().unwrap_or(text)))
        }
        Value::Null | Value::List(_) | Value::Map(_) => kind(value).to_owned(),
    }
}
