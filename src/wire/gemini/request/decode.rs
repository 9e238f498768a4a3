//! Request bodies → `Chat`.

use super::settings;
use crate::types::chat::{Chat, Content, Extra, Message, Part, Role};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::gemini::fields::{camel, field, list, maybe_text};
use crate::wire::gemini::part::{Reader, is_result};
use crate::wire::read::{missing, unknown_value, wrong_type};
use crate::wire::write;

/// Top-level fields that are read, or that say what the path says.
const READ: [&str; 6] = ["contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"];

/// Reads a request.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    let Json::Object(fields) = json else { return Err(wrong_type("body", "an object", json)) };
    let mut chat = Chat { include_usage: true, ..Chat::default() };
    let mut reader = Reader::default();
    chat.system = system(json)?;
    if field(json, "contents").is_none() {
        return Err(missing("contents", "an array of contents"));
    }
    for (index, turn) in list(json, "", "contents")?.iter().enumerate() {
        turns(turn, &format!("contents[{index}]"), &mut reader, &mut chat.messages)?;
    }
    settings::tools(json, &mut chat)?;
    settings::tool_config(json, &mut chat)?;
    settings::generation(json, &mut chat)?;
    for (key, value) in fields.iter().filter(|(_, value)| *value != Json::Null) {
        let name = camel(key);
        if !READ.contains(&name.as_str()) {
            // What was cached is a part of the prompt; the rest sets filters and names bills.
            let essential = name == "cachedContent";
            chat.extra.push(Extra { name, json: write::text_of(value), essential });
        }
    }
    let lost = reader.lost.iter().map(|name| format!("contents.parts.{name}"));
    chat.extra.extend(lost.map(|name| Extra { name, json: "null".to_owned(), essential: false }));
    Ok(chat)
}

/// The system instruction: a content whose role does not matter, or a text.
fn system(json: &Json<'_>) -> Result<Vec<Part>, Error> {
    let Some(instruction) = field(json, "systemInstruction") else { return Ok(Vec::new()) };
    if let Json::String(text) = instruction {
        return Ok(vec![Part::text(text.as_ref())]);
    }
    if !matches!(instruction, Json::Object(_)) {
        return Err(wrong_type("systemInstruction", "an object", instruction));
    }
    let parts = list(instruction, "systemInstruction", "parts")?;
    let text = |(index, part): (usize, &Json<'_>)| {
        let at = format!("systemInstruction.parts[{index}]");
        match maybe_text(part, &at, "text")? {
            Some(text) => Ok(Part::text(text)),
            None => Err(missing(format!("{at}.text"), "a string; a system instruction is text")),
        }
    };
    parts.iter().enumerate().map(text).collect()
}

/// One turn. Results of tools become turns of their own.
fn turns(turn: &Json<'_>, at: &str, reader: &mut Reader, messages: &mut Vec<Message>) -> Result<(), Error> {
    if !matches!(turn, Json::Object(_)) {
        return Err(wrong_type(at, "an object", turn));
    }
    let role = match maybe_text(turn, at, "role")? {
        None | Some("" | "user" | "function" | "tool") => Role::User,
        Some("model") => Role::Assistant,
        Some("system") => Role::System,
        Some(other) => return Err(unknown_value(format!("{at}.role"), "`user` or `model`", other)),
    };
    let mut last: Option<Role> = None;
    for (index, part) in list(turn, at, "parts")?.iter().enumerate() {
        let role = if is_result(part) { Role::Tool } else { role };
        let part = reader.read(part, &format!("{at}.parts[{index}]"))?;
        if last.replace(role) != Some(role) {
            messages.push(Message::new(role, Vec::new()));
        }
        if let Some(message) = messages.last_mut().filter(|_| !is_nothing(&part)) {
            message.parts.push(part);
        }
    }
    Ok(())
}

/// No words at all, which other vendors refuse.
fn is_nothing(part: &Part) -> bool {
    matches!(&part.content, Content::Text(text) if text.is_empty())
}
