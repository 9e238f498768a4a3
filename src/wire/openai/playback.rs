//! An `Answer` → a body or a stream, with a new id and date.

use crate::types::answer::Answer;
use crate::types::ids::random;
use crate::types::surface::Surface;
use crate::wire::date::Date;
use crate::wire::sse::write_event;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Bytes of text in one played-back chunk.
const PIECE_BYTES: usize = 64;

/// A new answer id in OpenAI's form.
pub fn new_id(surface: Surface) -> String {
    let prefix = match surface {
        Surface::ChatCompletions => "chatcmpl-",
        Surface::Completions => "cmpl-",
        Surface::Embeddings => "embd-",
        _ => "",
    };
    format!("{prefix}{}", random(29))
}

/// The body, byte for byte as stored but for `id` and `created`.
pub fn as_body(answer: &Answer, id: &str, created_s: u64) -> Bytes {
    let quoted = format!("\"{id}\"");
    let created = match answer.surface {
        Surface::OllamaChat => format!("\"{}\"", Date::of(created_s).rfc3339()),
        _ => created_s.to_string(),
    };
    let mut swaps = Vec::with_capacity(2);
    swaps.extend(answer.id_span.clone().map(|span| (span, quoted.as_str())));
    swaps.extend(answer.created_span.clone().map(|span| (span, created.as_str())));
    swaps.sort_by_key(|(span, _)| span.start);
    let mut body = Vec::with_capacity(answer.body.len() + quoted.len() + created.len());
    let mut from = 0;
    for (span, text) in swaps {
        body.extend_from_slice(&answer.body[from..span.start]);
        body.extend_from_slice(text.as_bytes());
        from = span.end;
    }
    body.extend_from_slice(&answer.body[from..]);
    body.into()
}

