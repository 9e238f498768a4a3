//! Streams against goldens, and against the whole answers that they amount to.

use super::super::answer;
use super::{Decoder, Encoder};
use crate::types::chat::{Content, Media, Part, Source, ToolCall};
use crate::types::completion::{Choice, Completion, Delta, Gather, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{Decoder as _, Encoder as _, ReplyFor};
use crate::wire::json::parse;
use crate::wire::sse::{Splitter, event};
use proptest::prelude::*;

const STREAM: &str = include_str!("../../../../tests/golden/messages/stream.sse");
const ANSWER: &str = include_str!("../../../../tests/golden/messages/answer.json");

fn reply() -> ReplyFor {
    ReplyFor { id: "msg_01".into(), model: "claude-sonnet-4-5".into(), ..ReplyFor::default() }
}

/// The pieces of a stream, whether it ended well, and what it dropped.
fn read(stream: &[u8]) -> Result<(Vec<Delta>, Vec<String>), String> {
    let (mut splitter, mut decoder, mut deltas) = (Splitter::default(), Decoder::default(), Vec::new());
    splitter.push(stream);
    while let Some(bytes) = splitter.next_event() {
        if let Some(event) = event(&bytes)
            && decoder.push(&event, &mut deltas)?
        {
            return Ok((deltas, decoder.dropped().to_vec()));
        }
    }
    decoder.end(&mut deltas)?;
    Ok((deltas, decoder.dropped().to_vec()))
}

fn write(deltas: &[Delta]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(reply()), Vec::new());
    deltas.iter().for_each(|delta| encoder.push(delta, &mut out));
    encoder.finish(&mut out);
    out
}

fn gathered(deltas: Vec<Delta>) -> Completion {
    let mut gather = Gather::default();
    deltas.into_iter().for_each(|delta| gather.push(delta));
    gather.finish()
}

#[test]
fn a_stream_is_read_and_written_as_the_vendor_sends_it() {
    let (deltas, dropped) = read(STREAM.as_bytes()).unwrap();
    assert!(dropped.is_empty());
    let without_ping = STREAM.replace("event: ping\ndata: {\"type\":\"ping\"}\n\n", "");
    assert_eq!(String::from_utf8(write(&deltas)).unwrap(), without_ping);
}

#[test]
fn a_stream_and_an_answer_say_the_same() {
    let whole = answer::decode(ANSWER.as_bytes()).unwrap();
    assert_eq!(gathered(read(STREAM.as_bytes()).unwrap().0), whole);
    let written = answer::encode(&whole, &reply());
    assert_eq!(parse(&written).unwrap(), parse(ANSWER.as_bytes()).unwrap());
}

#[test]
fn a_stream_ends_well_only_with_its_last_event() {
    let cut = STREAM.rfind("event: message_stop").unwrap();
    assert!(read(&STREAM.as_bytes()[..cut]).unwrap_err().contains("message_stop"));
    let busy =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}\n\n";
    assert_eq!(read(busy.as_bytes()).unwrap_err(), "Busy");
    assert!(read(b"event: message_start\ndata: {\n\n").is_err());
    // What is not known yet is passed over.
    let newer = STREAM.replace("\"type\":\"ping\"", "\"type\":\"news\"").replace("event: ping", "event: news");
    assert!(read(newer.as_bytes()).is_ok());
}

