//! Requests against goldens and tables, and there and back again.

use super::{decode, encode, inspect};
use crate::types::chat::*;
use crate::types::error::Error;
use crate::types::json::Number;
use crate::wire::hub::Encoded;
use crate::wire::json::parse;
use proptest::prelude::*;

const REQUEST: &str = include_str!("../../../../tests/golden/messages/request.json");

fn chat(model: &str) -> Chat {
    let messages = vec![Message::new(Role::User, vec![Part::text("hi")])];
    Chat { model: model.into(), messages, ..Chat::default() }
}

fn written(chat: &Chat) -> (String, Vec<String>) {
    let Encoded { body, dropped } = encode(chat).unwrap();
    (String::from_utf8(body).unwrap(), dropped)
}

fn read(text: &str) -> Result<Chat, Error> {
    decode(&parse(text.as_bytes())?)
}

fn tool(name: &str) -> Tool {
    let parameters = Some(r#"{"type":"object"}"#.to_owned());
    Tool { name: name.into(), description: None, parameters, strict: None, cache: None }
}

#[test]
fn a_request_is_written_as_it_was_read() {
    let chat = read(REQUEST).unwrap();
    let (text, dropped) = written(&chat);
    assert_eq!(parse(text.as_bytes()).unwrap(), parse(REQUEST.as_bytes()).unwrap());
    assert!(dropped.is_empty(), "{dropped:?}");
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::User]);
    assert_eq!(chat.tool_of("toolu_2"), Some("read_meter"));
    assert_eq!(chat.parallel_tool_calls, Some(false));
    assert_eq!(chat.reasoning.as_ref().and_then(Reasoning::budget), Some(2_048));
    let own = chat.extra.iter().find(|extra| extra.name == "tools.web_search_20250305");
    assert!(own.is_some_and(|extra| extra.essential));
}

