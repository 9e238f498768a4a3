//! `Chat` → request bodies.

use super::CARRIED;
use crate::types::chat::{Chat, Content, Format, Media, Message, Part, Role, Source, Tool, ToolChoice, ToolResult};
use crate::types::error::Error;
use crate::types::json::Number;
use crate::wire::cohere::answer::{Turn, write_words};
use crate::wire::hub::{Encoded, Losses, arguments_object};
use crate::wire::write::{self, Array, Object};

/// The wire allows so many texts that end an answer.
const STOPS: usize = 5;

/// Writes a request.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    let mut body = Vec::with_capacity(1024);
    write::object(&mut body, |object| {
        object.text("model", &chat.model);
        object.array("messages", |list| {
            if !chat.system.is_empty() {
                write_plain_turn(list, "system", &chat.system, &mut losses);
            }
            chat.messages.iter().for_each(|message| write_turn(list, message, &mut losses));
        });
        write_tools(object, chat, &mut losses);
        write_form(object, chat, &mut losses);
        write_sampling(object, chat, &mut losses);
        for name in CARRIED {
            let extra = chat.extra.iter().find(|extra| extra.name == name);
            object.maybe_raw(name, extra.map(|extra| extra.json.as_str()));
        }
        if chat.stream {
            object.flag("stream", true);
        }
    });
    losses.extras(chat, |name| CARRIED.contains(&name));
    losses.encoded(body)
}

fn write_turn(list: &mut Array<'_>, message: &Message, losses: &mut Losses) {
    losses.drop_if(message.name.is_some(), "messages.name");
    match message.role {
        Role::System => write_plain_turn(list, "system", &message.parts, losses),
        Role::User => write_plain_turn(list, "user", &message.parts, losses),
        Role::Assistant => write_assistant(list, &message.parts, losses),
        Role::Tool => {
            for part in &message.parts {
                note(part, losses);
                match &part.content {
                    Content::ToolResult(result) => write_result(list, result, losses),
                    other => refuse(other, losses),
                }
            }
        }
    }
}

/// A turn of words and pictures. One text alone is its content as it is.
fn write_plain_turn(list: &mut Array<'_>, role: &str, parts: &[Part], losses: &mut Losses) {
    list.object(|object| {
        object.text("role", role);
        match parts {
            [] => object.text("content", ""),
            [Part { content: Content::Text(text), cache, signature: None }] => {
                losses.drop_if(cache.is_some(), "cache_control");
                object.text("content", text);
            }
            parts => object.array("content", |list| {
                for part in parts {
                    note(part, losses);
                    write_part(list, &part.content, losses);
                }
            }),
        }
    });
}

fn write_part(list: &mut Array<'_>, content: &Content, losses: &mut Losses) {
    match content {
        Content::Text(text) | Content::Refusal(text) => write_words(list, "text", text),
        Content::Image(media) => write_image(list, media, losses),
        Content::Document(Media { source: Source::Text(text), name, .. }) => {
            let titled = name.as_ref().map(|name| format!("{name}\n\n{text}"));
            write_words(list, "text", titled.as_deref().unwrap_or(text));
        }
        other => refuse(other, losses),
    }
}

fn write_image(list: &mut Array<'_>, media: &Media, losses: &mut Losses) {
    let url = match &media.source {
        Source::Url(url) => url.clone(),
        Source::Data(data) => format!("data:{};base64,{data}", media.media_type.as_deref().unwrap_or("image/png")),
        Source::File(_) | Source::Text(_) => {
            return losses.refuse("messages.content", "it cannot fetch a picture by another vendor's file id.");
        }
    };
    list.object(|object| {
        object.text("type", "image_url");
        object.object("image_url", |object| {
            object.text("url", &url);
            object.maybe_text("detail", media.detail.as_deref());
        });
    });
}

fn write_assistant(list: &mut Array<'_>, parts: &[Part], losses: &mut Losses) {
    for part in parts {
        note(part, losses);
        match &part.content {
            Content::Text(_) | Content::Refusal(_) | Content::Thinking(_) | Content::ToolCall(_) => {}
            Content::RedactedThinking(_) => losses.drop("redacted_thinking"),
            other => refuse(other, losses),
        }
    }
    let turn = Turn::of(parts);
    list.object(|object| {
        object.text("role", "assistant");
        match turn.said.as_slice() {
            [] if !turn.calls.is_empty() => {}
            [] => object.text("content", ""),
            [("text", text)] => object.text("content", text),
            said => object.array("content", |list| said.iter().for_each(|(kind, text)| write_words(list, kind, text))),
        }
        if turn.calls.is_empty() {
            return;
        }
        object.array("tool_calls", |list| {
            for call in &turn.calls {
                list.object(|object| {
                    object.text("id", &call.id);
                    object.text("type", "function");
                    object.object("function", |object| {
                        object.text("name", &call.name);
                        object.text("arguments", &arguments_object(&call.arguments));
                    });
                });
            }
        });
        if !turn.plan.is_empty() {
            object.text("tool_plan", &turn.plan);
        }
    });
}

fn write_result(list: &mut Array<'_>, result: &ToolResult, losses: &mut Losses) {
    losses.drop_if(result.failed, "is_error");
    list.object(|object| {
        object.text("role", "tool");
        object.text("tool_call_id", &result.id);
        match result.parts.as_slice() {
            [] => object.text("content", ""),
            [Part { content: Content::Text(text), .. }] => object.text("content", text),
            parts => object.array("content", |list| {
                for part in parts {
                    note(part, losses);
                    match &part.content {
                        Content::Document(media) => write_document(list, media, losses),
                        Content::Image(_) => losses.refuse("messages.content", "its tools give no pictures."),
                        other => write_part(list, other, losses),
                    }
                }
            }),
        }
    });
}

