//! Tests of requests: the golden there and back, what is read, what is refused and reported.

use super::*;
use crate::types::chat::{Chat, Content, Format, Message, Part, Reasoning, Role, Tool, ToolCall, ToolChoice};
use crate::types::json::Number;
use crate::wire::json::parse;
use crate::wire::write::text_of;
use proptest::prelude::*;

const GOLDEN: &str = include_str!("../../../../tests/golden/converse/request.json");
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn read_as(model: &str, body: &str) -> Chat {
    Chat { model: model.to_owned(), ..decode(&parse(body.as_bytes()).unwrap()).unwrap() }
}

fn written(chat: &Chat) -> (String, Vec<String>) {
    let encoded = encode(chat).unwrap();
    (String::from_utf8(encoded.body).unwrap(), encoded.dropped)
}

fn asking(parts: Vec<Part>) -> Chat {
    Chat { model: CLAUDE.to_owned(), messages: vec![Message::new(Role::User, parts)], ..Chat::default() }
}

#[test]
fn the_golden_comes_back_as_it_was() {
    let chat = read_as(CLAUDE, GOLDEN);
    let (body, dropped) = written(&chat);
    assert_eq!(body, text_of(&parse(GOLDEN.as_bytes()).unwrap()));
    assert_eq!(dropped, [""; 0]);
}

#[test]
fn the_golden_is_read() {
    let chat = read_as(CLAUDE, GOLDEN);
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::User]);
    assert_eq!(chat.messages[0].parts[3].cache.as_ref().and_then(|mark| mark.ttl.as_deref()), Some("1h"));
    assert_eq!(chat.messages[1].parts[0].signature.as_deref(), Some("c2ln"));
    let Content::ToolCall(call) = &chat.messages[1].parts[3].content else { panic!("a call") };
    assert_eq!(call.arguments, r#"{"word":"cat","times":[1,2.5]}"#);
    let Content::ToolResult(result) = &chat.messages[2].parts[1].content else { panic!("a result") };
    assert!(result.failed && result.id == "tooluse_b");
    assert_eq!(chat.reasoning.as_ref().and_then(|reasoning| reasoning.budget_tokens), Some(2000));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Tool("look_up".to_owned())));
    let essential: Vec<_> =
        chat.extra.iter().filter(|extra| extra.essential).map(|extra| extra.name.as_str()).collect();
    assert_eq!(essential, ["guardrailConfig", "promptVariables"]);
    let json = parse(GOLDEN.as_bytes()).unwrap();
    let inspected = inspect(&json).unwrap();
    assert_eq!(inspected.question_at.and_then(|at| at.text(&json).map(str::to_owned)).as_deref(), Some("Go on."));
}

