//! A stream of chunks → the one body it amounts to.
//!
//! Merging follows the vendor's own SDKs: strings are joined, lists are merged by `index` (or appended where items have
//! none), numbers and the rest are replaced. Unknown fields take part like known ones.

use super::alike::Alike;
use super::answer;
use crate::types::answer::Answer;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::json::parse;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Collects the chunks of one stream.
#[derive(Debug)]
pub struct Fold {
    surface: Surface,
    max_bytes: usize,
    bytes: usize,
    top: Map<String, Value>,
    choices: BTreeMap<u64, Map<String, Value>>,
    usage: Option<Usage>,
    id: Option<String>,
    done: bool,
    /// The last chunk, where the next one may differ from it in words alone.
    alike: Option<Alike>,
    /// How many chunks in a row were not like the one before.
    unlike: u32,
}

/// After so many chunks in a row of which none was like the one before, it is not looked for any more.
const MOST_UNLIKE: u32 = 8;

/// What one event was.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Role, usage, keep-alive: nothing the reader sees.
    Quiet,
    /// Usage, and no choices.
    Usage,
    /// Words, or a piece of a tool call.
    Content,
    /// `[DONE]`: the stream ended well.
    Done,
    /// The provider reported an error in the stream, or sent what is not its wire.
    Failed(String),
}

impl Fold {
    /// An empty fold that keeps at most `max_bytes` of chunks; beyond it only usage and the end are noted.
    pub fn new(surface: Surface, max_bytes: usize) -> Fold {
        Fold {
            surface,
            max_bytes,
            bytes: 0,
            top: Map::new(),
            choices: BTreeMap::new(),
            usage: None,
            id: None,
            done: false,
            alike: None,
            unlike: 0,
        }
    }

    /// The chunks came to more than the limit and are not kept.
    pub fn is_too_large(&self) -> bool {
        self.bytes > self.max_bytes
    }

    /// Tokens, once the stream has said.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The answer's id, once the first chunk is in.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Takes the `data` of one event.
    pub fn push(&mut self, data: &[u8]) -> Step {
        if self.takes_words(data) {
            return Step::Content;
        }
        let step = self.push_any(data);
        self.unlike = self.unlike.saturating_add(1);
        let may_be_alike = step == Step::Content && self.unlike <= MOST_UNLIKE && !self.is_too_large();
        self.alike = if may_be_alike { Alike::of(data) } else { None };
        step
    }

    /// Takes the words of a chunk that says nothing else anew.
    fn takes_words(&mut self, data: &[u8]) -> bool {
        let Some(alike) = &self.alike else { return false };
        let Some(words) = alike.words(data) else { return false };
        let choice = self.choices.get_mut(&alike.index);
        let content = choice.and_then(|choice| choice.get_mut("delta")?.get_mut("content"));
        let Some(Value::String(content)) = content else { return false };
        content.push_str(&words);
        self.bytes = self.bytes.saturating_add(data.len());
        if self.is_too_large() {
            self.forget();
        }
        self.unlike = 0;
        true
    }

    fn push_any(&mut self, data: &[u8]) -> Step {
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return Step::Done;
        }
        if data.trim_ascii().is_empty() {
            return Step::Quiet;
        }
        let mut chunk = match serde_json::from_slice::<Value>(data) {
            Ok(Value::Object(chunk)) => chunk,
            Ok(_) => return Step::Failed("a stream event is not a JSON object".to_owned()),
            Err(error) => return Step::Failed(format!("a stream event is not JSON: {error}")),
        };
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            let text = error.get("message").and_then(Value::as_str).unwrap_or("no message");
            return Step::Failed(format!("the provider reported an error in the stream: {text}"));
        }
        if self.id.is_none() {
            self.id = chunk.get("id").and_then(Value::as_str).map(str::to_owned);
        }
        if let Some(usage) = chunk.get("usage").and_then(Value::as_object) {
            self.usage = usage_of(usage).or(self.usage);
        }
        let choices = chunk.remove("choices");
        let bare = choices.as_ref().and_then(Value::as_array).is_some_and(Vec::is_empty);
        let step = match &choices {
            Some(choices) if has_words(choices) => Step::Content,
            _ if bare && chunk.get("usage").is_some_and(Value::is_object) => Step::Usage,
            _ => Step::Quiet,
        };
        self.keep(data.len(), chunk, choices);
        step
    }

    fn keep(&mut self, bytes: usize, mut chunk: Map<String, Value>, choices: Option<Value>) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_too_large() {
            return self.forget();
        }
        // Random padding of each chunk, no part of the answer.
        chunk.remove("obfuscation");
        for (key, value) in chunk {
            if !value.is_null() || !self.top.contains_key(&key) {
                self.top.insert(key, value);
            }
        }
        let Some(Value::Array(choices)) = choices else { return };
        for (position, choice) in choices.into_iter().enumerate() {
            let Value::Object(choice) = choice else { continue };
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(position as u64);
            let kept = self.choices.entry(index).or_default();
            for (key, value) in choice {
                merge_field(kept, key, value);
            }
        }
    }

    /// Nothing of it is kept.
    fn forget(&mut self) {
        self.top = Map::new();
        self.choices = BTreeMap::new();
        self.alike = None;
    }

    /// The answer, if the stream ended well.
    pub fn finish(self) -> Result<Answer, String> {
        if self.is_too_large() {
            return Err("the answer is larger than the limit for stored answers".to_owned());
        }
        let ended =
            self.done || self.choices.values().all(|choice| choice.get("finish_reason").is_some_and(Value::is_string));
        if !ended || self.choices.is_empty() {
            return Err("the stream ended without [DONE] and without a finish reason".to_owned());
        }
        let surface = self.surface;
        let body = serde_json::to_vec(&self.into_body()).map_err(|error| error.to_string())?;
        answer::read(surface, Bytes::from(body))
    }

    fn into_body(mut self) -> Value {
        let chat = self.surface == Surface::ChatCompletions;
        self.top.insert("object".to_owned(), if chat { "chat.completion".into() } else { "text_completion".into() });
        if self.top.get("usage").is_some_and(Value::is_null) {
            self.top.remove("usage");
        }
        let choices = self.choices.into_iter().map(|(index, choice)| whole_choice(index, choice, chat)).collect();
        self.top.insert("choices".to_owned(), Value::Array(choices));
        Value::Object(self.top)
    }
}

