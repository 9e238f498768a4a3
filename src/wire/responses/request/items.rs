//! `input` of a request → `Chat::system` and `Chat::messages`.

use super::{custom_arguments, flat};
use crate::types::chat::{Chat, Content, Extra, Media, Message, Part, Role, Source, ToolCall, ToolResult};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::openai::media;
use crate::wire::openai::request::parts::{cache_mark, document};
use crate::wire::read::{self, path};
use crate::wire::responses::sealed::Sealed;
use crate::wire::write::text_of;

/// Reads `input`.
pub fn read_into(chat: &mut Chat, json: &Json<'_>) -> Result<(), Error> {
    match read::field(json, "input") {
        Some(Json::String(text)) => {
            chat.messages.push(Message::new(Role::User, vec![Part::text(text.to_string())]));
        }
        Some(Json::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                read_item(chat, item, &format!("input.[{index}]"))?;
            }
        }
        Some(other) => return Err(read::wrong_type("input", "a string or an array of items", other)),
        None => {}
    }
    Ok(())
}

fn read_item(chat: &mut Chat, item: &Json<'_>, at: &str) -> Result<(), Error> {
    let kind = read::maybe_text(item, at, "type")?.unwrap_or("message");
    match kind {
        "message" => message(chat, item, at)?,
        "function_call" | "custom_tool_call" | "local_shell_call" => {
            push(chat, Role::Assistant, call(item, at, kind)?);
        }
        "function_call_output" | "custom_tool_call_output" | "local_shell_call_output" => {
            push(chat, Role::Tool, result(item, at)?);
        }
        "reasoning" => thought(chat, item, at)?,
        "image_generation_call" => {
            let picture = read::maybe_text(item, at, "result")?.map(|data| {
                let source = Source::Data(data.to_owned());
                Part::new(Content::Image(Media::new(source, Some(media::kind_of(data).to_owned()))))
            });
            picture.into_iter().for_each(|picture| push(chat, Role::Assistant, picture));
        }
        "item_reference" => {
            let why = "an item named by its id is known to its vendor only. Send the item itself.";
            return Err(Error::invalid(at.to_owned(), format!("`{at}` is an `item_reference`: {why}"))
                .with_code("unsupported_by_target"));
        }
        other => {
            // What a vendor's own tools did is told by their answers, too; a conversation cut short is not.
            let essential = matches!(other, "compaction" | "additional_tools");
            let extra = Extra { name: format!("input.{other}"), json: text_of(item), essential };
            if !chat.extra.iter().any(|old| old.name == extra.name) {
                chat.extra.push(extra);
            }
        }
    }
    Ok(())
}

/// Items of one turn follow each other; each turn of a user stays one of its own.
fn push(chat: &mut Chat, role: Role, part: Part) {
    match chat.messages.last_mut() {
        Some(last) if last.role == role => last.parts.push(part),
        _ => chat.messages.push(Message::new(role, vec![part])),
    }
}

fn message(chat: &mut Chat, item: &Json<'_>, at: &str) -> Result<(), Error> {
    let said = content(item, at, "content")?;
    match read::text(item, at, "role")? {
        "system" | "developer" if chat.messages.is_empty() => chat.system.extend(said),
        "system" | "developer" => chat.messages.push(Message::new(Role::System, said)),
        "user" => chat.messages.push(Message::new(Role::User, said)),
        "assistant" => {
            let said = said.into_iter().filter(|part| part.as_text() != Some(""));
            said.for_each(|part| push(chat, Role::Assistant, part));
        }
        other => {
            let expected = "`user`, `assistant`, `system` or `developer`";
            return Err(read::unknown_value(path(at, "role"), expected, other));
        }
    }
    Ok(())
}

/// A text, or a list of parts.
fn content(item: &Json<'_>, at: &str, name: &str) -> Result<Vec<Part>, Error> {
    match read::field(item, name) {
        None => Ok(Vec::new()),
        Some(Json::String(text)) => Ok(vec![Part::text(text.to_string())]),
        Some(Json::Array(items)) => {
            let at = path(at, name);
            items.iter().enumerate().map(|(index, item)| part(item, &format!("{at}.[{index}]"))).collect()
        }
        Some(other) => Err(read::wrong_type(path(at, name), "a string or an array of parts", other)),
    }
}

