//! Requests, read and written.

use super::*;
use crate::types::chat::{Chat, Content, Format, Message, Part, Reasoning, Role, ToolCall, ToolChoice, ToolResult};
use crate::types::chat::{Extra, Media, Source, Tool};
use crate::types::json::Number;
use crate::wire::hub::Encoded;
use crate::wire::json::parse;
use crate::wire::write::text_of;

const FULL: &str = include_str!("../../../../tests/golden/generate_content/request.json");
const SNAKE: &str = include_str!("../../../../tests/golden/generate_content/request_snake.json");
const CAMEL: &str = include_str!("../../../../tests/golden/generate_content/request_snake.camel.json");

fn read(text: &str, model: &str) -> Chat {
    Chat { model: model.into(), ..decode(&parse(text.as_bytes()).unwrap()).unwrap() }
}

fn compact(text: &str) -> String {
    text_of(&parse(text.as_bytes()).unwrap())
}

fn written(chat: &Chat) -> (String, Vec<String>) {
    let Encoded { body, dropped } = encode(chat).unwrap();
    let text = String::from_utf8(body).unwrap();
    parse(text.as_bytes()).unwrap();
    (text, dropped)
}

fn asks(model: &str) -> Chat {
    Chat { model: model.into(), messages: vec![Message::new(Role::User, vec![Part::text("hi")])], ..Chat::default() }
}

#[test]
fn a_full_request_is_written_as_it_was_read() {
    let chat = read(FULL, "gemini-2.5-flash");
    assert_eq!(written(&chat), (compact(FULL), vec![]));
    let essential: Vec<_> =
        chat.extra.iter().filter(|extra| extra.essential).map(|extra| extra.name.as_str()).collect();
    assert_eq!(essential, ["tools.googleSearch", "cachedContent"]);
    assert_eq!(
        chat.messages.iter().map(|one| one.role).collect::<Vec<_>>(),
        [Role::User, Role::Assistant, Role::Tool, Role::User]
    );
    assert_eq!(chat.reasoning.as_ref().and_then(|one| one.budget_tokens), Some(1024));
    assert!(chat.include_usage);
}

#[test]
fn snake_case_and_single_items_are_read() {
    let chat = read(SNAKE, "gemini-3-pro-preview");
    assert_eq!(written(&chat), (compact(CAMEL), vec![]));
}

