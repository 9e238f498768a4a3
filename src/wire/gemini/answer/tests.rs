//! Whole answers, read and written.

use super::*;
use crate::wire::write::text_of;

const ANSWER: &str = include_str!("../../../../tests/golden/generate_content/answer.json");

fn reply() -> ReplyFor {
    ReplyFor { id: "r1".into(), model: "gemini-2.5-flash".into(), ..ReplyFor::default() }
}

#[test]
fn an_answer_is_written_as_it_was_read() {
    let whole = decode(ANSWER.as_bytes()).unwrap();
    let compact = text_of(&parse(ANSWER.as_bytes()).unwrap());
    assert_eq!(String::from_utf8(encode(&whole, &reply())).unwrap(), compact);
    let usage = whole.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.reasoning_tokens, usage.cached_tokens), (11, 25, 5, 4));
    assert_eq!(whole.choices[0].stop, Some(Stop::ToolCalls));
    assert_eq!(whole.choices[1].stop, Some(Stop::Length));
}

#[test]
fn ends_have_words() {
    let table = [
        ("STOP", Some(Stop::End), "STOP"),
        ("MAX_TOKENS", Some(Stop::Length), "MAX_TOKENS"),
        ("SAFETY", Some(Stop::Filtered), "SAFETY"),
        ("SPII", Some(Stop::Filtered), "SAFETY"),
        ("MALFORMED_FUNCTION_CALL", Some(Stop::Other("MALFORMED_FUNCTION_CALL".into())), "MALFORMED_FUNCTION_CALL"),
        ("FINISH_REASON_UNSPECIFIED", None, ""),
    ];
    for (word, stop, back) in table {
        let body = format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}},"finishReason":"{word}"}}]}}"#);
        let whole = decode(body.as_bytes()).unwrap();
        assert_eq!(whole.choices[0].stop, stop, "{word}");
        let text = String::from_utf8(encode(&whole, &reply())).unwrap();
        assert_eq!(text.contains(&format!(r#""finishReason":"{back}""#)), !back.is_empty(), "{text}");
    }
    let paused = write::to_text(|o| end(o, &Stop::Other("eos_token".into())));
    assert_eq!(paused, r#"{"finishReason":"OTHER","finishMessage":"eos_token"}"#);
}

#[test]
fn a_blocked_prompt_is_an_answer_that_was_filtered() {
    let body = br#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":3}}"#;
    let whole = decode(body).unwrap();
    assert_eq!(whole.choices, [Choice { parts: vec![], stop: Some(Stop::Filtered) }]);
    assert_eq!(whole.usage, Some(Usage::new(3, 0)));
}

#[test]
fn what_is_lost_is_named_and_what_is_no_answer_is_refused() {
    let body = br#"{"candidates":[{"content":{},"citationMetadata":{"citationSources":[]},"safetyRatings":[]}]}"#;
    assert_eq!(decode(body).unwrap().dropped, ["citationMetadata"]);
    for wrong in ["", "[]", "{}", r#"{"candidates":3}"#, r#"{"candidates":[{"content":{"parts":[{"text":1}]}}]}"#] {
        assert!(decode(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
