//! A request → `Chat`: its own fields.

use super::{items, tools};
use crate::types::chat::{Chat, Extra, Format, Part, Reasoning, Schema};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read;
use crate::wire::write::text_of;

/// Fields that are read into words of [`Chat`], or that say nothing to any other vendor: whether the answer is kept is
/// the gateway's own matter, and so is the padding of its streams.
const READ: [&str; 16] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "max_output_tokens",
    "temperature",
    "top_p",
    "user",
    "stream",
    "stream_options",
    "store",
    "include",
];

/// Extras without which another answer would come back, or none: what is kept at the vendor, and what runs there later.
const ESSENTIAL: [&str; 5] = ["background", "conversation", "prompt", "previous_response_id", "moderation"];

/// Reads a request.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    let mut chat = Chat {
        model: read::maybe_text(json, "", "model")?.unwrap_or_default().to_owned(),
        system: read::maybe_text(json, "", "instructions")?.map(Part::text).into_iter().collect(),
        parallel_tool_calls: read::maybe_flag(json, "", "parallel_tool_calls")?,
        reasoning: reasoning(json)?,
        max_tokens: read::maybe_integer(json, "", "max_output_tokens")?,
        temperature: read::maybe_number(json, "", "temperature")?,
        top_p: read::maybe_number(json, "", "top_p")?,
        user: read::maybe_text(json, "", "user")?.map(str::to_owned),
        stream: read::maybe_flag(json, "", "stream")?.unwrap_or(false),
        include_usage: true,
        ..Chat::default()
    };
    items::read_into(&mut chat, json)?;
    tools::read_into(&mut chat, json)?;
    text_into(&mut chat, json)?;
    extras_into(&mut chat, json)?;
    Ok(chat)
}

fn reasoning(json: &Json<'_>) -> Result<Option<Reasoning>, Error> {
    let Some(own) = read::maybe_object(json, "", "reasoning")? else { return Ok(None) };
    let summary = match read::maybe_text(own, "reasoning", "summary")? {
        Some(summary) => Some(summary),
        None => read::maybe_text(own, "reasoning", "generate_summary")?,
    };
    let all = Reasoning {
        enabled: read::maybe_flag(own, "reasoning", "enabled")?,
        effort: read::maybe_text(own, "reasoning", "effort")?.map(str::to_owned),
        // OpenRouter's word.
        budget_tokens: read::maybe_integer(own, "reasoning", "max_tokens")?,
        include: summary.map(|summary| summary != "none"),
    };
    Ok(Some(all).filter(|all| *all != Reasoning::default()))
}

fn text_into(chat: &mut Chat, json: &Json<'_>) -> Result<(), Error> {
    let Some(text) = read::maybe_object(json, "", "text")? else { return Ok(()) };
    if let Some(verbosity) = read::field(text, "verbosity") {
        chat.extra.push(extra("verbosity", verbosity, false));
    }
    let Some(format) = read::maybe_object(text, "text", "format")? else { return Ok(()) };
    let at = "text.format";
    match read::text(format, at, "type")? {
        "text" => {}
        "json_object" => chat.format = Some(Format::Json),
        "json_schema" => {
            let schema = read::maybe_object(format, at, "schema")?;
            chat.format = Some(Format::Schema(Schema {
                name: read::maybe_text(format, at, "name")?.map(str::to_owned),
                description: read::maybe_text(format, at, "description")?.map(str::to_owned),
                schema: schema.map(text_of).ok_or_else(|| read::missing("text.format.schema", "a JSON schema"))?,
                strict: read::maybe_flag(format, at, "strict")?,
            }));
        }
        _ => chat.extra.push(extra(at, format, true)),
    }
    Ok(())
}

fn extras_into(chat: &mut Chat, json: &Json<'_>) -> Result<(), Error> {
    // Encrypted thoughts are told whoever answers; what else may be included is about tools of the vendor.
    let included = read::texts(json, "", "include")?;
    if included.iter().any(|one| one != "reasoning.encrypted_content") {
        let there = json.get("include").unwrap_or(&Json::Null);
        chat.extra.push(extra("include", there, false));
    }
    let Json::Object(fields) = json else { return Ok(()) };
    for (name, value) in fields {
        let usual = match name.as_ref() {
            "truncation" => value.as_str() == Some("disabled"),
            "service_tier" => matches!(value.as_str(), Some("auto" | "default")),
            "top_logprobs" => value.as_u64() == Some(0),
            "metadata" => *value == Json::Object(Vec::new()),
            _ => false,
        };
        let says_nothing = usual || matches!(value, Json::Null | Json::Bool(false));
        if !says_nothing && !READ.contains(&name.as_ref()) {
            chat.extra.push(extra(name, value, ESSENTIAL.contains(&name.as_ref())));
        }
    }
    Ok(())
}

fn extra(name: &str, value: &Json<'_>, essential: bool) -> Extra {
    Extra { name: name.to_owned(), json: text_of(value), essential }
}
