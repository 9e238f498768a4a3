//! `Chat` → request bodies.

use super::{CARRIED, OPTION};
use crate::types::chat::{Chat, Content, Format, Media, Message, Part, Reasoning, Role, Source, ToolCall, ToolChoice};
use crate::types::chat::{Tool, ToolResult};
use crate::types::error::Error;
use crate::types::json::Number;
use crate::wire::hub::{Encoded, Losses};
use crate::wire::ollama::answer::write_call;
use crate::wire::write::{self, Array, Object};
use std::collections::HashSet;

/// Options of this wire that others of OpenAI's wire have as fields of the request: their names there, and here.
const ELSEWHERE: [(&str, &str); 7] = [
    ("min_p", "min_p"),
    ("typical_p", "typical_p"),
    ("repeat_penalty", "repeat_penalty"),
    ("repetition_penalty", "repeat_penalty"),
    ("repeat_last_n", "repeat_last_n"),
    ("num_ctx", "num_ctx"),
    ("num_keep", "num_keep"),
];

/// Models that think by levels, and always; others think or do not
/// (<https://docs.ollama.com/capabilities/thinking>).
const BY_LEVEL: &str = "gpt-oss";

/// Writes a request.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    let mut body = Vec::with_capacity(1024);
    write::object(&mut body, |object| {
        object.text("model", &chat.model);
        object.array("messages", |list| {
            if !chat.system.is_empty() {
                Turn::of(&chat.system, &mut losses).write(list, "system");
            }
            chat.messages.iter().for_each(|message| write_turn(list, message, chat, &mut losses));
        });
        write_tools(object, chat, &mut losses);
        write_form(object, chat, &mut losses);
        let options = write::to_text(|options| write_options(options, chat, &mut losses));
        object.maybe_raw("options", Some(options.as_str()).filter(|options| *options != "{}"));
        for name in CARRIED {
            object.maybe_raw(name, chat.extra.iter().find(|extra| extra.name == name).map(|extra| extra.json.as_str()));
        }
        // Left out, it would be one.
        object.flag("stream", chat.stream);
    });
    losses.extras(chat, |name| CARRIED.contains(&name) || option(name).is_some());
    losses.encoded(body)
}

fn write_turn(list: &mut Array<'_>, message: &Message, chat: &Chat, losses: &mut Losses) {
    losses.drop_if(message.name.is_some(), "messages.name");
    match message.role {
        Role::System => Turn::of(&message.parts, losses).write(list, "system"),
        Role::User => Turn::of(&message.parts, losses).write(list, "user"),
        Role::Assistant => Turn::of(&message.parts, losses).write(list, "assistant"),
        Role::Tool => {
            for part in &message.parts {
                note(part, losses);
                match &part.content {
                    Content::ToolResult(result) => write_result(list, result, chat, losses),
                    _ => losses.refuse("messages.content", "a turn of tools holds their results only."),
                }
            }
        }
    }
}

/// A turn, sorted into the fields that it has in this wire.
#[derive(Debug, Default)]
struct Turn<'p> {
    words: Vec<String>,
    thoughts: Vec<&'p str>,
    images: Vec<&'p str>,
    calls: Vec<&'p ToolCall>,
}

