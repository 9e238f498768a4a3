//! `Draft`: what every format gives of a request, and how it becomes one.

use super::super::trace::Request;
use super::rows::kind;
use crate::types::usage::Usage;
use serde_json::{Map, Value, json};

/// A request on its way in.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The body as it was sent, or an empty object; `messages` are put into it.
    pub(super) body: Map<String, Value>,
    /// The conversation up to the question; empty where there is only `text`.
    pub(super) messages: Vec<Value>,
    /// The question, where there is no conversation.
    pub(super) text: Option<String>,
    /// The question is known by its digest only.
    pub(super) hashed: bool,
    /// Requests of one group have one right answer.
    pub(super) group: Option<String>,
    /// The answer that was given.
    pub(super) answer: Option<String>,
    /// The answer came out of a cache itself.
    pub(super) cached: bool,
    /// The partition.
    pub(super) scope: Option<String>,
    /// Seconds; since whenever, where `absolute` says since the epoch.
    pub(super) t: f64,
    /// `t` is a point in time: rows are put into its order, and it is counted from the first.
    pub(super) absolute: bool,
    /// Its tokens.
    pub(super) usage: Usage,
    /// Milliseconds that the answer took.
    pub(super) took_ms: Option<f64>,
}

impl Draft {
    /// A question and nothing more.
    pub(super) fn text(text: &str) -> Draft {
        Draft { text: Some(text.to_owned()), ..Draft::default() }
    }

    /// With the point in time that `value` says, if it says one.
    pub(super) fn at(mut self, value: Option<&Value>) -> Draft {
        if let Some(seconds) = value.and_then(super::when::seconds) {
            (self.t, self.absolute) = (seconds, true);
        }
        self
    }
}

/// Drafts → requests, in the order they were asked.
pub(super) fn finish(mut drafts: Vec<Draft>) -> Vec<Request> {
    if !drafts.is_empty() && drafts.iter().all(|draft| draft.absolute) {
        drafts.sort_by(|one, other| one.t.total_cmp(&other.t));
        let first = drafts.first().map_or(0.0, |draft| draft.t);
        drafts.iter_mut().for_each(|draft| draft.t -= first);
    } else if drafts.iter().any(|draft| draft.absolute) {
        // Some rows have no time: their order is the only thing to go by.
        drafts.iter_mut().filter(|draft| draft.absolute).for_each(|draft| draft.t = 0.0);
    }
    drafts.into_iter().map(request).collect()
}

fn request(draft: Draft) -> Request {
    let Draft { mut body, mut messages, text, hashed, group, answer, cached, scope, t, usage, took_ms, .. } = draft;
    if let (true, Some(text)) = (messages.is_empty(), &text) {
        messages.push(json!({"role": "user", "content": text}));
    }
    let text = text.unwrap_or_else(|| messages.last().and_then(content).unwrap_or_default());
    let model = body.get("model").and_then(Value::as_str).map(str::to_owned);
    body.insert("model".to_owned(), model.as_deref().unwrap_or("replay").into());
    body.insert("messages".to_owned(), messages.into());
    let body = Value::Object(body).to_string();
    Request { body, model, text, hashed, group, answer, cached, scope, t, usage, took_ms }
}

/// The text of a message: its content, or the last text part of it.
pub(super) fn content(message: &Value) -> Option<String> {
    match message.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            parts.iter().rev().find_map(|part| part.get("text").and_then(Value::as_str)).map(str::to_owned)
        }
        _ => None,
    }
}

/// A string or a number, as a word.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The field at `path`, whose dots lead into objects; a field with dots in its name comes first.
pub(super) fn at_path<'v>(fields: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    match fields.get(first)? {
        Value::Object(inner) => at_path(inner, rest),
        _ => None,
    }
}

/// The scope that `path` names in `fields`.
pub(super) fn scope(fields: &Map<String, Value>, path: &str) -> Option<String> {
    at_path(fields, path).and_then(word)
}

/// A count, written as a number or as digits.
pub(super) fn count(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::String(text)) => text.trim().parse().unwrap_or(0),
        Some(value) => value.as_u64().or_else(|| value.as_f64().map(|count| count.max(0.0) as u64)).unwrap_or(0),
        None => 0,
    }
}

/// The tokens of a row in askonce's own words.
pub(super) fn tokens(row: &Map<String, Value>) -> Usage {
    let of = |name: &str| count(row.get(name));
    Usage {
        cached_tokens: of("cached_tok"),
        cache_write_tokens: of("cache_write_tok"),
        reasoning_tokens: of("reasoning_tok"),
        ..Usage::new(of("in_tok"), of("out_tok"))
    }
}

/// An object that may be written as a string of JSON, as databases and CSV do. `name` is for the error.
pub(super) fn json(value: Option<&Value>, name: &str) -> Result<Option<Value>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str(text).map(Some).map_err(|error| format!("`{name}` is not JSON ({error})"))
        }
        Some(value) => Ok(Some(value.clone())),
    }
}

/// The messages of `value`: an array of objects, or one text. Gives none where there is no question at their end.
pub(super) fn messages(value: &Value, name: &str) -> Result<Vec<Value>, String> {
    match value {
        Value::String(text) => Ok(vec![json!({"role": "user", "content": text})]),
        Value::Array(messages) => match messages.iter().find(|message| !message.is_object()) {
            Some(other) => Err(format!("expected messages as objects in `{name}`, got {}", kind(other))),
            None => Ok(messages.clone()),
        },
        other => Err(format!("expected `{name}` as an array of messages, got {}", kind(other))),
    }
}

/// Does the conversation end with something that is asked?
pub(super) fn asks(messages: &[Value]) -> bool {
    messages.last().is_some_and(|last| {
        last.get("role").and_then(Value::as_str) == Some("user") && content(last).is_some_and(|text| !text.is_empty())
    })
}
