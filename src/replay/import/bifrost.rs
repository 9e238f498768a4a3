//! Bifrost: rows of its log store, as its logs API gives them (`{"logs": […]}`) or one a line.
//!
//! A chat has `input_history` and `output_message`, a response `responses_input_history` and `responses_output`;
//! `token_usage` counts, `timestamp` dates, `status` is `success` where there is an answer, `latency` is in milliseconds.

use super::draft::{Draft, asks, json, messages, scope};
use super::reply;
use serde_json::{Map, Value};

pub(super) fn read(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    if row.get("status").and_then(Value::as_str).is_some_and(|status| status != "success") {
        return Ok(Vec::new());
    }
    let history = ["input_history", "responses_input_history"].into_iter().find_map(|name| {
        let value = row.get(name).filter(|value| !value.is_null())?;
        Some((name, value))
    });
    let Some((name, history)) = history else {
        // Embeddings, speech and pictures have inputs of their own.
        let kind = row.get("object").and_then(Value::as_str).unwrap_or_default();
        return match kind.contains("chat") || kind.contains("response") {
            true => {
                Err("expected `input_history`: prompts are in Bifrost's logs only where content is logged".to_owned())
            }
            false => Ok(Vec::new()),
        };
    };
    let history = json(Some(history), name)?.unwrap_or(Value::Null);
    let messages = messages(&history, name)?;
    if !asks(&messages) {
        return Ok(Vec::new());
    }
    let given = match json(row.get("output_message"), "output_message")? {
        Some(message) => reply::message(&message),
        None => json(row.get("responses_output"), "responses_output")?.as_ref().and_then(reply::answer),
    };
    let mut body = match json(row.get("params"), "params")? {
        Some(Value::Object(params)) => params,
        _ => Map::new(),
    };
    if let Some(model @ Value::String(_)) = row.get("model") {
        body.insert("model".to_owned(), model.clone());
    }
    let usage = json(row.get("token_usage"), "token_usage")?;
    let usage = reply::usage(usage.as_ref());
    let took_ms = row.get("latency").and_then(Value::as_f64);
    let scope = scope(row, scope_field);
    let draft = Draft { body, messages, answer: given, scope, usage, took_ms, ..Draft::default() };
    Ok(vec![draft.at(row.get("timestamp").or(row.get("created_at")))])
}
