//! Orders from one form into the other.

use super::*;
use crate::types::rerank::RerankDocument;
use crate::wire::write::text_of;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/rerank/", $name))
    };
}

fn read(text: &str) -> Result<Rerank, Error> {
    decode(&parse(text.as_bytes()).unwrap(), "order-1")
}

fn plain(text: &str) -> String {
    text_of(&parse(text.as_bytes()).unwrap())
}

#[test]
fn a_named_request_is_served_by_a_bare_target() {
    let asked = read(golden!("named.request.json")).unwrap();
    let named = String::from_utf8(encode(Form::Named, &asked).unwrap().body).unwrap();
    assert_eq!(named, plain(golden!("named.request.json")));
    let bare = encode(Form::Bare, &asked).unwrap();
    assert_eq!(String::from_utf8(bare.body).unwrap(), plain(golden!("bare.request.json")));
    assert_eq!(bare.dropped, Vec::<String>::new());
    let ranking = decode_answer(golden!("bare.answer.json").as_bytes()).unwrap();
    let reply = ReplyFor { id: "r-1".into(), model: "order-1".into(), ..ReplyFor::default() };
    let answer = encode_answer(Form::Named, &ranking, &asked, &reply);
    assert_eq!(String::from_utf8(answer).unwrap(), plain(golden!("named.answer.json")));
}

#[test]
fn a_bare_request_is_served_by_a_named_target() {
    let asked = read(golden!("bare.request.json")).unwrap();
    assert_eq!(form_of(&parse(golden!("bare.request.json").as_bytes()).unwrap()), Form::Bare);
    let sent = encode(Form::Named, &asked).unwrap();
    assert_eq!(sent.dropped, ["truncate"]);
    let ranking = decode_answer(golden!("named.answer.json").as_bytes()).unwrap();
    let answer = encode_answer(Form::Bare, &ranking, &asked, &ReplyFor::default());
    assert_eq!(String::from_utf8(answer).unwrap(), r#"[{"index":1,"score":0.98123,"text":"wet"}]"#);
    let raw = read(r#"{"query":"q","texts":["a"],"raw_scores":true}"#).unwrap();
    assert_eq!(encode(Form::Named, &raw).unwrap_err().param.as_deref(), Some("raw_scores"));
}

#[test]
fn documents_may_be_objects() {
    let asked = read(r#"{"query":"q","documents":["a",{"text":"b"},{"title":"c","text":"d"}]}"#).unwrap();
    let fields = RerankDocument::Fields(r#"{"title":"c","text":"d"}"#.into());
    assert_eq!(asked.documents, [RerankDocument::Text("a".into()), RerankDocument::Text("b".into()), fields]);
    assert!(encode(Form::Named, &asked).is_ok());
    assert_eq!(encode(Form::Bare, &asked).unwrap_err().param.as_deref(), Some("documents"));
    for (body, param) in [
        (r#"{"documents":["a"]}"#, "query"),
        (r#"{"query":"q"}"#, "documents"),
        (r#"{"query":"q","documents":[3]}"#, "documents.[0]"),
        (r#"{"query":"q","texts":[3]}"#, "texts"),
    ] {
        assert_eq!(read(body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn answers_tell_what_they_cost() {
    let cohere = br#"{"results":[{"index":0,"relevance_score":0.5}],"meta":{"billed_units":{"search_units":1.0}}}"#;
    let ranking = decode_answer(cohere).unwrap();
    assert_eq!((ranking.search_units, ranking.usage), (Some(1), None));
    let jina =
        br#"{"model":"j","usage":{"total_tokens":15},"results":[{"index":0,"relevance_score":1,"document":null}]}"#;
    assert_eq!(decode_answer(jina).unwrap().usage.map(|usage| usage.input_tokens), Some(15));
    for wrong in ["", "3", "{}", r#"[{"index":0}]"#, r#"{"results":[{"relevance_score":1}]}"#] {
        assert!(decode_answer(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
