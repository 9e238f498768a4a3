//! A request's fields → `Chat`. Fields that have no word there are kept aside.

use super::{blocks, cache_of, extra, thinking, tools};
use crate::types::chat::{Chat, Format, Message, Part, Role, Schema};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read::{
    field, maybe_array, maybe_flag, maybe_integer, maybe_number, maybe_object, maybe_text, missing, path, text, texts,
    unknown_value, wrong_type,
};
use crate::wire::write;

/// Fields that are read one by one.
const READ: [&str; 15] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "metadata",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
];

/// Without these the answer would be of another kind: they bring tools of the vendor's own.
const ESSENTIAL: [&str; 2] = ["mcp_servers", "container"];

/// Reads a request.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    let stream = maybe_flag(json, "", "stream")?.unwrap_or(false);
    let mut chat = Chat {
        model: maybe_text(json, "", "model")?.unwrap_or_default().to_owned(),
        max_tokens: maybe_integer(json, "", "max_tokens")?,
        temperature: maybe_number(json, "", "temperature")?,
        top_p: maybe_number(json, "", "top_p")?,
        top_k: maybe_integer(json, "", "top_k")?,
        stop: texts(json, "", "stop_sequences")?,
        stream,
        // A stream of this wire always tells what it cost.
        include_usage: stream,
        ..Chat::default()
    };
    chat.system = system(json)?;
    for (index, message) in maybe_array(json, "", "messages")?.unwrap_or_default().iter().enumerate() {
        turn(message, &format!("messages.[{index}]"), &mut chat)?;
    }
    tools::read(json, &mut chat)?;
    thinking::read(json, &mut chat)?;
    format(json, &mut chat)?;
    metadata(json, &mut chat)?;
    if let Json::Object(fields) = json {
        let unread = fields.iter().filter(|(name, value)| !READ.contains(&name.as_ref()) && *value != Json::Null);
        for (name, value) in unread {
            extra(&mut chat.extra, name.to_string(), value, ESSENTIAL.contains(&name.as_ref()));
        }
    }
    Ok(chat)
}

fn system(json: &Json<'_>) -> Result<Vec<Part>, Error> {
    match field(json, "system") {
        None => Ok(Vec::new()),
        Some(content) => words(content, "system"),
    }
}

/// Text alone, or text blocks.
fn words(content: &Json<'_>, at: &str) -> Result<Vec<Part>, Error> {
    match content {
        Json::String(text) => Ok(vec![Part::text(text.as_ref())]),
        Json::Array(items) => items.iter().enumerate().map(|(index, block)| word(block, at, index)).collect(),
        other => Err(wrong_type(at, "a string or an array of blocks", other)),
    }
}

fn word(block: &Json<'_>, at: &str, index: usize) -> Result<Part, Error> {
    let at = format!("{at}.[{index}]");
    match text(block, &at, "type")? {
        "text" => Ok(Part { cache: cache_of(block, &at)?, ..Part::text(text(block, &at, "text")?) }),
        other => Err(unknown_value(path(&at, "type"), "`text`", other)),
    }
}

/// Reads one message: a user's is split where results of tools stand in it.
fn turn(message: &Json<'_>, at: &str, chat: &mut Chat) -> Result<(), Error> {
    let content = field(message, "content").ok_or_else(|| missing(path(at, "content"), "a string or an array"))?;
    let role = match text(message, at, "role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => {
            let parts = words(content, &path(at, "content"))?;
            if chat.messages.is_empty() {
                chat.system.extend(parts);
            } else {
                chat.messages.push(Message::new(Role::System, parts));
            }
            return Ok(());
        }
        other => return Err(unknown_value(path(at, "role"), "`user`, `assistant` or `system`", other)),
    };
    let blocks = match content {
        Json::String(text) => {
            chat.messages.push(Message::new(role, vec![Part::text(text.as_ref())]));
            return Ok(());
        }
        Json::Array(blocks) => blocks,
        other => return Err(wrong_type(path(at, "content"), "a string or an array of blocks", other)),
    };
    let mut turns: Vec<Message> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        for part in blocks::read(block, &format!("{at}.content.[{index}]"), role, &mut chat.extra)? {
            let role = if blocks::is_result(&part) { Role::Tool } else { role };
            match turns.last_mut().filter(|last| last.role == role) {
                Some(last) => last.parts.push(part),
                None => turns.push(Message::new(role, vec![part])),
            }
        }
    }
    chat.messages.extend(turns);
    Ok(())
}

/// `output_config.format`, or `output_format`, as it was called at first.
fn format(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    let config = maybe_object(json, "", "output_config")?;
    if let Some(Json::Object(fields)) = config {
        let unread =
            fields.iter().filter(|(name, value)| !matches!(name.as_ref(), "format" | "effort") && *value != Json::Null);
        for (name, value) in unread {
            extra(&mut chat.extra, format!("output_config.{name}"), value, false);
        }
    }
    let (at, format) = match config.map(|config| maybe_object(config, "output_config", "format")).transpose()?.flatten()
    {
        Some(format) => ("output_config.format", format),
        None => match maybe_object(json, "", "output_format")? {
            Some(format) => ("output_format", format),
            None => return Ok(()),
        },
    };
    chat.format = match text(format, at, "type")? {
        "json_schema" => {
            let schema = maybe_object(format, at, "schema")?.ok_or_else(|| missing(path(at, "schema"), "an object"))?;
            let schema = write::text_of(schema);
            Some(Format::Schema(Schema { name: None, description: None, schema, strict: None }))
        }
        "text" => None,
        other => return Err(unknown_value(path(at, "type"), "`json_schema`", other)),
    };
    Ok(())
}

fn metadata(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    let Some(metadata) = maybe_object(json, "", "metadata")? else { return Ok(()) };
    chat.user = maybe_text(metadata, "metadata", "user_id")?.map(str::to_owned);
    if let Json::Object(fields) = metadata {
        for (name, value) in fields.iter().filter(|(name, value)| name != "user_id" && *value != Json::Null) {
            extra(&mut chat.extra, format!("metadata.{name}"), value, false);
        }
    }
    Ok(())
}
