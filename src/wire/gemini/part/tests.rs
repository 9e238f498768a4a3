//! Parts, read and written.

use super::read::*;
use super::*;
use crate::types::chat::{Content, Part, Source};
use crate::wire::json::parse;

fn read(reader: &mut Reader, text: &str) -> Part {
    reader.read(&parse(text.as_bytes()).unwrap(), "p").unwrap()
}

fn written(part: &Part) -> String {
    crate::wire::write::array_text(|list| assert!(write(list, part)))
}

#[test]
fn what_is_written_is_what_was_read() {
    let table = [
        r#"{"text":"hi"}"#,
        r#"{"text":"hm","thought":true}"#,
        r#"{"text":"hi","thoughtSignature":"c2ln"}"#,
        r#"{"text":"","thoughtSignature":"c2ln"}"#,
        r#"{"functionCall":{"name":"f","args":{"b":1,"a":[2.5]},"id":"x"},"thoughtSignature":"c2ln"}"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"iVBORw0="}}"#,
        r#"{"fileData":{"mimeType":"video/mp4","fileUri":"gs://b/v.mp4"}}"#,
        r#"{"executableCode":{"language":"PYTHON","code":"print(1)"}}"#,
        r#"{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"x"}],"willContinue":true}}"#,
        r#"{"functionCall":{}}"#,
        r#"{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1\n"}}"#,
    ];
    for text in table {
        let part = read(&mut Reader::default(), text);
        assert_eq!(written(&part), format!("[{text}]"));
    }
}

#[test]
fn calls_without_ids_get_some_that_results_find() {
    let mut reader = Reader::default();
    let ids: Vec<String> = [
        r#"{"functionCall":{"name":"f"}}"#,
        r#"{"function_call":{"name":"g","args":{}}}"#,
        r#"{"functionCall":{"name":"f","args":{"a":1}}}"#,
        r#"{"function_response":{"name":"f","response":{"output":"1"}}}"#,
        r#"{"functionResponse":{"name":"g","response":{"a":1,"b":2}}}"#,
        r#"{"functionResponse":{"name":"f","response":{"error":"no"}}}"#,
    ]
    .into_iter()
    .map(|text| match read(&mut reader, text).content {
        Content::ToolCall(call) => call.id,
        Content::ToolResult(result) => {
            let text = result.parts[0].as_text().unwrap();
            format!("{}={text}:{}", result.id, result.failed)
        }
        other => panic!("{other:?}"),
    })
    .collect();
    let expected = [
        "call00000",
        "call00001",
        "call00002",
        "call00000=1:false",
        "call00001={\"a\":1,\"b\":2}:false",
        "call00002=no:true",
    ];
    assert_eq!(ids, expected);
}

#[test]
fn ids_of_answers_are_stable_and_differ() {
    let id = |seed: &str, count: usize| {
        let mut reader = Reader::of_answer(seed);
        let call = r#"{"functionCall":{"name":"f","args":{}}}"#;
        let last = (0..count).map(|_| read(&mut reader, call)).last().unwrap();
        match last.content {
            Content::ToolCall(call) => call.id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(id("r1", 1), id("r1", 1));
    assert!(id("r1", 1) != id("r2", 1) && id("r1", 1) != id("r1", 2));
    assert_eq!(id("r1", 1).len(), 29);
}

#[test]
fn media_are_told_apart_and_wrong_parts_are_named() {
    let kinds = [
        (r#"{"inlineData":{"mimeType":"audio/wav","data":"-_8"}}"#, "Audio"),
        (r#"{"fileData":{"fileUri":"https://youtu.be/x"}}"#, "Video"),
        (r#"{"fileData":{"fileUri":"https://a.b/c","mimeType":"application/pdf"}}"#, "Document"),
    ];
    for (text, kind) in kinds {
        let part = read(&mut Reader::default(), text);
        assert!(format!("{:?}", part.content).starts_with(kind), "{text}");
    }
    assert_eq!(standard("-_8"), "+/8=");
    let error = Reader::default().read(&parse(br#"{"inlineData":{}}"#).unwrap(), "contents[0].parts[1]").unwrap_err();
    assert_eq!(error.param.as_deref(), Some("contents[0].parts[1].inlineData.data"));
    assert_eq!(guess(&Source::Url("https://x/a.JPG?w=1".into())), Some("image/jpeg"));
}
