//! Streams, read and written.

use super::*;
use crate::types::chat::{Content, Part, ToolCall};
use crate::types::completion::{Choice, Completion, Delta, Gather, Stop};
use crate::types::usage::Usage;
use crate::wire::gemini::answer;
use crate::wire::hub::{Decoder as _, Encoder as _, ReplyFor};
use crate::wire::json::parse;
use crate::wire::sse::{self, Splitter};
use crate::wire::write::text_of;
use proptest::prelude::*;

const STREAM: &str = include_str!("../../../../tests/golden/generate_content/stream.sse");
const WHOLE: &str = include_str!("../../../../tests/golden/generate_content/stream.json");

fn reply() -> ReplyFor {
    ReplyFor { id: "r2".into(), model: "gemini-2.5-flash".into(), ..ReplyFor::default() }
}

fn deltas(stream: &[u8]) -> Result<Vec<Delta>, String> {
    let (mut splitter, mut decoder, mut out) = (Splitter::default(), Decoder::default(), Vec::new());
    splitter.push(stream);
    while let Some(bytes) = splitter.next_event() {
        if let Some(event) = sse::event(&bytes) {
            assert!(!decoder.push(&event, &mut out)?);
        }
    }
    decoder.end(&mut out)?;
    Ok(out)
}

fn fold(stream: &[u8]) -> Completion {
    let mut gather = Gather::default();
    deltas(stream).unwrap().into_iter().for_each(|delta| gather.push(delta));
    gather.finish()
}

fn played(deltas: &[Delta]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(reply()), Vec::new());
    deltas.iter().for_each(|delta| encoder.push(delta, &mut out));
    encoder.finish(&mut out);
    out
}

#[test]
fn a_stream_folds_into_the_answer_that_it_amounts_to() {
    let folded = fold(STREAM.as_bytes());
    let compact = text_of(&parse(WHOLE.as_bytes()).unwrap());
    assert_eq!(String::from_utf8(answer::encode(&folded, &reply())).unwrap(), compact);
    assert_eq!(folded.choices[0].stop, Some(Stop::ToolCalls));
    // What is kept, played and folded again is the same answer.
    let kept = answer::decode(compact.as_bytes()).unwrap();
    assert_eq!(kept, folded);
    let again = played(&kept.deltas(|text| text.split_inclusive(' ').map(str::to_owned).collect()));
    assert_eq!(fold(&again), folded);
}

