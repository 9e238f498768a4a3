//! Vectors from one wire into another.

use super::*;
use crate::types::embeddings::Input;
use crate::wire::json::parse;
use crate::wire::write::text_of;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/embeddings/", $name))
    };
}

fn read(surface: Surface, text: &str) -> Result<Embeddings, Error> {
    decode(surface, &parse(text.as_bytes()).unwrap(), "vec-1")
}

fn plain(text: &str) -> String {
    text_of(&parse(text.as_bytes()).unwrap())
}

fn reply(id: &str) -> ReplyFor {
    ReplyFor { id: id.into(), model: "vec-1".into(), ..ReplyFor::default() }
}

#[test]
fn openai_asks_cohere_and_is_answered_in_base64() {
    let asked = read(Surface::Embeddings, golden!("openai.request.json")).unwrap();
    let sent = encode(Surface::CohereEmbed, &asked).unwrap();
    assert_eq!(String::from_utf8(sent.body).unwrap(), plain(golden!("cohere.request.json")));
    assert_eq!(sent.dropped, ["user"]);
    let vectors = decode_answer(Surface::CohereEmbed, golden!("cohere.answer.json").as_bytes()).unwrap();
    let answer = encode_answer(Surface::Embeddings, &vectors, &asked, &reply("")).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), plain(golden!("openai.answer.json")));
}

#[test]
fn cohere_asks_openai_and_is_answered_in_floats() {
    let asked = read(Surface::CohereEmbed, golden!("cohere.request.json")).unwrap();
    let sent = encode(Surface::Embeddings, &asked).unwrap();
    assert_eq!(String::from_utf8(sent.body).unwrap(), r#"{"model":"vec-1","input":["rain","sun"],"dimensions":3}"#);
    assert_eq!(sent.dropped, ["input_type"]);
    let vectors = decode_answer(Surface::Embeddings, golden!("openai.answer.json").as_bytes()).unwrap();
    let id = "5f1d1f6e-0c3f-4a53-9d5e-6a9a8e4f0b11";
    let answer = encode_answer(Surface::CohereEmbed, &vectors, &asked, &reply(id)).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), plain(golden!("cohere.answer.json")));
}

