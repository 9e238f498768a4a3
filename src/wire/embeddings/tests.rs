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

/// What a model at Bedrock is sent for a request in OpenAI's wire, and what is dropped; or the field that is refused.
fn at_bedrock(model: &str, body: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let asked = Embeddings { model: model.into(), ..read(Surface::Embeddings, body).unwrap() };
    let bodies = bedrock::encode(&asked).unwrap().map_err(|error| error.param.unwrap_or_default().into_owned())?;
    Ok((bodies.bodies.into_iter().map(|body| String::from_utf8(body).unwrap()).collect(), bodies.dropped))
}

#[test]
fn bodies_at_bedrock() {
    let two = r#"{"input":["a","b"],"dimensions":256}"#;
    let nova = |purpose: &str, more: &str| {
        format!(
            r#"{{"schemaVersion":"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{{"embeddingPurpose":"{purpose}",{more}}}}}"#
        )
    };
    let table: [(&str, &str, Vec<String>, &[&str]); 9] = [
        (
            "amazon.titan-embed-text-v2:0",
            two,
            vec![
                r#"{"inputText":"a","dimensions":256}"#.into(),
                r#"{"inputText":"b","dimensions":256}"#.into(),
            ],
            &[],
        ),
        (
            "amazon.titan-embed-text-v1",
            r#"{"input":"a","user":"u","input_type":"query","x":1}"#,
            vec![r#"{"inputText":"a"}"#.into()],
            &["input_type", "user", "x"],
        ),
        (
            "arn:aws:bedrock:eu-west-1::foundation-model/amazon.titan-embed-image-v1",
            r#"{"input":"a","dimensions":384}"#,
            vec![r#"{"inputText":"a","embeddingConfig":{"outputEmbeddingLength":384}}"#.into()],
            &[],
        ),
        (
            "us.cohere.embed-v4:0",
            two,
            vec![r#"{"input_type":"search_document","texts":["a","b"],"embedding_types":["float"],"output_dimension":256}"#.into()],
            &[],
        ),
        (
            "us.cohere.embed-v4:0",
            r#"{"input":"a","truncate":"END","max_tokens":9}"#,
            vec![r#"{"input_type":"search_document","texts":["a"],"embedding_types":["float"],"max_tokens":9,"truncate":"RIGHT"}"#.into()],
            &[],
        ),
        (
            "cohere.embed-english-v3",
            r#"{"input":"a","truncate":"END","input_type":"query","max_tokens":9}"#,
            vec![r#"{"input_type":"search_query","texts":["a"],"embedding_types":["float"],"truncate":"END"}"#.into()],
            &["max_tokens"],
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            two,
            vec![
                nova("GENERIC_INDEX", r#""embeddingDimension":256,"text":{"truncationMode":"NONE","value":"a"}"#),
                nova("GENERIC_INDEX", r#""embeddingDimension":256,"text":{"truncationMode":"NONE","value":"b"}"#),
            ],
            &[],
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            r#"{"input":"a","input_type":"query","truncate":"START"}"#,
            vec![nova("GENERIC_RETRIEVAL", r#""text":{"truncationMode":"START","value":"a"}"#)],
            &[],
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            r#"{"input":"a","task":"text-matching","user":"u"}"#,
            vec![nova("CLUSTERING", r#""text":{"truncationMode":"NONE","value":"a"}"#)],
            &["user", "task_type"],
        ),
    ];
    for (model, body, expected, dropped) in table {
        let dropped = dropped.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(at_bedrock(model, body), Ok((expected, dropped)), "{model} {body}");
    }
    assert!(bedrock::encode(&Embeddings { model: "anthropic.claude".into(), ..Embeddings::default() }).is_none());
}

#[test]
fn many_unknown_fields_beside_many_inputs_are_no_great_work() {
    let fields: String = (0..20_000).map(|n| format!(",\"x{n}\":1")).collect();
    let inputs = vec!["\"a\""; 2_000].join(",");
    let asked = format!("{{\"model\":\"m\",\"input\":[{inputs}]{fields}}}");
    for model in ["amazon.titan-embed-text-v2:0", "amazon.nova-2-multimodal-embeddings-v1:0"] {
        let (bodies, dropped) = at_bedrock(model, &asked).unwrap();
        assert_eq!((bodies.len(), dropped.len()), (2_000, 20_000));
    }
}

#[test]
fn what_a_model_at_bedrock_cannot_do_is_refused() {
    let many = format!(r#"{{"input":[{}"z"]}}"#, r#""a","#.repeat(2_048));
    let table = [
        ("amazon.titan-embed-text-v1", r#"{"input":"a","dimensions":256}"#, "dimensions"),
        ("amazon.titan-embed-text-v2:0", r#"{"input":[1,2]}"#, "input"),
        ("amazon.titan-embed-text-v2:0", many.as_str(), "input"),
        ("cohere.embed-english-v3", r#"{"input":"a","dimensions":256}"#, "dimensions"),
        ("cohere.embed-v4:0", r#"{"input":[1,2]}"#, "input"),
        ("amazon.nova-2-multimodal-embeddings-v1:0", r#"{"input":[1,2]}"#, "input"),
    ];
    for (model, body, param) in table {
        assert_eq!(at_bedrock(model, body), Err(param.to_owned()), "{model} {body:.60}");
    }
    let nothing = Embeddings { model: "amazon.titan-embed-text-v2:0".into(), ..Embeddings::default() };
    assert_eq!(bedrock::encode(&nothing).unwrap().unwrap_err().param.as_deref(), Some("input"));
    let integers = read(Surface::CohereEmbed, r#"{"texts":["a"],"embedding_types":["int8"]}"#).unwrap();
    for model in ["amazon.titan-embed-text-v2:0", "amazon.nova-2-multimodal-embeddings-v1:0"] {
        let error = bedrock::encode(&Embeddings { model: model.into(), ..integers.clone() }).unwrap().unwrap_err();
        assert_eq!(error.param.as_deref(), Some("embedding_types"), "{model}");
    }
    assert!(bedrock::encode(&Embeddings { model: "cohere.embed-v4:0".into(), ..integers }).unwrap().is_ok());
}

#[test]
fn pictures_at_bedrock() {
    let url = || Input::Image("data:image/png;base64,QQ==".into());
    let both = || Input::Mixed(vec![Input::Text("a".into()), url()]);
    let far = || Input::Image("https://x.test/a.png".into());
    let titan = r#"{"inputText":"a","inputImage":"QQ=="}"#;
    let nova = r#"{"schemaVersion":"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"embeddingPurpose":"GENERIC_INDEX","image":{"format":"png","source":{"bytes":"QQ=="}}}}"#;
    let three = r#"{"input_type":"image","images":["data:image/png;base64,QQ=="],"embedding_types":["float"]}"#;
    let four = r#"{"input_type":"search_document","inputs":[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":"data:image/png;base64,QQ=="}]}],"embedding_types":["float"]}"#;
    // A model, its inputs, and its bodies where it takes them.
    type Row<'r> = (&'r str, Vec<Input>, Option<Vec<&'r str>>);
    let table: [Row<'_>; 10] = [
        ("amazon.titan-embed-image-v1", vec![both()], Some(vec![titan])),
        ("amazon.titan-embed-image-v1", vec![far()], None),
        ("amazon.titan-embed-image-v1", vec![Input::Mixed(vec![url(), url()])], None),
        ("amazon.titan-embed-text-v2:0", vec![url()], None),
        ("amazon.nova-2-multimodal-embeddings-v1:0", vec![url()], Some(vec![nova])),
        ("amazon.nova-2-multimodal-embeddings-v1:0", vec![both()], None),
        ("amazon.nova-2-multimodal-embeddings-v1:0", vec![far()], None),
        ("cohere.embed-english-v3", vec![url(), url()], Some(vec![three, three])),
        ("cohere.embed-english-v3", vec![both()], None),
        ("cohere.embed-v4:0", vec![both()], Some(vec![four])),
    ];
    for (model, inputs, expected) in table {
        let asked = Embeddings { model: model.into(), inputs, ..Embeddings::default() };
        let bodies = bedrock::encode(&asked).unwrap();
        let bodies =
            bodies.map(|bodies| bodies.bodies.into_iter().map(|one| String::from_utf8(one).unwrap()).collect());
        let bodies: Option<Vec<String>> = bodies.ok();
        let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
        assert_eq!(bodies, expected, "{model} {:?}", asked.inputs);
    }
}

#[test]
fn answers_of_bedrock_are_one_answer() {
    let floats = |model: &str, answers: &[&str]| {
        let vectors = bedrock::decode(model, answers)?;
        Ok::<_, String>((vectors.form(Encoding::Float).unwrap_or_default().join(" "), vectors.usage))
    };
    let titan = [r#"{"embedding":[1.50],"inputTextTokenCount":2}"#, r#"{"embedding":[2],"inputTextTokenCount":3}"#];
    let silent = [titan[0], r#"{"embedding":[2]}"#];
    let cohere = [r#"{"embeddings":{"float":[[1],[2]]},"id":"x"}"#, r#"{"embeddings":[[3]],"id":"y"}"#];
    let nova = [r#"{"embeddings":[{"embeddingType":"TEXT","embedding":[1],"truncatedCharLength":3}]}"#];
    let (text, image) = ("amazon.titan-embed-text-v2:0", "amazon.titan-embed-image-v1");
    assert_eq!(floats(text, &titan), Ok(("[1.50] [2]".into(), Some(Usage::new(5, 0)))));
    assert_eq!(floats(text, &silent), Ok(("[1.50] [2]".into(), None)), "a part of the tokens is not told as all");
    assert_eq!(floats("us.cohere.embed-v4:0", &cohere), Ok(("[1] [2] [3]".into(), None)));
    assert_eq!(floats("amazon.nova-2-multimodal-embeddings-v1:0", &nova), Ok(("[1]".into(), None)));
    let wrong = [
        (image, r#"{"embedding":null,"inputTextTokenCount":0,"message":"too large a picture"}"#, "too large a picture"),
        (text, r#"{"embedding":3}"#, "no list"),
        (text, "{}", "embedding"),
        ("amazon.nova-2-multimodal-embeddings-v1:0", r#"{"embeddings":[]}"#, "expected one vector, got 0"),
        ("anthropic.claude", "{}", "no model"),
    ];
    for (model, answer, why) in wrong {
        let error = floats(model, &[answer]).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let other = r#"{"embeddings":{"int8":[[1]]}}"#;
    assert!(floats("cohere.embed-v4:0", &[cohere[0], other]).unwrap_err().contains("different forms"));
}

#[test]
fn cohere_at_bedrock_takes_so_many_inputs_at_once() {
    let body = format!(r#"{{"input":[{}"z"]}}"#, r#""a","#.repeat(96));
    let (bodies, _) = at_bedrock("cohere.embed-v4:0", &body).unwrap();
    let counts: Vec<usize> = bodies
        .iter()
        .map(|body| parse(body.as_bytes()).unwrap().get("texts").unwrap().as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [96, 1]);
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

#[test]
fn ollama_asks_and_is_asked() {
    let text = r#"{"model":"vec-1","input":["rain","sun"],"truncate":false,"dimensions":3,"keep_alive":0,"options":{"num_ctx":512}}"#;
    let asked = read(Surface::OllamaEmbed, text).unwrap();
    let own = encode(Surface::OllamaEmbed, &asked).unwrap();
    assert_eq!((String::from_utf8(own.body).unwrap().as_str(), own.dropped), (text, vec![]));
    let openai = encode(Surface::Embeddings, &asked).unwrap();
    assert_eq!(String::from_utf8(openai.body).unwrap(), r#"{"model":"vec-1","input":["rain","sun"],"dimensions":3}"#);
    assert_eq!(openai.dropped, ["truncate", "keep_alive", "options"]);
    let vectors = decode_answer(Surface::Embeddings, golden!("openai.answer.json").as_bytes()).unwrap();
    let answer = encode_answer(Surface::OllamaEmbed, &vectors, &asked, &reply("")).unwrap();
    let told = r#"{"model":"vec-1","embeddings":[[0.1,-0.25,3.0],[0.0625,2.5,-1.0]],"prompt_eval_count":4}"#;
    assert_eq!(String::from_utf8(answer).unwrap(), told);
    assert_eq!(usage(Surface::OllamaEmbed, &parse(told.as_bytes()).unwrap()), Some(Usage::new(4, 0)));

    let openai = read(Surface::Embeddings, golden!("openai.request.json")).unwrap();
    let sent = encode(Surface::OllamaEmbed, &openai).unwrap();
    assert_eq!(String::from_utf8(sent.body).unwrap(), r#"{"model":"vec-1","input":["rain","sun"],"dimensions":3}"#);
    assert_eq!(sent.dropped, ["user"]);
    let answer = decode_answer(Surface::OllamaEmbed, told.as_bytes()).unwrap();
    let answer = encode_answer(Surface::Embeddings, &answer, &openai, &reply("")).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), plain(golden!("openai.answer.json")));

    let alone = read(Surface::Embeddings, r#"{"input":"a","truncate":"END"}"#).unwrap();
    let sent = encode(Surface::OllamaEmbed, &alone).unwrap();
    assert_eq!(String::from_utf8(sent.body).unwrap(), r#"{"model":"vec-1","input":"a","truncate":true}"#);
    for (surface, body, param) in [
        (Surface::OllamaEmbed, "{}", "input"),
        (Surface::OllamaEmbed, r#"{"input":[]}"#, "input"),
        (Surface::OllamaEmbed, r#"{"input":["a",3]}"#, "input.[1]"),
        (Surface::OllamaEmbed, r#"{"input":"a","truncate":"END"}"#, "truncate"),
    ] {
        assert_eq!(read(surface, body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    for (surface, body, param) in [
        (Surface::Embeddings, r#"{"input":[1,2]}"#, "input"),
        (Surface::CohereEmbed, r#"{"images":["data:image/png;base64,AA=="]}"#, "input"),
        (Surface::CohereEmbed, r#"{"texts":["a"],"embedding_types":["int8"]}"#, "embedding_types"),
    ] {
        let error = encode(Surface::OllamaEmbed, &read(surface, body).unwrap()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
    }
    for wrong in ["", "[]", "{}", r#"{"embeddings":3}"#, r#"{"embeddings":["a"]}"#] {
        assert!(decode_answer(Surface::OllamaEmbed, wrong.as_bytes()).is_err(), "{wrong}");
    }
}
