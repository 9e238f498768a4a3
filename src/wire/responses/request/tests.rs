//! Requests read, written, and what is refused.

use super::*;
use crate::types::chat::{Chat, Content, Message, Part, Role, ToolChoice};
use crate::types::error::Error;
use crate::types::surface::Surface;
use crate::wire::hub::{self, Encoded};
use crate::wire::json::parse;
use crate::wire::request::{InPath, read as read_request};
use crate::wire::write::text_of;

fn read(body: &str) -> Result<Chat, Error> {
    decode(&parse(body.as_bytes()).unwrap())
}

fn sent(chat: &Chat) -> (String, Vec<String>) {
    let Encoded { body, dropped } = encode(chat).unwrap();
    (String::from_utf8(body).unwrap(), dropped)
}

#[test]
fn a_whole_request_is_read_and_written() {
    let chat = read(include_str!("../../../../tests/golden/responses/request.json")).unwrap();
    assert_eq!(chat.system, [Part::text("Be brief."), Part::text("Answer in French.")]);
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    let (user, assistant) = (Role::User, Role::Assistant);
    assert_eq!(roles, [user, user, assistant, Role::Tool, assistant, Role::System, user]);
    let said = &chat.messages[2].parts;
    assert_eq!(said[0].signature.as_deref(), Some("sig1"));
    assert_eq!(said[1].content, Content::RedactedThinking("xyz".into()));
    assert_eq!(said[3].signature.as_deref(), Some("sig2"));
    assert_eq!(chat.messages[3].parts.len(), 2);
    assert_eq!(chat.tool_choice, Some(ToolChoice::Auto));
    assert_eq!(chat.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["look", "patch"]);
    assert!(chat.extra.iter().all(|extra| !extra.essential), "{:?}", chat.extra);
    let (body, dropped) = sent(&chat);
    let golden = parse(include_bytes!("../../../../tests/golden/responses/request.sent.json")).unwrap();
    assert_eq!(body, text_of(&golden));
    let lost = ["tools.web_search", "truncation", "metadata", "prompt_cache_key", "thinking", "thought_signature"];
    assert_eq!(dropped, lost);
    // What was written says the same when it is read again, but for what was lost.
    let again = read(&body).unwrap();
    assert_eq!(again.messages.len(), chat.messages.len());
    assert_eq!(again.messages[1], chat.messages[1]);
    assert_eq!(again.messages[3], chat.messages[3]);
}

