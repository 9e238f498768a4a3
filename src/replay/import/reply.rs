//! Answers and token counts out of response bodies: OpenAI's chat, text and response objects, Anthropic's messages,
//! and plain text.

use super::draft::{content, count};
use crate::types::usage::Usage;
use serde_json::Value;

/// The answer in a response body. Tool calls are an answer too, as JSON.
pub(super) fn answer(body: &Value) -> Option<String> {
    match body {
        Value::String(text) => Some(text.clone()),
        Value::Array(choices) => choices.iter().find_map(choice),
        Value::Object(fields) => {
            let choices = fields.get("choices").and_then(Value::as_array);
            let output = fields.get("output").and_then(Value::as_array);
            choices
                .and_then(|choices| choices.iter().find_map(choice))
                .or_else(|| output.and_then(|items| items.iter().rev().find_map(content)))
                .or_else(|| fields.get("output_text").and_then(Value::as_str).map(str::to_owned))
                .or_else(|| message(body))
                .or_else(|| fields.get("message").and_then(message))
        }
        _ => None,
    }
    .filter(|answer| !answer.is_empty())
}

fn choice(choice: &Value) -> Option<String> {
    choice
        .get("message")
        .and_then(message)
        .or_else(|| choice.get("text").and_then(Value::as_str).map(str::to_owned))
        .or_else(|| message(choice))
}

/// The text of a message, or its tool calls.
pub(super) fn message(message: &Value) -> Option<String> {
    content(message).filter(|text| !text.is_empty()).or_else(|| {
        let calls =
            message.get("tool_calls").filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()))?;
        Some(calls.to_string())
    })
}

/// The tokens in a `usage` object, by OpenAI's or Anthropic's names.
pub(super) fn usage(usage: Option<&Value>) -> Usage {
    let Some(usage) = usage else { return Usage::default() };
    let at = |paths: &[&str]| paths.iter().find_map(|path| usage.pointer(path)).map_or(0, |value| count(Some(value)));
    let (read, written) = (at(&["/cache_read_input_tokens"]), at(&["/cache_creation_input_tokens"]));
    let cached = at(&["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens"]);
    // Anthropic's input tokens are those that the cache had no part in; OpenAI's are all.
    let input = at(&["/prompt_tokens", "/input_tokens"]).saturating_add(read).saturating_add(written);
    Usage {
        cached_tokens: read.max(cached),
        cache_write_tokens: written,
        reasoning_tokens: at(&[
            "/completion_tokens_details/reasoning_tokens",
            "/output_tokens_details/reasoning_tokens",
        ]),
        ..Usage::new(input, at(&["/completion_tokens", "/output_tokens"]))
    }
}