fn usage_of(usage: &Map<String, Value>) -> Option<Usage> {
    let text = serde_json::to_vec(usage).ok()?;
    answer::usage_of(&parse(&text).ok()?)
}

/// Does any choice carry words or tool calls?
fn has_words(choices: &Value) -> bool {
    let says = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    choices.as_array().is_some_and(|choices| {
        choices.iter().any(|choice| {
            choice.get("text").is_some_and(says)
                || choice
                    .get("delta")
                    .and_then(Value::as_object)
                    .is_some_and(|delta| delta.iter().any(|(key, value)| key != "role" && says(value)))
        })
    })
}

/// Fields whose pieces are repeated rather than joined.
fn is_constant(key: &str) -> bool {
    matches!(key, "id" | "type" | "role" | "index" | "finish_reason" | "stop_reason")
}

fn merge_field(kept: &mut Map<String, Value>, key: String, value: Value) {
    match kept.get_mut(&key) {
        None | Some(Value::Null) => {
            // Even the first list of a field is merged item by item, so that two pieces of one index in it meet.
            let value = match value {
                Value::Array(items) => {
                    let mut list = Vec::with_capacity(items.len());
                    merge_list(&mut list, items);
                    Value::Array(list)
                }
                other => other,
            };
            kept.insert(key, value);
        }
        Some(old) => match (old, value) {
            (_, Value::Null) => {}
            (Value::String(old), Value::String(new)) if !is_constant(&key) => old.push_str(&new),
            (Value::Array(old), Value::Array(new)) => merge_list(old, new),
            (Value::Object(old), Value::Object(new)) => {
                for (key, value) in new {
                    merge_field(old, key, value);
                }
            }
            (old, new) => *old = new,
        },
    }
}

fn merge_list(kept: &mut Vec<Value>, items: Vec<Value>) {
    for item in items {
        let index = item.get("index").and_then(Value::as_u64);
        let same = kept.iter_mut().find(|old| index.is_some() && old.get("index").and_then(Value::as_u64) == index);
        match (same, item) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                for (key, value) in new {
                    merge_field(old, key, value);
                }
            }
            (_, item) => kept.push(item),
        }
    }
}