#[test]
fn the_same_request_goes_to_chat_completions() {
    let mut chat = read(include_str!("../../../../tests/golden/responses/request.json")).unwrap();
    // A document at an address has no place there.
    assert_eq!(hub::encode(Surface::ChatCompletions, &chat).unwrap_err().code, Some("unsupported_by_target"));
    let is_there = |part: &Part| !matches!(part.content, Content::Document(_) | Content::Image(_));
    chat.messages[1].parts.retain(is_there);
    let encoded = hub::encode(Surface::ChatCompletions, &chat).unwrap();
    let body = String::from_utf8(encoded.body).unwrap();
    assert!(body.contains(r#""name":"patch","arguments":"{\"input\":\"*** Begin\\n\"}""#), "{body}");
    assert!(body.contains(r#""max_completion_tokens":200"#), "{body}");
}

#[test]
fn what_changes_the_kind_of_answer_is_essential() {
    let table = [
        (r#""tools":[{"type":"web_search"},{"type":"mcp","server_label":"x"}]"#, &["tools"][..]),
        (r#""tools":[{"type":"web_search","external_web_access":false}]"#, &[]),
        (r#""tools":[{"type":"web_search"}],"client_metadata":{"x-codex-window-id":"1"}"#, &[]),
        (r#""tools":[{"type":"namespace","name":"s","tools":[{"type":"function","name":"f"}]}]"#, &[]),
        (r#""tool_choice":{"type":"file_search"}"#, &["tool_choice"]),
        (r#""background":true"#, &["background"]),
        (r#""background":false,"store":true,"truncation":"disabled""#, &[]),
        (r#""previous_response_id":"resp_1""#, &["previous_response_id"]),
        (r#""prompt":{"id":"p"}"#, &["prompt"]),
        (r#""conversation":"conv_1""#, &["conversation"]),
        (r#""include":["web_search_call.action.sources"],"service_tier":"flex""#, &[]),
    ];
    for (more, names) in table {
        let chat = read(&format!(r#"{{"model":"m","input":"x",{more}}}"#)).unwrap();
        let essential: Vec<_> = chat.extra.iter().filter(|extra| extra.essential).map(|e| e.name.as_str()).collect();
        assert_eq!(essential, names, "{more}");
    }
}

#[test]
fn tools_in_a_namespace_have_both_names() {
    let chat = read(
        r#"{"model":"m","input":[{"type":"function_call","call_id":"1","namespace":"s","name":"f","arguments":"{}"}],"tools":[{"type":"namespace","name":"s","tools":[{"type":"function","name":"f"}]}]}"#,
    )
    .unwrap();
    assert_eq!((chat.tools[0].name.as_str(), chat.tool_of("1")), ("s__f", Some("s__f")));
}

#[test]
fn only_what_other_wires_have_is_lost() {
    let chat = Chat {
        model: "gpt-4o".into(),
        messages: vec![Message::new(Role::User, vec![Part::text("x")])],
        max_tokens: Some(1),
        stop: vec!["END".into()],
        top_k: Some(4),
        ..Chat::default()
    };
    let (body, dropped) = sent(&chat);
    let expected = r#"{"model":"gpt-4o","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"x"}]}],"max_output_tokens":16,"store":false}"#;
    assert_eq!((body.as_str(), dropped), (expected, vec!["stop".to_owned(), "top_k".to_owned()]));
    let several = Chat { choices: Some(2), ..chat };
    assert_eq!(encode(&several).unwrap_err().param.as_deref(), Some("n"));
}

#[test]
fn finds_the_question_and_refuses_wrong_shapes() {
    let inspected = |body: &str| {
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        read_request(Surface::Responses, &parse(&body)?, &body, &InPath::default())
    };
    let table = [
        (r#"{"model":"m","input":"hi"}"#, Some("hi")),
        (r#"{"model":"m","input":[{"role":"user","content":"hi"}]}"#, Some("hi")),
        (
            r#"{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]}]}"#,
            Some("b"),
        ),
        (r#"{"model":"m","input":[{"type":"function_call_output","call_id":"1","output":"x"}]}"#, None),
        (r#"{"model":"m","previous_response_id":"resp_1"}"#, None),
    ];
    for (body, question) in table {
        let request = inspected(body).unwrap();
        assert_eq!(request.question.as_deref(), question, "{body}");
        assert!(request.include_usage);
    }
    let wrong = [
        (r#"{"input":"x"}"#, "model"),
        (r#"{"model":"m"}"#, "input"),
        (r#"{"model":"m","input":3}"#, "input"),
        (r#"{"model":"m","input":["x"]}"#, "input.[0]"),
        (r#"{"model":"m","input":"x","stream":1}"#, "stream"),
    ];
    for (body, param) in wrong {
        assert_eq!(inspected(body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    let unread = [
        (r#"{"input":[{"type":"message","role":"robot"}]}"#, "input.[0].role"),
        (r#"{"input":[{"role":"user","content":[{"type":"hologram"}]}]}"#, "input.[0].content.[0].type"),
        (r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#, "input.[0]"),
        (r#"{"input":[{"type":"function_call","name":"f"}]}"#, "input.[0].call_id"),
        (r#"{"input":"x","tools":[{"type":"function"}]}"#, "tools.[0].name"),
        (r#"{"input":"x","text":{"format":{"type":"json_schema"}}}"#, "text.format.schema"),
    ];
    for (body, param) in unread {
        assert_eq!(read(body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
}
