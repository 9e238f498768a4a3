//! The settings as written: a tree of YAML nodes, each with its place in the file.
//!
//! The tree is untyped on purpose. One reader over it (see `fields`) can name the key path, line and column in every
//! error, and can let `${VAR}` stand for a number as well as for text; derived structs can do neither.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned};

use super::error::{ConfigError, Position};
use super::kinds::shortened;
use crate::types::reference::Reference;
use crate::types::secret::Secret;

/// One node, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it begins.
    pub at: Option<Position>,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text, quoted or not.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order written.
    Map(Vec<(Key, Node)>),
}

/// Text, and how it was written before variables were replaced.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// What it says.
    pub text: String,
    /// What it said, where a variable stood in it. Errors quote this, since the variable may hold a secret.
    pub written: Option<String>,
    /// The reference that it was read as, where a secret was wanted.
    pub read_as: RefCell<Option<Reference>>,
    /// What that reference stands for, where it is known.
    pub value: Option<Secret>,
}

/// A key, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// What it says.
    pub text: String,
    /// Where it begins.
    pub at: Option<Position>,
}

/// Deeper than any setting.
const MAX_DEPTH: usize = 24;

/// More keys, values and brackets than any settings have, those that aliases repeat included.
const MAX_EVENTS: usize = 100_000;

/// Reads `text` as one YAML document. No document at all is `Null`.
pub(super) fn read(text: &str) -> Result<Node, ConfigError> {
    // A snippet would show the line, and with it perhaps a key.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_events: MAX_EVENTS },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_EVENTS },
        with_snippet: false,
        strict_booleans: true,
        ignore_binary_tag_for_string: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
    };
    let node = serde_saphyr::from_str_with_options(text, options).map_err(|error| refusal(&error, text))?;
    refuse_twins(&node)?;
    Ok(node)
}

/// Reads `text` as JSON, as the admin surface takes it and the database keeps it: a small part of the time of YAML.
pub(super) fn read_json(text: &str) -> Result<Node, ConfigError> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        let at = Position { line: error.line() as u64, column: error.column() as u64 };
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        ConfigError::new("", Some(at), format!("this is not valid JSON: {text}"))
    })?;
    Ok(of_json(json))
}

fn of_json(json: serde_json::Value) -> Node {
    use serde_json::Value as Json;
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(so) => Value::Bool(so),
        Json::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            whole.map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Integer)
        }
        Json::String(text) => Value::Text(Text { text, written: None, read_as: RefCell::default(), value: None }),
        Json::Array(items) => Value::List(items.into_iter().map(of_json).collect()),
        Json::Object(fields) => {
            let entry = |(text, value)| (Key { text, at: None }, of_json(value));
            Value::Map(fields.into_iter().map(entry).collect())
        }
    };
    Node { at: None, value }
}

/// The parser compares keys by what YAML takes them for, so that `1` and `"1"` differ there; here they are text.
fn refuse_twins(node: &Node) -> Result<(), ConfigError> {
    match &node.value {
        Value::List(nodes) => nodes.iter().try_for_each(refuse_twins),
        Value::Map(entries) => {
            let mut seen = HashSet::new();
            entries.iter().try_for_each(|(key, node)| {
                if seen.insert(key.text.as_str()) { refuse_twins(node) } else { Err(twin(Some(&key.text), key.at)) }
            })
        }
        _ => Ok(()),
    }
}

fn twin(key: Option<&str>, at: Option<Position>) -> ConfigError {
    let key = key.map_or_else(String::new, |key| format!(" `{}`", shortened(key)));
    ConfigError::new("", at, format!("the key{key} is there twice")).with_suggestion("keep one of them")
}

/// What the parser's complaint means to somebody who writes settings.
fn refusal(error: &Error, text: &str) -> ConfigError {
    let at = error.location().and_then(position);
    let new = |message: String| ConfigError::new("", at, message);
    if let Some(at) = at
        && let Some(tab) = tab_in_indent(text, at.line)
    {
        let at = Position { line: at.line, column: tab };
        return ConfigError::new("", Some(at), "a tab in the indentation")
            .with_suggestion("YAML is indented with spaces only");
    }
    let error = match error {
        Error::AliasError { error, .. } => error.without_snippet(),
        other => other.without_snippet(),
    };
    match error {
        Error::DuplicateMappingKey { key, .. } => twin(key.as_deref(), at),
        Error::NullIntoString { .. } | Error::Unexpected { .. } => new("a key that is not text".into()),
        Error::RecursiveReferencesRequireWeakTypes { .. } => new("an anchor (`&name`) that holds its own alias".into()),
        Error::UnsupportedTag { .. } => new("a tag (`!name`), which settings have no use for".into())
            .with_suggestion("remove it, or put text that begins with `!` in quotes"),
        Error::MultipleDocuments { .. } => new("a second YAML document".into())
            .with_suggestion("keep one document: remove the `---` line between them"),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => {
            new("the file nests too deep or repeats too much to be settings".into())
        }
        Error::UnknownAnchor { .. } => new("an alias (`*name`) of an anchor (`&name`) that is not there".into())
            .with_suggestion("put text that begins with `*` in quotes"),
        other => {
            let text = other.to_string();
            // The position is said once, in our own words.
            let text = text.split(" at line ").next().unwrap_or_default();
            let text =
                text.split_once(": ").filter(|(head, _)| head.starts_with("error: line ")).map_or(text, |(_, t)| t);
            new(format!("this is not valid YAML: {text}"))
                .with_suggestion("check the indentation, and put text that holds any of `: # { } [ ] * &` in quotes")
        }
    }
}

/// The column of the first tab before anything else on the line.
fn tab_in_indent(text: &str, line: u64) -> Option<u64> {
    let line = text.lines().nth(usize::try_from(line.checked_sub(1)?).ok()?)?;
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    line[..indent].find('\t').map(|column| column as u64 + 1)
}

fn position(at: Location) -> Option<Position> {
    (at.line() > 0).then(|| Position { line: at.line(), column: at.column() })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: position(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { at: position(spanned.referenced), text: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        i128::try_from(value).map(Value::Integer).map_err(|_| E::custom("a number beyond every range"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(Text { text, written: None, read_as: RefCell::default(), value: None }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
