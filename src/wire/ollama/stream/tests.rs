//! Streams and whole answers: each reads as the other.

use super::*;
use crate::types::chat::{Content, Part, ToolCall};
use crate::types::completion::{Choice, Completion, Delta, Gather, Stop};
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::hub::{Decoder as _, Encoder as _, ReplyFor};
use crate::wire::json::parse;
use crate::wire::ollama::answer;
use crate::wire::write::text_of;
use crate::wire::{ndjson, sse};

const WHOLE: &str = include_str!("../../../../tests/golden/ollama_chat/tools.answer.json");
const STREAM: &str = include_str!("../../../../tests/golden/ollama_chat/tools.stream.ndjson");
const VENDOR: &str = include_str!("../../../../tests/golden/ollama_chat/vendor.stream.ndjson");
/// 2026-11-22T10:00:00Z
const THEN: u64 = 1_795_341_600;

fn gathered(lines: &str) -> Result<(Completion, Vec<String>), String> {
    let (mut to_sse, mut events) = (ndjson::ToSse::default(), Vec::new());
    to_sse.push(lines.as_bytes(), &mut events).map_err(|broken| broken.to_string())?;
    to_sse.end(&mut events).map_err(|broken| broken.to_string())?;
    let mut splitter = sse::Splitter::default();
    splitter.push(&events);
    let (mut decoder, mut deltas) = (Decoder::default(), Vec::new());
    while let Some(bytes) = splitter.next_event() {
        if let Some(event) = sse::event(&bytes) {
            decoder.push(&event, &mut deltas)?;
        }
    }
    decoder.end(&mut deltas)?;
    let mut gather = Gather::default();
    deltas.into_iter().for_each(|delta| gather.push(delta));
    Ok((gather.finish(), decoder.dropped().to_vec()))
}

fn reply() -> ReplyFor {
    ReplyFor { model: "qwen3:8b".into(), created_s: THEN, ..ReplyFor::default() }
}