impl<'p> Turn<'p> {
    fn of(parts: &'p [Part], losses: &mut Losses) -> Turn<'p> {
        let mut turn = Turn::default();
        for part in parts {
            note(part, losses);
            turn.add(&part.content, losses);
        }
        turn
    }

    fn add(&mut self, content: &'p Content, losses: &mut Losses) {
        match content {
            Content::Text(text) | Content::Refusal(text) => self.words.push(text.clone()),
            Content::Thinking(text) if text.is_empty() => {}
            Content::Thinking(text) => self.thoughts.push(text),
            Content::RedactedThinking(_) => losses.drop("redacted_thinking"),
            Content::ToolCall(call) => self.calls.push(call),
            Content::Image(Media { source: Source::Data(data), detail, .. }) => {
                losses.drop_if(detail.as_deref().is_some_and(|detail| detail != "auto"), "detail");
                self.images.push(data);
            }
            Content::Image(_) => losses.refuse("messages.content", "it fetches no pictures; send them in base64."),
            Content::Document(Media { source: Source::Text(text), name, .. }) => {
                self.words.push(name.as_ref().map_or_else(|| text.clone(), |name| format!("{name}\n\n{text}")));
            }
            Content::Document(_) => losses.refuse("messages.content", "it takes documents as text only."),
            Content::Audio(_) => losses.refuse("messages.content", "it takes no sounds."),
            Content::Video(_) => losses.refuse("messages.content", "it takes no moving pictures."),
            Content::ToolResult(_) => losses.refuse("messages.content", "a result stands in a turn of another role."),
        }
    }

    fn write(&self, list: &mut Array<'_>, role: &str) {
        list.object(|object| {
            object.text("role", role);
            self.fields(object);
        });
    }

    fn fields(&self, object: &mut Object<'_>) {
        object.text("content", &self.words.join("\n\n"));
        if !self.thoughts.is_empty() {
            object.text("thinking", &self.thoughts.join("\n\n"));
        }
        if !self.images.is_empty() {
            object.array("images", |list| self.images.iter().for_each(|image| list.text(image)));
        }
        if !self.calls.is_empty() {
            object.array("tool_calls", |list| self.calls.iter().for_each(|call| write_call(list, call, None)));
        }
    }
}

fn write_result(list: &mut Array<'_>, result: &ToolResult, chat: &Chat, losses: &mut Losses) {
    losses.drop_if(result.failed, "is_error");
    let turn = Turn::of(&result.parts, losses);
    list.object(|object| {
        object.text("role", "tool");
        turn.fields(object);
        object.maybe_text("tool_name", result.name.as_deref().or_else(|| chat.tool_of(&result.id)));
        object.maybe_text("tool_call_id", Some(result.id.as_str()).filter(|id| !id.is_empty()));
    });
}

fn write_tools(object: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    match chat.tool_choice {
        // What is not offered is not called.
        Some(ToolChoice::None) => return losses.drop_if(!chat.tools.is_empty(), "tools"),
        Some(ToolChoice::Any | ToolChoice::Tool(_)) => {
            losses.refuse("tool_choice", "it cannot make a model call a tool.");
        }
        Some(ToolChoice::Auto) | None => {}
    }
    if chat.tools.is_empty() {
        return;
    }
    losses.drop_if(chat.parallel_tool_calls == Some(false), "parallel_tool_calls");
    object.array("tools", |list| chat.tools.iter().for_each(|tool| write_tool(list, tool, losses)));
}

fn write_tool(list: &mut Array<'_>, tool: &Tool, losses: &mut Losses) {
    losses.drop_if(tool.cache.is_some(), "cache_control");
    losses.drop_if(tool.strict == Some(true), "tools.strict");
    list.object(|object| {
        object.text("type", "function");
        object.object("function", |object| {
            object.text("name", &tool.name);
            object.maybe_text("description", tool.description.as_deref());
            // The field is not optional here.
            object.raw("parameters", tool.parameters.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#));
        });
    });
}

/// The form of the answer, and how it is come to.
fn write_form(object: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    match &chat.format {
        None => {}
        Some(Format::Json) => object.text("format", "json"),
        Some(Format::Schema(schema)) => {
            losses.drop_if(schema.description.is_some(), "response_format.json_schema.description");
            object.raw("format", &schema.schema);
        }
    }
    if let Some(reasoning) = &chat.reasoning {
        write_thinking(object, reasoning, chat.model.contains(BY_LEVEL), losses);
    }
}

fn write_thinking(object: &mut Object<'_>, reasoning: &Reasoning, by_level: bool, losses: &mut Losses) {
    let effort = reasoning.effort_word();
    if reasoning.is_off() {
        // Who thinks always thinks least at the lowest level.
        losses.drop_if(by_level, "reasoning.off");
        return if by_level { object.text("think", "low") } else { object.flag("think", false) };
    }
    if effort.is_none() && reasoning.enabled != Some(true) {
        return;
    }
    losses.drop_if(reasoning.budget_tokens.is_some(), "reasoning.budget");
    let level = match effort {
        Some("minimal" | "low") => Some("low"),
        None | Some("medium") => None,
        Some(_) => Some("high"),
    };
    match level {
        _ if !by_level => {
            losses.drop_if(level.is_some() && reasoning.budget_tokens.is_none(), "reasoning.effort");
            object.flag("think", true);
        }
        level => object.text("think", level.unwrap_or("medium")),
    }
}

fn write_options(options: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    if chat.choices.is_some_and(|choices| choices > 1) {
        losses.refuse("n", "it gives one answer to a request.");
    }
    losses.drop_if(chat.user.is_some(), "user");
    options.maybe_integer("num_predict", chat.max_tokens);
    options.maybe_number("temperature", chat.temperature);
    options.maybe_number("top_p", chat.top_p);
    options.maybe_integer("top_k", chat.top_k);
    options.maybe_number("frequency_penalty", chat.frequency_penalty);
    options.maybe_number("presence_penalty", chat.presence_penalty);
    match chat.seed {
        // Whole numbers only.
        Some(Number::Float(_)) => losses.drop("seed"),
        seed => options.maybe_number("seed", seed),
    }
    if !chat.stop.is_empty() {
        options.array("stop", |list| chat.stop.iter().for_each(|stop| list.text(stop)));
    }
    let mut written: HashSet<&str> = HashSet::new();
    for extra in &chat.extra {
        let Some(name) = option(&extra.name).filter(|name| written.insert(name)) else { continue };
        options.raw(name, &extra.json);
    }
}

/// The option that a field without a word in `Chat` is.
fn option(name: &str) -> Option<&str> {
    let elsewhere = || ELSEWHERE.iter().find(|(other, _)| *other == name).map(|(_, own)| *own);
    name.strip_prefix(OPTION).or_else(elsewhere)
}

/// What no part can carry here.
fn note(part: &Part, losses: &mut Losses) {
    losses.drop_if(part.cache.is_some(), "cache_control");
    losses.drop_if(part.signature.is_some(), "signature");
}
