//! Whole answers ↔ `Completion`.

use super::ending::{self, is_done, stop_of, usage_of};
use super::error;
use crate::types::chat::{Content, Part, ToolCall};
use crate::types::completion::{Choice, Completion};
use crate::types::json::Json;
use crate::wire::date::Date;
use crate::wire::hub::{self, ReplyFor, arguments_object};
use crate::wire::json::parse;
use crate::wire::write::{self, Array, Object, text_of};

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Completion, String> {
    let json = parse(body).map_err(|error| error.message)?;
    if let Some(error) = error::said(&json) {
        return Err(error);
    }
    let message = json.get("message").filter(|message| matches!(message, Json::Object(_)));
    let message = message.ok_or("expected an object with a `message`")?;
    let mut parts = Vec::new();
    parts.extend(text(message, "thinking").map(|text| Part::new(Content::Thinking(text.to_owned()))));
    parts.extend(text(message, "content").map(Part::text));
    let calls = calls(&json, message, 0);
    let stop = is_done(&json).then(|| stop_of(&json, !calls.is_empty()));
    parts.extend(calls.into_iter().map(|call| Part::new(Content::ToolCall(call))));
    Ok(Completion {
        model: json.get("model").and_then(Json::as_str).map(str::to_owned),
        choices: vec![Choice { parts, stop }],
        usage: usage_of(&json),
        dropped: lost(&json).map(str::to_owned).collect(),
        ..Completion::default()
    })
}

/// Words that are there.
pub(super) fn text<'j>(message: &'j Json<'_>, name: &str) -> Option<&'j str> {
    message.get(name).and_then(Json::as_str).filter(|text| !text.is_empty())
}

/// What of an answer, or of a line of one, has no word here.
pub(super) fn lost(json: &Json<'_>) -> impl Iterator<Item = &'static str> {
    let is_there = |list: Option<&Json<'_>>| list.and_then(Json::as_array).is_some_and(|items| !items.is_empty());
    let logprobs = is_there(json.get("logprobs")).then_some("logprobs");
    let images = json.get("message").is_some_and(|message| is_there(message.get("images"))).then_some("images");
    logprobs.into_iter().chain(images)
}

/// The calls of a message of the answer `json`, of which `before` came earlier. One without an id is given one, the same
/// whenever the same bytes are read; the date tells it from the same call in another turn.
pub(super) fn calls(json: &Json<'_>, message: &Json<'_>, before: usize) -> Vec<ToolCall> {
    let date = json.get("created_at").and_then(Json::as_str).unwrap_or_default();
    let calls = message.get("tool_calls").and_then(Json::as_array).unwrap_or_default();
    let call = |(at, call): (usize, &Json<'_>)| {
        let function = call.get("function");
        let name = function.and_then(|function| text(function, "name")).unwrap_or_default().to_owned();
        let arguments = arguments(function.and_then(|function| function.get("arguments")));
        let made = || hub::call_id(date, &name, &arguments, before.saturating_add(at));
        let id = text(call, "id").map_or_else(made, str::to_owned);
        ToolCall { id, name, arguments }
    };
    calls.iter().enumerate().map(call).collect()
}

/// Arguments as JSON text. They are an object; a text, as others have it, is taken for the JSON in it.
pub(super) fn arguments(json: Option<&Json<'_>>) -> String {
    match json {
        None | Some(Json::Null) => "{}".to_owned(),
        Some(Json::String(text)) => text.to_string(),
        Some(other) => text_of(other),
    }
}

/// Writes a whole answer. This wire has one answer to a request.
pub fn encode(completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    let choice = completion.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let refused = parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
    write::to_vec(|object| {
        write_head(object, reply);
        object.object("message", |object| write_turn(object, parts));
        ending::write(object, choice.and_then(|choice| choice.stop.as_ref()), refused, completion.usage);
    })
}

/// Writes what every line of an answer begins with.
pub(super) fn write_head(object: &mut Object<'_>, reply: &ReplyFor) {
    object.text("model", &reply.model);
    object.text("created_at", &Date::of(reply.created_s).rfc3339());
}

fn write_turn(object: &mut Object<'_>, parts: &[Part]) {
    let joined = |words: fn(&Content) -> Option<&str>| {
        parts.iter().filter_map(|part| words(&part.content)).collect::<Vec<_>>().concat()
    };
    object.text("role", "assistant");
    object.text(
        "content",
        &joined(|content| match content {
            Content::Text(text) | Content::Refusal(text) => Some(text),
            _ => None,
        }),
    );
    let thoughts = joined(|content| match content {
        Content::Thinking(text) => Some(text),
        _ => None,
    });
    object.maybe_text("thinking", Some(thoughts.as_str()).filter(|thoughts| !thoughts.is_empty()));
    let calls: Vec<&ToolCall> = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some(call),
            _ => None,
        })
        .collect();
    if !calls.is_empty() {
        object.array("tool_calls", |list| {
            calls.iter().enumerate().for_each(|(at, call)| write_call(list, call, Some(at)));
        });
    }
}

/// Writes a call; `index` counts those of an answer.
pub(super) fn write_call(list: &mut Array<'_>, call: &ToolCall, index: Option<usize>) {
    list.object(|object| {
        object.maybe_text("id", Some(call.id.as_str()).filter(|id| !id.is_empty()));
        object.object("function", |object| {
            object.maybe_integer("index", index.map(|index| index as u64));
            object.text("name", &call.name);
            object.raw("arguments", &arguments_object(&call.arguments));
        });
    });
}
