//! Whole conversations: every turn of the user is a request, with the turns before it; the turn after it is its answer.
//!
//! ShareGPT: `conversations` of `from` (`human`, `gpt`, `system`) and `value`. LMSYS-Chat and WildChat: `conversation` of
//! `role` and `content`; WildChat's turns have times.

use super::draft::{Draft, content, scope};
use super::rows::kind;
use serde_json::{Map, Value, json};

pub(super) fn sharegpt(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    let turns = list(row, &["conversations", "conversation", "items"])?;
    let mut messages = Vec::with_capacity(turns.len());
    for (at, turn) in turns.iter().enumerate() {
        let of = |name: &str| turn.get(name).and_then(Value::as_str);
        let (Some(from), Some(value)) = (of("from").or(of("role")), of("value").or(of("content"))) else {
            return Err(format!("turn {}: expected `from` and `value`, each a string", at + 1));
        };
        messages.push((json!({"role": role(from), "content": value}), None));
    }
    Ok(asked(row, &messages, scope_field))
}

pub(super) fn lmsys(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    let turns = list(row, &["conversation", "messages"])?;
    let mut messages = Vec::with_capacity(turns.len());
    for (at, turn) in turns.iter().enumerate() {
        let (Some(by), Some(text)) = (turn.get("role").and_then(Value::as_str), content(turn)) else {
            return Err(format!("turn {}: expected `role` and `content`, each a string", at + 1));
        };
        let time = turn.get("timestamp").filter(|time| !time.is_null());
        messages.push((json!({"role": role(by), "content": text}), time.cloned()));
    }
    Ok(asked(row, &messages, scope_field))
}

fn list<'v>(row: &'v Map<String, Value>, names: &[&str]) -> Result<&'v Vec<Value>, String> {
    let name = names.first().copied().unwrap_or_default();
    match names.iter().find_map(|name| row.get(*name)) {
        Some(Value::Array(turns)) => Ok(turns),
        Some(other) => Err(format!("expected `{name}` as an array of turns, got {}", kind(other))),
        None => Err(format!("expected `{name}`, an array of turns")),
    }
}

/// OpenAI's word for who speaks.
fn role(from: &str) -> &'static str {
    match from.to_ascii_lowercase().as_str() {
        "human" | "user" | "prompter" => "user",
        "system" | "developer" => "system",
        "tool" | "function" | "observation" => "tool",
        _ => "assistant",
    }
}

/// One request for every turn of the user.
fn asked(row: &Map<String, Value>, turns: &[(Value, Option<Value>)], scope_field: &str) -> Vec<Draft> {
    let by = |at: usize| turns.get(at).and_then(|(turn, _)| turn.get("role")).and_then(Value::as_str);
    let mut drafts = Vec::new();
    for at in 0..turns.len() {
        let (turn, time) = &turns[at];
        if by(at) != Some("user") || content(turn).is_none_or(|text| text.trim().is_empty()) {
            continue;
        }
        let answer = (by(at + 1) == Some("assistant")).then(|| content(&turns[at + 1].0)).flatten();
        let mut body = Map::new();
        if let Some(model @ Value::String(_)) = row.get("model") {
            body.insert("model".to_owned(), model.clone());
        }
        let messages = turns[..=at].iter().map(|(turn, _)| turn.clone()).collect();
        // Where turns have no time of their own, the conversation's is all there is.
        let time = time.as_ref().or_else(|| row.get("timestamp"));
        let scope = scope(row, scope_field);
        drafts.push(Draft { body, messages, answer, scope, ..Draft::default() }.at(time));
    }
    drafts
}
