//! Streams and whole answers: each reads as the other.

use super::*;
use crate::types::completion::{Completion, Delta, Gather, Stop};
use crate::wire::cohere::answer;
use crate::wire::hub::{Decoder as _, Encoder as _, ReplyFor};
use crate::wire::json::parse;
use crate::wire::sse;
use crate::wire::write::text_of;

const TOOLS: [&str; 2] = [
    include_str!("../../../../tests/golden/cohere_chat/tools.answer.json"),
    include_str!("../../../../tests/golden/cohere_chat/tools.stream.sse"),
];
const THINKING: [&str; 2] = [
    include_str!("../../../../tests/golden/cohere_chat/thinking.answer.json"),
    include_str!("../../../../tests/golden/cohere_chat/thinking.stream.sse"),
];

fn gathered(stream: &str) -> Result<Completion, String> {
    let mut splitter = sse::Splitter::default();
    splitter.push(stream.as_bytes());
    let (mut decoder, mut deltas) = (Decoder::default(), Vec::new());
    while let Some(bytes) = splitter.next_event() {
        if let Some(event) = sse::event(&bytes) {
            decoder.push(&event, &mut deltas)?;
        }
    }
    decoder.end(&mut deltas)?;
    let mut gather = Gather::default();
    deltas.into_iter().for_each(|delta| gather.push(delta));
    Ok(gather.finish())
}

fn reply(completion: &Completion) -> ReplyFor {
    let id = completion.id.clone().unwrap_or_default();
    let calls_tools = completion.choices[0].stop == Some(Stop::ToolCalls);
    ReplyFor { id, calls_tools, ..ReplyFor::default() }
}

fn streamed(completion: &Completion, deltas: &[Delta]) -> String {
    let mut encoder = Encoder::new(reply(completion));
    let mut out = Vec::new();
    deltas.iter().for_each(|delta| encoder.push(delta, &mut out));
    encoder.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// Pieces of eleven characters.
fn cut(text: &str) -> Vec<String> {
    text.chars().collect::<Vec<_>>().chunks(11).map(|piece| piece.iter().collect()).collect()
}

#[test]
fn a_stream_amounts_to_the_answer_and_the_answer_plays_as_the_stream() {
    for [whole, stream] in [TOOLS, THINKING] {
        let completion = answer::decode(whole.as_bytes()).unwrap();
        assert_eq!(gathered(stream).unwrap(), completion);
        let written = String::from_utf8(answer::encode(&completion, &reply(&completion))).unwrap();
        assert_eq!(written, text_of(&parse(whole.as_bytes()).unwrap()));
        assert_eq!(streamed(&completion, &completion.deltas(cut)), stream);
    }
}

#[test]
fn words_before_a_call_are_content_while_no_call_is_known_of() {
    let completion = answer::decode(TOOLS[0].as_bytes()).unwrap();
    let mut encoder = Encoder::new(ReplyFor::default());
    let mut out = Vec::new();
    completion.deltas(cut).iter().for_each(|delta| encoder.push(delta, &mut out));
    encoder.finish(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("event: tool-plan-delta") && text.contains(r#"{"content":{"text":"I will ask "}}"#));
    assert_eq!(gathered(&text).unwrap().choices, completion.choices);
}

#[test]
fn an_empty_answer_has_a_content() {
    let completion = gathered(&streamed(
        &Completion { choices: vec![Default::default()], ..Completion::default() },
        &[Delta::Stop { choice: 0, stop: Stop::End }],
    ));
    assert_eq!(completion.unwrap().choices[0].stop, Some(Stop::End));
    let body = answer::encode(&Completion::default(), &ReplyFor::default());
    let text = String::from_utf8(body).unwrap();
    assert_eq!(
        text,
        r#"{"id":"","message":{"role":"assistant","content":[{"type":"text","text":""}]},"finish_reason":"ERROR"}"#
    );
}

#[test]
fn what_is_no_good_end_is_an_error() {
    let begin = "data: {\"type\":\"message-start\",\"id\":\"a\"}\n\n";
    let table = [
        (String::new(), "message-end"),
        (format!("{begin}data: [DONE]\n\n"), "message-end"),
        (format!("{begin}data: {{\"type\":\"message-end\",\"delta\":{{\"finish_reason\":\"ERROR\"}}}}\n\n"), "broke"),
        (format!("{begin}data: {{\"type\":\"message-end\",\"delta\":{{\"error\":\"full\"}}}}\n\n"), "full"),
        (format!("{begin}data: {{\"type\":\n\n"), "JSON"),
    ];
    for (stream, expected) in table {
        let error = gathered(&stream).unwrap_err();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    for body in ["", "[]", "{}", r#"{"message":"no"}"#] {
        assert!(answer::decode(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn indices_of_calls_are_the_wires_own() {
    let start = |index: u32, id: &str| {
        format!(
            "data: {{\"type\":\"tool-call-start\",\"index\":{index},\"delta\":{{\"message\":{{\"tool_calls\":\
             {{\"id\":\"{id}\",\"function\":{{\"name\":\"f\",\"arguments\":\"\"}}}}}}}}}}\n\n"
        )
    };
    let piece = |index: u32, text: &str| {
        format!(
            "data: {{\"type\":\"tool-call-delta\",\"index\":{index},\"delta\":{{\"message\":{{\"tool_calls\":\
             {{\"function\":{{\"arguments\":\"{text}\"}}}}}}}}}}\n\n"
        )
    };
    let end = "data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TOOL_CALL\"}}\n\n";
    let stream = [start(3, "a"), start(4, "b"), piece(3, "1"), piece(4, "2"), piece(3, "3"), end.to_owned()].concat();
    let completion = gathered(&stream).unwrap();
    let written = String::from_utf8(answer::encode(&completion, &ReplyFor::default())).unwrap();
    assert!(written.contains(r#""arguments":"13""#) && written.contains(r#""arguments":"2""#), "{written}");
}
