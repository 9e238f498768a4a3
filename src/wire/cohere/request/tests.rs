//! Requests, read and written.

use super::*;
use crate::types::chat::{
    CacheMark, Chat, Content, Extra, Media, Message, Part, Reasoning, Role, Source, Tool, ToolCall, ToolChoice,
    ToolResult,
};
use crate::types::json::Number;
use crate::wire::json::parse;
use crate::wire::write::text_of;

const TOOLS: &str = include_str!("../../../../tests/golden/cohere_chat/tools.request.json");
const TRANSLATED: &str = include_str!("../../../../tests/golden/cohere_chat/translated.request.json");

fn read(text: &str) -> Result<Chat, Error> {
    let json = parse(text.as_bytes()).unwrap();
    let model = json.get("model").and_then(Json::as_str).unwrap_or_default().to_owned();
    let stream = json.get("stream") == Some(&Json::Bool(true));
    Ok(Chat { model, stream, ..decode(&json)? })
}

#[test]
fn a_request_of_every_field_reads_and_writes_back() {
    let chat = read(TOOLS).unwrap();
    assert_eq!(chat.system, [Part::text("Answer in one sentence.")]);
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    use Role::{Assistant, Tool, User};
    assert_eq!(roles, [User, Assistant, Tool, Tool, Assistant, User]);
    assert_eq!(chat.messages[1].parts[0], Part::text("I will ask for both."));
    assert_eq!(chat.tool_of("w_2"), Some("weather"));
    assert_eq!(chat.tools[0].strict, Some(true));
    assert_eq!((chat.tool_choice.clone(), chat.top_k), (Some(ToolChoice::Any), Some(40)));
    let extra: Vec<_> = chat.extra.iter().map(|extra| (extra.name.as_str(), extra.essential)).collect();
    assert_eq!(extra, [("documents", true), ("citation_options", false), ("safety_mode", false), ("priority", false)]);
    let written = encode(&chat).unwrap();
    assert_eq!(written.dropped, Vec::<String>::new());
    assert_eq!(String::from_utf8(written.body).unwrap(), text_of(&parse(TOOLS.as_bytes()).unwrap()));
}