fn streamed(deltas: &[Delta]) -> String {
    let (mut encoder, mut events) = (Encoder::new(reply()), Vec::new());
    deltas.iter().for_each(|delta| encoder.push(delta, &mut events));
    encoder.finish(&mut events);
    let (mut lines, mut out) = (ndjson::FromSse::default(), Vec::new());
    lines.push(&events, &mut out);
    lines.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// Pieces of eleven characters.
fn cut(text: &str) -> Vec<String> {
    text.chars().collect::<Vec<_>>().chunks(11).map(|piece| piece.iter().collect()).collect()
}

#[test]
fn a_stream_amounts_to_the_answer_and_the_answer_plays_as_the_stream() {
    let completion = answer::decode(WHOLE.as_bytes()).unwrap();
    assert_eq!(completion.choices[0].stop, Some(Stop::ToolCalls));
    assert_eq!(completion.usage, Some(Usage::new(702, 44)));
    assert_eq!(gathered(STREAM).unwrap(), (completion.clone(), vec![]));
    let written = String::from_utf8(answer::encode(&completion, &reply())).unwrap();
    assert_eq!(written, text_of(&parse(WHOLE.as_bytes()).unwrap()));
    assert_eq!(streamed(&completion.deltas(cut)), STREAM);
}

#[test]
fn a_stored_answer_is_played_back_with_a_new_date_and_nothing_else() {
    let body = text_of(&parse(WHOLE.as_bytes()).unwrap());
    let stored = crate::wire::answer::read(Surface::OllamaChat, body.clone().into()).unwrap();
    assert!(stored.tool_calls && stored.id_span.is_none());
    let played = crate::wire::playback::as_body(&stored, "unused", THEN + 61);
    let expected = body.replace("2026-11-22T10:00:00Z", "2026-11-22T10:01:01Z");
    assert_eq!(String::from_utf8(played.to_vec()).unwrap(), expected);
}

#[test]
fn the_vendors_own_stream_is_read_and_its_calls_are_given_ids() {
    let (completion, dropped) = gathered(VENDOR).unwrap();
    assert_eq!((completion.model.as_deref(), dropped), (Some("llama3.2"), vec![]));
    assert_eq!(completion.usage, Some(Usage::new(26, 282)));
    let Choice { parts, stop } = &completion.choices[0];
    assert_eq!((&parts[0], stop), (&Part::text("The sky"), &Some(Stop::ToolCalls)));
    let id = |part: &Part| match &part.content {
        Content::ToolCall(ToolCall { id, name, arguments }) => {
            assert_eq!((name.as_str(), arguments.as_str()), ("look", r#"{"up":true}"#));
            id.clone()
        }
        other => panic!("{other:?}"),
    };
    let (one, two) = (id(&parts[1]), id(&parts[2]));
    assert!(one != two && one.len() == 29 && one.starts_with("call_"), "{one} {two}");
    // The same whenever the same bytes are read; another in another answer.
    assert_eq!(gathered(VENDOR).unwrap().0, completion);
    let (later, _) = gathered(&VENDOR.replace("19.5000", "19.6000")).unwrap();
    assert_ne!(id(&later.choices[0].parts[1]), one);
}

#[test]
fn a_stream_that_broke_is_an_error() {
    let line = |rest: &str| format!("{{\"model\":\"m\",\"message\":{{\"content\":\"a\"}},\"done\":false}}\n{rest}");
    let table = [
        (line(""), "the stream ended without a line that says `done`"),
        (line("{\"error\":\"out of memory\"}\n"), "out of memory"),
        (line("{\"message\":"), "the stream ends in the middle of a line"),
        (line("[]\n"), "expected a JSON object, got an array"),
        (String::new(), "the stream ended without a line that says `done`"),
    ];
    for (lines, expected) in table {
        assert_eq!(gathered(&lines).unwrap_err(), expected);
    }
    assert!(gathered(&line("{oops}\n")).unwrap_err().contains("JSON"));
}

#[test]
fn a_whole_answer_that_is_none_is_an_error() {
    for (body, expected) in [
        ("{\"error\":\"no such model\"}", "no such model"),
        ("{\"done\":true}", "expected an object with a `message`"),
        ("{\"message\":[]}", "expected an object with a `message`"),
        ("[]", "expected an object with a `message`"),
    ] {
        assert_eq!(answer::decode(body.as_bytes()).unwrap_err(), expected);
    }
    assert!(answer::decode(b"<html>").is_err());
    let odd =
        br#"{"message":{"content":3,"tool_calls":[7,{"function":{"name":"f","arguments":"{}"}}]},"logprobs":[{}]}"#;
    let read = answer::decode(odd).unwrap();
    assert_eq!((read.choices[0].parts.len(), read.choices[0].stop.clone()), (2, None));
    assert_eq!(read.dropped, ["logprobs"]);
    let unfinished = answer::decode(br#"{"message":{"content":""},"done":true,"done_reason":"load"}"#).unwrap();
    assert_eq!(unfinished.choices[0].stop, Some(Stop::Other("load".into())));
}

#[test]
fn calls_whose_pieces_come_in_turns_are_told_whole() {
    let begin = |call, id: &str| Delta::ToolCall { choice: 0, call, id: id.into(), name: "f".into() };
    let more = |call, json: &str| Delta::Arguments { choice: 0, call, json: json.into() };
    let deltas = [
        begin(0, "a"),
        begin(1, "b"),
        more(0, "{\"n\""),
        more(1, "{"),
        more(0, ":1}"),
        more(1, "}"),
        more(7, "lost"),
        Delta::Text { choice: 1, text: "another answer".into() },
        Delta::Stop { choice: 0, stop: Stop::ToolCalls },
    ];
    let text = streamed(&deltas);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains(r#""function":{"index":0,"name":"f","arguments":{"n":1}}"#), "{text}");
    assert!(lines[1].contains(r#"{"id":"b","function":{"index":1,"name":"f","arguments":{}}"#), "{text}");
    assert!(lines[2].ends_with(r#""done":true,"done_reason":"stop"}"#), "{text}");
}

#[test]
fn a_refusal_is_no_answer_to_keep() {
    let refusal = Choice { parts: vec![Part::new(Content::Refusal("no".into()))], stop: Some(Stop::End) };
    let completion = Completion { choices: vec![refusal], ..Completion::default() };
    let read = answer::decode(&answer::encode(&completion, &reply())).unwrap();
    assert_eq!(read.choices[0].stop, Some(Stop::Refusal));
    assert_eq!(gathered(&streamed(&completion.deltas(cut))).unwrap().0.choices, read.choices);
}
