//! Requests for embeddings and their answers.

use super::*;

fn read(text: &str) -> EmbedRequest {
    decode(&parse(text.as_bytes()).unwrap()).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn requests_are_written_as_they_were_read() {
    let one = r#"{"model":"models/e","content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY","title":"t","outputDimensionality":8}"#;
    assert_eq!(text(encode(&read(one), "e")), one);
    let batch = format!(r#"{{"requests":[{one},{one}]}}"#);
    let request = read(&batch);
    assert!(request.batch && request.inputs.len() == 2 && request.dropped.is_empty());
    assert_eq!(text(encode(&request, "e")), batch);
    let predict = r#"{"instances":[{"content":"a","task_type":"RETRIEVAL_QUERY","title":"t"}],"parameters":{"outputDimensionality":8}}"#;
    assert_eq!(text(encode_predict(&read(one))), predict);
}

#[test]
fn newer_settings_are_found_and_unknown_ones_reported() {
    let request = read(
        r#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"embed_content_config":{"task_type":"X","outputDimensionality":"3","autoTruncate":true},"y_z":1}"#,
    );
    let input = &request.inputs[0];
    assert_eq!((input.text.as_str(), input.task_type.as_deref(), input.dimensions), ("a\nb", Some("X"), Some(3)));
    assert_eq!(request.dropped, ["yZ", "autoTruncate"]);
    for (body, param) in [
        ("{}", "content"),
        (r#"{"requests":[]}"#, "requests"),
        (r#"{"requests":[{"content":{"parts":[{"inlineData":{}}]}}]}"#, "requests[0].content.parts[0].text"),
    ] {
        let error = decode(&parse(body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param));
    }
}

#[test]
fn answers_of_both_forms() {
    let table = [
        (r#"{"embedding":{"values":[0.25,-1.0,3e-9]}}"#, false),
        (
            r#"{"embeddings":[{"values":[0.25]},{"values":[]}],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#,
            true,
        ),
    ];
    for (body, batch) in table {
        assert_eq!(text(encode_answer(&decode_answer(body.as_bytes()).unwrap(), batch)), body);
    }
    let predicted =
        br#"{"predictions":[{"embeddings":{"values":[1,0.5],"statistics":{"token_count":4,"truncated":false}}}]}"#;
    assert_eq!(decode_predict(predicted).unwrap(), Embedded { vectors: vec![vec![1.0, 0.5]], tokens: Some(4) });
    for wrong in ["{}", "[]", r#"{"embedding":{}}"#, r#"{"embeddings":[{"values":["a"]}]}"#, "x"] {
        assert!(decode_answer(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_model_is_replaced_wherever_it_stands() {
    let table = [
        (
            r#"{"requests":[{"model":"models/a","x":1.0},{"x":{"model":"a"}}]}"#,
            r#"{"requests":[{"model":"models/b","x":1.0},{"x":{"model":"a"}}]}"#,
        ),
        (r#"{ "model":"models/b" , "n":1e3}"#, r#"{ "model":"models/b" , "n":1e3}"#),
        (r#"{"generateContentRequest":{"model":"models/a"}}"#, r#"{"generateContentRequest":{"model":"models/b"}}"#),
        ("no json", "no json"),
    ];
    for (body, expected) in table {
        assert_eq!(text(with_model(body.as_bytes(), "b")), expected);
    }
}
