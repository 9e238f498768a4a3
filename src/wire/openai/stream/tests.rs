//! Streams of chat completions, read and written.

use super::*;
use crate::types::chat::{Content, Media, Part, Source, ToolCall};
use crate::types::completion::{Choice, Completion, Delta, Gather, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{Decoder as _, Encoder as _, ReplyFor};
use crate::wire::openai::completion;
use crate::wire::sse;

fn reply() -> ReplyFor {
    let request = bytes::Bytes::new();
    ReplyFor {
        id: "chatcmpl-1".into(),
        model: "m".into(),
        created_s: 7,
        include_usage: true,
        request,
        ..ReplyFor::default()
    }
}

fn decode(stream: &str) -> Result<(Completion, bool), String> {
    let mut splitter = sse::Splitter::default();
    splitter.push(stream.as_bytes());
    let (mut decoder, mut gather, mut done) = (Decoder::default(), Gather::default(), false);
    let mut out = Vec::new();
    while let Some(event) = splitter.next_event() {
        let Some(event) = sse::event(&event) else { continue };
        done |= decoder.push(&event, &mut out)?;
    }
    if !done {
        decoder.end(&mut out)?;
    }
    out.into_iter().for_each(|delta| gather.push(delta));
    Ok((gather.finish(), done))
}

fn encode(deltas: &[Delta]) -> String {
    let (mut encoder, mut out) = (Encoder::new(reply()), Vec::new());
    deltas.iter().for_each(|delta| encoder.push(delta, &mut out));
    encoder.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// An answer with everything that this wire has a place for, in this wire's order.
pub(super) fn everything() -> Completion {
    let part = |content| Part::new(content);
    let call = |id: &str, name: &str| {
        Content::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: "{\"a\":1}".into() })
    };
    let picture = Media::new(Source::Data("iVBORw0=".into()), Some("image/png".into()));
    let first = vec![
        Part { signature: Some("s1".into()), ..part(Content::Thinking("so".into())) },
        part(Content::RedactedThinking("xx".into())),
        Part { signature: Some("s2".into()), ..part(Content::Text("words".into())) },
        part(Content::Image(picture)),
        part(call("a", "f")),
        Part { signature: Some("s3".into()), ..part(call("b", "g")) },
    ];
    let choice = |parts: Vec<Part>, stop| Choice { parts, stop: Some(stop) };
    Completion {
        id: Some("chatcmpl-1".into()),
        model: Some("m".into()),
        created_s: None,
        choices: vec![
            choice(first, Stop::ToolCalls),
            choice(vec![part(Content::Refusal("no".into()))], Stop::Refusal),
            choice(vec![part(Content::Thinking("hm".into())), part(Content::Text("x".into()))], Stop::Length),
        ],
        usage: Some(Usage { cached_tokens: 2, cache_write_tokens: 1, reasoning_tokens: 3, ..Usage::new(5, 6) }),
        ..Completion::default()
    }
}

#[test]
fn answers_come_back_whole_and_in_pieces() {
    let whole = everything();
    let mut body = completion::decode(&completion::encode(&whole, &reply())).unwrap();
    assert_eq!(body.created_s.take(), Some(7));
    assert_eq!(body, whole);
    let stream = encode(&whole.deltas(|text| text.chars().map(String::from).collect()));
    let (streamed, done) = decode(&stream).unwrap();
    assert!(done);
    // Words of signed thoughts stand in two places of a stream; they are read once.
    assert_eq!(streamed, whole);
}

#[test]
fn a_written_answer_is_as_it_was() {
    let body = completion::encode(&everything(), &reply());
    let golden = include_str!("../../../../tests/golden/chat_completions/answer.json");
    assert_eq!(String::from_utf8(body).unwrap(), golden.trim_end());
    let stream = encode(&everything().deltas(|text| vec![text.to_owned()]));
    assert_eq!(stream, include_str!("../../../../tests/golden/chat_completions/answer.sse"));
}

#[test]
fn streams_of_other_servers() {
    let call = |id: &str, name: &str, arguments: &str| {
        Part::new(Content::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }))
    };
    let think = |text: &str| Part::new(Content::Thinking(text.into()));
    let table = [
        // Calls without an index, or all of index 0: told apart by their ids.
        (
            r#"{"choices":[{"delta":{"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}},{"id":"2","function":{"name":"g","arguments":"[]"}}]},"finish_reason":"stop"}]}"#,
            vec![call("1", "f", "{}"), call("2", "g", "[]")],
            Stop::ToolCalls,
        ),
        (
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"2","function":{"name":"g","arguments":"[]"}}]},"finish_reason":"tool_calls"}]}"#,
            vec![call("1", "f", "{}"), call("2", "g", "[]")],
            Stop::ToolCalls,
        ),
        // OpenRouter tells thoughts twice.
        (
            r#"{"choices":[{"delta":{"reasoning":"so","reasoning_details":[{"type":"reasoning.text","text":"so"}],"content":"x"},"finish_reason":"stop"}]}"#,
            vec![think("so"), Part::text("x")],
            Stop::End,
        ),
        // Mistral's lists of parts.
        (
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"so"}]},{"type":"text","text":"x"}]},"finish_reason":"model_length"}]}"#,
            vec![think("so"), Part::text("x")],
            Stop::Length,
        ),
        (
            r#"{"choices":[{"delta":{"refusal":"no"},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}"#,
            vec![Part::new(Content::Refusal("no".into()))],
            Stop::Refusal,
        ),
    ];
    for (event, parts, stop) in table {
        let (whole, done) = decode(&format!("data: {event}\n\n")).unwrap();
        assert!(!done);
        assert_eq!(whole.choices, [Choice { parts, stop: Some(stop) }], "{event}");
    }
}

#[test]
fn broken_streams_are_told() {
    let table = [
        ("", "without [DONE]"),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", "without [DONE]"),
        ("data: {\"error\":{\"message\":\"too busy\"}}\n\n", "too busy"),
        ("data: oops\n\n", "not valid JSON"),
        ("data: []\n\n", "not a JSON object"),
    ];
    for (stream, expected) in table {
        let why = decode(stream).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn functions_of_old_are_answered_of_old() {
    let request = bytes::Bytes::from_static(br#"{"functions":[{"name":"f"}],"messages":[]}"#);
    let reply = ReplyFor { request, ..reply() };
    let call = Content::ToolCall(ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into() });
    let choices = vec![Choice { parts: vec![Part::new(call)], stop: Some(Stop::ToolCalls) }];
    let whole = Completion { choices, ..Completion::default() };
    let body = String::from_utf8(completion::encode(&whole, &reply)).unwrap();
    assert!(body.contains(r#""function_call":{"name":"f","arguments":"{}"}}"#), "{body}");
    assert!(body.contains(r#""finish_reason":"function_call""#) && !body.contains("tool_calls"), "{body}");
    let (mut encoder, mut out) = (Encoder::new(reply), Vec::new());
    whole.deltas(|text| vec![text.to_owned()]).iter().for_each(|delta| encoder.push(delta, &mut out));
    let stream = String::from_utf8(out).unwrap();
    assert!(stream.contains(r#""delta":{"function_call":{"arguments":"{}"}}"#), "{stream}");
    assert!(!stream.contains("tool_calls"), "{stream}");
}