#[test]
fn a_request_of_words_and_pictures_reads_and_writes_back() {
    let asked = read(Surface::CohereEmbed, golden!("mixed.request.json")).unwrap();
    assert_eq!(asked.inputs[1], Input::Text("rain".into()));
    let sent = encode(Surface::CohereEmbed, &asked).unwrap();
    assert_eq!(sent.dropped, Vec::<String>::new());
    assert_eq!(String::from_utf8(sent.body).unwrap(), plain(golden!("mixed.request.json")));
    let error = encode(Surface::Embeddings, &asked).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("embedding_types"));
    let pictures = read(Surface::CohereEmbed, r#"{"images":["data:image/png;base64,AA=="]}"#).unwrap();
    let sent = String::from_utf8(encode(Surface::CohereEmbed, &pictures).unwrap().body).unwrap();
    assert!(sent.contains(r#""input_type":"image","images":["data:"#), "{sent}");
}

#[test]
fn every_form_of_an_openai_input_is_read() {
    let table = [
        (r#""one""#, vec![Input::Text("one".into())], true),
        (r#"["one"]"#, vec![Input::Text("one".into())], false),
        ("[1,2]", vec![Input::Tokens(vec![1, 2])], true),
        ("[[1],[2,3]]", vec![Input::Tokens(vec![1]), Input::Tokens(vec![2, 3])], false),
    ];
    for (input, expected, alone) in table {
        let asked = read(Surface::Embeddings, &format!(r#"{{"input":{input}}}"#)).unwrap();
        assert_eq!((asked.inputs.clone(), asked.alone), (expected, alone), "{input}");
        let sent = String::from_utf8(encode(Surface::Embeddings, &asked).unwrap().body).unwrap();
        assert_eq!(sent, format!(r#"{{"model":"vec-1","input":{input}}}"#));
    }
    for (body, param) in [
        ("{}", "input"),
        (r#"{"input":3}"#, "input"),
        (r#"{"input":["a",3]}"#, "input.[1]"),
        (r#"{"input":[["a"]]}"#, "input.[0]"),
        (r#"{"input":"a","encoding_format":"hex"}"#, "encoding_format"),
        (r#"{"input":"a","dimensions":-3}"#, "dimensions"),
    ] {
        assert_eq!(read(Surface::Embeddings, body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    for (body, param) in [
        ("{}", "texts"),
        (r#"{"texts":["a"],"input_type":"poem"}"#, "input_type"),
        (r#"{"texts":["a"],"embedding_types":["hex"]}"#, "embedding_types"),
        (r#"{"texts":["a"],"truncate":"MIDDLE"}"#, "truncate"),
        (r#"{"inputs":[{}]}"#, "inputs.[0].content"),
    ] {
        assert_eq!(read(Surface::CohereEmbed, body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn what_vectors_are_for_is_told_or_reported() {
    let sent = |body: &str, surface| encode(surface, &read(Surface::Embeddings, body).unwrap()).unwrap();
    let cohere = sent(r#"{"input":"a","input_type":"query","x":1}"#, Surface::CohereEmbed);
    assert!(String::from_utf8(cohere.body).unwrap().contains(r#""input_type":"search_query""#));
    assert_eq!(cohere.dropped, ["x"]);
    assert_eq!(sent(r#"{"input":"a","task":"text-matching"}"#, Surface::CohereEmbed).dropped, ["task_type"]);
    assert_eq!(sent(r#"{"input":"a","task":"poetry"}"#, Surface::CohereEmbed).dropped, ["task"]);
    let tokens = read(Surface::Embeddings, r#"{"input":[1,2]}"#).unwrap();
    assert_eq!(encode(Surface::CohereEmbed, &tokens).unwrap_err().param.as_deref(), Some("input"));
}

#[test]
fn an_answer_that_lacks_vectors_is_an_error() {
    let asked = read(Surface::CohereEmbed, r#"{"texts":["a"],"embedding_types":["int8"]}"#).unwrap();
    let floats = decode_answer(Surface::CohereEmbed, br#"{"embeddings":[[0.5]],"texts":["a"]}"#).unwrap();
    assert_eq!(floats.form(Encoding::Float).unwrap(), ["[0.5]"]);
    assert!(encode_answer(Surface::CohereEmbed, &floats, &asked, &reply("")).unwrap_err().contains("int8"));
    let two = decode_answer(Surface::CohereEmbed, br#"{"embeddings":{"int8":[[1],[2]],"float":[]}}"#).unwrap();
    assert!(encode_answer(Surface::CohereEmbed, &two, &asked, &reply("")).unwrap_err().contains("expected 1"));
    for wrong in ["", "[]", "{}", r#"{"data":3}"#, r#"{"data":[{"embedding":{}}]}"#, r#"{"embeddings":{"float":3}}"#] {
        assert!(decode_answer(Surface::Embeddings, wrong.as_bytes()).is_err(), "{wrong}");
        assert!(decode_answer(Surface::CohereEmbed, wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn bodies_at_bedrock() {
    let asked =
        |model: &str, body: &str| Embeddings { model: model.into(), ..read(Surface::Embeddings, body).unwrap() };
    let bodies = |asked: &Embeddings| {
        let bodies = bedrock::encode(asked).unwrap().unwrap();
        let texts: Vec<String> = bodies.bodies.into_iter().map(|body| String::from_utf8(body).unwrap()).collect();
        (texts, bodies.dropped)
    };
    let two = r#"{"input":["a","b"],"dimensions":256}"#;
    let titan = asked("amazon.titan-embed-text-v2:0", two);
    let expected = [r#"{"inputText":"a","dimensions":256}"#, r#"{"inputText":"b","dimensions":256}"#];
    assert_eq!(bodies(&titan), (expected.map(str::to_owned).to_vec(), vec![]));
    let answers = [r#"{"embedding":[1.50],"inputTextTokenCount":2}"#, r#"{"embedding":[2],"inputTextTokenCount":3}"#];
    let vectors = bedrock::decode(&titan.model, &answers).unwrap();
    assert_eq!(
        (vectors.form(Encoding::Float).unwrap().join(" "), vectors.usage),
        ("[1.50] [2]".into(), Some(Usage::new(5, 0)))
    );
    let cohere = asked("us.cohere.embed-v4:0", two);
    let expected =
        r#"{"input_type":"search_document","texts":["a","b"],"output_dimension":256,"embedding_types":["float"]}"#;
    assert_eq!(bodies(&cohere), (vec![expected.to_owned()], vec![]));
    let vectors = bedrock::decode(&cohere.model, &[r#"{"embeddings":{"float":[[1],[2]]},"id":"x"}"#]).unwrap();
    assert_eq!(vectors.form(Encoding::Float).unwrap().len(), 2);
    let fixed = bedrock::encode(&asked("amazon.titan-embed-text-v1", two)).unwrap().unwrap_err();
    assert_eq!(fixed.param.as_deref(), Some("dimensions"));
    let picture = Embeddings {
        model: "amazon.titan-embed-image-v1".into(),
        inputs: vec![Input::Mixed(vec![Input::Text("a".into()), Input::Image("data:image/png;base64,QQ==".into())])],
        dimensions: Some(384),
        ..Embeddings::default()
    };
    let expected = r#"{"inputText":"a","inputImage":"QQ==","embeddingConfig":{"outputEmbeddingLength":384}}"#;
    assert_eq!(bodies(&picture).0, [expected]);
    assert!(bedrock::encode(&asked("anthropic.claude", two)).is_none());
    assert!(bedrock::decode("anthropic.claude", &["{}"]).is_err());
}

#[test]
fn gemini_asks_and_is_asked() {
    let batch = r#"{"requests":[
        {"model":"models/g","content":{"parts":[{"text":"rain"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":3},
        {"model":"models/g","content":{"parts":[{"text":"sun"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":3}]}"#;
    let asked = read(Surface::EmbedContent, batch).unwrap();
    let cohere = encode(Surface::CohereEmbed, &asked).unwrap();
    let expected = plain(golden!("cohere.request.json")).replace("search_document", "search_query");
    assert_eq!((String::from_utf8(cohere.body).unwrap(), cohere.dropped), (expected, vec![]));
    let vectors = decode_answer(Surface::Embeddings, golden!("openai.answer.json").as_bytes()).unwrap();
    let answer = encode_answer(Surface::EmbedContent, &vectors, &asked, &reply("")).unwrap();
    let told = r#"{"embeddings":[{"values":[0.1,-0.25,3.0]},{"values":[0.0625,2.5,-1.0]}],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#;
    assert_eq!(String::from_utf8(answer).unwrap(), told);
    let openai = read(Surface::Embeddings, golden!("openai.request.json")).unwrap();
    let answer = decode_answer(Surface::EmbedContent, told.as_bytes()).unwrap();
    let answer = encode_answer(Surface::Embeddings, &answer, &openai, &reply("")).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), plain(golden!("openai.answer.json")));
    let one = read(Surface::Embeddings, r#"{"input":"a","task":"classification","user":"u"}"#).unwrap();
    let sent = encode(Surface::EmbedContent, &one).unwrap();
    assert_eq!(
        String::from_utf8(sent.body).unwrap(),
        r#"{"model":"models/vec-1","content":{"parts":[{"text":"a"}]},"taskType":"CLASSIFICATION"}"#
    );
    assert_eq!(sent.dropped, ["user"]);
}

#[test]
fn a_gemini_batch_of_different_requests_is_no_request_elsewhere() {
    let one = |more: &str| format!(r#"{{"content":{{"parts":[{{"text":"a"}}]}}{more}}}"#);
    let batch = |a: &str, b: &str| format!(r#"{{"requests":[{},{}]}}"#, one(a), one(b));
    let lengths = read(Surface::EmbedContent, &batch(r#","outputDimensionality":3"#, "")).unwrap();
    assert_eq!(encode(Surface::Embeddings, &lengths).unwrap_err().param.as_deref(), Some("outputDimensionality"));
    let tasks = read(Surface::EmbedContent, &batch(r#","taskType":"CLUSTERING""#, "")).unwrap();
    assert_eq!(encode(Surface::CohereEmbed, &tasks).unwrap().dropped, ["taskType"]);
}
