//! Logs of request and response bodies of OpenAI's API.
//!
//! A row is `{"request": {…}, "response": {…}}`, each the body or an object with `body`; or the request's own fields with
//! `response`, `choices` or nothing beside them. The request speaks chat completions (`messages`), completions
//! (`prompt`) or responses (`input`).

use super::draft::{Draft, asks, json, messages, scope};
use super::reply;
use serde_json::{Map, Value, json};

/// Names of the time a row was asked at.
const TIMES: [&str; 5] = ["timestamp", "created_at", "created", "time", "ts"];

pub(super) fn read(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    let asked = match ["request", "request_body", "body"].into_iter().find_map(|name| row.get(name).map(|v| (name, v)))
    {
        Some((name, value)) => inner(json(Some(value), name)?.unwrap_or(Value::Null)),
        None => Value::Object(row.clone()),
    };
    let given = ["response", "response_body"].into_iter().find_map(|name| row.get(name).map(|v| (name, v)));
    let given = match given {
        Some((name, value)) => json(Some(value), name)?.map(inner),
        None => row.get("choices").map(|_| Value::Object(row.clone())),
    };
    let Some((messages, body)) = conversation(&asked)? else { return Ok(Vec::new()) };
    if given.as_ref().is_some_and(|given| given.get("error").is_some_and(|error| !error.is_null())) {
        return Ok(Vec::new());
    }
    let usage = reply::usage(given.as_ref().and_then(|given| given.get("usage")));
    let created = given.as_ref().and_then(|given| given.get("created").or(given.get("created_at")));
    let time = TIMES.into_iter().find_map(|name| row.get(name)).or(created);
    let answer = given.as_ref().and_then(reply::answer);
    let scope = scope(row, scope_field);
    Ok(vec![Draft { body, messages, answer, scope, usage, ..Draft::default() }.at(time)])
}

/// The body inside an envelope of status, headers and body.
fn inner(value: Value) -> Value {
    match value.get("body") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(body @ Value::Object(_)) => body.clone(),
        _ => value,
    }
}

/// A conversation that ends with a question, and the other fields of its request.
type Conversation = (Vec<Value>, Map<String, Value>);

/// What a request body asks. None where it asks nothing in words.
pub(super) fn conversation(asked: &Value) -> Result<Option<Conversation>, String> {
    let Value::Object(fields) = asked else {
        return Err("expected `request` (an object with `messages`, `prompt` or `input`)".to_owned());
    };
    let named = ["messages", "prompt", "input"].into_iter().find_map(|name| fields.get(name).map(|v| (name, v)));
    let Some((name, value)) = named else {
        return Err("expected `messages`, `prompt` or `input` in the request".to_owned());
    };
    if name == "input" && is_embedding(fields) {
        return Ok(None);
    }
    let mut messages = messages(value, name)?;
    for system in ["system", "instructions"].into_iter().filter_map(|name| fields.get(name)) {
        messages.insert(0, json!({"role": "system", "content": system}));
    }
    let beside =
        [name, "system", "instructions", "response", "choices", "usage", "id", "object", "created", "timestamp"];
    let body = fields.iter().filter(|(key, _)| !beside.contains(&key.as_str()));
    let body = body.map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(asks(&messages).then_some((messages, body)))
}

fn is_embedding(fields: &Map<String, Value>) -> bool {
    let model = fields.get("model").and_then(Value::as_str).unwrap_or_default();
    fields.contains_key("encoding_format") || model.contains("embed")
}