fn part(json: &Json<'_>, at: &str) -> Result<Part, Error> {
    let content = match read::text(json, at, "type")? {
        "input_text" | "output_text" | "text" => Content::Text(read::text(json, at, "text")?.to_owned()),
        "refusal" => Content::Refusal(read::text(json, at, "refusal")?.to_owned()),
        "input_image" => Content::Image(image(json, at)?),
        "input_file" => Content::Document(file(json, at)?),
        "input_audio" => {
            let own = read::maybe_object(json, at, "input_audio")?.unwrap_or(json);
            let format = read::maybe_text(own, at, "format")?.map(media::sound_type);
            Content::Audio(Media::new(Source::Data(read::text(own, at, "data")?.to_owned()), format))
        }
        other => {
            let expected = "one of `input_text`, `input_image`, `input_file`, `input_audio`, `output_text`, `refusal`";
            return Err(read::unknown_value(path(at, "type"), expected, other));
        }
    };
    Ok(Part { cache: cache_mark(json), ..Part::new(content) })
}

fn image(json: &Json<'_>, at: &str) -> Result<Media, Error> {
    let mut image = match (read::maybe_text(json, at, "image_url")?, read::maybe_text(json, at, "file_id")?) {
        (Some(url), _) => media::at(url),
        (None, Some(id)) => Media::new(Source::File(id.to_owned()), None),
        (None, None) => return Err(read::missing(path(at, "image_url"), "an address, or a `file_id`")),
    };
    image.detail = read::maybe_text(json, at, "detail")?.map(str::to_owned);
    Ok(image)
}

fn file(json: &Json<'_>, at: &str) -> Result<Media, Error> {
    match read::maybe_text(json, at, "file_url")? {
        Some(url) => {
            let name = read::maybe_text(json, at, "filename")?.map(str::to_owned);
            Ok(Media { name, ..media::at(url) })
        }
        None => document(json, at, "file_id", "file_data"),
    }
}

fn call(item: &Json<'_>, at: &str, kind: &str) -> Result<Part, Error> {
    let id = read::text(item, at, "call_id")?.to_owned();
    let (name, arguments) = match kind {
        "function_call" => {
            (read::text(item, at, "name")?, read::maybe_text(item, at, "arguments")?.unwrap_or("").into())
        }
        "custom_tool_call" => (read::text(item, at, "name")?, custom_arguments(read::text(item, at, "input")?)),
        _ => ("local_shell", item.get("action").map(text_of).unwrap_or_default()),
    };
    let name = flat(read::maybe_text(item, at, "namespace")?, name);
    Ok(Part::new(Content::ToolCall(ToolCall { id, name, arguments })))
}

fn result(item: &Json<'_>, at: &str) -> Result<Part, Error> {
    let id = match read::maybe_text(item, at, "call_id")? {
        Some(id) => id,
        None => read::text(item, at, "id")?,
    };
    let failed = read::maybe_text(item, at, "status")? == Some("incomplete");
    let parts = content(item, at, "output")?;
    Ok(Part::new(Content::ToolResult(ToolResult { id: id.to_owned(), name: None, parts, failed })))
}

fn thought(chat: &mut Chat, item: &Json<'_>, at: &str) -> Result<(), Error> {
    let text = thought_text(item);
    match read::maybe_text(item, at, "encrypted_content")?.filter(|sealed| !sealed.is_empty()).map(Sealed::read) {
        Some(Sealed::Redacted(data)) => push(chat, Role::Assistant, Part::new(Content::RedactedThinking(data.into()))),
        Some(Sealed::OfLast(signature)) => {
            let last = chat.messages.last_mut().filter(|last| last.role == Role::Assistant);
            if let Some(part) = last.and_then(|last| last.parts.last_mut()) {
                part.signature = Some(signature.to_owned());
            }
        }
        Some(Sealed::Own(signature)) => {
            let part = Part { signature: Some(signature.to_owned()), ..Part::new(Content::Thinking(text)) };
            push(chat, Role::Assistant, part);
        }
        None if text.is_empty() => {}
        None => push(chat, Role::Assistant, Part::new(Content::Thinking(text))),
    }
    Ok(())
}

/// The thoughts of an item: their summary, or where there is none, themselves.
pub fn thought_text(item: &Json<'_>) -> String {
    let texts = |name: &str| {
        let parts = item.get(name).and_then(Json::as_array).unwrap_or_default();
        parts.iter().filter_map(|part| part.get("text").and_then(Json::as_str)).collect::<Vec<_>>().join("\n\n")
    };
    let summary = texts("summary");
    if summary.is_empty() { texts("content") } else { summary }
}