#[test]
fn what_has_no_word_is_kept_as_an_extra() {
    let table = [
        (
            r#"{"messages":[{"role":"user","content":[{"toolAddition":{"tool":{"name":"x"}}}]}]}"#,
            "messages.[0].content.[0].toolAddition",
            true,
        ),
        (r#"{"toolConfig":{"tools":[{"systemTool":{"name":"nova_grounding"}}]}}"#, "toolConfig.tools.[0]", true),
        (r#"{"newField":1}"#, "newField", false),
        (r#"{"inferenceConfig":{"newField":1}}"#, "inferenceConfig.newField", false),
        (r#"{"additionalModelRequestFields":{"logit_bias":{}}}"#, "additionalModelRequestFields.logit_bias", false),
        (r#"{"messages":[{"role":"user","content":[{"guardContent":{"text":{"text":"x"}}}]}]}"#, "guardContent", false),
        (
            r#"{"messages":[{"role":"user","content":[{"document":{"format":"txt","name":"n","citations":{"enabled":true},"source":{"text":"x"}}}]}]}"#,
            "document.citations",
            false,
        ),
    ];
    for (body, name, essential) in table {
        let chat = read_as(CLAUDE, body);
        let found = chat.extra.iter().find(|extra| extra.name == name).map(|extra| extra.essential);
        assert_eq!(found, Some(essential), "{body}: {:?}", chat.extra);
    }
}

#[test]
fn wrong_requests_are_refused_by_the_field_at_fault() {
    let table = [
        (r#"{"messages":{}}"#, "messages"),
        (r#"{"messages":[{"role":"user"}]}"#, "messages.[0].content"),
        (r#"{"messages":[{"role":"robot","content":[]}]}"#, "messages.[0].role"),
        (r#"{"messages":[{"role":"user","content":["hi"]}]}"#, "messages.[0].content.[0]"),
        (r#"{"messages":[{"role":"user","content":[{}]}]}"#, "messages.[0].content.[0]"),
        (r#"{"messages":[{"role":"user","content":[{"text":1}]}]}"#, "messages.[0].content.[0].text"),
        (
            r#"{"messages":[{"role":"user","content":[{"image":{"format":"png"}}]}]}"#,
            "messages.[0].content.[0].image.source",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"toolResult":{"content":[]}}]}]}"#,
            "messages.[0].content.[0].toolResult.toolUseId",
        ),
        (r#"{"inferenceConfig":{"maxTokens":"8"}}"#, "inferenceConfig.maxTokens"),
        (r#"{"toolConfig":{"tools":[],"toolChoice":{"some":{}}}}"#, "toolConfig.toolChoice"),
        (
            r#"{"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"no"}}}}}"#,
            "outputConfig.textFormat.structure.jsonSchema.schema",
        ),
    ];
    for (body, param) in table {
        let error = decode(&parse(body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn what_cannot_be_carried_is_refused_or_reported() {
    use crate::types::chat::{Media, Source, ToolResult};
    let media = |source, media_type: &str| Media::new(source, Some(media_type.to_owned()));
    let image = |source, media_type: &str| asking(vec![Part::new(Content::Image(media(source, media_type)))]);
    let call = Part::new(Content::ToolCall(ToolCall { id: "a".into(), name: "f".into(), arguments: "{}".into() }));
    let tool = Tool { name: "f".into(), description: None, parameters: None, strict: None, cache: None };
    let odd = ToolResult { id: "a".into(), name: None, parts: vec![call.clone()], failed: false };
    let refused = [
        (image(Source::Url("https://example.org/a.png".into()), "image/png"), "messages"),
        (image(Source::File("file-1".into()), "image/png"), "messages"),
        (image(Source::Data("AAAA".into()), "image/tiff"), "messages"),
        (asking(vec![Part::new(Content::ToolResult(odd))]), "messages"),
        (Chat { choices: Some(2), ..asking(vec![Part::text("x")]) }, "n"),
        (Chat { format: Some(Format::Json), ..asking(vec![Part::text("x")]) }, "response_format"),
        (
            Chat {
                tools: vec![tool.clone()],
                tool_choice: Some(ToolChoice::None),
                messages: vec![Message::new(Role::Assistant, vec![call])],
                ..Chat::default()
            },
            "tool_choice",
        ),
    ];
    for (chat, param) in refused {
        let error = encode(&chat).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(param), Some("unsupported_by_target")));
    }
    let chat = Chat {
        seed: Some(Number::Unsigned(1)),
        user: Some("u".into()),
        presence_penalty: Some(Number::Float(0.5)),
        parallel_tool_calls: Some(false),
        tools: vec![tool],
        tool_choice: Some(ToolChoice::None),
        ..asking(vec![Part::text("x"), Part::text("")])
    };
    let (body, dropped) = written(&chat);
    assert_eq!(body, r#"{"messages":[{"role":"user","content":[{"text":"x"}]}]}"#, "no tools, none is called");
    assert_eq!(dropped, ["parallel_tool_calls", "presence_penalty", "seed", "user"]);
}

#[test]
fn turns_of_one_role_become_one_and_the_operator_stands_before_them() {
    let turn = |role, text: &str| Message::new(role, vec![Part::text(text)]);
    let chat = Chat {
        model: CLAUDE.into(),
        system: vec![Part::text("first")],
        messages: vec![
            turn(Role::User, "a"),
            turn(Role::System, "second"),
            turn(Role::User, "b"),
            turn(Role::Assistant, ""),
            turn(Role::User, "c"),
        ],
        ..Chat::default()
    };
    let (body, _) = written(&chat);
    let expected = r#"{"messages":[{"role":"user","content":[{"text":"a"},{"text":"b"}]},{"role":"user","content":[{"text":"c"}]}],"system":[{"text":"first"},{"text":"second"}]}"#;
    assert_eq!(body, expected);
}

#[test]
fn thoughts_are_asked_for_in_the_words_of_the_model() {
    let budget = |tokens| Reasoning { budget_tokens: Some(tokens), ..Reasoning::default() };
    let effort = |word: &str| Reasoning { effort: Some(word.to_owned()), ..Reasoning::default() };
    let off = Reasoning { enabled: Some(false), ..Reasoning::default() };
    let table = [
        (
            CLAUDE,
            budget(2048),
            r#""additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":2048}}"#,
        ),
        (
            CLAUDE,
            effort("high"),
            r#""additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":9999}}"#,
        ),
        (
            "anthropic.claude-opus-4-7",
            effort("xhigh"),
            r#""additionalModelRequestFields":{"thinking":{"type":"adaptive"}},"outputConfig":{"effort":"xhigh"}"#,
        ),
        (
            "anthropic.claude-opus-4-7",
            budget(2048),
            r#""additionalModelRequestFields":{"thinking":{"type":"adaptive"}},"outputConfig":{"effort":"low"}"#,
        ),
        (
            "amazon.nova-2-lite-v1:0",
            effort("max"),
            r#""additionalModelRequestFields":{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"high"}}"#,
        ),
        ("openai.gpt-oss-20b-1:0", effort("minimal"), r#""additionalModelRequestFields":{"reasoning_effort":"low"}"#),
        (CLAUDE, off, ""),
    ];
    for (model, reasoning, expected) in table {
        let chat = Chat {
            model: model.to_owned(),
            max_tokens: Some(10_000),
            reasoning: Some(reasoning),
            ..asking(vec![Part::text("x")])
        };
        let (body, dropped) = written(&chat);
        let rest = body.split_once(r#""inferenceConfig":{"maxTokens":10000}"#).unwrap().1;
        assert_eq!(rest.trim_start_matches(',').trim_end_matches('}'), expected.trim_end_matches('}'), "{model}");
        assert_eq!(dropped, [""; 0]);
    }
    let none = Chat { model: "meta.llama3".into(), reasoning: Some(effort("low")), ..asking(vec![Part::text("x")]) };
    assert_eq!(written(&none).1, ["reasoning"]);
    let warm =
        Chat { temperature: Some(Number::Float(0.2)), reasoning: Some(budget(2048)), ..asking(vec![Part::text("x")]) };
    assert_eq!(written(&warm).1, ["temperature"]);
}

#[test]
fn ids_that_are_not_allowed_become_others_on_both_sides() {
    use crate::types::chat::ToolResult;
    let id = "fc|1 é".to_owned();
    let call = Content::ToolCall(ToolCall { id: id.clone(), name: "f".into(), arguments: "no json".into() });
    let result = Content::ToolResult(ToolResult { id, name: None, parts: vec![], failed: false });
    let chat = Chat {
        messages: vec![
            Message::new(Role::Assistant, vec![Part::new(call)]),
            Message::new(Role::Tool, vec![Part::new(result)]),
        ],
        ..Chat::default()
    };
    let (body, _) = written(&chat);
    let json = parse(body.as_bytes()).unwrap();
    let turns = json.get("messages").unwrap().as_array().unwrap();
    let of = |turn: usize, block: &str| {
        let block = turns[turn].get("content").unwrap().as_array().unwrap()[0].get(block).unwrap();
        block.get("toolUseId").unwrap().as_str().unwrap().to_owned()
    };
    assert_eq!(of(0, "toolUse"), of(1, "toolResult"));
    assert!(body.contains(r#""input":{"arguments":"no json"}"#));
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,12}"
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        text().prop_map(Part::text),
        (text(), text()).prop_map(|(thought, signature)| Part {
            signature: Some(signature),
            ..Part::new(Content::Thinking(thought))
        }),
        ("[a-z]{1,8}", text()).prop_map(|(id, name)| {
            Part::new(Content::ToolCall(ToolCall { id, name, arguments: r#"{"a":[1,null]}"#.into() }))
        }),
    ];
    proptest::collection::vec(part, 1..4)
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was(
        turns in proptest::collection::vec(parts(), 0..5),
        system in proptest::option::of(text()),
        max_tokens in proptest::option::of(1u64..9999),
        stop in proptest::collection::vec(text(), 0..3),
    ) {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        let chat = Chat {
            model: CLAUDE.to_owned(),
            system: system.into_iter().map(Part::text).collect(),
            messages: turns.into_iter().zip(roles).map(|(parts, role)| Message::new(role, parts)).collect(),
            max_tokens,
            stop,
            ..Chat::default()
        };
        let encoded = encode(&chat).unwrap();
        let json = parse(&encoded.body).unwrap();
        let back = Chat { model: CLAUDE.to_owned(), ..decode(&json).unwrap() };
        prop_assert_eq!(back, chat);
    }

    #[test]
    fn any_json_is_read_without_a_panic(body in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
        if let Ok(json) = parse(body.as_bytes()) {
            let _ = inspect(&json);
            let _ = decode(&json).map(|chat| encode(&chat));
        }
    }
}
