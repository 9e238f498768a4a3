//! Answers and token counts out of response bodies: OpenAI's chat, text and response objects, Anthropic's messages,
//! and plain text.

use super::draft::{content, count};
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

/// Prompt and completion tokens in a `usage` object, by OpenAI's or Anthropic's names.
pub(super) fn usage(usage: Option<&Value>) -> (u64, u64) {
    let Some(usage) = usage else { return (0, 0) };
    let of =
        |names: [&str; 2]| names.into_iter().find_map(|name| usage.get(name)).map_or(0, |value| count(Some(value)));
    (of(["prompt_tokens", "input_tokens"]), of(["completion_tokens", "output_tokens"]))
}