/// A document that a tool gave: its fields as they are, or its text as one.
fn write_document(list: &mut Array<'_>, media: &Media, losses: &mut Losses) {
    let Source::Text(text) = &media.source else { return refuse(&Content::Document(media.clone()), losses) };
    list.object(|object| {
        object.text("type", "document");
        object.object("document", |object| {
            if media.media_type.as_deref() == Some("application/json") && arguments_object(text) == text.trim() {
                object.raw("data", text.trim());
            } else {
                object.object("data", |object| object.text("text", text));
            }
            object.maybe_text("id", media.name.as_deref());
        });
    });
}

fn write_tools(object: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    // This wire cannot name the tool that must be called, but it can offer that one alone.
    let named = match &chat.tool_choice {
        Some(ToolChoice::Tool(name)) => Some(name.as_str()),
        _ => None,
    };
    let offered: Vec<&Tool> = chat.tools.iter().filter(|tool| named.is_none_or(|name| tool.name == name)).collect();
    if offered.is_empty() {
        if matches!(chat.tool_choice, Some(ToolChoice::Any | ToolChoice::Tool(_))) {
            losses.refuse("tool_choice", "none of `tools` is the one that must be called.");
        }
        return;
    }
    object.array("tools", |list| offered.iter().for_each(|tool| write_tool(list, tool, losses)));
    let strict = |wanted: bool| offered.iter().all(|tool| tool.strict == Some(wanted));
    if strict(true) || strict(false) {
        object.flag("strict_tools", strict(true));
    } else {
        losses.drop_if(offered.iter().any(|tool| tool.strict == Some(true)), "tools.strict");
    }
    match chat.tool_choice {
        Some(ToolChoice::Any | ToolChoice::Tool(_)) => object.text("tool_choice", "REQUIRED"),
        Some(ToolChoice::None) => object.text("tool_choice", "NONE"),
        Some(ToolChoice::Auto) | None => {}
    }
    losses.drop_if(chat.parallel_tool_calls == Some(false), "parallel_tool_calls");
}

fn write_tool(list: &mut Array<'_>, tool: &Tool, losses: &mut Losses) {
    losses.drop_if(tool.cache.is_some(), "cache_control");
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
    if let Some(format) = &chat.format {
        object.object("response_format", |object| {
            object.text("type", "json_object");
            if let Format::Schema(schema) = format {
                losses.drop_if(schema.description.is_some(), "response_format.json_schema.description");
                object.raw("json_schema", &schema.schema);
            }
        });
    }
    let Some(reasoning) = &chat.reasoning else { return };
    if reasoning.is_off() {
        object.object("thinking", |object| object.text("type", "disabled"));
    } else if reasoning.enabled == Some(true) || reasoning.budget().is_some() {
        object.object("thinking", |object| {
            object.text("type", "enabled");
            object.maybe_integer("token_budget", reasoning.budget());
        });
    }
}

fn write_sampling(object: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    if chat.choices.is_some_and(|choices| choices > 1) {
        losses.refuse("n", "it gives one answer to a request.");
    }
    if chat.stop.len() > STOPS {
        losses.refuse("stop", "it takes at most 5 texts that end an answer.");
    }
    losses.drop_if(chat.user.is_some(), "user");
    object.maybe_integer("max_tokens", chat.max_tokens);
    if !chat.stop.is_empty() {
        object.array("stop_sequences", |list| chat.stop.iter().for_each(|stop| list.text(stop)));
    }
    object.maybe_number("temperature", chat.temperature);
    match chat.seed {
        Some(seed @ Number::Unsigned(_)) => object.maybe_number("seed", Some(seed)),
        other => losses.drop_if(other.is_some(), "seed"),
    }
    let mut within = |object: &mut Object<'_>, key: &str, name: &str, number: Option<Number>, from: f64, to: f64| {
        let kept = number.map(|number| clamped(number, from, to));
        losses.drop_if(kept != number, name);
        object.maybe_number(key, kept);
    };
    within(object, "frequency_penalty", "frequency_penalty", chat.frequency_penalty, 0.0, 1.0);
    within(object, "presence_penalty", "presence_penalty", chat.presence_penalty, 0.0, 1.0);
    within(object, "k", "top_k", chat.top_k.map(Number::Unsigned), 0.0, 500.0);
    within(object, "p", "top_p", chat.top_p, 0.01, 0.99);
}

/// The nearest number in the wire's own range; the same number where it lies within.
fn clamped(number: Number, from: f64, to: f64) -> Number {
    let value = match number {
        Number::Unsigned(n) => n as f64,
        Number::Signed(n) => n as f64,
        Number::Float(n) => n,
    };
    let bound = |bound: f64| if bound.fract() == 0.0 { Number::Unsigned(bound as u64) } else { Number::Float(bound) };
    if value < from {
        bound(from)
    } else if value > to {
        bound(to)
    } else {
        number
    }
}

/// What no part can carry here.
fn note(part: &Part, losses: &mut Losses) {
    losses.drop_if(part.cache.is_some(), "cache_control");
    losses.drop_if(part.signature.is_some(), "signature");
}

fn refuse(content: &Content, losses: &mut Losses) {
    let why = match content {
        Content::Image(_) => "a model's turn holds no pictures.",
        Content::Audio(_) => "it takes no sounds.",
        Content::Video(_) => "it takes no moving pictures.",
        Content::Document(_) => "it takes documents as text only.",
        Content::ToolCall(_) | Content::ToolResult(_) => "a call or its result stands in a turn of the wrong role.",
        _ => "thoughts stand in a turn that is not the model's.",
    };
    losses.refuse("messages.content", why);
}
