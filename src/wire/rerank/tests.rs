//! Orders from one form into the other.

use super::*;
use crate::types::error::ErrorKind;
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

#[test]
fn the_form_of_a_body_is_its_surface() {
    let table: [(&[u8], Surface); 6] = [
        (br#"{"query":"q","texts":["a"]}"#, Surface::RerankTexts),
        (br#"{"query":"q","documents":["a"]}"#, Surface::Rerank),
        (br#"{"query":"\"texts\"","documents":["a"]}"#, Surface::Rerank),
        (br#"{"query":"q","documents":["a"],"texts":["a"]}"#, Surface::Rerank),
        (br#"{"documents":[{"texts":"a"}]}"#, Surface::Rerank),
        (br#"{"texts":"#, Surface::Rerank),
    ];
    for (body, expected) in table {
        assert_eq!(surface_of(body), expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn bodies_at_bedrock() {
    let asked = |model: &str, body: &str| Rerank { model: model.into(), ..read(body).unwrap() };
    let all = r#"{"query":"q","documents":["a",{"text":"b"}],"top_n":1,"max_tokens_per_doc":9,"return_documents":true,"priority":1}"#;
    let bare = r#"{"query":"q","texts":["a"],"truncate":true,"return_text":true}"#;
    let table = [
        (
            "cohere.rerank-v3-5:0",
            all,
            r#"{"query":"q","documents":["a","b"],"api_version":2,"top_n":1,"max_tokens_per_doc":9}"#,
            vec!["priority"],
        ),
        (
            "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0",
            all,
            r#"{"query":"q","documents":["a","b"]}"#,
            vec!["max_tokens_per_doc", "priority"],
        ),
        ("cohere.rerank-v3-5:0", bare, r#"{"query":"q","documents":["a"],"api_version":2}"#, vec!["truncate"]),
    ];
    for (model, body, expected, dropped) in table {
        let sent = bedrock::encode(&asked(model, body)).unwrap().unwrap();
        assert_eq!(
            (String::from_utf8(sent.body).unwrap().as_str(), sent.dropped),
            (expected, dropped.iter().map(|one| (*one).to_owned()).collect()),
            "{model}"
        );
    }
    let refused = [
        (r#"{"query":"q","documents":[{"title":"c"}]}"#, "documents"),
        (r#"{"query":"q","texts":["a"],"raw_scores":true}"#, "raw_scores"),
    ];
    for (body, param) in refused {
        let error = bedrock::encode(&asked("cohere.rerank-v3-5:0", body)).unwrap().unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
    }
    assert!(bedrock::encode(&asked("amazon.titan-embed-text-v2:0", bare)).is_none());
}

#[test]
fn the_best_comes_first_and_is_one_that_was_asked_about() {
    let ranking =
        decode_answer(br#"[{"index":0,"score":-3.5},{"index":2,"score":1e-2},{"index":1,"score":0.5}]"#).unwrap();
    assert_eq!(ranking.ranks.iter().map(|rank| rank.index).collect::<Vec<_>>(), [1, 2, 0]);
    let asked = read(r#"{"query":"q","documents":["a","b"]}"#).unwrap();
    assert_eq!(check(&ranking, &asked), Err("it ranks document 2 of 2".to_owned()));
    assert_eq!(check(&ranking, &read(r#"{"query":"q","texts":["a","b","c"]}"#).unwrap()), Ok(()));
}

#[test]
fn errors_of_the_bare_form() {
    let body = |kind| String::from_utf8(bare_error_body(&Error::new(kind, "no \"x\""))).unwrap();
    let table = [
        (ErrorKind::InvalidRequest, "Validation"),
        (ErrorKind::UpstreamStatus(422), "Validation"),
        (ErrorKind::UpstreamStatus(429), "Overloaded"),
        (ErrorKind::Overloaded, "Overloaded"),
        (ErrorKind::UpstreamBroken, "Backend"),
    ];
    for (kind, word) in table {
        assert_eq!(body(kind), format!(r#"{{"error":"no \"x\"","error_type":"{word}"}}"#));
    }
    let told = crate::wire::hub::told(Surface::RerankTexts, body(ErrorKind::Internal).as_bytes());
    assert_eq!(told.map(|told| told.message).as_deref(), Some("no \"x\""));
}
