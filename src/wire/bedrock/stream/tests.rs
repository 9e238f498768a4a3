//! Tests of whole answers and streams: the goldens there and back, and that they are the same answer.

use super::*;
use crate::types::chat::{Content, Part, ToolCall};
use crate::types::completion::{Choice, Completion, Delta, Gather, Stop};
use crate::types::usage::Usage;
use crate::wire::bedrock::{answer, error};
use crate::wire::hub::{Decoder as _, Encoder as _, ReplyFor};
use crate::wire::json::parse;
use crate::wire::sse;
use crate::wire::write::text_of;
use proptest::prelude::*;

const ANSWER: &str = include_str!("../../../../tests/golden/converse/answer.json");
const STREAM: &str = include_str!("../../../../tests/golden/converse/stream.sse");

fn read(stream: &[u8]) -> Result<(Vec<Delta>, bool), String> {
    let mut splitter = sse::Splitter::default();
    splitter.push(stream);
    let (mut decoder, mut deltas, mut ended) = (Decoder::default(), Vec::new(), false);
    while let Some(event) = splitter.next_event() {
        if let Some(event) = sse::event(&event) {
            ended |= decoder.push(&event, &mut deltas)?;
        }
    }
    decoder.end(&mut deltas)?;
    Ok((deltas, ended))
}

fn gathered(deltas: &[Delta]) -> Completion {
    let mut gather = Gather::default();
    deltas.iter().cloned().for_each(|delta| gather.push(delta));
    gather.finish()
}

fn played(deltas: &[Delta]) -> Vec<u8> {
    let mut encoder = Encoder::new(ReplyFor::default());
    let mut out = Vec::new();
    deltas.iter().for_each(|delta| encoder.push(delta, &mut out));
    encoder.finish(&mut out);
    out
}

#[test]
fn the_golden_answer_comes_back_as_it_was() {
    let completion = answer::decode(ANSWER.as_bytes()).unwrap();
    assert_eq!(completion.usage.map(|usage| (usage.input_tokens, usage.cached_tokens)), Some((117, 100)));
    assert_eq!(completion.dropped, [""; 0]);
    let body = answer::encode(&completion, &ReplyFor::default());
    assert_eq!(String::from_utf8(body).unwrap(), text_of(&parse(ANSWER.as_bytes()).unwrap()));
}

#[test]
fn the_golden_stream_is_the_golden_answer_and_comes_back_as_it_was() {
    let (deltas, ended) = read(STREAM.as_bytes()).unwrap();
    assert!(ended);
    assert_eq!(gathered(&deltas), answer::decode(ANSWER.as_bytes()).unwrap());
    assert_eq!(String::from_utf8(played(&deltas)).unwrap(), STREAM);
}

#[test]
fn stops_have_their_words() {
    let table = [
        (Stop::End, "end_turn"),
        (Stop::ToolCalls, "tool_use"),
        (Stop::Length, "max_tokens"),
        (Stop::Sequence(None), "stop_sequence"),
        (Stop::Sequence(Some("END".into())), "stop_sequence"),
        (Stop::Filtered, "content_filtered"),
        (Stop::Other("malformed_tool_use".into()), "malformed_tool_use"),
    ];
    for (stop, word) in table {
        let choice = Choice { parts: vec![Part::text("x")], stop: Some(stop) };
        let whole = Completion { choices: vec![choice], ..Completion::default() };
        let body = answer::encode(&whole, &ReplyFor::default());
        assert_eq!(parse(&body).unwrap().get("stopReason").unwrap().as_str(), Some(word));
        assert_eq!(answer::decode(&body).unwrap(), whole);
    }
    for (word, stop) in [("guardrail_intervened", Stop::Filtered), ("model_context_window_exceeded", Stop::Length)] {
        assert_eq!(answer::stop(word, None), stop);
    }
    assert_eq!(answer::stop_word(&Stop::Refusal), "content_filtered");
    assert_eq!(answer::stop_word(&Stop::Other("odd".into())), "end_turn");
}

#[test]
fn what_an_answer_has_no_word_for_is_told() {
    let body = br#"{"output":{"message":{"role":"assistant","content":[
        {"citationsContent":{"content":[{"text":"So it is."}],"citations":[{"title":"t"}]}},{"newBlock":{}}]}},
        "stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":5},
        "trace":{"guardrail":{}},"additionalModelResponseFields":{"x":1}}"#;
    let completion = answer::decode(body).unwrap();
    assert_eq!(completion.choices[0].parts, [Part::text("So it is.")]);
    let expected =
        ["citationsContent.citations", "output.message.content.[1].newBlock", "trace", "additionalModelResponseFields"];
    assert_eq!(completion.dropped, expected);
    for wrong in [&b"{}"[..], b"[]", b"no", br#"{"output":{"message":{"content":{}}}}"#] {
        assert!(answer::decode(wrong).is_err());
    }
}

