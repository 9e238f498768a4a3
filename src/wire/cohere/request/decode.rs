//! Request bodies → `Chat`.

use super::ESSENTIAL;
use crate::types::chat::{
    Chat, Content, Extra, Format, Media, Message, Part, Reasoning, Role, Schema, Source, Tool, ToolChoice, ToolResult,
};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::cohere::answer::{calls, plan, said};
use crate::wire::read::{self, field, path, unknown_value, wrong_type};
use crate::wire::write::text_of;

/// Fields that have a word in `Chat`.
const KNOWN: [&str; 16] = [
    "model",
    "messages",
    "stream",
    "tools",
    "strict_tools",
    "tool_choice",
    "response_format",
    "thinking",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "p",
    "k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
];

/// Reads a request.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    let mut chat = Chat {
        tools: tools(json)?,
        tool_choice: tool_choice(json)?,
        format: format(json)?,
        reasoning: reasoning(json)?,
        max_tokens: read::maybe_integer(json, "", "max_tokens")?,
        temperature: read::maybe_number(json, "", "temperature")?,
        top_p: read::maybe_number(json, "", "p")?,
        // Zero is how this wire says that it is off.
        top_k: read::maybe_integer(json, "", "k")?.filter(|k| *k > 0),
        frequency_penalty: read::maybe_number(json, "", "frequency_penalty")?,
        presence_penalty: read::maybe_number(json, "", "presence_penalty")?,
        seed: read::maybe_number(json, "", "seed")?,
        stop: read::texts(json, "", "stop_sequences")?,
        include_usage: true,
        extra: read::extras(json, &KNOWN, &ESSENTIAL),
        ..Chat::default()
    };
    let mut cited = false;
    for (at, message) in super::messages(json)?.iter().enumerate() {
        let at = format!("messages.[{at}]");
        cited |= field(message, "citations").and_then(Json::as_array).is_some_and(|list| !list.is_empty());
        match turn(message, &at)? {
            Message { role: Role::System, parts, .. } if chat.messages.is_empty() => chat.system.extend(parts),
            message => chat.messages.push(message),
        }
    }
    if cited {
        // Where answers of earlier turns had their words from: nothing that the next one depends on.
        chat.extra.push(Extra { name: "messages.citations".into(), json: "true".into(), essential: false });
    }
    Ok(chat)
}

fn turn(message: &Json<'_>, at: &str) -> Result<Message, Error> {
    let content = field(message, "content");
    let (role, parts) = match read::text(message, at, "role")? {
        "system" => (Role::System, text_parts(content, at)?),
        "user" => (Role::User, user_parts(content, at)?),
        "assistant" | "chatbot" => {
            let mut parts = said(content);
            parts.extend(plan(message));
            parts.extend(calls(message));
            (Role::Assistant, parts)
        }
        "tool" => {
            let id = read::text(message, at, "tool_call_id")?.to_owned();
            let result = ToolResult { id, name: None, parts: user_parts(content, at)?, failed: false };
            (Role::Tool, vec![Part::new(Content::ToolResult(result))])
        }
        other => return Err(unknown_value(path(at, "role"), "`system`, `user`, `assistant` or `tool`", other)),
    };
    Ok(Message::new(role, parts))
}

fn text_parts(content: Option<&Json<'_>>, at: &str) -> Result<Vec<Part>, Error> {
    match content {
        Some(Json::String(text)) => Ok(vec![Part::text(text.as_ref())]),
        Some(Json::Array(parts)) => {
            let text = |(n, part)| read::text(part, &format!("{at}.content.[{n}]"), "text").map(Part::text);
            parts.iter().enumerate().map(text).collect()
        }
        Some(other) => Err(wrong_type(path(at, "content"), "a string or an array of parts", other)),
        None => Err(read::missing(path(at, "content"), "a string or an array of parts")),
    }
}

/// Parts of a user's turn or of what a tool gave.
fn user_parts(content: Option<&Json<'_>>, at: &str) -> Result<Vec<Part>, Error> {
    let Some(Json::Array(parts)) = content else { return text_parts(content, at) };
    let part = |(n, part)| {
        let at = format!("{at}.content.[{n}]");
        match read::text(part, &at, "type")? {
            "text" => read::text(part, &at, "text").map(Part::text),
            "image_url" => image(part, &at).map(|media| Part::new(Content::Image(media))),
            "document" => document(part, &at).map(|media| Part::new(Content::Document(media))),
            other => Err(unknown_value(path(&at, "type"), "`text`, `image_url` or `document`", other)),
        }
    };
    parts.iter().enumerate().map(part).collect()
}