#[test]
fn inspects_what_the_gateway_reads() {
    let json = parse(TOOLS.as_bytes()).unwrap();
    let inspected = inspect(&json).unwrap();
    assert_eq!(inspected.model.as_deref(), Some("command-a-03-2025"));
    assert_eq!((inspected.stream, inspected.include_usage), (Some(true), true));
    assert_eq!(inspected.question_at.unwrap().text(&json), Some("And the drier one?"));
    let table = [
        (r#"{"messages":[]}"#, "model"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":[]}"#, "messages"),
        (r#"{"model":"m","messages":[3]}"#, "messages.[0]"),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#, "messages.[0].role"),
        (r#"{"model":"m","messages":[{"role":"user","content":3}]}"#, "messages.[0].content"),
        (r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":"yes"}"#, "stream"),
    ];
    for (text, param) in table {
        let error = inspect(&parse(text.as_bytes()).unwrap()).unwrap_err();
        assert_eq!((error.param.as_deref(), error.status()), (Some(param), 400), "{text}");
    }
}

#[test]
fn wrong_fields_are_named() {
    let table = [
        (r#"[{"role":"robot","content":"x"}]"#, "", "messages.[0].role"),
        (r#"[{"role":"user","content":[{"type":"sound"}]}]"#, "", "messages.[0].content.[0].type"),
        (r#"[{"role":"user","content":[{"type":"image_url"}]}]"#, "", "messages.[0].content.[0].image_url"),
        (r#"[{"role":"tool","content":"x"}]"#, "", "messages.[0].tool_call_id"),
        (r#"[{"role":"user","content":"x"}]"#, r#","tool_choice":"SOME""#, "tool_choice"),
        (r#"[{"role":"user","content":"x"}]"#, r#","tools":[{"function":{}}]"#, "tools.[0].function.name"),
        (r#"[{"role":"user","content":"x"}]"#, r#","response_format":{"type":"xml"}"#, "response_format.type"),
        (r#"[{"role":"user","content":"x"}]"#, r#","thinking":{"type":"maybe"}"#, "thinking.type"),
        (r#"[{"role":"user","content":"x"}]"#, r#","max_tokens":-1"#, "max_tokens"),
    ];
    for (messages, more, param) in table {
        let error = read(&format!(r#"{{"messages":{messages}{more}}}"#)).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{messages} {more}");
    }
}

/// A conversation as other wires tell it.
fn foreign() -> Chat {
    let tool = |name: &str| Tool {
        name: name.into(),
        description: None,
        parameters: None,
        strict: None,
        cache: Some(CacheMark::default()),
    };
    let call = ToolCall { id: "c1".into(), name: "look".into(), arguments: String::new() };
    let result = ToolResult { id: "c1".into(), name: None, parts: vec![Part::text("wet")], failed: true };
    let notes = Media { name: Some("notes.txt".into()), ..Media::new(Source::Text("It rains.".into()), None) };
    let picture = Media::new(Source::Url("https://example.org/a.png".into()), None);
    Chat {
        model: "command-a-03-2025".into(),
        system: vec![Part::text("One."), Part::text("Two.")],
        messages: vec![
            Message {
                name: Some("Ada".into()),
                ..Message::new(
                    Role::User,
                    vec![Part::new(Content::Document(notes)), Part::new(Content::Image(picture)), Part::text("Well?")],
                )
            },
            Message::new(
                Role::Assistant,
                vec![
                    Part { signature: Some("sig".into()), ..Part::new(Content::Thinking("Hm.".into())) },
                    Part::new(Content::RedactedThinking("x".into())),
                    Part::text("I look."),
                    Part::new(Content::ToolCall(call)),
                ],
            ),
            Message::new(Role::Tool, vec![Part::new(Content::ToolResult(result))]),
            Message::new(Role::System, vec![Part::text("Be brief.")]),
        ],
        tools: vec![tool("look"), tool("listen")],
        tool_choice: Some(ToolChoice::Tool("look".into())),
        parallel_tool_calls: Some(false),
        reasoning: Some(Reasoning { effort: Some("medium".into()), ..Reasoning::default() }),
        top_p: Some(Number::Unsigned(1)),
        top_k: Some(1000),
        frequency_penalty: Some(Number::Float(1.5)),
        seed: Some(Number::Signed(-1)),
        user: Some("u".into()),
        extra: vec![Extra { name: "logit_bias".into(), json: "{}".into(), essential: false }],
        ..Chat::default()
    }
}

#[test]
fn a_foreign_conversation_keeps_all_but_what_is_reported() {
    let written = encode(&foreign()).unwrap();
    assert_eq!(String::from_utf8(written.body).unwrap(), text_of(&parse(TRANSLATED.as_bytes()).unwrap()));
    let mut dropped = written.dropped;
    dropped.sort();
    let expected = [
        "cache_control",
        "frequency_penalty",
        "is_error",
        "logit_bias",
        "messages.name",
        "parallel_tool_calls",
        "redacted_thinking",
        "seed",
        "signature",
        "top_k",
        "top_p",
        "user",
    ];
    assert_eq!(dropped, expected);
}

#[test]
fn what_would_change_the_answer_is_refused() {
    let said = |role, content| vec![Message::new(role, vec![Part::new(content)])];
    let media = |source| Media::new(source, None);
    let with = |messages| Chat { messages, ..foreign() };
    let table: Vec<(Chat, &str)> = vec![
        (Chat { choices: Some(2), ..foreign() }, "n"),
        (Chat { stop: vec!["x".into(); 6], ..foreign() }, "stop"),
        (Chat { tool_choice: Some(ToolChoice::Tool("gone".into())), ..foreign() }, "tool_choice"),
        (with(said(Role::User, Content::Audio(media(Source::Data("AA".into()))))), "messages.content"),
        (with(said(Role::User, Content::Image(media(Source::File("f".into()))))), "messages.content"),
        (with(said(Role::User, Content::Document(media(Source::Data("AA".into()))))), "messages.content"),
        (
            Chat { extra: vec![Extra { name: "web_search".into(), json: "{}".into(), essential: true }], ..foreign() },
            "web_search",
        ),
    ];
    for (chat, param) in table {
        let error = encode(&chat).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(param), Some("unsupported_by_target")));
    }
}

#[test]
fn asking_for_no_thoughts_turns_them_off() {
    for reasoning in [
        Reasoning { enabled: Some(false), ..Reasoning::default() },
        Reasoning { effort: Some("none".into()), ..Reasoning::default() },
    ] {
        let written = encode(&Chat { reasoning: Some(reasoning), ..Chat::default() }).unwrap();
        let body = String::from_utf8(written.body).unwrap();
        assert!(body.contains(r#""thinking":{"type":"disabled"}"#), "{body}");
    }
}
