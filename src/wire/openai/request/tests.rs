//! Chat completions read as requests of the hub, and written from them.

use super::*;
use crate::types::chat::{Chat, Content, Message, Part, Reasoning, Role, Source, ToolChoice};
use crate::types::error::Error;
use crate::wire::hub::Encoded;
use crate::wire::json::parse;
use crate::wire::write::text_of;

fn read(body: &str) -> Result<Chat, Error> {
    decode(&parse(body.as_bytes()).unwrap())
}

fn with(message: &str, more: &str) -> Chat {
    read(&format!(r#"{{"model":"m","messages":[{message}]{more}}}"#)).unwrap()
}

fn sent(chat: &Chat) -> (String, Vec<String>) {
    let Encoded { body, dropped } = encode(chat).unwrap();
    (String::from_utf8(body).unwrap(), dropped)
}

#[test]
fn a_whole_request_is_read_and_written() {
    let chat = read(include_str!("../../../../tests/golden/chat_completions/request.json")).unwrap();
    assert_eq!(chat.system.len(), 2);
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::System, Role::Assistant, Role::User]);
    let said = &chat.messages[1].parts;
    assert_eq!(said[0].signature.as_deref(), Some("sig1"));
    assert_eq!(said[1].content, Content::RedactedThinking("xyz".into()));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Any));
    assert_eq!(chat.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["look", "now"]);
    assert_eq!(chat.max_tokens, Some(200));
    assert!(chat.extra.iter().all(|extra| !extra.essential), "{:?}", chat.extra);
    let (body, dropped) = sent(&chat);
    let golden = parse(include_bytes!("../../../../tests/golden/chat_completions/request.sent.json")).unwrap();
    assert_eq!(body, text_of(&golden));
    assert_eq!(dropped, ["logprobs", "top_logprobs", "metadata", "verbosity", "top_k"]);
    // What was written says the same when it is read again.
    let again = read(&body).unwrap();
    assert_eq!(again.messages, chat.messages);
    assert_eq!(again.system, chat.system);
}

#[test]
fn functions_of_old_are_tools() {
    let chat = with(
        r#"{"role":"user","content":"x"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"4"}"#,
        r#","functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"}"#,
    );
    assert_eq!((chat.tools.len(), chat.tool_choice.clone()), (1, Some(ToolChoice::Tool("f".into()))));
    let Content::ToolCall(call) = &chat.messages[1].parts[0].content else { panic!() };
    let Content::ToolResult(result) = &chat.messages[2].parts[0].content else { panic!() };
    assert_eq!(call.id, result.id);
    assert_eq!(chat.tool_of(&result.id), Some("f"));
}

