//! Whole answers ↔ `Completion` (<https://platform.claude.com/docs/en/api/messages>).
//!
//! Blocks of server tools and citations have no word in `Completion`: they are named as dropped. A picture in an answer of
//! another wire is told here in words, as this one has no such block.

use super::words;
use crate::types::chat::{Content, Part, ToolCall};
use crate::types::completion::{Choice, Completion};
use crate::types::json::Json;
use crate::wire::hub::{ReplyFor, arguments_object};
use crate::wire::json::parse;
use crate::wire::write::{self, Array};

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Completion, String> {
    let json = parse(body).map_err(|error| error.message)?;
    let blocks = json.get("content").and_then(Json::as_array).ok_or("expected a `content` array")?;
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let mut dropped = Vec::new();
    let parts = blocks.iter().filter_map(|block| part_of(block, &mut dropped)).collect();
    if json.get("container").is_some_and(|one| *one != Json::Null) {
        drop_once(&mut dropped, "container");
    }
    let stop = text("stop_reason").map(|reason| words::stop_of(reason, text("stop_sequence")));
    Ok(Completion {
        id: text("id").map(str::to_owned),
        model: text("model").map(str::to_owned),
        created_s: None,
        choices: vec![Choice { parts, stop }],
        usage: json.get("usage").map(|usage| words::usage_of(usage, None)),
        dropped,
    })
}

fn part_of(block: &Json<'_>, dropped: &mut Vec<String>) -> Option<Part> {
    let text = |name: &str| block.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    match block.get("type").and_then(Json::as_str).unwrap_or_default() {
        "text" => {
            if block.get("citations").and_then(Json::as_array).is_some_and(|list| !list.is_empty()) {
                drop_once(dropped, "citations");
            }
            Some(Part::text(text("text")))
        }
        "thinking" => {
            let signature = Some(text("signature")).filter(|signature| !signature.is_empty());
            Some(Part { signature, ..Part::new(Content::Thinking(text("thinking"))) })
        }
        "redacted_thinking" => Some(Part::new(Content::RedactedThinking(text("data")))),
        "tool_use" => {
            let arguments = block.get("input").map_or_else(|| "{}".to_owned(), write::text_of);
            Some(Part::new(Content::ToolCall(ToolCall { id: text("id"), name: text("name"), arguments })))
        }
        other => {
            drop_once(dropped, other);
            None
        }
    }
}

/// Notes a name that is not noted yet.
pub(super) fn drop_once(dropped: &mut Vec<String>, name: &str) {
    if !dropped.iter().any(|one| one == name) {
        dropped.push(name.to_owned());
    }
}

/// Writes a whole answer: the first, where there are several.
pub fn encode(completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    let choice = completion.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let has = |is: fn(&Content) -> bool| parts.iter().any(|part| is(&part.content));
    let has_calls = has(|content| matches!(content, Content::ToolCall(_)));
    let refused = has(|content| matches!(content, Content::Refusal(_)));
    write::to_vec(|object| {
        object.text("id", &reply.id);
        object.text("type", "message");
        object.text("role", "assistant");
        object.text("model", &reply.model);
        object.array("content", |list| parts.iter().for_each(|part| write_part(list, part)));
        words::write_stop(object, choice.and_then(|choice| choice.stop.as_ref()), has_calls, refused);
        object.object("usage", |usage| words::write_usage(usage, &completion.usage.unwrap_or_default()));
    })
}

fn write_part(list: &mut Array<'_>, part: &Part) {
    let mut words = |text: &str| {
        list.object(|block| {
            block.text("type", "text");
            block.text("text", text);
        });
    };
    match &part.content {
        Content::Text(text) | Content::Refusal(text) => words(text),
        Content::Thinking(text) => list.object(|block| {
            block.text("type", "thinking");
            block.text("thinking", text);
            block.text("signature", part.signature.as_deref().unwrap_or_default());
        }),
        Content::RedactedThinking(data) => list.object(|block| {
            block.text("type", "redacted_thinking");
            block.text("data", data);
        }),
        Content::ToolCall(call) => list.object(|block| {
            block.text("type", "tool_use");
            block.text("id", &call.id);
            block.text("name", &call.name);
            block.raw("input", &arguments_object(&call.arguments));
        }),
        other => {
            if let Some(text) = words::as_words(other) {
                words(&text);
            }
        }
    }
}
