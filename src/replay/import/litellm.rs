//! LiteLLM: its standard logging payload (as written to files, buckets and queues), and rows of its spend logs.
//!
//! Both have `messages` and `response`, in objects or as strings of JSON; `prompt_tokens`, `completion_tokens`,
//! `startTime` (seconds, or a date) and `status`.

use super::draft::{Draft, asks, count, json, messages, scope};
use super::{reply, when};
use crate::types::usage::Usage;
use serde_json::{Map, Value};

pub(super) fn read(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    // A callback's file may hold the payload in its envelope.
    if let Some(Value::Object(payload)) = row.get("standard_logging_object") {
        return read(payload, scope_field);
    }
    let failed = row.get("status").and_then(Value::as_str) == Some("failure");
    let call = row.get("call_type").and_then(Value::as_str).unwrap_or("completion");
    let in_words =
        ["completion", "responses", "anthropic_messages", "pass_through"].iter().any(|kind| call.contains(kind));
    if failed || !in_words {
        return Ok(Vec::new());
    }
    let asked = json(row.get("messages"), "messages")?;
    let Some(asked) = asked.filter(|asked| asked.as_object().is_none_or(|fields| !fields.is_empty())) else {
        return Err(
            "expected `messages`: prompts are in LiteLLM's logs only where storing them is turned on".to_owned()
        );
    };
    let asked = match asked.get("messages") {
        Some(inner) => inner.clone(),
        None => asked,
    };
    let messages = messages(&asked, "messages")?;
    if !asks(&messages) {
        return Ok(Vec::new());
    }
    let answer = json(row.get("response"), "response")?.as_ref().and_then(reply::answer);
    let mut body = match json(row.get("model_parameters"), "model_parameters")? {
        Some(Value::Object(parameters)) => parameters,
        _ => Map::new(),
    };
    if let Some(model @ Value::String(_)) = row.get("model_group").filter(|m| m.is_string()).or(row.get("model")) {
        body.insert("model".to_owned(), model.clone());
    }
    let (began, ended) = (row.get("startTime"), row.get("endTime"));
    let took = began.and_then(when::seconds).zip(ended.and_then(when::seconds)).map(|(from, to)| (to - from) * 1e3);
    let draft = Draft {
        body,
        messages,
        answer,
        cached: row.get("cache_hit").and_then(Value::as_bool).unwrap_or(false),
        scope: scope(row, scope_field),
        usage: Usage::new(count(row.get("prompt_tokens")), count(row.get("completion_tokens"))),
        took_ms: took.filter(|took| *took >= 0.0),
        ..Draft::default()
    };
    Ok(vec![draft.at(began)])
}