#[test]
fn what_changes_the_kind_of_answer_is_essential() {
    let table = [
        (r#","modalities":["text","audio"],"audio":{"voice":"ash","format":"mp3"}"#, &["modalities", "audio"][..]),
        (r#","web_search_options":{}"#, &["web_search_options"]),
        (r#","tools":[{"type":"custom","custom":{"name":"c"}}]"#, &["tools"]),
        (r#","tool_choice":{"type":"custom","custom":{"name":"c"}}"#, &["tool_choice"]),
        (r#","response_format":{"type":"grammar","grammar":"x"}"#, &["response_format"]),
        (r#","logprobs":true,"prediction":{"type":"content","content":"x"},"store":true"#, &[]),
    ];
    for (more, names) in table {
        let chat = with(r#"{"role":"user","content":"x"}"#, more);
        let essential: Vec<_> = chat.extra.iter().filter(|extra| extra.essential).map(|e| e.name.as_str()).collect();
        assert_eq!(essential, names, "{more}");
    }
}

#[test]
fn thinking_is_said_in_many_words() {
    let own = Reasoning::default;
    let table = [
        (
            r#","reasoning_effort":"high""#,
            Reasoning { effort: Some("high".into()), ..own() },
            r#""reasoning_effort":"high""#,
        ),
        (
            r#","reasoning":{"max_tokens":9000,"exclude":true}"#,
            Reasoning { budget_tokens: Some(9000), include: Some(false), ..own() },
            r#""reasoning_effort":"medium""#,
        ),
        (
            r#","thinking":{"type":"enabled","budget_tokens":2000}"#,
            Reasoning { enabled: Some(true), budget_tokens: Some(2000), ..own() },
            r#""reasoning_effort":"low""#,
        ),
        (r#","thinking":{"type":"disabled"}"#, Reasoning { enabled: Some(false), ..own() }, "}"),
        (
            r#","reasoning_effort":"none""#,
            Reasoning { effort: Some("none".into()), ..own() },
            r#""reasoning_effort":"none""#,
        ),
    ];
    for (more, expected, written) in table {
        let chat = with(r#"{"role":"user","content":"x"}"#, more);
        assert_eq!(chat.reasoning, Some(expected), "{more}");
        let (body, dropped) = sent(&chat);
        assert!(body.contains(written), "{body}");
        assert_eq!(dropped.is_empty(), body.contains("reasoning_effort"), "{more}");
    }
}

#[test]
fn each_model_gets_what_its_servers_know() {
    let mut chat = with(
        r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}]},{"role":"assistant","content":"c","reasoning_details":[{"type":"reasoning.text","text":"so","signature":"s"}],"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"g"}}}]}"#,
        r#","max_tokens":5"#,
    );
    let table = [
        ("gpt-5", r#""max_completion_tokens":5"#, &["cache_control", "thinking", "thought_signature"][..]),
        ("llama-3.3-70b", r#""content":"a\nb""#, &["cache_control", "thinking", "thought_signature"]),
        ("deepseek-reasoner", r#""reasoning_content":"so""#, &["cache_control", "thought_signature"]),
        ("anthropic/claude-opus-4", r#""signature":"s","format":"anthropic-claude-v1""#, &["thought_signature"]),
        ("gemini-3-pro", r#""extra_content":{"google":{"thought_signature":"g"}}"#, &["cache_control", "thinking"]),
    ];
    for (model, written, lost) in table {
        chat.model = model.into();
        let (body, dropped) = sent(&chat);
        assert!(body.contains(written), "{model}: {body}");
        assert_eq!(dropped, lost, "{model}");
        assert_eq!(body.contains("max_completion_tokens"), model == "gpt-5");
    }
}

#[test]
fn signatures_of_calls_are_found_among_the_thoughts() {
    let chat = with(
        r#"{"role":"user","content":"x"},{"role":"assistant","reasoning_details":[{"type":"reasoning.encrypted","data":"g","id":"1","format":"google-gemini-v1"}],"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}"#,
        "",
    );
    assert_eq!(chat.messages[1].parts.len(), 1);
    assert_eq!(chat.messages[1].parts[0].signature.as_deref(), Some("g"));
    let chat = with(
        r#"{"role":"assistant","reasoning_details":[{"type":"reasoning.summary","summary":"so"},{"type":"reasoning.encrypted","data":"e","format":"openai-responses-v1"}]}"#,
        "",
    );
    assert_eq!(
        chat.messages[0].parts,
        [Part { signature: Some("e".into()), ..Part::new(Content::Thinking("so".into())) }]
    );
}

#[test]
fn a_tool_s_pictures_follow_in_a_user_s_turn() {
    let image = |id: &str| {
        Part::new(Content::Image(crate::types::chat::Media::new(Source::Data(id.into()), Some("image/png".into()))))
    };
    let result = |id: &str, parts| {
        Part::new(Content::ToolResult(crate::types::chat::ToolResult {
            id: id.into(),
            name: None,
            parts,
            failed: true,
        }))
    };
    let parts = vec![result("1", vec![Part::text("a"), image("p")]), result("2", vec![]), Part::text("now?")];
    let chat = Chat { model: "m".into(), messages: vec![Message::new(Role::User, parts)], ..Chat::default() };
    let (body, dropped) = sent(&chat);
    let expected = r#"[{"role":"tool","tool_call_id":"1","content":"a"},{"role":"tool","tool_call_id":"2","content":""},{"role":"user","content":[{"type":"text","text":"From the tool call 1:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,p"}},{"type":"text","text":"now?"}]}]"#;
    assert!(body.contains(expected), "{body}");
    assert_eq!(dropped, ["tool_result.is_error"]);
}

#[test]
fn files_of_others_are_refused() {
    let document = |source| Part::new(Content::Document(crate::types::chat::Media::new(source, None)));
    for (source, fine) in [
        (Source::File("file_abc".into()), false),
        (Source::File("file-abc".into()), true),
        (Source::Url("https://a/b.pdf".into()), false),
        (Source::Text("words".into()), true),
    ] {
        let messages = vec![Message::new(Role::User, vec![document(source)])];
        let written = encode(&Chat { model: "m".into(), messages, ..Chat::default() });
        assert_eq!(written.is_ok(), fine, "{written:?}");
        assert!(fine || written.unwrap_err().code == Some("unsupported_by_target"));
    }
}

#[test]
fn wrong_shapes_are_told_by_field() {
    let table = [
        (r#"{"messages":[{"role":"robot"}]}"#, "messages.[0].role"),
        (r#"{"messages":[{"role":"user","content":[{"type":"hologram"}]}]}"#, "messages.[0].content.[0].type"),
        (r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#, "messages.[0].content.[0].image_url"),
        (r#"{"messages":[{"role":"tool","content":"x"}]}"#, "messages.[0].tool_call_id"),
        (r#"{"messages":[],"tools":[{"type":"function"}]}"#, "tools.[0].function"),
        (r#"{"messages":[],"tool_choice":"perhaps"}"#, "tool_choice"),
        (r#"{"messages":[],"response_format":{}}"#, "response_format.type"),
        (r#"{"messages":[],"max_tokens":-1}"#, "max_tokens"),
    ];
    for (body, param) in table {
        assert_eq!(read(body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
}
