//! Streams of responses, read and written.

use super::*;
use crate::types::chat::{Content, Media, Part, Source, ToolCall};
use crate::types::completion::{Choice, Completion, Delta, Gather, Stop};
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub::{Decoder as _, Encoder as _, ReplyFor};
use crate::wire::json::parse;
use crate::wire::responses::answer;
use crate::wire::sse;
use bytes::Bytes;
use proptest::prelude::*;

fn reply() -> ReplyFor {
    let request = include_str!("../../../../tests/golden/responses/request.json");
    ReplyFor {
        id: "resp_1".into(),
        model: "m".into(),
        created_s: 7,
        include_usage: true,
        request: Bytes::from_static(request.as_bytes()),
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

/// An answer with everything that this wire has a place for.
fn everything() -> Completion {
    let part = |content| Part::new(content);
    let signed = |content, signature: &str| Part { signature: Some(signature.into()), ..Part::new(content) };
    let call = |id: &str, name: &str, arguments: &str| {
        Content::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() })
    };
    let picture = Media::new(Source::Data("iVBORw0=".into()), Some("image/png".into()));
    let parts = vec![
        signed(Content::Thinking("so it is".into()), "s1"),
        signed(Content::Thinking(String::new()), "s2"),
        part(Content::RedactedThinking("xx".into())),
        part(Content::Text("one".into())),
        signed(Content::Text("two \"three\"".into()), "s3"),
        part(Content::Text("four".into())),
        part(Content::Thinking("hm".into())),
        part(call("a", "look", "{\"a\":1}")),
        signed(call("b", "look", ""), "s4"),
        part(call("c", "patch", "{\"input\":\"*** Begin\\n\"}")),
        part(call("d", "team__ask", "{}")),
        part(Content::Image(picture)),
    ];
    Completion {
        id: Some("resp_1".into()),
        model: Some("m".into()),
        created_s: None,
        choices: vec![Choice { parts, stop: Some(Stop::ToolCalls) }],
        usage: Some(Usage { cached_tokens: 2, cache_write_tokens: 1, reasoning_tokens: 3, ..Usage::new(5, 6) }),
        ..Completion::default()
    }
}

fn ended(parts: Vec<Part>, stop: Stop) -> Completion {
    Completion { choices: vec![Choice { parts, stop: Some(stop) }], ..everything() }
}

#[test]
fn answers_come_back_whole_and_in_pieces() {
    let refusal = || vec![Part::new(Content::Refusal("no".into()))];
    let answers = [
        everything(),
        ended(refusal(), Stop::Refusal),
        ended(vec![Part::text("x")], Stop::End),
        ended(vec![Part::text("x")], Stop::Length),
        ended(vec![Part::text("x"), Part::new(Content::Refusal("no".into()))], Stop::Filtered),
    ];
    for whole in answers {
        let body = answer::encode(&whole, &reply());
        let mut read = answer::decode(&body).unwrap();
        assert_eq!(read.created_s.take(), Some(7));
        assert_eq!(read, whole);
        let stream = encode(&whole.deltas(|text| text.chars().map(String::from).collect()));
        assert_eq!(decode(&stream), Ok((whole, true)));
        // The stream ends with the very body.
        let last = stream.trim_end().rsplit("\"response\":").next().unwrap();
        assert_eq!(last.strip_suffix('}').unwrap().as_bytes(), body);
    }
}

#[test]
fn a_written_answer_is_as_it_was() {
    let body = answer::encode(&everything(), &reply());
    assert_eq!(
        String::from_utf8(body).unwrap(),
        include_str!("../../../../tests/golden/responses/answer.json").trim_end()
    );
    let stream = encode(&everything().deltas(|text| vec![text.to_owned()]));
    assert_eq!(stream, include_str!("../../../../tests/golden/responses/answer.sse"));
}