fn image(part: &Json<'_>, at: &str) -> Result<Media, Error> {
    let image =
        read::maybe_object(part, at, "image_url")?.ok_or_else(|| read::missing(path(at, "image_url"), "an object"))?;
    let at = path(at, "image_url");
    let url = read::text(image, &at, "url")?;
    let detail = read::maybe_text(image, &at, "detail")?.map(str::to_owned);
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let media = match inline {
        Some((media_type, data)) => Media::new(Source::Data(data.to_owned()), Some(media_type.to_owned())),
        None => Media::new(Source::Url(url.to_owned()), None),
    };
    Ok(Media { detail, ..media })
}

/// A document: an object of fields, which stays JSON text.
fn document(part: &Json<'_>, at: &str) -> Result<Media, Error> {
    let document = field(part, "document").ok_or_else(|| read::missing(path(at, "document"), "an object"))?;
    if let Json::String(text) = document {
        return Ok(Media::new(Source::Text(text.to_string()), Some("text/plain".to_owned())));
    }
    let data = field(document, "data").ok_or_else(|| read::missing(path(at, "document.data"), "an object"))?;
    let name = read::maybe_text(document, &path(at, "document"), "id")?.map(str::to_owned);
    Ok(Media { name, ..Media::new(Source::Text(text_of(data)), Some("application/json".to_owned())) })
}

fn tools(json: &Json<'_>) -> Result<Vec<Tool>, Error> {
    let strict = read::maybe_flag(json, "", "strict_tools")?;
    let tool = |(n, tool): (usize, &Json<'_>)| {
        let at = format!("tools.[{n}]");
        let kind = read::maybe_text(tool, &at, "type")?.unwrap_or("function");
        if kind != "function" {
            return Err(unknown_value(path(&at, "type"), "`function`", kind));
        }
        let function = read::maybe_object(tool, &at, "function")?;
        let function = function.ok_or_else(|| read::missing(path(&at, "function"), "an object"))?;
        let at = path(&at, "function");
        Ok(Tool {
            name: read::text(function, &at, "name")?.to_owned(),
            description: read::maybe_text(function, &at, "description")?.map(str::to_owned),
            parameters: read::maybe_object(function, &at, "parameters")?.map(text_of),
            strict,
            cache: None,
        })
    };
    read::maybe_array(json, "", "tools")?.unwrap_or_default().iter().enumerate().map(tool).collect()
}

fn tool_choice(json: &Json<'_>) -> Result<Option<ToolChoice>, Error> {
    match read::maybe_text(json, "", "tool_choice")? {
        None => Ok(None),
        Some("REQUIRED" | "required") => Ok(Some(ToolChoice::Any)),
        Some("NONE" | "none") => Ok(Some(ToolChoice::None)),
        Some("AUTO" | "auto") => Ok(Some(ToolChoice::Auto)),
        Some(other) => Err(unknown_value("tool_choice", "`REQUIRED` or `NONE`", other)),
    }
}

fn format(json: &Json<'_>) -> Result<Option<Format>, Error> {
    let Some(format) = read::maybe_object(json, "", "response_format")? else { return Ok(None) };
    match read::text(format, "response_format", "type")? {
        "text" => Ok(None),
        "json_object" => Ok(Some(match field(format, "json_schema").or_else(|| field(format, "schema")) {
            None => Format::Json,
            Some(schema) => {
                let schema = text_of(schema);
                Format::Schema(Schema { name: None, description: None, schema, strict: Some(true) })
            }
        })),
        other => Err(unknown_value("response_format.type", "`text` or `json_object`", other)),
    }
}

fn reasoning(json: &Json<'_>) -> Result<Option<Reasoning>, Error> {
    let Some(thinking) = read::maybe_object(json, "", "thinking")? else { return Ok(None) };
    let enabled = match read::maybe_text(thinking, "thinking", "type")? {
        None => None,
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        Some(other) => return Err(unknown_value("thinking.type", "`enabled` or `disabled`", other)),
    };
    let budget_tokens = read::maybe_integer(thinking, "thinking", "token_budget")?;
    Ok(Some(Reasoning { enabled, budget_tokens, ..Reasoning::default() }))
}