#[test]
fn what_a_stream_tells_and_no_piece_can_is_named() {
    let start =
        |block: &str| format!("data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{block}}}\n\n");
    let delta = |delta: &str| format!("data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n");
    let stop = "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
    let stream = [
        start(r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#),
        delta(r#"{"type":"input_json_delta","partial_json":"{}"}"#),
        stop.to_owned(),
        start(r#"{"type":"text","text":""}"#),
        delta(r#"{"type":"citations_delta","citation":{}}"#),
        delta(r#"{"type":"text_delta","text":"a"}"#),
        stop.to_owned(),
        start(r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#),
        stop.to_owned(),
        "data: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ];
    let (deltas, dropped) = read(stream.concat().as_bytes()).unwrap();
    assert_eq!(dropped, ["server_tool_use", "citations"]);
    let call = ToolCall { id: "t".into(), name: "f".into(), arguments: "{}".into() };
    let parts = vec![Part::text("a"), Part::new(Content::ToolCall(call))];
    assert_eq!(gathered(deltas).choices, vec![Choice { parts, stop: None }]);
}

#[test]
fn pieces_of_other_wires_make_a_stream_of_this_one() {
    let picture = Media::new(Source::Data("iVBO".into()), Some("image/png".into()));
    let call = |call: u32| Delta::ToolCall { choice: 0, call, id: format!("c{call}"), name: "f".into() };
    let arguments = |call: u32, json: &str| Delta::Arguments { choice: 0, call, json: json.into() };
    // No `Begin`, no `PartEnd`, calls by turns, an end that does not say that tools are to be called, usage at the end.
    let deltas = [
        Delta::Refusal { choice: 0, text: "no".into() },
        Delta::Text { choice: 1, text: "another".into() },
        Delta::Whole { choice: 0, part: Part::new(Content::Image(picture)) },
        call(0),
        arguments(0, "{\"a\""),
        call(1),
        arguments(1, "{}"),
        arguments(0, ":1}"),
        Delta::Stop { choice: 0, stop: Stop::End },
        Delta::Usage(Usage::new(3, 4)),
    ];
    let text = String::from_utf8(write(&deltas)).unwrap();
    assert!(text.starts_with("event: message_start\n"), "{text}");
    assert!(text.contains(r#""text":"![image](data:image/png;base64,iVBO)""#), "{text}");
    assert!(text.contains(r#""index":2,"delta":{"type":"input_json_delta","partial_json":":1}""#), "{text}");
    assert!(!text.contains("another"));
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null,"stop_details":null},"usage":{"input_tokens":3,"#;
    assert!(text.contains(end), "{text}");
}

fn part() -> impl Strategy<Value = Part> {
    let signature = proptest::option::of("[A-Za-z0-9+/]{1,12}");
    let call = ("[a-z0-9_]{1,9}", "[a-z_]{1,9}", "\\PC{0,9}").prop_map(|(id, name, text)| {
        let arguments = serde_json::json!({ "a": text }).to_string();
        Content::ToolCall(ToolCall { id, name, arguments })
    });
    prop_oneof![
        "\\PC{1,30}".prop_map(Part::text),
        ("\\PC{0,30}", signature)
            .prop_map(|(text, signature)| Part { signature, ..Part::new(Content::Thinking(text)) }),
        "[A-Za-z0-9+/=]{1,12}".prop_map(|data| Part::new(Content::RedactedThinking(data))),
        call.prop_map(Part::new),
    ]
}

fn completion() -> impl Strategy<Value = Completion> {
    let stop = prop_oneof![
        Just(Stop::Length),
        Just(Stop::ToolCalls),
        Just(Stop::Refusal),
        Just(Stop::Pause),
        Just(Stop::Sequence(None)),
        "\\PC{0,9}".prop_map(|text| Stop::Sequence(Some(text))),
        "other_[a-z]{1,9}".prop_map(Stop::Other),
    ];
    let usage = (0..9_999u64, 0..9_999u64, 0..9_999u64, 0..9_999u64).prop_map(|(plain, read, written, output)| Usage {
        reasoning_tokens: output / 2,
        ..crate::wire::hub::usage_of_parts(plain, read, written, output)
    });
    (proptest::collection::vec(part(), 0..6), stop, usage).prop_map(|(parts, stop, usage)| Completion {
        id: Some("msg_01".into()),
        model: Some("claude-sonnet-4-5".into()),
        choices: vec![Choice { parts, stop: Some(stop) }],
        usage: Some(usage),
        ..Completion::default()
    })
}

proptest! {
    /// A stored answer says the same whole and played back as a stream, and what it said when it came.
    #[test]
    fn answers_and_streams_are_inverse(whole in completion()) {
        prop_assert_eq!(&answer::decode(&answer::encode(&whole, &reply())).unwrap(), &whole);
        let deltas = whole.deltas(|text| text.chars().map(String::from).collect());
        let (again, dropped) = read(&write(&deltas)).unwrap();
        prop_assert!(dropped.is_empty());
        prop_assert_eq!(gathered(again), whole);
    }

    /// Whatever comes, it is read or refused.
    #[test]
    fn no_stream_breaks_the_reader(events in proptest::collection::vec("\\PC{0,60}", 0..6), cut in 0..STREAM.len()) {
        for event in &events {
            let _ = read(format!("data: {event}\n\n").as_bytes());
        }
        let _ = read(&STREAM.as_bytes()[..cut]);
        let _ = read(&STREAM.as_bytes()[cut..]);
    }
}