#[test]
fn events_are_numbered_and_items_are_done_in_order() {
    let stream = encode(&everything().deltas(|text| text.chars().map(String::from).collect()));
    let mut splitter = sse::Splitter::default();
    splitter.push(stream.as_bytes());
    let (mut next, mut open, mut items) = (0, None, 0);
    while let Some(event) = splitter.next_event() {
        let event = sse::event(&event).unwrap();
        let json = parse(&event.data).unwrap();
        assert_eq!(json.get("type").and_then(Json::as_str), Some(event.name));
        assert_eq!(json.get("sequence_number").and_then(Json::as_u64), Some(next));
        next += 1;
        let id = |json: &Json<'_>| json.get("id").and_then(Json::as_str).map(str::to_owned);
        match event.name {
            "response.output_item.added" => {
                assert_eq!(open, None);
                open = id(json.get("item").unwrap());
                assert_eq!(json.get("output_index").and_then(Json::as_u64), Some(items));
            }
            "response.output_item.done" => {
                assert_eq!(open.take(), id(json.get("item").unwrap()));
                items += 1;
            }
            _ => assert_eq!(open.as_deref(), json.get("item_id").and_then(Json::as_str), "{}", event.name),
        }
    }
    assert_eq!(items, 13);
}

#[test]
fn streams_of_the_vendor() {
    let stream = include_str!("../../../../tests/golden/responses/vendor.sse");
    let (whole, done) = decode(stream).unwrap();
    assert!(done);
    let choice = &whole.choices[0];
    assert_eq!((whole.id.as_deref(), choice.stop.clone()), (Some("resp_v"), Some(Stop::ToolCalls)));
    let expected = [
        Part { signature: Some("gAAA".into()), ..Part::new(Content::Thinking("one\n\ntwo".into())) },
        Part::text("Hi there"),
        Part::new(Content::ToolCall(ToolCall { id: "call_1".into(), name: "f".into(), arguments: "{\"a\":1}".into() })),
    ];
    assert_eq!(choice.parts, expected);
    assert_eq!(whole.usage, Some(Usage { cached_tokens: 4, reasoning_tokens: 2, ..Usage::new(10, 5) }));
}

#[test]
fn broken_streams_are_told() {
    let table = [
        ("", "without response.completed"),
        ("event: error\ndata: {\"type\":\"error\",\"message\":\"too busy\"}\n\n", "too busy"),
        ("data: {\"type\":\"error\",\"error\":{\"message\":\"too busy\"}}\n\n", "too busy"),
        ("data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"message\":\"gone\"}}}\n\n", "gone"),
        ("data: {\"error\":{\"message\":\"odd\"}}\n\n", "odd"),
        ("data: oops\n\n", "not valid JSON"),
    ];
    for (stream, expected) in table {
        let why = decode(stream).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}

proptest! {
    /// Whatever was said, in whatever order, comes back the same: in one body, and in a stream cut anywhere.
    #[test]
    fn any_answer_comes_back(said in prop::collection::vec((0u8..6, "\\PC{1,20}", any::<bool>()), 0..8), cut in 1usize..9) {
        let parts = said.into_iter().map(|(kind, text, signed)| {
            let content = match kind {
                0 | 1 => Content::Text(text.clone()),
                2 => Content::Thinking(text.clone()),
                3 => Content::RedactedThinking(text.clone()),
                4 => Content::Refusal(text.clone()),
                _ => Content::ToolCall(ToolCall { id: text.clone(), name: "f".into(), arguments: text.clone() }),
            };
            let signed = signed && matches!(content, Content::Text(_) | Content::Thinking(_) | Content::ToolCall(_));
            Part { signature: signed.then_some(text), ..Part::new(content) }
        });
        let whole = ended(parts.collect(), Stop::Length);
        let mut body = answer::decode(&answer::encode(&whole, &reply())).unwrap();
        body.created_s = None;
        prop_assert_eq!(&body, &whole);
        let pieces = |text: &str| {
            text.chars().collect::<Vec<_>>().chunks(cut).map(|piece| piece.iter().collect()).collect()
        };
        prop_assert_eq!(decode(&encode(&whole.deltas(pieces))), Ok((whole, true)));
    }
}
