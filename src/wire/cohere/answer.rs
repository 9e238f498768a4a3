//! Whole answers ↔ `Completion`.

use super::ending::{stop_of, usage_of, word_of, write_usage};
use crate::types::chat::{Content, Part, ToolCall};
use crate::types::completion::{Choice, Completion};
use crate::types::json::Json;
use crate::wire::hub::ReplyFor;
use crate::wire::json::parse;
use crate::wire::write::{self, Array, Object};
use rand::Rng;

/// A new id of an answer or an error: a random UUID.
pub fn new_id() -> String {
    let bits: u128 = rand::rng().random();
    // Version 4 of variant 1 (RFC 9562).
    let bits = (bits & !(0xf000 << 64 | 0xc000 << 48)) | 0x4000 << 64 | 0x8000 << 48;
    let hex = format!("{bits:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Completion, String> {
    let json = parse(body).map_err(|error| error.message)?;
    let message = json.get("message").filter(|message| matches!(message, Json::Object(_)));
    let message = message.ok_or("expected an object with a `message`")?;
    let mut parts = said(message.get("content"));
    parts.extend(plan(message));
    parts.extend(calls(message));
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let is_there = |list: Option<&Json<'_>>| list.and_then(Json::as_array).is_some_and(|items| !items.is_empty());
    let mut dropped = Vec::new();
    if is_there(message.get("citations")) {
        dropped.push("citations".to_owned());
    }
    if is_there(json.get("logprobs")) {
        dropped.push("logprobs".to_owned());
    }
    Ok(Completion {
        id: text("id").map(str::to_owned),
        choices: vec![Choice { parts, stop: text("finish_reason").map(stop_of) }],
        usage: json.get("usage").and_then(usage_of),
        dropped,
        ..Completion::default()
    })
}

/// The words and thoughts of a model's `content`: a text, or a list of parts.
pub(super) fn said(content: Option<&Json<'_>>) -> Vec<Part> {
    let part = |part: &Json<'_>| {
        let field = |name: &str| part.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        match part.get("type").and_then(Json::as_str) {
            Some("thinking") => Some(Part::new(Content::Thinking(field("thinking")?.to_owned()))),
            _ => field("text").map(Part::text),
        }
    };
    match content {
        Some(Json::String(text)) if !text.is_empty() => vec![Part::text(text.as_ref())],
        Some(Json::Array(parts)) => parts.iter().filter_map(part).collect(),
        _ => Vec::new(),
    }
}

/// What the model says it will do with its tools.
pub(super) fn plan(message: &Json<'_>) -> Option<Part> {
    message.get("tool_plan").and_then(Json::as_str).filter(|plan| !plan.is_empty()).map(Part::text)
}

/// The calls of a model's turn.
pub(super) fn calls(message: &Json<'_>) -> Vec<Part> {
    let call = |call: &Json<'_>| {
        let text = |json: Option<&Json<'_>>, name: &str| {
            json.and_then(|json| json.get(name)).and_then(Json::as_str).unwrap_or_default().to_owned()
        };
        let function = call.get("function");
        let (id, name, arguments) = (text(Some(call), "id"), text(function, "name"), text(function, "arguments"));
        Part::new(Content::ToolCall(ToolCall { id, name, arguments }))
    };
    message.get("tool_calls").and_then(Json::as_array).unwrap_or_default().iter().map(call).collect()
}

/// Writes a whole answer. This wire has one answer to a request.
pub fn encode(completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    let choice = completion.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    write::to_vec(|object| {
        object.text("id", &reply.id);
        object.object("message", |object| {
            object.text("role", "assistant");
            write_turn(object, parts);
        });
        object.text("finish_reason", word_of(choice.and_then(|choice| choice.stop.as_ref())));
        write_usage(object, completion.usage);
    })
}

/// Writes the fields of a model's turn in an answer: its content is a list always.
fn write_turn(object: &mut Object<'_>, parts: &[Part]) {
    let turn = Turn::of(parts);
    if !turn.plan.is_empty() {
        object.text("tool_plan", &turn.plan);
    }
    if !turn.calls.is_empty() {
        object.array("tool_calls", |list| turn.calls.iter().for_each(|call| write_call(list, call)));
    }
    if turn.calls.is_empty() || !turn.said.is_empty() {
        object.array("content", |list| {
            if turn.said.is_empty() {
                write_words(list, "text", "");
            }
            turn.said.iter().for_each(|(kind, words)| write_words(list, kind, words));
        });
    }
}

/// A model's turn, sorted into the fields that it has in this wire.
#[derive(Debug, Default)]
pub(super) struct Turn<'p> {
    /// What was said before the first call, where there is one.
    pub(super) plan: String,
    /// Words and thoughts, each with the name of its kind.
    pub(super) said: Vec<(&'static str, &'p str)>,
    /// The calls.
    pub(super) calls: Vec<&'p ToolCall>,
}

impl<'p> Turn<'p> {
    /// Sorts `parts`. What has no place in this wire is left out.
    pub(super) fn of(parts: &'p [Part]) -> Turn<'p> {
        let mut turn = Turn::default();
        for part in parts {
            match &part.content {
                Content::ToolCall(call) => turn.calls.push(call),
                Content::Thinking(text) if !text.is_empty() => turn.said.push(("thinking", text)),
                Content::Text(text) | Content::Refusal(text) if !text.is_empty() => turn.said.push(("text", text)),
                _ => {}
            }
        }
        if !turn.calls.is_empty() {
            let plan: Vec<&str> = turn.said.iter().filter(|(kind, _)| *kind == "text").map(|(_, text)| *text).collect();
            turn.plan = plan.join("\n\n");
            turn.said.retain(|(kind, _)| *kind != "text");
        }
        turn
    }
}

/// Writes a part of words or thoughts.
pub(super) fn write_words(list: &mut Array<'_>, kind: &str, words: &str) {
    list.object(|object| {
        object.text("type", kind);
        object.text(kind, words);
    });
}

/// Writes a call.
pub(super) fn write_call(list: &mut Array<'_>, call: &ToolCall) {
    list.object(|object| {
        object.text("id", &call.id);
        object.text("type", "function");
        object.object("function", |object| {
            object.text("name", &call.name);
            object.text("arguments", &call.arguments);
        });
    });
}
