//! Requests, read and written.

use super::*;
use crate::types::chat::{
    CacheMark, Chat, Content, Extra, Format, Media, Message, Part, Reasoning, Role, Schema, Source, Tool, ToolCall,
    ToolChoice, ToolResult,
};
use crate::types::json::Number;
use crate::wire::json::parse;
use crate::wire::write::text_of;

const TOOLS: &str = include_str!("../../../../tests/golden/ollama_chat/tools.request.json");
const WRITTEN: &str = include_str!("../../../../tests/golden/ollama_chat/tools.request.written.json");

fn read(text: &str) -> Result<Chat, Error> {
    let json = parse(text.as_bytes()).unwrap();
    let inspected = inspect(&json)?;
    let (model, stream) = (inspected.model.unwrap_or_default(), inspected.stream == Some(true));
    Ok(Chat { model, stream, ..decode(&json)? })
}

fn written(chat: &Chat) -> (String, Vec<String>) {
    let encoded = encode(chat).unwrap();
    (String::from_utf8(encoded.body).unwrap(), encoded.dropped)
}

fn said(text: &str) -> Vec<Message> {
    vec![Message::new(Role::User, vec![Part::text(text)])]
}

#[test]
fn a_request_of_every_field_reads_and_writes_back() {
    let chat = read(TOOLS).unwrap();
    assert_eq!(chat.system, [Part::text("Answer in one sentence.")]);
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    use Role::{Assistant, User};
    assert_eq!(roles, [User, Assistant, Role::Tool, Role::Tool, Role::Tool, Assistant, User]);
    assert_eq!(chat.messages[1].parts[0], Part::new(Content::Thinking("Two calls.".into())));
    let results: Vec<(&str, Option<&str>)> = chat.messages[2..5]
        .iter()
        .map(|message| match &message.parts[0].content {
            Content::ToolResult(result) => (result.id.as_str(), result.name.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [("call00001", "clock"), ("call00000", "weather"), ("call00002", "weather")];
    assert_eq!(results, expected.map(|(id, name)| (id, Some(name))));
    assert_eq!((chat.max_tokens, chat.top_k, chat.seed), (Some(200), Some(40), Some(Number::Signed(-7))));
    let thinks = Reasoning { enabled: Some(true), include: Some(true), ..Reasoning::default() };
    assert_eq!((chat.reasoning.clone(), chat.stream), (Some(thinks), true));
    let extra: Vec<(&str, &str)> = chat.extra.iter().map(|extra| (extra.name.as_str(), extra.json.as_str())).collect();
    let expected = [
        ("keep_alive", "0"),
        ("truncate", "false"),
        ("shift", "false"),
        ("options.num_ctx", "8192"),
        ("options.min_p", "0.0"),
        ("options.repeat_penalty", "1.1"),
        ("options.use_mmap", "false"),
    ];
    assert_eq!(extra, expected);
    let expected = text_of(&parse(WRITTEN.as_bytes()).unwrap());
    assert_eq!(written(&chat), (expected.clone(), vec![]));
    // What was written reads back as the same: ids and all.
    assert_eq!(read(&expected).unwrap(), chat);
}

#[test]
fn inspects_what_the_gateway_reads() {
    let json = parse(TOOLS.as_bytes()).unwrap();
    let inspected = inspect(&json).unwrap();
    assert_eq!(inspected.model.as_deref(), Some("qwen3:8b"));
    assert_eq!((inspected.stream, inspected.include_usage), (Some(true), true));
    assert_eq!(inspected.question_at.unwrap().text(&json), Some("And the drier one?"));
    // A stream is what comes unasked; without messages a model is loaded.
    let of = |text: &str| inspect(&parse(text.as_bytes()).unwrap());
    assert_eq!(of(r#"{"model":"m"}"#).unwrap().stream, Some(true));
    assert_eq!(of(r#"{"model":"m","messages":[],"stream":false}"#).unwrap().stream, Some(false));
    let table = [
        (r#"{"messages":[]}"#, "model"),
        (r#"{"model":"m","messages":{}}"#, "messages"),
        (r#"{"model":"m","messages":[3]}"#, "messages.[0]"),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#, "messages.[0].role"),
        (r#"{"model":"m","messages":[{"role":"user","content":["x"]}]}"#, "messages.[0].content"),
        (r#"{"model":"m","stream":"yes"}"#, "stream"),
    ];
    for (text, param) in table {
        let error = of(text).unwrap_err();
        assert_eq!((error.param.as_deref(), error.status()), (Some(param), 400), "{text}");
    }
}

#[test]
fn a_wrong_field_is_named() {
    let message = |fields: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}},{fields}]}}"#);
    let with = |fields: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{fields}}}"#);
    let table = [
        (r#"{"model":"m"}"#.to_owned(), "messages"),
        (message(r#"{"role":"poet","content":"x"}"#), "messages.[1].role"),
        (message(r#"{"role":"user","images":[3]}"#), "messages.[1].images.[0]"),
        (message(r#"{"role":"assistant","tool_calls":[{}]}"#), "messages.[1].tool_calls.[0].function"),
        (
            message(r#"{"role":"assistant","tool_calls":[{"function":{}}]}"#),
            "messages.[1].tool_calls.[0].function.name",
        ),
        (with(r#""format":"xml""#), "format"),
        (with(r#""format":3"#), "format"),
        (with(r#""think":"much""#), "think"),
        (with(r#""think":3"#), "think"),
        (with(r#""options":[]"#), "options"),
        (with(r#""options":{"num_predict":1.5}"#), "options.num_predict"),
        (with(r#""options":{"top_k":"x"}"#), "options.top_k"),
        (with(r#""options":{"stop":3}"#), "options.stop"),
        (with(r#""tools":[{"type":"code"}]"#), "tools.[0].type"),
        (with(r#""tools":[{"function":{}}]"#), "tools.[0].function.name"),
    ];
    for (text, param) in table {
        let error = read(&text).unwrap_err();
        assert_eq!((error.param.as_deref(), error.status()), (Some(param), 400), "{text}");
    }
}

#[test]
fn values_that_say_nothing_are_nothing() {
    let text = r#"{"model":"m","messages":[{"role":"USER","content":"x","images":null}],"format":"","tools":null,
        "options":{"num_predict":-1,"top_k":0,"num_gpu":null},"logprobs":false,"keep_alive":null,"stream":false}"#;
    let expected = Chat { model: "m".into(), messages: said("x"), include_usage: true, ..Chat::default() };
    assert_eq!(read(text).unwrap(), expected);
    let asked = read(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"logprobs":true}"#).unwrap();
    assert_eq!(encode(&asked).unwrap_err().param.as_deref(), Some("logprobs"));
}

#[test]
fn thinking_is_by_level_or_not_at_all() {
    let of = |model: &str, effort: Option<&str>, enabled, budget_tokens| {
        let reasoning = Reasoning { enabled, effort: effort.map(str::to_owned), budget_tokens, include: None };
        let (body, dropped) =
            written(&Chat { model: model.into(), messages: said("x"), reasoning: Some(reasoning), ..Chat::default() });
        let json = parse(body.as_bytes()).unwrap();
        (json.get("think").map(text_of).unwrap_or_default(), dropped.join(" "))
    };
    let table = [
        (of("qwen3", None, Some(true), None), ("true", "")),
        (of("qwen3", Some("medium"), None, None), ("true", "")),
        (of("qwen3", Some("high"), None, None), ("true", "reasoning.effort")),
        (of("qwen3", None, None, Some(9_000)), ("true", "reasoning.budget")),
        (of("qwen3", Some("none"), None, None), ("false", "")),
        (of("qwen3", None, Some(false), None), ("false", "")),
        (of("qwen3", None, None, None), ("", "")),
        (of("gpt-oss:20b", Some("minimal"), None, None), ("\"low\"", "")),
        (of("gpt-oss:20b", Some("xhigh"), None, None), ("\"high\"", "")),
        (of("gpt-oss:20b", None, Some(true), None), ("\"medium\"", "")),
        (of("gpt-oss:20b", None, Some(true), Some(2_000)), ("\"low\"", "reasoning.budget")),
        (of("gpt-oss:20b", None, Some(false), None), ("\"low\"", "reasoning.off")),
    ];
    for (at, ((think, dropped), expected)) in table.iter().enumerate() {
        assert_eq!((think.as_str(), dropped.as_str()), *expected, "row {at}");
    }
    let level = read(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"think":"low"}"#).unwrap();
    assert_eq!(level.reasoning.unwrap().effort.as_deref(), Some("low"));
}

#[test]
fn a_schema_is_not_held_to_the_strict_mode_of_others() {
    let chat = read(r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"format":{"type":"object"}}"#).unwrap();
    let openai = crate::wire::hub::encode(crate::types::surface::Surface::ChatCompletions, &chat).unwrap();
    let body = String::from_utf8(openai.body).unwrap();
    assert!(body.contains(r#""schema":{"type":"object"}"#) && !body.contains("strict"), "{body}");
}

#[test]
fn what_is_lost_is_named() {
    let extra = |name: &str, json: &str| Extra { name: name.into(), json: json.into(), essential: false };
    let tool = |strict| Tool { name: "f".into(), description: None, parameters: None, strict, cache: None };
    let result = ToolResult {
        id: "c1".into(),
        name: None,
        parts: vec![Part::text("wet"), Part::new(image(Source::Data("AA==".into())))],
        failed: true,
    };
    let schema = Schema { name: Some("n".into()), description: Some("d".into()), schema: "{}".into(), strict: None };
    let chat = Chat {
        model: "m".into(),
        system: vec![Part { cache: Some(CacheMark::default()), ..Part::text("One.") }, Part::text("Two.")],
        messages: vec![
            Message { name: Some("ada".into()), ..said("Well?").remove(0) },
            Message::new(
                Role::Assistant,
                vec![
                    Part { signature: Some("s".into()), ..Part::new(Content::Thinking("Hm.".into())) },
                    Part::new(Content::RedactedThinking("x".into())),
                    Part::new(Content::ToolCall(ToolCall { id: "c1".into(), name: "f".into(), arguments: "3".into() })),
                ],
            ),
            Message::new(Role::Tool, vec![Part::new(Content::ToolResult(result))]),
        ],
        tools: vec![tool(Some(true))],
        parallel_tool_calls: Some(false),
        format: Some(Format::Schema(schema)),
        seed: Some(Number::Float(1.5)),
        user: Some("u".into()),
        extra: vec![
            extra("logit_bias", "{}"),
            extra("min_p", "0.1"),
            extra("repetition_penalty", "1.2"),
            extra("keep_alive", "\"5m\""),
        ],
        ..Chat::default()
    };
    let (body, dropped) = written(&chat);
    let expected = r#"{"model":"m","messages":[{"role":"system","content":"One.\n\nTwo."},{"role":"user","content":"Well?"},{"role":"assistant","content":"","thinking":"Hm.","tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"arguments":"3"}}}]},{"role":"tool","content":"wet","images":["AA=="],"tool_name":"f","tool_call_id":"c1"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"format":{},"options":{"min_p":0.1,"repeat_penalty":1.2},"keep_alive":"5m","stream":false}"#;
    assert_eq!(body, expected);
    let lost = [
        "cache_control",
        "messages.name",
        "signature",
        "redacted_thinking",
        "is_error",
        "parallel_tool_calls",
        "tools.strict",
        "response_format.json_schema.description",
        "user",
        "seed",
        "logit_bias",
    ];
    assert_eq!(dropped, lost);
    let none =
        Chat { tool_choice: Some(ToolChoice::None), tools: vec![tool(None)], messages: said("x"), ..Chat::default() };
    let (body, dropped) = written(&none);
    assert!(!body.contains("tools"), "{body}");
    assert_eq!(dropped, ["tools"]);
}

fn image(source: Source) -> Content {
    Content::Image(Media::new(source, None))
}

#[test]
fn what_would_be_another_answer_is_refused() {
    let of = |content| Chat { messages: vec![Message::new(Role::User, vec![Part::new(content)])], ..Chat::default() };
    let media = || Media::new(Source::Data("AA==".into()), None);
    let choice = |choice| Chat { tool_choice: Some(choice), ..of(Content::Text("x".into())) };
    let table = [
        (of(image(Source::Url("https://example.org/a.png".into()))), "messages.content"),
        (of(image(Source::File("f1".into()))), "messages.content"),
        (of(Content::Audio(media())), "messages.content"),
        (of(Content::Video(media())), "messages.content"),
        (of(Content::Document(media())), "messages.content"),
        (choice(ToolChoice::Any), "tool_choice"),
        (choice(ToolChoice::Tool("f".into())), "tool_choice"),
        (Chat { choices: Some(2), ..of(Content::Text("x".into())) }, "n"),
    ];
    for (chat, param) in table {
        let error = encode(&chat).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(param), Some(crate::types::error::UNSUPPORTED)));
    }
}

#[test]
fn results_find_their_calls() {
    let of = |results: &str| {
        let text = format!(
            r#"{{"model":"m","messages":[{{"role":"assistant","tool_calls":[
            {{"function":{{"name":"a","arguments":{{}}}}}},{{"id":"own","function":{{"name":"b"}}}}]}},{results}]}}"#
        );
        let chat = read(&text).unwrap();
        let result = |message: &Message| match &message.parts[0].content {
            Content::ToolResult(result) => format!("{}/{}", result.id, result.name.as_deref().unwrap_or("-")),
            other => panic!("{other:?}"),
        };
        chat.messages[1..].iter().map(result).collect::<Vec<_>>().join(" ")
    };
    let table = [
        (r#"{"role":"tool","content":"1"},{"role":"tool","content":"2"}"#, "call00000/a own/b"),
        (r#"{"role":"tool","tool_call_id":"own","content":"2"},{"role":"tool","content":"1"}"#, "own/b call00000/a"),
        (r#"{"role":"tool","tool_name":"c","content":"3"}"#, "c/c"),
        (r#"{"role":"tool","tool_name":"b"},{"role":"tool","tool_name":"b"}"#, "own/b b/b"),
    ];
    for (results, expected) in table {
        assert_eq!(of(results), expected);
    }
}
