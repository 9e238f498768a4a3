//! `Chat` → a request: its own fields.

use super::write_items::Items;
use crate::types::chat::{Chat, Format, Part, Tool, ToolChoice};
use crate::types::error::Error;
use crate::wire::hub::{Encoded, Losses};
use crate::wire::openai::habits::Habits;
use crate::wire::write::{Object, to_vec};

/// OpenAI refuses a lower limit of tokens.
const LEAST_TOKENS: u64 = 16;
/// The end user may be named this long.
const USER_CHARS: usize = 64;

/// Writes a request. Nothing of it is to be kept at the vendor: no other wire's caller asked for that.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    lost(chat, &mut losses);
    let thinks = Habits::of(&chat.model).completion_limit || chat.reasoning.as_ref().is_some_and(|own| !own.is_off());
    let body = to_vec(|o| {
        o.text("model", &chat.model);
        if !chat.system.is_empty() {
            let words: Vec<&str> = chat.system.iter().filter_map(Part::as_text).collect();
            losses.drop_if(chat.system.iter().any(|part| part.cache.is_some()), "cache_control");
            o.text("instructions", &words.join("\n"));
        }
        o.array("input", |list| Items { losses: &mut losses }.write(list, chat));
        tools(o, chat, &mut losses);
        text(o, chat);
        reasoning(o, chat, &mut losses);
        o.maybe_integer("max_output_tokens", chat.max_tokens.map(|most| most.max(LEAST_TOKENS)));
        o.maybe_number("temperature", chat.temperature);
        o.maybe_number("top_p", chat.top_p);
        o.maybe_text("user", chat.user.as_deref().filter(|user| user.chars().count() <= USER_CHARS));
        o.flag("store", false);
        if thinks {
            // What is not kept at the vendor comes back with the thoughts in it, so that the next turn has them.
            o.array("include", |list| list.text("reasoning.encrypted_content"));
        }
        if chat.stream {
            o.flag("stream", true);
        }
    });
    losses.encoded(body)
}

/// What this wire has no place for.
fn lost(chat: &Chat, losses: &mut Losses) {
    losses.extras(chat, |name| name == "verbosity");
    if chat.choices.is_some_and(|n| n > 1) {
        losses.refuse("n", "its wire gives one answer to a request.");
    }
    losses.drop_if(!chat.stop.is_empty(), "stop");
    losses.drop_if(chat.top_k.is_some(), "top_k");
    losses.drop_if(chat.frequency_penalty.is_some(), "frequency_penalty");
    losses.drop_if(chat.presence_penalty.is_some(), "presence_penalty");
    losses.drop_if(chat.seed.is_some(), "seed");
    losses.drop_if(chat.user.as_ref().is_some_and(|user| user.chars().count() > USER_CHARS), "user");
}

fn tools(o: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    if chat.tools.is_empty() {
        return;
    }
    o.array("tools", |list| {
        for tool in &chat.tools {
            losses.drop_if(tool.cache.is_some(), "cache_control");
            list.object(|o| write_tool(o, tool));
        }
    });
    match &chat.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => o.text("tool_choice", "auto"),
        Some(ToolChoice::None) => o.text("tool_choice", "none"),
        Some(ToolChoice::Any) => o.text("tool_choice", "required"),
        Some(ToolChoice::Tool(name)) => o.object("tool_choice", |o| {
            o.text("type", "function");
            o.text("name", name);
        }),
    }
    o.maybe_flag("parallel_tool_calls", chat.parallel_tool_calls);
}

fn write_tool(o: &mut Object<'_>, tool: &Tool) {
    o.text("type", "function");
    o.text("name", &tool.name);
    o.maybe_text("description", tool.description.as_deref());
    o.raw("parameters", tool.parameters.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#));
    // Here a tool is strict unless it says otherwise; in every other wire it is not.
    o.flag("strict", tool.strict.unwrap_or(false));
}

fn text(o: &mut Object<'_>, chat: &Chat) {
    let verbosity = chat.extra.iter().find(|extra| extra.name == "verbosity").map(|extra| extra.json.as_str());
    if chat.format.is_none() && verbosity.is_none() {
        return;
    }
    o.object("text", |o| {
        match &chat.format {
            None => {}
            Some(Format::Json) => o.object("format", |o| o.text("type", "json_object")),
            Some(Format::Schema(schema)) => o.object("format", |o| {
                o.text("type", "json_schema");
                o.text("name", schema.name.as_deref().unwrap_or("answer"));
                o.maybe_text("description", schema.description.as_deref());
                o.raw("schema", &schema.schema);
                o.flag("strict", schema.strict.unwrap_or(false));
            }),
        }
        o.maybe_raw("verbosity", verbosity);
    });
}

fn reasoning(o: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    let Some(own) = &chat.reasoning else { return };
    // That no thoughts are wanted is written only where it was said in that word: models that do not think refuse it.
    let effort = own.effort_word().filter(|word| *word != "none" || own.effort.is_some());
    losses.drop_if(own.is_off() && effort.is_none(), "reasoning");
    // Who gives a budget of thoughts, or turns them on, is shown them in every wire that does so.
    let shown = own.include.unwrap_or(own.enabled == Some(true) || own.budget_tokens.is_some()) && !own.is_off();
    if effort.is_some() || shown {
        o.object("reasoning", |o| {
            o.maybe_text("effort", effort);
            if shown {
                o.text("summary", "auto");
            }
        });
    }
}