/// A merged stream choice as a choice of a complete body.
fn whole_choice(index: u64, mut choice: Map<String, Value>, chat: bool) -> Value {
    choice.insert("index".to_owned(), index.into());
    if !chat {
        choice.entry("text").or_insert_with(|| "".into());
        return Value::Object(choice);
    }
    let mut message = match choice.remove("delta") {
        Some(Value::Object(delta)) => delta,
        _ => Map::new(),
    };
    message.entry("role").or_insert_with(|| "assistant".into());
    message.entry("content").or_insert(Value::Null);
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        calls.sort_by_key(|call| call.get("index").and_then(Value::as_u64));
        for call in calls.iter_mut().filter_map(Value::as_object_mut) {
            call.remove("index");
        }
        // A reply of tool calls alone has no content in the plain wire; streams open with an empty one.
        if message.get("content").and_then(Value::as_str) == Some("") {
            message.insert("content".to_owned(), Value::Null);
        }
    }
    choice.insert("message".to_owned(), Value::Object(message));
    Value::Object(choice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::answer::Ending;

    fn fold(events: &[&str]) -> Result<Value, String> {
        let mut fold = Fold::new(Surface::ChatCompletions, 1 << 20);
        for event in events {
            if let Step::Failed(why) = fold.push(event.as_bytes()) {
                return Err(why);
            }
        }
        fold.finish().map(|answer| serde_json::from_slice(&answer.body).unwrap())
    }

    #[test]
    fn joins_words_tool_calls_logprobs_and_unknown_fields() {
        let body = fold(&[
            r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","obfuscation":"zz","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"reasoning_content":"hm","content":"Hel"},"logprobs":{"content":[{"token":"Hel"}]}}]}"#,
            r#"{"id":"c1","choices":[{"index":1,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]}}]}"#,
            r#"{"id":"c1","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#,
            r#"{"id":"c1","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"type":"function","function":{"arguments":":1}"}}]}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{"reasoning_content":"m","content":"lo"},"logprobs":{"content":[{"token":"lo"}]}}]}"#,
            r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"tool_calls"}]}"#,
            r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
        ])
        .unwrap();
        let expected = serde_json::json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            "choices": [
                {"index": 0, "finish_reason": "stop", "logprobs": {"content": [{"token": "Hel"}, {"token": "lo"}]},
                 "message": {"role": "assistant", "content": "Hello", "reasoning_content": "hmm"}},
                {"index": 1, "finish_reason": "tool_calls",
                 "message": {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}},
            ]
        });
        assert_eq!(body, expected);
    }

    /// Pieces of streams, with a mark where words go.
    const PIECES: [&str; 9] = [
        r#"{"id":"c","created":1,"usage":null,"choices":[{"index":0,"delta":{"role":"assistant","content":"@"},"finish_reason":null}],"obfuscation":"@"}"#,
        r#"{"id":"c","created":1,"usage":null,"choices":[{"index":0,"delta":{"content":"@"},"logprobs":null,"finish_reason":null}],"obfuscation":"@"}"#,
        r#"{"id":"c","created":1,"choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#,
        r#"{"id":"c","created":2,"choices":[{"index":1,"delta":{"content":"@","refusal":null}}],"fingerprint":"x"}"#,
        r#"{"id":"c","choices":[{"delta":{"content":"@","reasoning":""}}],"fingerprint":null}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"@","reasoning":"hm"},"finish_reason":null}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":null,"tool_calls":[{"index":0,"function":{"arguments":"@"}}]}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"@"},"logprobs":{"content":[{"token":"@"}]}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}"#,
    ];

    proptest::proptest! {
        #[test]
        fn chunks_that_are_alike_come_to_the_same_as_any(
            told in proptest::collection::vec((0usize..PIECES.len(), 1usize..6, 0usize..6), 1..12)
        ) {
            let words = ["", "x", r#"a\n\"b"#, "ä€", r"\u00e4", "long words of several kinds"];
            let (mut fold, mut plain) = (Fold::new(Surface::ChatCompletions, 1 << 20), Fold::new(Surface::ChatCompletions, 1 << 20));
            for (piece, times, word) in told {
                for time in 0..times {
                    let chunk = PIECES[piece].replace('@', words[(word + time) % words.len()]);
                    proptest::prop_assert_eq!(fold.push(chunk.as_bytes()), plain.push_any(chunk.as_bytes()), "{}", chunk);
                }
            }
            fold.push(b"[DONE]");
            plain.push(b"[DONE]");
            let body = |fold: Fold| fold.finish().map(|answer| answer.body);
            proptest::prop_assert_eq!(fold.bytes, plain.bytes);
            proptest::prop_assert_eq!(body(fold), body(plain));
        }
    }

    #[test]
    fn an_unfinished_stream_is_no_answer() {
        let open = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#;
        assert!(fold(&[open]).unwrap_err().contains("without [DONE]"));
        assert!(fold(&[]).is_err());
        assert!(fold(&["[DONE]"]).is_err());
        assert!(fold(&["garbage"]).unwrap_err().contains("not JSON"));
        assert!(fold(&[open, r#"{"error":{"message":"boom"}}"#]).unwrap_err().contains("boom"));
    }

    #[test]
    fn a_done_without_finish_reason_is_unfinished() {
        let mut fold = Fold::new(Surface::ChatCompletions, 1 << 20);
        fold.push(br#"{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}"#);
        fold.push(b"[DONE]");
        assert_eq!(fold.finish().unwrap().ending, Ending::Unfinished);
    }

    #[test]
    fn beyond_the_limit_only_usage_is_kept() {
        let mut fold = Fold::new(Surface::ChatCompletions, 100);
        let chunk = format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}"#, "x".repeat(200));
        assert_eq!(fold.push(chunk.as_bytes()), Step::Content);
        fold.push(br#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#);
        assert!(fold.is_too_large());
        assert_eq!(fold.usage(), Some(Usage::new(3, 2)));
        assert!(fold.finish().is_err());
    }
}