#[test]
fn the_question_is_the_last_words_of_the_user() {
    let json = parse(FULL.as_bytes()).unwrap();
    let inspected = inspect(&json).unwrap();
    assert_eq!((&inspected.model, inspected.stream, inspected.include_usage), (&None, None, true));
    assert_eq!(inspected.question_at.unwrap().text(&json), Some("And in words?"));
    let table = [
        (r#"{"contents":[{"parts":[{"text":"a"},{"text":"b"}]}]}"#, Some("b")),
        (r#"{"contents":[{"role":"model","parts":[{"text":"a"}]}]}"#, None),
        (r#"{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}]}"#, None),
        (r#"{"contents":{"parts":[{"text":"a"}]}}"#, None),
    ];
    for (body, question) in table {
        let json = parse(body.as_bytes()).unwrap();
        let at = inspect(&json).unwrap().question_at;
        assert_eq!(at.and_then(|at| at.text(&json)), question, "{body}");
    }
}

#[test]
fn wrong_requests_are_refused_by_field() {
    let table = [
        ("{}", "contents"),
        (r#"{"contents":"hi"}"#, "contents"),
        (r#"{"contents":[3]}"#, "contents[0]"),
        (r#"{"contents":[{"role":"bard"}]}"#, "contents[0].role"),
        (r#"{"contents":[{"parts":[{"text":3}]}]}"#, "contents[0].parts[0].text"),
        (r#"{"contents":[{"parts":["x"]}]}"#, "contents[0].parts[0]"),
        (r#"{"contents":[],"tools":[{"functionDeclarations":[{}]}]}"#, "tools[0].functionDeclarations[0].name"),
        (
            r#"{"contents":[],"toolConfig":{"functionCallingConfig":{"mode":"X"}}}"#,
            "toolConfig.functionCallingConfig.mode",
        ),
        (r#"{"contents":[],"generationConfig":{"topK":-1}}"#, "generationConfig.topK"),
        (r#"{"contents":[],"systemInstruction":{"parts":[{"inlineData":{}}]}}"#, "systemInstruction.parts[0].text"),
    ];
    for (body, param) in table {
        let error = decode(&parse(body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn modes_of_calling() {
    let table = [
        (r#""mode":"AUTO""#, Some(ToolChoice::Auto), 2),
        (r#""mode":"NONE""#, Some(ToolChoice::None), 2),
        (r#""mode":"ANY""#, Some(ToolChoice::Any), 2),
        (r#""mode":"any","allowedFunctionNames":["f"]"#, Some(ToolChoice::Tool("f".into())), 1),
        (r#""mode":"VALIDATED","allowedFunctionNames":["f"]"#, Some(ToolChoice::Auto), 1),
    ];
    for (config, choice, tools) in table {
        let body = format!(
            r#"{{"contents":[],"tools":[{{"functionDeclarations":[{{"name":"f"}},{{"name":"g"}}]}}],"toolConfig":{{"functionCallingConfig":{{{config}}}}}}}"#
        );
        let chat = read(&body, "m");
        assert_eq!((chat.tool_choice.clone(), chat.tools.len()), (choice, tools), "{config}");
        let mode = config.split('"').nth(3).unwrap().to_ascii_uppercase();
        assert!(written(&chat).0.contains(&format!(r#""mode":"{mode}""#)));
    }
}

#[test]
fn thinking_is_set_in_the_models_own_way() {
    let effort = |word: &str| Reasoning { effort: Some(word.into()), ..Reasoning::default() };
    let budget = |n| Reasoning { enabled: Some(true), budget_tokens: Some(n), ..Reasoning::default() };
    let off = Reasoning { enabled: Some(false), ..Reasoning::default() };
    let table = [
        ("gemini-2.5-flash", effort("low"), r#""thinkingConfig":{"thinkingBudget":4096}"#, ""),
        ("gemini-2.5-flash", effort("max"), r#""thinkingConfig":{"thinkingBudget":24576}"#, ""),
        ("gemini-2.5-flash", off.clone(), r#""thinkingConfig":{"thinkingBudget":0}"#, ""),
        ("gemini-2.5-pro", off.clone(), r#""thinkingConfig":{"thinkingBudget":128}"#, "reasoning.budget"),
        ("gemini-2.5-flash", budget(31_999), r#"{"includeThoughts":true,"thinkingBudget":24576}"#, "reasoning.budget"),
        ("gemini-3-pro-preview", effort("xhigh"), r#""thinkingConfig":{"thinkingLevel":"HIGH"}"#, ""),
        ("gemini-3-pro-preview", budget(2_000), r#"{"includeThoughts":true,"thinkingLevel":"LOW"}"#, ""),
        ("gemini-3-flash-preview", off.clone(), r#""thinkingConfig":{"thinkingLevel":"MINIMAL"}"#, "reasoning.off"),
        ("gemini-2.0-flash", effort("high"), r#""parts":[{"text":"hi"}]}]}"#, "reasoning"),
        ("gemma-3-27b-it", off, r#""parts":[{"text":"hi"}]}]}"#, ""),
    ];
    for (model, reasoning, expected, dropped) in table {
        let (text, lost) = written(&Chat { reasoning: Some(reasoning.clone()), ..asks(model) });
        assert!(text.contains(expected), "{model} {reasoning:?}: {text}");
        assert_eq!(lost.join(","), dropped, "{model} {reasoning:?}");
    }
    let own = read(r#"{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingBudget":-1}}}"#, "m");
    assert_eq!(own.reasoning, Some(Reasoning { enabled: Some(true), ..Reasoning::default() }));
}

fn with_call(model: &str, signature: Option<&str>) -> Chat {
    let call = |id: &str, signature: Option<&str>| Part {
        content: Content::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: "".into() }),
        cache: None,
        signature: signature.map(str::to_owned),
    };
    let result = |id: &str, failed, part: Part| {
        let result = ToolResult { id: id.into(), name: None, parts: vec![part], failed };
        Message::new(Role::Tool, vec![Part::new(Content::ToolResult(result))])
    };
    let picture = Media::new(Source::Data("iVBORw0=".into()), None);
    let mut chat = asks(model);
    chat.messages.push(Message::new(Role::Assistant, vec![call("a", signature), call("b", None)]));
    chat.messages.push(result("a", true, Part::text("no")));
    chat.messages.push(result("b", false, Part::new(Content::Image(picture))));
    chat
}

#[test]
fn results_find_the_names_of_their_calls_and_stand_in_one_turn() {
    let (text, dropped) = written(&with_call("gemini-2.5-flash", Some("not base64!")));
    let expected = concat!(
        r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]},"#,
        r#"{"role":"model","parts":[{"functionCall":{"name":"f","args":{},"id":"a"}},"#,
        r#"{"functionCall":{"name":"f","args":{},"id":"b"}}]},"#,
        r#"{"role":"user","parts":[{"functionResponse":{"id":"a","name":"f","response":{"error":"no"}}},"#,
        r#"{"functionResponse":{"id":"b","name":"f","response":{"output":""}}},"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"iVBORw0="}}]}]}"#,
    );
    assert_eq!((text.as_str(), dropped), (expected, vec!["signature".to_owned()]));
}

#[test]
fn the_first_unsigned_call_of_the_current_turn_is_marked_from_gemini_3_on() {
    let (text, _) = written(&with_call("gemini-3-pro-preview", None));
    assert_eq!(text.matches("skip_thought_signature_validator").count(), 1, "{text}");
    assert!(text.contains(r#""parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0="}}]}}"#), "{text}");
    let (text, _) = written(&with_call("gemini-3-pro-preview", Some("c2ln")));
    assert!(text.contains(r#""thoughtSignature":"c2ln""#) && !text.contains("skip_thought"), "{text}");
    let mut past = with_call("gemini-3-pro-preview", None);
    past.messages.push(Message::new(Role::User, vec![Part::text("and now?")]));
    assert!(!written(&past).0.contains("skip_thought"));
}

#[test]
fn what_gemini_cannot_do_is_refused_or_reported() {
    let file = Part::new(Content::Image(Media::new(Source::File("file-1".into()), None)));
    let bytes = Part::new(Content::Document(Media::new(Source::Data("AAAA".into()), None)));
    let extra = |essential| vec![Extra { name: "x".into(), json: "1".into(), essential }];
    let refused = [
        (Chat { messages: vec![Message::new(Role::User, vec![file])], ..asks("m") }, "file_id"),
        (Chat { messages: vec![Message::new(Role::User, vec![bytes])], ..asks("m") }, "media_type"),
        (Chat { choices: Some(9), ..asks("m") }, "n"),
        (Chat { extra: extra(true), ..asks("m") }, "x"),
    ];
    for (chat, param) in refused {
        let error = encode(&chat).unwrap_err();
        assert_eq!((error.param.as_deref(), error.status()), (Some(param), 400));
    }
    let biased = Chat {
        seed: Some(Number::Unsigned(1 << 40)),
        user: Some("u".into()),
        parallel_tool_calls: Some(false),
        extra: extra(false),
        tools: vec![Tool {
            name: "f".into(),
            description: None,
            parameters: None,
            strict: Some(true),
            cache: Some(Default::default()),
        }],
        ..asks("m")
    };
    let (text, dropped) = written(&biased);
    assert_eq!(dropped, ["tools.strict", "cache_control", "seed", "parallel_tool_calls", "user", "x"]);
    assert!(text.ends_with(r#""tools":[{"functionDeclarations":[{"name":"f"}]}]}"#), "{text}");
}

#[test]
fn system_turns_in_the_middle_are_hoisted_in_order() {
    let mut chat = asks("m");
    chat.system.push(Part::text("one"));
    chat.messages.push(Message::new(Role::System, vec![Part::text("two")]));
    chat.messages.push(Message::new(Role::User, vec![Part::text("ho"), Part::text("")]));
    let (text, _) = written(&chat);
    assert_eq!(
        text,
        r#"{"contents":[{"role":"user","parts":[{"text":"hi"},{"text":"ho"}]}],"systemInstruction":{"parts":[{"text":"one"},{"text":"two"}]}}"#
    );
}

#[test]
fn forms_of_answers_and_settings_nobody_else_has() {
    let config = |config: &str| read(&format!(r#"{{"contents":[],"generationConfig":{{{config}}}}}"#), "m");
    assert_eq!(config(r#""responseMimeType":"application/json""#).format, Some(Format::Json));
    let newer = config(r#""responseFormat":{"text":{"mimeType":"application/json","schema":{"type":"object"}}}"#);
    assert!(matches!(newer.format, Some(Format::Schema(schema)) if schema.schema == r#"{"type":"object"}"#));
    let table = [
        (r#""responseModalities":["TEXT"]"#, vec![]),
        (r#""responseModalities":["TEXT","IMAGE"]"#, vec![("generationConfig.responseModalities", true)]),
        (r#""responseMimeType":"text/x.enum""#, vec![("generationConfig.responseMimeType", true)]),
        (r#""responseLogprobs":true"#, vec![("generationConfig.responseLogprobs", true)]),
        (
            r#""audioTimestamp":true,"x_y":1"#,
            vec![("generationConfig.audioTimestamp", false), ("generationConfig.xY", false)],
        ),
    ];
    for (text, expected) in table {
        let chat = config(text);
        let extras: Vec<_> = chat.extra.iter().map(|extra| (extra.name.as_str(), extra.essential)).collect();
        assert_eq!(extras, expected, "{text}");
    }
}