#[test]
fn every_event_is_a_whole_response_and_the_last_one_says_how_it_ended() {
    let stream = played(&[
        Delta::Begin { id: None, model: None },
        Delta::Text { choice: 0, text: "Hi".into() },
        Delta::ToolCall { choice: 0, call: 0, id: "a".into(), name: "f".into() },
        Delta::ToolCall { choice: 0, call: 1, id: "b".into(), name: "g".into() },
        Delta::Arguments { choice: 0, call: 0, json: "{\"x\":".into() },
        Delta::Arguments { choice: 0, call: 1, json: "{}".into() },
        Delta::Arguments { choice: 0, call: 0, json: "1}".into() },
        Delta::Stop { choice: 0, stop: Stop::ToolCalls },
        Delta::Usage(Usage::new(3, 4)),
    ]);
    let tail = r#""modelVersion":"gemini-2.5-flash","responseId":"r2"}"#;
    let candidate = |parts: &str, end: &str| {
        format!(r#"data: {{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}},{end}"index":0}}],"#)
    };
    let expected = [
        candidate(r#"{"text":"Hi"}"#, "") + tail,
        candidate(r#"{"functionCall":{"name":"f","args":{"x":1},"id":"a"}}"#, "") + tail,
        candidate(r#"{"functionCall":{"name":"g","args":{},"id":"b"}}"#, "") + tail,
        candidate(r#"{"text":""}"#, r#""finishReason":"STOP","#)
            + r#""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"totalTokenCount":7},"#
            + tail,
    ];
    assert_eq!(String::from_utf8(stream).unwrap(), expected.join("\n\n") + "\n\n");
}

#[test]
fn a_stream_without_an_end_is_no_answer() {
    let first = STREAM.split("\n\n").next().unwrap();
    let table = [
        (String::new(), "finishReason"),
        (format!("{first}\n\n"), "finishReason"),
        (
            format!(
                "{first}\n\ndata: {{\"error\":{{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}}}\n\n"
            ),
            "busy",
        ),
        ("data: [1]\n\n".to_owned(), "object"),
        ("data: {oops\n\n".to_owned(), "JSON"),
        ("data: {\"candidates\":[{\"index\":99999999}]}\n\n".to_owned(), "index"),
        (
            "data: {\"candidates\":[{\"finishReason\":\"STOP\"},{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n"
                .to_owned(),
            "finishReason",
        ),
    ];
    for (stream, expected) in table {
        let error = deltas(stream.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
}

#[test]
fn a_blocked_prompt_ends_the_stream() {
    let stream =
        b"data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":2}}\n\n";
    assert_eq!(fold(stream).choices, [Choice { parts: vec![], stop: Some(Stop::Filtered) }]);
}

#[test]
fn usage_may_come_behind_the_end() {
    let stream = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}\n\ndata: {\"usageMetadata\":{\"promptTokenCount\":2,\"candidatesTokenCount\":1}}\n\n";
    assert_eq!(fold(stream).usage, Some(Usage::new(2, 1)));
}

fn part() -> impl Strategy<Value = Part> {
    let words = "[a-z \"\\\\é]{1,12}";
    prop_oneof![
        words.prop_map(Part::text),
        words.prop_map(|text| Part::new(Content::Thinking(text))),
        words.prop_map(|text| Part { signature: Some("c2ln".into()), ..Part::new(Content::Thinking(text)) }),
        words.prop_map(|text| Part { signature: Some("c2ln".into()), ..Part::text(text) }),
        Just(Part { signature: Some("c2ln".into()), ..Part::new(Content::Thinking(String::new())) }),
        ("[a-z]{1,5}", "[a-z]{1,5}", any::<u8>()).prop_map(|(id, name, n)| {
            let arguments = format!("{{\"n\":{n}}}");
            Part::new(Content::ToolCall(ToolCall { id, name, arguments }))
        }),
    ]
}

proptest! {
    #[test]
    fn answers_survive_being_kept(parts in proptest::collection::vec(part(), 1..6), second in part()) {
        let calls = |parts: &[Part]| parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
        let choice = |parts: Vec<Part>| {
            let stop = Some(if calls(&parts) { Stop::ToolCalls } else { Stop::End });
            Choice { parts, stop }
        };
        let whole = Completion {
            id: Some("r2".into()),
            model: Some("gemini-2.5-flash".into()),
            choices: vec![choice(parts), choice(vec![second])],
            usage: Some(Usage { reasoning_tokens: 2, ..Usage::new(3, 4) }),
            ..Completion::default()
        };
        let kept = answer::decode(&answer::encode(&whole, &reply())).unwrap();
        prop_assert_eq!(&kept, &whole);
        // A stream tells no borders between words of one kind, so texts are compared.
        let streamed = fold(&played(&whole.deltas(|text| text.chars().map(String::from).collect())));
        prop_assert_eq!(words(&streamed), words(&whole));
        prop_assert_eq!(streamed.usage, whole.usage);
    }

    #[test]
    fn hostile_events_do_not_break_it(text in "\\PC{0,60}", json in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
        for data in [text, json] {
            let mut out = Vec::new();
            let event = sse::Event { name: "", data: data.as_bytes().into() };
            let _ = Decoder::default().push(&event, &mut out);
            let _ = answer::decode(data.as_bytes());
        }
    }
}

type Words = (String, String, Vec<ToolCall>, Option<Stop>);

fn words(whole: &Completion) -> Vec<Words> {
    let of = |choice: &Choice| {
        let (mut said, mut thought, mut calls) = (String::new(), String::new(), Vec::new());
        for part in &choice.parts {
            match &part.content {
                Content::Text(text) => said.push_str(text),
                Content::Thinking(text) => thought.push_str(text),
                Content::ToolCall(call) => calls.push(call.clone()),
                other => panic!("{other:?}"),
            }
        }
        (said, thought, calls, choice.stop.clone())
    };
    whole.choices.iter().map(of).collect()
}
