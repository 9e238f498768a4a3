//! A request → `Chat`: its own fields.

use super::{tools, turns};
use crate::types::chat::{Chat, Extra, Format, Reasoning, Schema};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read;
use crate::wire::write::text_of;

/// Fields that are read into words of [`Chat`]; all others become extras.
const READ: [&str; 27] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "include_reasoning",
    "thinking",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "n",
    "user",
    "stream",
    "stream_options",
    "modalities",
    "store",
];

/// Extras without which the answer would be of another kind: sound, a search in the web, OpenRouter's plugins.
const ESSENTIAL: [&str; 4] = ["audio", "web_search_options", "plugins", "models"];

/// Reads a request.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    let mut chat = Chat {
        model: read::maybe_text(json, "", "model")?.unwrap_or_default().to_owned(),
        parallel_tool_calls: read::maybe_flag(json, "", "parallel_tool_calls")?,
        reasoning: reasoning(json)?,
        max_tokens: match read::maybe_integer(json, "", "max_completion_tokens")? {
            Some(most) => Some(most),
            None => read::maybe_integer(json, "", "max_tokens")?,
        },
        temperature: read::maybe_number(json, "", "temperature")?,
        top_p: read::maybe_number(json, "", "top_p")?,
        top_k: read::maybe_integer(json, "", "top_k")?,
        frequency_penalty: read::maybe_number(json, "", "frequency_penalty")?,
        presence_penalty: read::maybe_number(json, "", "presence_penalty")?,
        seed: read::maybe_number(json, "", "seed")?,
        stop: read::texts(json, "", "stop")?,
        choices: read::maybe_integer(json, "", "n")?,
        user: read::maybe_text(json, "", "user")?.map(str::to_owned),
        stream: read::maybe_flag(json, "", "stream")?.unwrap_or(false),
        include_usage: match read::maybe_object(json, "", "stream_options")? {
            Some(options) => read::maybe_flag(options, "stream_options", "include_usage")?.unwrap_or(false),
            None => false,
        },
        ..Chat::default()
    };
    turns::read_into(&mut chat, json)?;
    tools::read_into(&mut chat, json)?;
    format_into(&mut chat, json)?;
    extras_into(&mut chat, json);
    Ok(chat)
}

/// `reasoning_effort`; OpenRouter's `reasoning` and `include_reasoning`; `thinking` as LiteLLM and DeepSeek take it.
fn reasoning(json: &Json<'_>) -> Result<Option<Reasoning>, Error> {
    let mut all = Reasoning {
        effort: read::maybe_text(json, "", "reasoning_effort")?.map(str::to_owned),
        include: read::maybe_flag(json, "", "include_reasoning")?,
        ..Reasoning::default()
    };
    if let Some(own) = read::maybe_object(json, "", "reasoning")? {
        all.effort = read::maybe_text(own, "reasoning", "effort")?.map(str::to_owned).or(all.effort);
        all.budget_tokens = read::maybe_integer(own, "reasoning", "max_tokens")?;
        all.enabled = read::maybe_flag(own, "reasoning", "enabled")?;
        all.include = read::maybe_flag(own, "reasoning", "exclude")?.map(|exclude| !exclude).or(all.include);
    }
    if let Some(thinking) = read::maybe_object(json, "", "thinking")? {
        all.enabled = match read::maybe_text(thinking, "thinking", "type")? {
            Some("disabled") => Some(false),
            Some(_) => Some(true),
            None => all.enabled,
        };
        all.budget_tokens = read::maybe_integer(thinking, "thinking", "budget_tokens")?.or(all.budget_tokens);
    }
    Ok(Some(all).filter(|all| *all != Reasoning::default()))
}

fn format_into(chat: &mut Chat, json: &Json<'_>) -> Result<(), Error> {
    let Some(format) = read::maybe_object(json, "", "response_format")? else { return Ok(()) };
    match read::text(format, "response_format", "type")? {
        "text" => {}
        "json_object" => chat.format = Some(Format::Json),
        "json_schema" => {
            let at = "response_format.json_schema";
            let own = read::maybe_object(format, "response_format", "json_schema")?
                .ok_or_else(|| read::missing(at, "an object with a schema"))?;
            chat.format = Some(Format::Schema(Schema {
                name: read::maybe_text(own, at, "name")?.map(str::to_owned),
                description: read::maybe_text(own, at, "description")?.map(str::to_owned),
                schema: read::maybe_object(own, at, "schema")?.map_or_else(|| "{}".to_owned(), text_of),
                strict: read::maybe_flag(own, at, "strict")?,
            }));
        }
        _ => chat.extra.push(Extra { name: "response_format".to_owned(), json: text_of(format), essential: true }),
    }
    Ok(())
}

fn extras_into(chat: &mut Chat, json: &Json<'_>) {
    let Json::Object(fields) = json else { return };
    if let Some(modalities) = json.get("modalities").and_then(Json::as_array) {
        // Words alone are what everybody answers in.
        if modalities.iter().any(|one| one.as_str() != Some("text")) {
            chat.extra.push(extra("modalities", &Json::Array(modalities.to_vec()), true));
        }
    }
    if json.get("store") == Some(&Json::Bool(true)) {
        chat.extra.push(extra("store", &Json::Bool(true), false));
    }
    for (name, value) in fields {
        let says_nothing = matches!(value, Json::Null | Json::Bool(false));
        if !says_nothing && !READ.contains(&name.as_ref()) {
            chat.extra.push(extra(name, value, ESSENTIAL.contains(&name.as_ref())));
        }
    }
}

fn extra(name: &str, value: &Json<'_>, essential: bool) -> Extra {
    Extra { name: name.to_owned(), json: text_of(value), essential }
}
