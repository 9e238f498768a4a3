//! `Chat` → a request: its own fields, in the order of the vendor's reference.

use super::write_turns::Turns;
use crate::types::chat::{Chat, Format, Tool, ToolChoice};
use crate::types::error::Error;
use crate::wire::hub::{Encoded, Losses};
use crate::wire::openai::habits::Habits;
use crate::wire::write::{Object, to_vec};

/// Extras that are written as they came. OpenAI's bookkeeping (`store`, `metadata`, `prompt_cache_key` and their like) is
/// not: others who speak this wire refuse what they do not know, and the answer does not depend on it. Nor are
/// `logprobs`, which no other wire has a place for in its answers, nor tools of a vendor, which each wire tells its way.
const CARRIED: [&str; 4] = ["logit_bias", "modalities", "audio", "web_search_options"];

/// The end user may be named this long.
const USER_CHARS: usize = 64;

/// Writes a request.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let habits = Habits::of(&chat.model);
    let mut losses = Losses::default();
    losses.extras(chat, |name| CARRIED.contains(&name));
    losses.drop_if(chat.top_k.is_some(), "top_k");
    let body = to_vec(|o| {
        o.text("model", &chat.model);
        o.array("messages", |list| Turns { habits, losses: &mut losses }.write(list, chat));
        tools(o, chat, habits, &mut losses);
        format(o, chat);
        thinking(o, chat, &mut losses);
        o.maybe_integer(if habits.completion_limit { "max_completion_tokens" } else { "max_tokens" }, chat.max_tokens);
        o.maybe_number("temperature", chat.temperature);
        o.maybe_number("top_p", chat.top_p);
        o.maybe_number("frequency_penalty", chat.frequency_penalty);
        o.maybe_number("presence_penalty", chat.presence_penalty);
        o.maybe_number("seed", chat.seed);
        if !chat.stop.is_empty() {
            o.array("stop", |list| chat.stop.iter().for_each(|stop| list.text(stop)));
        }
        o.maybe_integer("n", chat.choices.filter(|&n| n != 1));
        let user = chat.user.as_deref();
        o.maybe_text("user", user.filter(|user| user.chars().count() <= USER_CHARS));
        losses.drop_if(user.is_some_and(|user| user.chars().count() > USER_CHARS), "user");
        for name in CARRIED {
            let extra = chat.extra.iter().find(|extra| extra.name == name);
            o.maybe_raw(name, extra.map(|extra| extra.json.as_str()));
        }
        if chat.stream {
            o.flag("stream", true);
            if chat.include_usage {
                o.object("stream_options", |o| o.flag("include_usage", true));
            }
        }
    });
    losses.encoded(body)
}

fn tools(o: &mut Object<'_>, chat: &Chat, habits: Habits, losses: &mut Losses) {
    if chat.tools.is_empty() {
        return;
    }
    o.array("tools", |list| {
        for tool in &chat.tools {
            losses.drop_if(tool.cache.is_some() && !habits.cache_marks, "cache_control");
            list.object(|o| write_tool(o, tool, habits));
        }
    });
    match &chat.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => o.text("tool_choice", "auto"),
        Some(ToolChoice::None) => o.text("tool_choice", "none"),
        Some(ToolChoice::Any) => o.text("tool_choice", "required"),
        Some(ToolChoice::Tool(name)) => o.object("tool_choice", |o| {
            o.text("type", "function");
            o.object("function", |o| o.text("name", name));
        }),
    }
    o.maybe_flag("parallel_tool_calls", chat.parallel_tool_calls);
}

fn write_tool(o: &mut Object<'_>, tool: &Tool, habits: Habits) {
    o.text("type", "function");
    o.object("function", |o| {
        o.text("name", &tool.name);
        o.maybe_text("description", tool.description.as_deref());
        // OpenAI lets it be left out; several others do not.
        o.raw("parameters", tool.parameters.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#));
        o.maybe_flag("strict", tool.strict);
    });
    if let Some(mark) = tool.cache.as_ref().filter(|_| habits.cache_marks) {
        super::write_turns::cache_mark(o, mark);
    }
}

fn format(o: &mut Object<'_>, chat: &Chat) {
    match &chat.format {
        None => {}
        Some(Format::Json) => o.object("response_format", |o| o.text("type", "json_object")),
        Some(Format::Schema(schema)) => o.object("response_format", |o| {
            o.text("type", "json_schema");
            o.object("json_schema", |o| {
                o.text("name", schema.name.as_deref().unwrap_or("answer"));
                o.maybe_text("description", schema.description.as_deref());
                o.raw("schema", &schema.schema);
                o.maybe_flag("strict", schema.strict);
            });
        }),
    }
}

/// An effort is what most servers know. That no thoughts are wanted is written only where it was said in that word:
/// models that do not think refuse it.
fn thinking(o: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    let Some(reasoning) = &chat.reasoning else { return };
    match reasoning.effort_word() {
        Some("none") if reasoning.effort.is_none() => losses.drop("reasoning"),
        Some(effort) => o.text("reasoning_effort", effort),
        None => losses.drop_if(reasoning.enabled.is_some(), "reasoning"),
    }
}
