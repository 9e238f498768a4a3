//! `Chat` → request bodies, in the order of the reference.

use super::super::content::{self, Writer};
use super::{EXTRAS, fields};
use crate::types::chat::{Chat, Content, Format, Part, Role, Tool, ToolChoice};
use crate::types::error::Error;
use crate::wire::hub::{Encoded, Losses};
use crate::wire::write::{self, Array, Object};

/// Writes a request.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    let words = fields::write(chat, &mut losses);
    note_losses(chat, &words, &mut losses);
    let mut body = Vec::with_capacity(1024);
    write::object(&mut body, |o| {
        let signed_only = fields::wants_signed_thoughts(&chat.model);
        let mut writer = Writer { losses: &mut losses, signed_only, documents: 0 };
        messages(chat, &mut writer, o);
        system(chat, &mut writer, o);
        inference(chat, &words, o);
        tools(chat, &mut losses, o);
        extras(chat, true, o);
        if !words.fields.is_empty() {
            o.object("additionalModelRequestFields", |o| {
                words.fields.iter().for_each(|(name, json)| o.raw(name, json));
            });
        }
        extras(chat, false, o);
        output(chat, words.effort.as_deref(), o);
    });
    losses.encoded(body)
}

/// What has no field.
fn note_losses(chat: &Chat, words: &fields::Written, losses: &mut Losses) {
    if chat.choices.is_some_and(|choices| choices > 1) {
        losses.refuse("n", "Converse gives one answer a request.");
    }
    if chat.format == Some(Format::Json) {
        losses.refuse("response_format", "Converse keeps to a JSON schema, but has no mode for JSON of any form.");
    }
    losses.drop_if(chat.parallel_tool_calls == Some(false), "parallel_tool_calls");
    losses.drop_if(chat.frequency_penalty.is_some(), "frequency_penalty");
    losses.drop_if(chat.presence_penalty.is_some(), "presence_penalty");
    losses.drop_if(chat.seed.is_some(), "seed");
    losses.drop_if(chat.user.is_some(), "user");
    losses.drop_if(chat.messages.iter().any(|message| message.name.is_some()), "name");
    losses.drop_if(words.fixed_sampling && chat.temperature.is_some(), "temperature");
    losses.drop_if(words.fixed_sampling && chat.top_p.is_some(), "top_p");
    losses.extras(chat, |name| {
        name.starts_with("additionalModelRequestFields.") || EXTRAS.iter().any(|(known, _)| *known == name)
    });
}

