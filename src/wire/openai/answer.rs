//! Complete reply bodies → `Answer`: where its id stands, what it cost, how it ended.

use crate::types::answer::{Answer, Ending};
use crate::types::json::Json;
use crate::types::lost::Lost;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::json::{parse, spans_of};
use bytes::Bytes;

/// Reads a provider's reply body. The error says in words what is wrong with it.
pub fn read(surface: Surface, body: Bytes) -> Result<Answer, String> {
    let json = parse(&body).map_err(|error| error.message)?;
    if !matches!(json, Json::Object(_)) {
        return Err(format!("expected a JSON object, got {}", json.kind()));
    }
    let (ending, tool_calls) = match surface {
        Surface::Embeddings => {
            json.get("data").and_then(Json::as_array).ok_or("expected a `data` array")?;
            (Ending::Whole, false)
        }
        _ => {
            let choices = json.get("choices").and_then(Json::as_array).ok_or("expected a `choices` array")?;
            (ending_of(choices), choices.iter().any(has_tool_calls))
        }
    };
    let usage = json.get("usage").and_then(usage_of);
    drop(json);
    let [id_span, created_span] = spans_of(&body, ["id", "created"]);
    let id_span = id_span.filter(|span| body.get(span.start) == Some(&b'"'));
    let lost = Lost::default();
    Ok(Answer { surface, id_span, created_span, usage, usage_unasked: false, ending, tool_calls, lost, body })
}

/// The words of each choice of a reply body; empty where there are none, or the body is of another shape.
pub fn texts(body: &Bytes) -> Vec<String> {
    let Ok(json) = parse(body) else { return Vec::new() };
    let choices = json.get("choices").and_then(Json::as_array).unwrap_or_default();
    choices.iter().map(|choice| text_of(choice).unwrap_or_default()).collect()
}

/// The words of one choice: its `text`, or its message's `content`, whose text parts are joined.
fn text_of(choice: &Json<'_>) -> Option<String> {
    if let Some(text) = choice.get("text").and_then(Json::as_str) {
        return Some(text.to_owned());
    }
    match choice.get("message")?.get("content")? {
        Json::String(text) => Some(text.to_string()),
        Json::Array(parts) => {
            Some(parts.iter().filter_map(|part| part.get("text").and_then(Json::as_str)).collect::<Vec<_>>().concat())
        }
        _ => None,
    }
}

/// Token counts of a `usage` object.
pub fn usage_of(json: &Json<'_>) -> Option<Usage> {
    let input_tokens = json.get("prompt_tokens")?.as_u64()?;
    let output_tokens = json.get("completion_tokens").and_then(Json::as_u64).unwrap_or(0);
    let detail = |of: &str, name: &str| json.get(of).and_then(|one| one.get(name)).and_then(Json::as_u64).unwrap_or(0);
    // DeepSeek tells what it read from its cache beside the count of the prompt.
    let hit = json.get("prompt_cache_hit_tokens").and_then(Json::as_u64);
    Some(Usage {
        input_tokens,
        output_tokens,
        cached_tokens: hit.unwrap_or_else(|| detail("prompt_tokens_details", "cached_tokens")),
        cache_write_tokens: detail("prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens: detail("completion_tokens_details", "reasoning_tokens"),
        ..Usage::default()
    })
}

fn ending_of(choices: &[Json<'_>]) -> Ending {
    if choices.is_empty() {
        return Ending::Unfinished;
    }
    choices.iter().map(choice_ending).fold(Ending::Whole, |all, one| if all == Ending::Whole { one } else { all })
}

fn choice_ending(choice: &Json<'_>) -> Ending {
    let message = choice.get("message");
    let refused = message.and_then(|message| message.get("refusal")).and_then(Json::as_str);
    if refused.is_some_and(|text| !text.is_empty()) || message.is_some_and(has_refusal_part) {
        return Ending::Filtered;
    }
    match choice.get("finish_reason").and_then(Json::as_str) {
        Some("stop" | "tool_calls" | "function_call") => Ending::Whole,
        Some("length") => Ending::Length,
        // What OpenAI, Anthropic and Gemini say where others translate nothing.
        Some("content_filter" | "refusal" | "safety" | "SAFETY" | "RECITATION" | "PROHIBITED_CONTENT") => {
            Ending::Filtered
        }
        _ => Ending::Unfinished,
    }
}

/// A content part of the type `refusal`.
fn has_refusal_part(message: &Json<'_>) -> bool {
    let parts = message.get("content").and_then(Json::as_array).unwrap_or_default();
    parts.iter().any(|part| part.get("type").and_then(Json::as_str) == Some("refusal"))
}

fn has_tool_calls(choice: &Json<'_>) -> bool {
    let Some(message) = choice.get("message") else {
        return false;
    };
    let some_calls = message.get("tool_calls").and_then(Json::as_array).is_some_and(|calls| !calls.is_empty());
    some_calls || matches!(message.get("function_call"), Some(Json::Object(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        let table = [
            (r#"{"choices":[{"finish_reason":"stop","message":{"content":"x"}}]}"#, Ending::Whole, false),
            (r#"{"choices":[{"finish_reason":"tool_calls","message":{"tool_calls":[{}]}}]}"#, Ending::Whole, true),
            (r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}"#, Ending::Length, false),
            (r#"{"choices":[{"finish_reason":"content_filter"}]}"#, Ending::Filtered, false),
            (r#"{"choices":[{"finish_reason":"stop","message":{"refusal":"no"}}]}"#, Ending::Filtered, false),
            (r#"{"choices":[{"finish_reason":"refusal","message":{"content":"x"}}]}"#, Ending::Filtered, false),
            (
                r#"{"choices":[{"finish_reason":"stop","message":{"content":[{"type":"refusal","refusal":"no"}]}}]}"#,
                Ending::Filtered,
                false,
            ),
            (r#"{"choices":[{"finish_reason":null}]}"#, Ending::Unfinished, false),
            (r#"{"choices":[]}"#, Ending::Unfinished, false),
        ];
        for (body, ending, tool_calls) in table {
            let answer = read(Surface::ChatCompletions, Bytes::from_static(body.as_bytes())).unwrap();
            assert_eq!((answer.ending, answer.tool_calls), (ending, tool_calls), "{body}");
        }
        for garbage in ["", "oops", "[]", "{}", r#"{"choices":3}"#] {
            assert!(read(Surface::ChatCompletions, Bytes::from_static(garbage.as_bytes())).is_err(), "{garbage}");
        }
    }
}
