//! Which strings are texts, in every wire.

use super::*;

fn said(document: &str, scope: Scope) -> Vec<String> {
    let mut found = Vec::new();
    shown(document, scope, &mut |text, _| found.push(text.to_owned()));
    found
}

#[test]
fn texts_of_requests_in_every_wire() {
    let table: [(&str, &[&str]); 9] = [
        (
            r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","name":"ada","content":[{"type":"text","text":"Q"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBOR"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"k\":\"A\",\"n\":4155550123}"}}]},{"role":"tool","tool_call_id":"c1","content":"R"}],"tools":[{"type":"function","function":{"name":"f","description":"D","parameters":{"type":"object","properties":{"a":{"type":"string","description":"P"}}}}}],"user":"U"}"#,
            &["S", "ada", "Q", "k", "A", "n", "4155550123", "R", "D", "P", "U"],
        ),
        (
            r#"{"model":"m","system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"R"},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"D"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"id":"I","data":"X"}}]}]}"#,
            &["S", "R", "D", "id", "I", "data", "X"],
        ),
        (
            r#"{"model":"m","instructions":"S","input":[{"role":"user","content":[{"type":"input_text","text":"Q"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"A\"}"},{"type":"function_call_output","call_id":"c","output":"R"}]}"#,
            &["S", "Q", "a", "A", "R"],
        ),
        (r#"{"model":"m","input":"Q"}"#, &["Q"]),
        (
            r#"{"systemInstruction":{"parts":[{"text":"S"}]},"contents":[{"role":"user","parts":[{"text":"Q"},{"inlineData":{"mimeType":"image/png","data":"iVBO"}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"type":"T"}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"r":"R"}}}]}]}"#,
            &["S", "Q", "type", "T", "r", "R"],
        ),
        (
            r#"{"system":[{"text":"S"}],"messages":[{"role":"user","content":[{"text":"Q"},{"toolResult":{"toolUseId":"t","content":[{"json":{"k":"J"}},{"text":"R"}]}}]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"f","input":{"a":"A"}}}]}]}"#,
            &["S", "Q", "k", "J", "R", "a", "A"],
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"Q","images":["iVBO"]},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":"A"}}}]}]}"#,
            &["Q", "a", "A"],
        ),
        (r#"{"model":"m","query":"Q","documents":["D",{"text":"E"}]}"#, &["Q", "D", "text", "E"]),
        (r#"{"model":"m","input":["Q","R"],"encoding_format":"float"}"#, &["Q", "R"]),
    ];
    for (document, expected) in table {
        assert_eq!(said(document, Scope::Request), expected, "{document}");
    }
}

#[test]
fn what_stands_below_a_word_of_the_wire_is_a_text() {
    let table: [(&str, &[&str]); 5] = [
        // A property may be called like a field of the wire.
        (
            r#"{"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"id":{"type":"string","description":"P"},"model":{"enum":["E"]}}}}]}"#,
            &["P", "E"],
        ),
        (
            r#"{"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object","description":"D"}}}}"#,
            &["D"],
        ),
        (r#"{"documents":[{"id":"I","data":{"id":"J","text":"D"}}]}"#, &["id", "I", "data", "id", "J", "text", "D"]),
        (
            r#"{"messages":[{"role":"tool","name":"f","content":"R"},{"role":"user","name":"4111","content":"Q"}]}"#,
            &["R", "4111", "Q"],
        ),
        (r#"{"prompt_cache_key":"K","id":"i","status":"s","type":["a","b"]}"#, &["K"]),
    ];
    for (document, expected) in table {
        assert_eq!(said(document, Scope::Request), expected, "{document}");
    }
}

#[test]
fn an_answer_is_read_without_what_it_repeats_of_its_request() {
    let response =
        r#"{"id":"r","instructions":"S","output":[{"type":"message","content":[{"type":"output_text","text":"A"}]}]}"#;
    assert_eq!(said(response, Scope::Answer(Surface::Responses)), ["A"]);
    assert_eq!(said(response, Scope::Whole), ["S", "A"]);
    let converse = r#"{"output":{"message":{"role":"assistant","content":[{"text":"A"},{"toolUse":{"toolUseId":"t","name":"f","input":{"x":"B"}}}]}},"stopReason":"end_turn"}"#;
    assert_eq!(said(converse, Scope::Answer(Surface::Converse)), ["A", "x", "B"]);
}

#[test]
fn only_texts_are_changed_and_all_else_stays() {
    let document = r#"{ "model":"a","messages" : [{"role":"user","content":"a\u0041"}],"x":1.50, "tools":[{"function":{"arguments":"{\"q\": \"a\"}"}}] }"#;
    let out = changed(document, Scope::Request, &mut |text, _| text.contains('a').then(|| text.replace('a', "\"b\"")));
    let expected = r#"{ "model":"a","messages" : [{"role":"user","content":"\"b\"A"}],"x":1.50, "tools":[{"function":{"arguments":"{\"q\": \"\\\"b\\\"\"}"}}] }"#;
    assert_eq!(out.as_deref(), Some(expected));
    assert_eq!(changed(document, Scope::Request, &mut |_, _| None), None);
}

#[test]
fn who_said_it_is_known() {
    let document = r#"{"system":"S","messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"},{"role":"developer","content":"D"},{"role":"tool","content":"R"}]}"#;
    let mut found = Vec::new();
    shown(document, Scope::Request, &mut |text, speaker| found.push((text.to_owned(), speaker)));
    let speakers: Vec<Speaker> = found.iter().map(|(_, speaker)| *speaker).collect();
    use Speaker::{Assistant, System, User};
    assert_eq!(speakers, [System, User, Assistant, System, User], "{found:?}");
}

#[test]
fn tokens_are_no_texts() {
    for (document, expected) in [
        (r#"{"input":[1,2]}"#, true),
        (r#"{"prompt":[[1,2],[3]]}"#, true),
        (r#"{"input":["a"]}"#, false),
        (r#"{"prompt":"a"}"#, false),
    ] {
        assert_eq!(has_tokens(document, &Spanned::read(document).unwrap()), expected, "{document}");
    }
}