/// Turns of the user and the model by turns; the results of tools are told by the user.
fn messages(chat: &Chat, writer: &mut Writer<'_>, object: &mut Object<'_>) {
    let mut turns: Vec<(&str, Vec<&Part>)> = Vec::with_capacity(chat.messages.len());
    for message in &chat.messages {
        let role = match message.role {
            Role::System => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        match turns.last_mut() {
            Some((last, parts)) if *last == role => parts.extend(&message.parts),
            _ => turns.push((role, message.parts.iter().collect())),
        }
    }
    // A turn without words would be refused, and says nothing.
    turns.retain(|(_, parts)| parts.iter().any(|part| part.as_text() != Some("")));
    object.array("messages", |list| {
        for (role, parts) in turns {
            list.object(|o| {
                o.text("role", role);
                o.array("content", |list| parts.into_iter().for_each(|part| writer.part(part, list)));
            });
        }
    });
}

/// What stands before the conversation, and what the operator says in the middle of it, in its order.
fn system(chat: &Chat, writer: &mut Writer<'_>, object: &mut Object<'_>) {
    let middle = chat.messages.iter().filter(|message| message.role == Role::System);
    let parts: Vec<&Part> = chat.system.iter().chain(middle.flat_map(|message| &message.parts)).collect();
    if parts.iter().all(|part| part.as_text() == Some("")) {
        return;
    }
    object.array("system", |list| {
        for part in parts {
            match &part.content {
                Content::Text(_) => writer.part(part, list),
                _ => writer.losses.refuse("system", "Converse takes nothing but words there."),
            }
        }
    });
}

fn inference(chat: &Chat, words: &fields::Written, object: &mut Object<'_>) {
    let sampling = !words.fixed_sampling;
    let (temperature, top_p) = (chat.temperature.filter(|_| sampling), chat.top_p.filter(|_| sampling));
    if chat.max_tokens.is_none() && temperature.is_none() && top_p.is_none() && chat.stop.is_empty() {
        return;
    }
    object.object("inferenceConfig", |o| {
        o.maybe_integer("maxTokens", chat.max_tokens);
        o.maybe_number("temperature", temperature);
        o.maybe_number("topP", top_p);
        if !chat.stop.is_empty() {
            o.array("stopSequences", |list| chat.stop.iter().for_each(|text| list.text(text)));
        }
    });
}

fn tools(chat: &Chat, losses: &mut Losses, object: &mut Object<'_>) {
    if chat.tools.is_empty() {
        return;
    }
    if chat.tool_choice == Some(ToolChoice::None) {
        // Without tools none is called; but a conversation that has calls in it needs its tools.
        let calls = |part: &Part| matches!(part.content, Content::ToolCall(_) | Content::ToolResult(_));
        if chat.messages.iter().flat_map(|message| &message.parts).any(calls) {
            losses.refuse("tool_choice", "Converse cannot forbid calls where some stand in the conversation.");
        }
        return;
    }
    object.object("toolConfig", |o| {
        o.array("tools", |list| chat.tools.iter().for_each(|one| tool(one, list)));
        match &chat.tool_choice {
            None | Some(ToolChoice::None) => {}
            Some(ToolChoice::Auto) => o.raw("toolChoice", r#"{"auto":{}}"#),
            Some(ToolChoice::Any) => o.raw("toolChoice", r#"{"any":{}}"#),
            Some(ToolChoice::Tool(name)) => {
                o.object("toolChoice", |o| o.object("tool", |o| o.text("name", name)));
            }
        }
    });
}

fn tool(tool: &Tool, list: &mut Array<'_>) {
    const NOTHING: &str = r#"{"type":"object","properties":{}}"#;
    list.object(|o| {
        o.object("toolSpec", |o| {
            o.text("name", &tool.name);
            o.maybe_text("description", tool.description.as_deref().filter(|text| !text.is_empty()));
            o.object("inputSchema", |o| o.raw("json", tool.parameters.as_deref().unwrap_or(NOTHING)));
            // False is what it is anyway, and not every model knows the field.
            o.maybe_flag("strict", tool.strict.filter(|strict| *strict));
        });
    });
    if let Some(mark) = &tool.cache {
        list.object(|o| content::cache_point(o, mark));
    }
}

/// Fields that came in this wire and go as they came: those before `additionalModelRequestFields`, and those after.
fn extras(chat: &Chat, before: bool, object: &mut Object<'_>) {
    for (name, _) in EXTRAS.iter().filter(|(name, _)| (*name == "guardrailConfig") == before) {
        let found = chat.extra.iter().find(|extra| extra.name == *name);
        object.maybe_raw(name, found.map(|extra| extra.json.as_str()));
    }
}

fn output(chat: &Chat, effort: Option<&str>, object: &mut Object<'_>) {
    let schema = match &chat.format {
        Some(Format::Schema(schema)) => Some(schema),
        _ => None,
    };
    if schema.is_none() && effort.is_none() {
        return;
    }
    object.object("outputConfig", |o| {
        if let Some(schema) = schema {
            o.object("textFormat", |o| {
                o.text("type", "json_schema");
                o.object("structure", |o| {
                    o.object("jsonSchema", |o| {
                        o.text("schema", &schema.schema);
                        o.maybe_text("name", schema.name.as_deref());
                        o.maybe_text("description", schema.description.as_deref());
                    });
                });
            });
        }
        o.maybe_text("effort", effort);
    });
}