#[test]
fn the_question_is_found_and_wrong_shapes_are_named() {
    let ask = |rest: &str| inspect(&parse(format!(r#"{{"model":"m",{rest}}}"#).as_bytes()).unwrap());
    let json = parse(REQUEST.as_bytes()).unwrap();
    let inspected = inspect(&json).unwrap();
    assert_eq!(inspected.question_at.and_then(|at| at.text(&json)), Some("Go on."));
    assert_eq!((inspected.stream, inspected.include_usage), (Some(true), true));
    let no_text = ask(r#""messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]"#).unwrap();
    assert_eq!(no_text.question_at, None);
    let table = [
        (r#""max_tokens":1"#, "messages", "missing"),
        (r#""messages":{}"#, "messages", "expected an array"),
        (r#""messages":[]"#, "messages", "empty"),
        (r#""messages":["x"]"#, "messages.[0]", "expected an object"),
        (r#""messages":[{"content":"x"}]"#, "messages.[0].role", "missing"),
        (r#""messages":[{"role":1,"content":"x"}]"#, "messages.[0].role", "a string"),
        (r#""messages":[{"role":"user"}]"#, "messages.[0].content", "missing"),
        (r#""messages":[{"role":"user","content":3}]"#, "messages.[0].content", "a string or an array"),
        (r#""messages":[{"role":"user","content":"x"}],"system":3"#, "system", "a string or an array"),
        (r#""messages":[{"role":"user","content":"x"}],"stream":"yes""#, "stream", "a boolean"),
    ];
    for (rest, param, expected) in table {
        let error = ask(rest).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{rest}");
        assert!(error.message.contains(expected), "{rest}: {}", error.message);
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let table = [
        (r#""messages":[{"role":"tool","content":"x"}]"#, "messages.[0].role"),
        (r#""messages":[{"role":"user","content":[3]}]"#, "messages.[0].content.[0]"),
        (r#""messages":[{"role":"user","content":[{"type":"text"}]}]"#, "messages.[0].content.[0].text"),
        (
            r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"x"}}]}]"#,
            "messages.[0].content.[0].source.type",
        ),
        (r#""max_tokens":-1"#, "max_tokens"),
        (r#""tools":[{"input_schema":{}}]"#, "tools.[0].name"),
        (r#""tool_choice":{"type":"some"}"#, "tool_choice.type"),
        (r#""thinking":{"type":"enabled"}"#, "thinking.budget_tokens"),
        (r#""output_config":{"format":{"type":"json_schema"}}"#, "output_config.format.schema"),
        (r#""metadata":{"user_id":3}"#, "metadata.user_id"),
        (r#""system":[{"type":"image"}]"#, "system.[0].type"),
    ];
    for (rest, param) in table {
        let error = read(&format!("{{{rest}}}")).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{rest}: {}", error.message);
    }
}

#[test]
fn what_has_no_word_is_kept_aside() {
    let text = r#"{"messages":[
        {"role":"system","content":"first"},
        {"role":"user","content":[
            {"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
             "title":"T","context":"C","citations":{"enabled":true}},
            {"type":"search_result","source":"http://s","title":"S","content":[{"type":"text","text":"w"}]},
            {"type":"container_upload","file_id":"file_1"}]},
        {"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"text","text":"x"}]},
        {"role":"system","content":"later"}],
        "tools":[{"type":"custom","name":"f","input_schema":{},"defer_loading":true}],
        "thinking":{"type":"adaptive","display":"omitted"},
        "mcp_servers":[],"inference_geo":"us","x":null}"#;
    let chat = read(text).unwrap();
    assert_eq!(chat.system, [Part::text("first")]);
    let text_of = |part: &Part| match &part.content {
        Content::Document(Media { source: Source::Text(text), name, .. }) => format!("{name:?} {text}"),
        other => format!("{other:?}"),
    };
    let user: Vec<String> = chat.messages[0].parts.iter().map(text_of).collect();
    assert_eq!(user, ["Text(\"C\")", "Some(\"T\") a\nb", "Some(\"S\") http://s\nw"]);
    assert_eq!(chat.messages[2], Message::new(Role::System, vec![Part::text("later")]));
    let extras: Vec<(&str, bool)> = chat.extra.iter().map(|extra| (extra.name.as_str(), extra.essential)).collect();
    let expected = [
        ("messages.citations", false),
        ("messages.container_upload", true),
        ("messages.server_tool_use", false),
        ("tools.defer_loading", false),
        ("mcp_servers", true),
        ("inference_geo", false),
    ];
    assert_eq!(extras, expected);
    let reasoning = chat.reasoning.unwrap();
    assert_eq!((reasoning.enabled, reasoning.include), (Some(true), Some(false)));
}

#[test]
fn what_cannot_be_carried_is_refused_or_reported() {
    let base = chat("claude-sonnet-4-5");
    let part = |content| vec![Message::new(Role::User, vec![Part::new(content)])];
    let media = |source, kind: Option<&str>| Media::new(source, kind.map(str::to_owned));
    let refused = [
        Chat { choices: Some(2), ..base.clone() },
        Chat { tool_choice: Some(ToolChoice::Any), ..base.clone() },
        Chat { tool_choice: Some(ToolChoice::Any), tools: vec![tool("f")], ..chat("claude-opus-5-5") },
        Chat { messages: part(Content::Audio(media(Source::Data("x".into()), None))), ..base.clone() },
        Chat { messages: part(Content::Image(media(Source::File("file-x".into()), None))), ..base.clone() },
        Chat {
            messages: part(Content::Document(media(Source::Data("AAAA".into()), Some("application/zip")))),
            ..base.clone()
        },
        Chat { extra: vec![Extra { name: "modalities".into(), json: "[]".into(), essential: true }], ..base.clone() },
    ];
    for chat in refused {
        assert_eq!(encode(&chat).unwrap_err().code, Some("unsupported_by_target"), "{chat:?}");
    }
    let lossy = Chat {
        seed: Some(Number::Unsigned(1)),
        frequency_penalty: Some(Number::Float(0.5)),
        temperature: Some(Number::Float(1.7)),
        top_p: Some(Number::Float(0.5)),
        stop: vec!["\n".into(), "END".into()],
        format: Some(Format::Json),
        extra: vec![
            Extra { name: "logit_bias".into(), json: "{}".into(), essential: false },
            Extra { name: "service_tier".into(), json: "\"default\"".into(), essential: false },
        ],
        ..base
    };
    let (text, dropped) = written(&lossy);
    let names = ["response_format", "temperature", "top_p", "stop", "seed", "frequency_penalty", "logit_bias"];
    assert_eq!(dropped, names);
    let end = r#","temperature":1,"stop_sequences":["END"],"service_tier":"standard_only"}"#;
    assert!(text.ends_with(end) && text.contains("one JSON object"), "{text}");
}

#[test]
fn turns_are_made_to_fit() {
    let call = |id: &str| {
        let call = ToolCall { id: id.into(), name: "f".into(), arguments: "[1".into() };
        Part::new(Content::ToolCall(call))
    };
    let result = |id: &str, parts: Vec<Part>| {
        let result = ToolResult { id: id.into(), name: Some("f".into()), parts, failed: false };
        Message::new(Role::Tool, vec![Part::new(Content::ToolResult(result))])
    };
    let say = |role, text: &str| Message::new(role, vec![Part::text(text)]);
    let unsigned = Part::new(Content::Thinking("other".into()));
    let chat = Chat {
        model: "m".into(),
        system: vec![Part::text("s")],
        messages: vec![
            say(Role::User, "a"),
            say(Role::System, "mid"),
            Message { name: Some("bo".into()), ..say(Role::User, "b") },
            Message::new(Role::Assistant, vec![unsigned, Part::text(""), call("c:1"), call("c.1")]),
            result("c:1", vec![]),
            say(Role::User, "then"),
            result("c.1", vec![Part::text("1")]),
            say(Role::Assistant, "so "),
        ],
        tools: vec![tool("f")],
        ..Chat::default()
    };
    let (text, dropped) = written(&chat);
    let expected = r#"{"model":"m","max_tokens":8192,"system":[{"type":"text","text":"s"},{"type":"text","text":"mid"}],"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c_3a1","name":"f","input":{"arguments":"[1"}},{"type":"tool_use","id":"c_2e1","name":"f","input":{"arguments":"[1"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c_3a1"},{"type":"tool_result","tool_use_id":"c_2e1","content":"1"},{"type":"text","text":"then"}]},{"role":"assistant","content":"so"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#;
    assert_eq!(text, expected);
    assert_eq!(dropped, ["messages.name", "messages.thinking"]);
    let alone = Chat { messages: vec![], ..chat };
    assert!(written(&alone).0.contains(r#""messages":[{"role":"user","content":"s"}]"#));
}

#[test]
fn thinking_is_asked_for_as_the_model_knows_it() {
    let effort = |word: &str| Reasoning { effort: Some(word.into()), ..Reasoning::default() };
    let budget = |n| Reasoning { enabled: Some(true), budget_tokens: Some(n), ..Reasoning::default() };
    let none = "";
    let table = [
        ("claude-3-5-haiku-latest", effort("high"), none, true),
        ("claude-sonnet-4-5", effort("low"), r#","thinking":{"type":"enabled","budget_tokens":4096}"#, false),
        ("claude-sonnet-4-5", budget(10), r#","thinking":{"type":"enabled","budget_tokens":1024}"#, false),
        ("claude-sonnet-4-5", effort("none"), none, false),
        ("claude-opus-4-1", budget(60_000), r#","thinking":{"type":"enabled","budget_tokens":31999}"#, false),
        (
            "claude-opus-4-6",
            effort("xhigh"),
            r#","thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#,
            false,
        ),
        (
            "claude-opus-4-8",
            budget(9_000),
            r#","thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}"#,
            false,
        ),
        ("claude-opus-5", effort("none"), r#","thinking":{"type":"disabled"}"#, false),
        ("claude-sonnet-5-5", effort("none"), r#","thinking":{"type":"between_tools"}"#, false),
        ("claude-opus-5-5", effort("none"), r#","output_config":{"effort":"low"}"#, true),
        (
            "claude-fable-5",
            effort("minimal"),
            r#","thinking":{"type":"adaptive"},"output_config":{"effort":"low"}"#,
            false,
        ),
        ("kimi-k3", budget(77), r#","thinking":{"type":"enabled","budget_tokens":77}"#, false),
    ];
    for (model, reasoning, expected, lost) in table {
        let chat = Chat { reasoning: Some(reasoning), ..chat(model) };
        let (text, dropped) = written(&chat);
        let rest = text.split_once(r#""content":"hi"}]"#).unwrap().1;
        assert_eq!(rest, format!("{expected}}}"), "{model}");
        assert_eq!(dropped == ["reasoning"], lost, "{model}: {dropped:?}");
    }
}

#[test]
fn thinking_gives_way_to_what_forbids_it() {
    let on = Reasoning { effort: Some("high".into()), ..Reasoning::default() };
    let base = Chat { reasoning: Some(on), tools: vec![tool("f")], ..chat("claude-sonnet-4-5") };
    let call = ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() };
    let result = ToolResult { id: "c".into(), name: None, parts: vec![], failed: false };
    let looped = |signature: Option<&str>| {
        let thought = Part { signature: signature.map(str::to_owned), ..Part::new(Content::Thinking("t".into())) };
        let mut messages = base.messages.clone();
        messages.push(Message::new(Role::Assistant, vec![thought, Part::new(Content::ToolCall(call.clone()))]));
        messages.push(Message::new(Role::Tool, vec![Part::new(Content::ToolResult(result.clone()))]));
        Chat { messages, ..base.clone() }
    };
    let table = [
        (base.clone(), true),
        (Chat { tool_choice: Some(ToolChoice::Any), ..base.clone() }, false),
        (Chat { max_tokens: Some(1_000), ..base.clone() }, false),
        (looped(Some("sig")), true),
        (looped(None), false),
    ];
    for (chat, thinks) in table {
        let (text, dropped) = written(&chat);
        assert_eq!(text.contains("\"thinking\":{"), thinks, "{text}");
        assert_eq!(dropped.iter().any(|name| name == "reasoning"), !thinks);
    }
    let sampled = Chat { temperature: Some(Number::Float(0.2)), top_k: Some(5), ..chat("claude-opus-5") };
    assert_eq!(written(&sampled).1, ["temperature", "top_k"]);
}

fn cache() -> impl Strategy<Value = Option<CacheMark>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(CacheMark { ttl: None })),
        1 => Just(Some(CacheMark { ttl: Some("1h".into()) })),
    ]
}

fn media(file: &'static str) -> impl Strategy<Value = Media> {
    prop_oneof![
        "[A-Za-z0-9]{4,12}".prop_map(move |data| {
            let kind = if file == "image" { "image/webp" } else { "application/pdf" };
            Media::new(Source::Data(data), Some(kind.into()))
        }),
        "https://[a-z]{1,9}/".prop_map(|url| Media::new(Source::Url(url), None)),
        "file_[a-z0-9]{1,9}".prop_map(|id| Media::new(Source::File(id), None)),
    ]
}

fn said() -> impl Strategy<Value = Part> {
    let content = prop_oneof![
        "\\PC{1,20}".prop_map(Content::Text),
        media("image").prop_map(Content::Image),
        (media("document"), proptest::option::of("[a-z]{1,9}"))
            .prop_map(|(media, name)| Content::Document(Media { name, ..media })),
        "\\PC{0,20}".prop_map(|text| { Content::Document(Media::new(Source::Text(text), Some("text/plain".into()))) }),
    ];
    (content, cache()).prop_map(|(content, cache)| Part { cache, ..Part::new(content) })
}

/// A question, what the model answers with calls, what the tools gave.
fn turns() -> impl Strategy<Value = Vec<Message>> {
    let id = "[a-zA-Z0-9_-]{1,9}";
    let thought = ("\\PC{0,9}", "[A-Z]{4,9}");
    let call = (id, "[a-z]{1,9}", "\\PC{0,9}", cache());
    let result = (id, proptest::collection::vec(said(), 0..3), any::<bool>(), cache());
    let assistant =
        (thought, "\\PC{0,8}[a-z]", proptest::collection::vec(call, 1..3)).prop_map(|(thought, text, calls)| {
            let thinking = Part { signature: Some(thought.1), ..Part::new(Content::Thinking(thought.0)) };
            let redacted = Part::new(Content::RedactedThinking("EmwK".into()));
            let calls = calls.into_iter().map(|(id, name, text, cache)| {
                let arguments = serde_json::json!({ "x": [text, 1.5, null] }).to_string();
                Part { cache, ..Part::new(Content::ToolCall(ToolCall { id, name, arguments })) }
            });
            Message::new(Role::Assistant, [thinking, redacted, Part::text(text)].into_iter().chain(calls).collect())
        });
    let tools = proptest::collection::vec(result, 1..3).prop_map(|results| {
        let part = |(id, parts, failed, cache)| {
            let result = ToolResult { id, name: None, parts, failed };
            Part { cache, ..Part::new(Content::ToolResult(result)) }
        };
        Message::new(Role::Tool, results.into_iter().map(part).collect())
    });
    let user = || proptest::collection::vec(said(), 1..4).prop_map(|parts| Message::new(Role::User, parts));
    prop_oneof![
        user().prop_map(|user| vec![user]),
        (user(), assistant, tools, user()).prop_map(|(a, b, c, d)| vec![a, b, c, d]),
    ]
}

fn tools() -> impl Strategy<Value = (Vec<Tool>, Option<ToolChoice>, Option<bool>)> {
    let one = ("[a-z]{1,9}", proptest::option::of("\\PC{0,9}"), proptest::option::of(any::<bool>()), cache());
    let one = one.prop_map(|(name, description, strict, cache)| {
        let parameters = Some(r#"{"type":"object","properties":{"a":{"enum":[1,"b"]}}}"#.to_owned());
        Tool { name, description, parameters, strict, cache }
    });
    let choice = prop_oneof![
        Just((None, None)),
        Just((Some(ToolChoice::None), None)),
        Just((Some(ToolChoice::Auto), Some(true))),
        Just((Some(ToolChoice::Any), Some(false))),
        "[a-z]{1,9}".prop_map(|name| (Some(ToolChoice::Tool(name)), None)),
    ];
    (proptest::collection::vec(one, 1..3), choice).prop_map(|(tools, (choice, parallel))| (tools, choice, parallel))
}

fn reasoning() -> impl Strategy<Value = Option<Reasoning>> {
    let of = |enabled, effort: Option<&str>, budget_tokens, include| {
        Some(Reasoning { enabled, effort: effort.map(str::to_owned), budget_tokens, include })
    };
    prop_oneof![
        Just(None),
        Just(of(Some(false), None, None, None)),
        Just(of(None, Some("xhigh"), None, None)),
        Just(of(Some(true), Some("low"), None, Some(true))),
        (1_024..60_000u64).prop_map(move |budget| of(Some(true), None, Some(budget), Some(false))),
    ]
}

fn whole_chat() -> impl Strategy<Value = Chat> {
    let number = || proptest::option::of((0..100u32).prop_map(|n| Number::Float(f64::from(n) / 128.0 + 0.003)));
    let system = proptest::collection::vec(("\\PC{1,20}", cache()), 0..3);
    let schema = Schema { name: None, description: None, schema: r#"{"type":"object"}"#.into(), strict: None };
    let numbers = (1..99_999u64, number(), number(), proptest::option::of(0..99u64));
    let rest = (
        proptest::option::of(Just(Format::Schema(schema))),
        proptest::collection::vec("[a-z]{1,5}", 0..3),
        proptest::option::of("\\PC{0,9}"),
        any::<bool>(),
    );
    (system, turns(), proptest::option::of(tools()), reasoning(), numbers, rest).prop_map(
        |(
            system,
            messages,
            tools,
            reasoning,
            (max_tokens, temperature, top_p, top_k),
            (format, stop, user, stream),
        )| {
            let (tools, tool_choice, parallel_tool_calls) = tools.unwrap_or_default();
            let system = system.into_iter().map(|(text, cache)| Part { cache, ..Part::text(text) }).collect();
            Chat {
                model: "a-model-of-nobody".into(),
                max_tokens: Some(max_tokens),
                include_usage: stream,
                ..Chat {
                    system,
                    messages,
                    tools,
                    tool_choice,
                    parallel_tool_calls,
                    reasoning,
                    temperature,
                    top_p,
                    top_k,
                    format,
                    stop,
                    user,
                    stream,
                    ..Chat::default()
                }
            }
        },
    )
}

proptest! {
    /// What this wire has words for comes back as it was, and nothing of it is reported lost.
    #[test]
    fn requests_go_there_and_back(chat in whole_chat()) {
        let (text, dropped) = written(&chat);
        prop_assert!(dropped.is_empty(), "{:?}", dropped);
        prop_assert_eq!(read(&text).unwrap(), chat);
    }

    /// Whatever a field holds, the request is read or refused with a reason.
    #[test]
    fn no_request_breaks_the_reader(at in 0..REQUEST.len(), junk in prop_oneof!["\\[\\]", "\\{\\}", "null", "-1", "\"x\"", "true"]) {
        let quotes: Vec<usize> = REQUEST.match_indices(": ").map(|(at, _)| at + 2).collect();
        let from = quotes[at % quotes.len()];
        let end = REQUEST[from..].find([',', '}', '\n']).map_or(REQUEST.len(), |len| from + len);
        let text = format!("{}{junk}{}", &REQUEST[..from], &REQUEST[end..]);
        if let Ok(json) = parse(text.as_bytes()) {
            let _ = inspect(&json);
            if let Ok(chat) = decode(&json) {
                let _ = encode(&chat);
            }
        }
    }
}
