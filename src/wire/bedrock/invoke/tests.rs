//! Tests of the bodies of InvokeModel.

use super::*;
use crate::types::chat::{Part, Role};
use crate::types::completion::{Choice, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::Encoder as _;
use crate::wire::sse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

const CASES: [(&str, &str, Form); 9] = [
    (
        "anthropic.claude-3-haiku-20240307-v1:0",
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Hi?"}]}"#,
        Form::Anthropic,
    ),
    (
        "us.amazon.nova-lite-v1:0",
        r#"{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"Hi?"}]}],"inferenceConfig":{"max_new_tokens":9,"topK":3}}"#,
        Form::Nova,
    ),
    (
        "mistral.mistral-large-2407-v1:0",
        r#"{"messages":[{"role":"user","content":"Hi?"}],"max_tokens":9}"#,
        Form::OpenAi,
    ),
    (
        "amazon.titan-text-express-v1",
        r#"{"inputText":"Hi?","textGenerationConfig":{"maxTokenCount":9,"topP":0.5,"stopSequences":["User:"]}}"#,
        Form::Titan,
    ),
    (
        "meta.llama3-1-8b-instruct-v1:0",
        r#"{"prompt":"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe short.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n","max_gen_len":9}"#,
        Form::Llama,
    ),
    (
        "mistral.mistral-7b-instruct-v0:2",
        r#"{"prompt":"<s>[INST] Hello [/INST] Yes?</s>[INST] Hi? [/INST]","max_tokens":9,"top_k":4}"#,
        Form::Mistral,
    ),
    (
        "cohere.command-r-v1:0",
        r#"{"message":"Hi?","chat_history":[{"role":"USER","message":"Hello"},{"role":"CHATBOT","message":"Yes?"}],"max_tokens":9,"p":0.5}"#,
        Form::CohereChat,
    ),
    ("cohere.command-text-v14", r#"{"prompt":"Hi?","max_tokens":9,"return_likelihoods":null}"#, Form::CohereGenerate),
    ("amazon.titan-embed-text-v2:0", r#"{"inputText":"Hi?","dimensions":256,"normalize":true}"#, Form::TitanEmbed),
];

fn reply(body: &'static str) -> ReplyFor {
    ReplyFor {
        id: "r1".into(),
        model: "m".into(),
        created_s: 7,
        include_usage: true,
        request: Bytes::from_static(body.as_bytes()),
        ..ReplyFor::default()
    }
}

fn said() -> Completion {
    Completion {
        choices: vec![Choice { parts: vec![Part::text("Hello there.")], stop: Some(Stop::Length) }],
        usage: Some(Usage::new(3, 4)),
        ..Completion::default()
    }
}

#[test]
fn the_form_is_told_by_body_and_model() {
    for (model, body, form) in CASES {
        let json = parse(body.as_bytes()).unwrap();
        assert_eq!(Form::of(model, &json), Some(form), "{model}");
    }
    for body in ["{}", r#"{"prompt":"x"}"#, "[]", r#"{"taskType":"TEXT_IMAGE"}"#] {
        let json = parse(body.as_bytes()).unwrap();
        assert_eq!(Form::of("stability.sd", &json), None);
        assert_eq!(decode("stability.sd", &json, false).unwrap_err().status(), 400);
        assert_eq!(inspect("stability.sd", &json), Inspected::default());
    }
}

#[test]
fn prompts_are_read_into_turns() {
    for (model, body, form) in CASES {
        // Those of other wires are theirs to test.
        if form.is_embedding() || matches!(form, Form::Anthropic | Form::OpenAi) {
            continue;
        }
        let json = parse(body.as_bytes()).unwrap();
        let chat = decode(model, &json, true).unwrap();
        assert_eq!((chat.model.as_str(), chat.stream, chat.max_tokens), (model, true, Some(9)));
        let last = chat.messages.last().unwrap();
        assert_eq!((last.role, last.parts[0].as_text()), (Role::User, Some("Hi?")), "{model}");
        let turns = if matches!(form, Form::Mistral | Form::CohereChat) { 3 } else { 1 };
        assert_eq!(chat.messages.len(), turns, "{model}");
        assert_eq!(chat.extra, [], "{model}");
        assert_eq!(chat.system.len(), usize::from(form == Form::Llama));
    }
    let bare = parse(br#"{"prompt":"Once upon <|start_header_id|>a","max_gen_len":3,"images":["x"]}"#).unwrap();
    let chat = decode("meta.llama3", &bare, false).unwrap();
    assert_eq!(chat.messages[0].parts[0].as_text(), Some("Once upon <|start_header_id|>a"));
    assert!(chat.extra[0].essential);
}

#[test]
fn answers_have_the_form_of_the_request() {
    let expected = [
        (
            Form::Titan,
            r#"{"inputTextTokenCount":3,"results":[{"tokenCount":4,"outputText":"Hello there.","completionReason":"LENGTH"}]}"#,
        ),
        (
            Form::Llama,
            r#"{"generation":"Hello there.","prompt_token_count":3,"generation_token_count":4,"stop_reason":"length"}"#,
        ),
        (Form::Mistral, r#"{"outputs":[{"text":"Hello there.","stop_reason":"length"}]}"#),
        (
            Form::CohereChat,
            r#"{"response_id":"r1","text":"Hello there.","generation_id":"r1","finish_reason":"MAX_TOKENS"}"#,
        ),
        (
            Form::CohereGenerate,
            r#"{"id":"r1","generations":[{"id":"r1","text":"Hello there.","finish_reason":"MAX_TOKENS"}]}"#,
        ),
    ];
    for (form, text) in expected {
        let (model, body, _) = CASES.into_iter().find(|(_, _, one)| *one == form).unwrap();
        let answer = encode_answer(model, &said(), &reply(body));
        assert_eq!(String::from_utf8(answer).unwrap(), text);
    }
}

/// The objects in the chunks of a stream.
fn objects(form: Form) -> Vec<String> {
    let (model, body, _) = CASES.into_iter().find(|(_, _, one)| *one == form).unwrap();
    let mut encoder = Encoder::new(model, reply(body));
    let mut out = Vec::new();
    for delta in said().deltas(|text| text.split_inclusive(' ').map(str::to_owned).collect()) {
        encoder.push(&delta, &mut out);
    }
    encoder.finish(&mut out);
    let mut splitter = sse::Splitter::default();
    splitter.push(&out);
    let mut objects = Vec::new();
    while let Some(event) = splitter.next_event() {
        let event = sse::event(&event).unwrap();
        assert_eq!(event.name, "chunk");
        let json = parse(&event.data).unwrap();
        let bytes = STANDARD.decode(json.get("bytes").unwrap().as_str().unwrap()).unwrap();
        objects.push(String::from_utf8(bytes).unwrap());
    }
    objects
}

#[test]
fn streams_have_the_form_of_the_request() {
    let metrics = r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":4}}"#;
    let titan = objects(Form::Titan);
    assert_eq!(
        titan[0],
        r#"{"outputText":"Hello ","index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":null}"#
    );
    assert_eq!(
        titan[2],
        format!(
            r#"{{"outputText":"","index":0,"totalOutputTextTokenCount":4,"completionReason":"LENGTH","inputTextTokenCount":3,{metrics}"#
        )
    );
    let llama = objects(Form::Llama);
    assert_eq!(
        llama[1],
        r#"{"generation":"there.","prompt_token_count":null,"generation_token_count":null,"stop_reason":null}"#
    );
    assert_eq!(
        llama[2],
        format!(
            r#"{{"generation":"","prompt_token_count":3,"generation_token_count":4,"stop_reason":"length",{metrics}"#
        )
    );
    assert_eq!(objects(Form::Mistral)[2], format!(r#"{{"outputs":[{{"text":"","stop_reason":"length"}}],{metrics}"#));
    let cohere = objects(Form::CohereChat);
    assert_eq!(cohere[0], r#"{"is_finished":false,"event_type":"text-generation","text":"Hello "}"#);
    assert!(cohere[2].contains(r#""response":{"response_id":"r1","text":"Hello there.""#), "{}", cohere[2]);
    assert!(objects(Form::CohereGenerate)[2].contains(r#""is_finished":true,"finish_reason":"MAX_TOKENS""#));
    let nova = objects(Form::Nova);
    assert_eq!(nova[0], r#"{"messageStart":{"role":"assistant"}}"#);
    assert_eq!(nova[1], r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hello "}}}"#);
    assert!(nova[5].starts_with(r#"{"metadata":{"usage":{"inputTokens":3,"#), "{nova:?}");
}

#[test]
fn embeddings_go_there_and_back() {
    let titan = parse(CASES[8].1.as_bytes()).unwrap();
    let asked = embed::to_openai(Form::TitanEmbed, &titan, "e").unwrap();
    assert_eq!(asked.body, br#"{"model":"e","input":["Hi?"],"dimensions":256,"encoding_format":"float"}"#);
    assert_eq!(asked.dropped, ["normalize"]);
    let told = br#"{"data":[{"embedding":[0.25,-1.5]},{"embedding":[1,2]}],"usage":{"prompt_tokens":5}}"#;
    let back = embed::from_openai(Form::TitanEmbed, told, &reply(CASES[8].1)).unwrap();
    assert_eq!(back, br#"{"embedding":[0.25,-1.5],"inputTextTokenCount":5}"#);
    let body = r#"{"texts":["a","b"],"input_type":"search_query"}"#;
    let cohere = parse(body.as_bytes()).unwrap();
    assert_eq!(Form::of("cohere.embed-english-v3", &cohere), Some(Form::CohereEmbed));
    assert_eq!(embed::to_openai(Form::CohereEmbed, &cohere, "e").unwrap().dropped, ["input_type"]);
    let back = embed::from_openai(Form::CohereEmbed, told, &reply(body)).unwrap();
    assert_eq!(
        back,
        br#"{"id":"r1","embeddings":[[0.25,-1.5],[1,2]],"response_type":"embeddings_floats","texts":["a","b"]}"#
    );
    let binary = parse(br#"{"inputText":"a","embeddingTypes":["binary"]}"#).unwrap();
    assert!(embed::to_openai(Form::TitanEmbed, &binary, "e").is_err());
    assert!(embed::from_openai(Form::TitanEmbed, b"{}", &reply("{}")).is_err());
}
