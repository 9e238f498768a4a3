//! What is drawn, what may be repeated, and what counts as the same.

use super::*;
use crate::wire::answer;
use crate::wire::json::parse;
use serde_json::json;

#[test]
fn so_many_in_a_hundred_are_drawn() {
    let drawn = |percent: f64| (0..1_000).filter(|at| is_drawn(percent, f64::from(*at) / 1_000.0)).count();
    assert_eq!([100.0, 50.0, 0.2].map(drawn), [1_000, 500, 2]);
}

#[test]
fn what_hangs_on_a_provider_is_not_repeated() {
    let table = [
        (Surface::ChatCompletions, r#"{"messages":[],"background":true,"tools":[{"type":"function"}]}"#, true),
        (Surface::Completions, r#"{"prompt":"x"}"#, true),
        (Surface::Responses, r#"{"input":"x","store":true,"tools":[{"type":"function"}]}"#, true),
        (Surface::Responses, r#"{"input":"x","previous_response_id":null,"background":false}"#, true),
        (Surface::Responses, r#"{"input":"x","previous_response_id":"r"}"#, false),
        (Surface::Responses, r#"{"input":"x","background":true}"#, false),
        (Surface::Responses, r#"{"input":"x","conversation":"c"}"#, false),
        (Surface::Responses, r#"{"prompt":{"id":"p"}}"#, false),
        (Surface::Responses, r#"{"prompt":{"id":"p","version":"2"}}"#, false),
        (Surface::Responses, r#"{"input":"x","tools":[{"type":"function"},{"type":"mcp"}]}"#, false),
        (Surface::Messages, r#"{"messages":[],"tools":[{"name":"mcp"}]}"#, true),
        (Surface::Messages, r#"{"messages":[],"mcp_servers":[{}]}"#, false),
        (Surface::Messages, r#"{"messages":[],"container":"c"}"#, false),
        (Surface::Responses, r#"{"tools":[{"type":"code_interpreter","container":"cntr_1"}]}"#, false),
        (Surface::Responses, r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}"#, true),
        (Surface::GenerateContent, r#"{"contents":[],"cachedContent":"cachedContents/1"}"#, false),
    ];
    for (surface, body, expected) in table {
        assert_eq!(may_be_repeated(surface, &parse(body.as_bytes()).unwrap()), expected, "{body}");
    }
}

/// An answer that calls a tool with these arguments.
fn calling(surface: Surface, id: &str, arguments: &str) -> Answer {
    let body = match surface {
        Surface::ChatCompletions => json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": null,
            "tool_calls": [{"id": id, "type": "function", "function": {"name": "look", "arguments": arguments}}]}}]}),
        _ => json!({"role": "assistant", "type": "message", "stop_reason": "tool_use", "id": "m", "model": "m",
            "content": [{"type": "tool_use", "id": id, "name": "look", "input": serde_json::from_str::<Value>(arguments).unwrap()}],
            "usage": {"input_tokens": 1, "output_tokens": 1}}),
    };
    answer::read(surface, body.to_string().into()).unwrap()
}

#[test]
fn calls_are_the_same_whatever_their_ids_and_spaces() {
    for surface in [Surface::ChatCompletions, Surface::Messages] {
        let one = calling(surface, "a", r#"{"city":"Rome","days":2}"#);
        assert!(one.tool_calls);
        assert_eq!(same_calls(&one, &calling(surface, "b", r#"{ "days": 2, "city": "Rome" }"#)), Some(true));
        assert_eq!(same_calls(&one, &calling(surface, "a", r#"{"city":"Rome","days":3}"#)), Some(false));
    }
    let words = answer::read(
        Surface::ChatCompletions,
        json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "x"}}]}).to_string().into(),
    );
    let broken = calling(Surface::ChatCompletions, "a", "{");
    assert_eq!(same_calls(&broken, &words.unwrap()), Some(false));
    assert_eq!(same_calls(&broken, &broken.clone()), Some(true));
    assert_eq!(same_calls(&broken, &Answer { surface: Surface::Embeddings, ..broken.clone() }), None);
}