/// The answer as a stream of events, `[DONE]` included.
pub fn as_stream(surface: Surface, answer: &Answer, id: &str, created_s: u64, include_usage: bool) -> Vec<Bytes> {
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&answer.body) else {
        return Vec::new();
    };
    let choices = match body.remove("choices") {
        Some(Value::Array(choices)) => choices,
        _ => Vec::new(),
    };
    let usage = body.remove("usage").filter(|usage| !usage.is_null());
    let chat = surface == Surface::ChatCompletions;
    body.insert("id".to_owned(), id.into());
    body.insert("created".to_owned(), created_s.into());
    body.insert("object".to_owned(), if chat { "chat.completion.chunk".into() } else { "text_completion".into() });
    let mut events = Vec::new();
    let mut emit = |choices: Value, usage: Option<&Value>| {
        let mut chunk = body.clone();
        chunk.insert("choices".to_owned(), choices);
        if include_usage {
            chunk.insert("usage".to_owned(), usage.cloned().unwrap_or(Value::Null));
        }
        let mut event = Vec::new();
        write_event(&mut event, Value::Object(chunk).to_string().as_bytes());
        events.push(Bytes::from(event));
    };
    for (position, choice) in choices.into_iter().enumerate() {
        let Value::Object(choice) = choice else { continue };
        let pieces = if chat { chat_pieces(choice, position) } else { text_pieces(choice, position) };
        for piece in pieces {
            emit(Value::Array(vec![piece]), None);
        }
    }
    if include_usage && usage.is_some() {
        emit(Value::Array(Vec::new()), usage.as_ref());
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

/// A chat choice as deltas: role, then each field, then the finish reason.
fn chat_pieces(mut choice: Map<String, Value>, position: usize) -> Vec<Value> {
    let index = choice.remove("index").unwrap_or_else(|| position.into());
    let finish_reason = choice.remove("finish_reason").unwrap_or(Value::Null);
    let logprobs = choice.remove("logprobs").filter(|logprobs| !logprobs.is_null());
    let mut message = match choice.remove("message") {
        Some(Value::Object(message)) => message,
        _ => Map::new(),
    };
    let role = message.remove("role").unwrap_or_else(|| "assistant".into());
    let content = message.remove("content").unwrap_or(Value::Null);
    let calls = message.remove("tool_calls");
    let piece = |delta: Value| json!({"index": index, "delta": delta, "finish_reason": null});
    let opening = if content.is_null() { Value::Null } else { "".into() };
    let mut pieces = vec![piece(json!({"role": role, "content": opening}))];
    // Reasoning and other fields of the message come before its content, as providers stream them.
    for (key, value) in message.into_iter().filter(|(_, value)| !value.is_null()) {
        pieces.extend(cut(value).into_iter().map(|value| piece(json!({ key.as_str(): value }))));
    }
    match (content, logprobs) {
        (Value::Null, None) => {}
        // Log probabilities belong to tokens: they stay with the whole of the words they are about.
        (content, Some(logprobs)) => {
            pieces.push(
                json!({"index": index, "delta": {"content": content}, "logprobs": logprobs, "finish_reason": null}),
            );
        }
        (content, None) => pieces.extend(cut(content).into_iter().map(|value| piece(json!({"content": value})))),
    }
    if let Some(Value::Array(calls)) = calls {
        for (at, mut call) in calls.into_iter().enumerate() {
            if let Value::Object(call) = &mut call {
                call.insert("index".to_owned(), at.into());
            }
            pieces.push(piece(json!({"tool_calls": [call]})));
        }
    }
    choice.insert("index".to_owned(), index);
    choice.insert("delta".to_owned(), json!({}));
    choice.insert("finish_reason".to_owned(), finish_reason);
    pieces.push(Value::Object(choice));
    pieces
}

/// A text completion choice as pieces; the last one carries the finish reason and everything else.
fn text_pieces(mut choice: Map<String, Value>, position: usize) -> Vec<Value> {
    let index = choice.entry("index").or_insert_with(|| position.into()).clone();
    let text = choice.remove("text").unwrap_or_else(|| "".into());
    let mut texts = cut(text);
    let last = texts.pop().unwrap_or_else(|| "".into());
    let mut pieces: Vec<Value> = texts
        .into_iter()
        .map(|text| json!({"index": index, "text": text, "logprobs": null, "finish_reason": null}))
        .collect();
    choice.insert("text".to_owned(), last);
    pieces.push(Value::Object(choice));
    pieces
}

/// A text in pieces, as a stream tells it.
pub fn pieces(text: &str) -> Vec<String> {
    cut_text(text).map(str::to_owned).collect()
}

/// A long text in pieces, cut between characters and if possible after a space; anything else whole.
fn cut(value: Value) -> Vec<Value> {
    let Value::String(text) = value else { return vec![value] };
    cut_text(&text).map(Value::from).collect()
}

fn cut_text(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = if rest.len() > PIECE_BYTES {
            let limit = rest.floor_char_boundary(PIECE_BYTES);
            rest[..limit].rfind(' ').map_or(limit, |space| space + 1)
        } else {
            rest.len()
        };
        let (piece, tail) = rest.split_at(at);
        rest = tail;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::openai::{answer, fold};
    use crate::wire::sse;
    use proptest::prelude::*;

    fn refold(surface: Surface, events: &[Bytes]) -> Value {
        let mut fold = fold::Fold::new(surface, 1 << 24);
        for event in events {
            assert!(!matches!(fold.push(&sse::data(event).unwrap()), fold::Step::Failed(_)));
        }
        serde_json::from_slice(&fold.finish().unwrap().body).unwrap()
    }

    fn answer_of(surface: Surface, body: &Value) -> Answer {
        answer::read(surface, Bytes::from(body.to_string())).unwrap()
    }

    #[test]
    fn a_body_changes_in_id_and_date_only() {
        let body = br#"{ "object":"chat.completion", "created": 17, "x_new":{"id":"keep"}, "id":"old","choices":[{"message":{"content":"old"},"finish_reason":"stop"}]}"#;
        let answer = answer::read(Surface::ChatCompletions, Bytes::from_static(body)).unwrap();
        let played = as_body(&answer, "chatcmpl-1", 1999);
        let expected = br#"{ "object":"chat.completion", "created": 1999, "x_new":{"id":"keep"}, "id":"chatcmpl-1","choices":[{"message":{"content":"old"},"finish_reason":"stop"}]}"#;
        assert_eq!(played, expected.as_slice());
    }

    #[test]
    fn a_stream_folds_back_to_its_body() {
        let body = json!({
            "id": "n", "object": "chat.completion", "created": 5, "model": "m", "system_fingerprint": "f",
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            "choices": [
                {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{\"q\":1}"}}]}},
                {"index": 1, "finish_reason": "stop", "logprobs": {"content": [{"token": "hé"}]},
                 "message": {"role": "assistant", "content": "hé", "reasoning_content": "so ".repeat(50)}},
            ]
        });
        let answer = answer_of(Surface::ChatCompletions, &body);
        let events = as_stream(Surface::ChatCompletions, &answer, "n", 5, true);
        assert_eq!(refold(Surface::ChatCompletions, &events), body);
        let quiet = as_stream(Surface::ChatCompletions, &answer, "n", 5, false);
        assert!(quiet.iter().all(|event| !event.windows(5).any(|bytes| bytes == b"usage")));
    }

    proptest! {
        #[test]
        fn any_text_folds_back(text in "\\PC{0,400}", chat in any::<bool>()) {
            let surface = if chat { Surface::ChatCompletions } else { Surface::Completions };
            let choice = if chat {
                json!({"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}})
            } else {
                json!({"index": 0, "finish_reason": "stop", "logprobs": null, "text": text})
            };
            let object = if chat { "chat.completion" } else { "text_completion" };
            let body = json!({"id": "n", "object": object, "created": 5, "model": "m", "choices": [choice]});
            let events = as_stream(surface, &answer_of(surface, &body), "n", 5, false);
            prop_assert_eq!(refold(surface, &events), body);
        }
    }
}