#[test]
fn a_stream_that_fails_or_breaks_off_is_an_error() {
    let failed = error::event(&crate::types::error::Error::new(
        crate::types::error::ErrorKind::UpstreamStatus(429),
        "slow down",
    ));
    assert_eq!(read(&failed).unwrap_err(), "throttlingException: slow down");
    assert!(read(b"event: error\ndata: {\"__type\":\"Oh\",\"message\":\"no\"}\n\n").unwrap_err().contains("no"));
    let (begun, _) = STREAM.split_once("event: messageStop").unwrap();
    assert!(read(begun.as_bytes()).is_err());
    let (whole, _) = STREAM.split_once("event: metadata").unwrap();
    assert!(read(whole.as_bytes()).is_ok_and(|(_, ended)| !ended), "the usage only is missing");
    let early =
        b"event: contentBlockDelta\ndata: {\"contentBlockIndex\":0,\"delta\":{\"toolUse\":{\"input\":\"{\"}}}\n\n";
    assert!(read(early).is_err());
    for odd in ["event: messageStop\ndata: {}\n\n", "event: contentBlockDelta\ndata: {}\n\n", "event: x\ndata: {\n\n"] {
        assert!(read(odd.as_bytes()).is_err(), "{odd}");
    }
}

#[test]
fn a_signature_alone_belongs_to_thoughts_that_are_not_told() {
    let text = concat!(
        "event: contentBlockDelta\ndata: {\"contentBlockIndex\":0,\"delta\":{\"text\":\"a\"}}\n\n",
        "event: contentBlockDelta\ndata: {\"contentBlockIndex\":1,\"delta\":{\"reasoningContent\":{\"signature\":\"s\"}}}\n\n",
        "event: messageStop\ndata: {\"stopReason\":\"end_turn\"}\n\n",
    );
    let whole = gathered(&read(text.as_bytes()).unwrap().0);
    let signed = Part { signature: Some("s".into()), ..Part::new(Content::Thinking(String::new())) };
    assert_eq!(whole.choices[0].parts, [Part::text("a"), signed]);
}

#[test]
fn calls_that_overlap_keep_their_arguments() {
    let call = |call, id: &str| Delta::ToolCall { choice: 0, call, id: id.into(), name: "f".into() };
    let piece = |call, json: &str| Delta::Arguments { choice: 0, call, json: json.into() };
    let deltas = [call(0, "a"), call(1, "b"), piece(0, "{\"x\":"), piece(1, "{}"), piece(0, "1}")];
    let text = String::from_utf8(played(&deltas)).unwrap();
    for index in [0, 1] {
        assert!(text.contains(&format!("event: contentBlockStop\ndata: {{\"contentBlockIndex\":{index}}}")));
    }
    assert!(text.find(r#""input":"1}""#).unwrap() < text.find("contentBlockStop").unwrap());
}

fn part() -> impl Strategy<Value = Part> {
    let text = || "\\PC{1,40}";
    prop_oneof![
        text().prop_map(Part::text),
        (text(), proptest::option::of(text()))
            .prop_map(|(thought, signature)| Part { signature, ..Part::new(Content::Thinking(thought)) }),
        "([a-zA-Z0-9+/]{4}){1,9}".prop_map(|data| Part::new(Content::RedactedThinking(data))),
        ("[a-zA-Z0-9_]{1,20}", text()).prop_map(|(id, word)| {
            let arguments = serde_json::json!({ "word": word }).to_string();
            Part::new(Content::ToolCall(ToolCall { id, name: "f".into(), arguments }))
        }),
    ]
}

proptest! {
    #[test]
    fn an_answer_and_its_stream_are_the_same(
        parts in proptest::collection::vec(part(), 0..6),
        usage in proptest::option::of((1u64..99, 1u64..99)),
    ) {
        let whole = Completion {
            choices: vec![Choice { parts, stop: Some(Stop::End) }],
            usage: usage.map(|(input, output)| Usage::new(input, output)),
            ..Completion::default()
        };
        prop_assert_eq!(&answer::decode(&answer::encode(&whole, &ReplyFor::default())).unwrap(), &whole);
        let stream = played(&whole.deltas(|text| text.chars().map(String::from).collect()));
        let (deltas, ended) = read(&stream).unwrap();
        prop_assert!(ended);
        prop_assert_eq!(gathered(&deltas), whole);
        prop_assert_eq!(played(&deltas), stream);
    }

    #[test]
    fn any_events_are_read_without_a_panic(name in "[a-zA-Z]{0,20}", data in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
        let _ = read(format!("event: {name}\ndata: {data}\n\n").as_bytes());
        let _ = answer::decode(data.as_bytes());
    }
}
