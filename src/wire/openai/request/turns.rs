//! `messages` of a request → `Chat::system` and `Chat::messages`.

use super::parts::{self, cache_mark};
use crate::types::chat::{Chat, Content, Media, Message, Part, Role, Source, ToolCall, ToolResult};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::openai::thoughts;
use crate::wire::read::{self, path};

/// Reads `messages`.
pub fn read_into(chat: &mut Chat, json: &Json<'_>) -> Result<(), Error> {
    let messages = read::maybe_array(json, "", "messages")?.ok_or_else(|| read::missing("messages", "an array"))?;
    // `function_call` of old has no id: its result follows it.
    let mut last_function = String::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.[{index}]");
        let name = read::maybe_text(message, &at, "name")?.map(str::to_owned);
        let (role, parts) = match read::text(message, &at, "role")? {
            "system" | "developer" if chat.messages.is_empty() => {
                chat.system.extend(parts::content(message, &at)?);
                continue;
            }
            "system" | "developer" => (Role::System, parts::content(message, &at)?),
            "user" => (Role::User, parts::content(message, &at)?),
            "assistant" => {
                let parts = said(message, &at, index)?;
                last_function = last_call(&parts).unwrap_or(last_function);
                (Role::Assistant, parts)
            }
            "tool" => {
                push_result(chat, result(message, &at, read::text(message, &at, "tool_call_id")?, name)?);
                continue;
            }
            "function" => {
                push_result(chat, result(message, &at, &last_function, name)?);
                continue;
            }
            other => {
                let expected = "`system`, `developer`, `user`, `assistant` or `tool`";
                return Err(read::unknown_value(path(&at, "role"), expected, other));
            }
        };
        chat.messages.push(Message { name, ..Message::new(role, parts) });
    }
    Ok(())
}

fn last_call(parts: &[Part]) -> Option<String> {
    parts.iter().rev().find_map(|part| match &part.content {
        Content::ToolCall(call) => Some(call.id.clone()),
        _ => None,
    })
}

fn result(message: &Json<'_>, at: &str, id: &str, name: Option<String>) -> Result<Part, Error> {
    let mut parts = parts::content(message, at)?;
    // One mark per result: vendors allow few of them.
    let cache = parts.iter_mut().fold(None, |mark, part| part.cache.take().or(mark)).or_else(|| cache_mark(message));
    let content = Content::ToolResult(ToolResult { id: id.to_owned(), name, parts, failed: false });
    Ok(Part { cache, ..Part::new(content) })
}

/// Results that follow each other are one turn.
fn push_result(chat: &mut Chat, part: Part) {
    match chat.messages.last_mut() {
        Some(last) if last.role == Role::Tool => last.parts.push(part),
        _ => chat.messages.push(Message::new(Role::Tool, vec![part])),
    }
}

/// What an assistant's turn says: thoughts, words, pictures, calls.
fn said(message: &Json<'_>, at: &str, turn: usize) -> Result<Vec<Part>, Error> {
    let mut all = thoughts::read(message);
    let words = parts::content(message, at)?;
    all.extend(words.into_iter().filter(|part| part.as_text() != Some("")));
    if let Some(refusal) = read::maybe_text(message, at, "refusal")?.filter(|text| !text.is_empty()) {
        all.push(Part::new(Content::Refusal(refusal.to_owned())));
    }
    if let Some(signature) = signature(message)
        && let Some(last) = all.iter_mut().rev().find(|part| part.as_text().is_some())
    {
        last.signature = Some(signature.to_owned());
    }
    if let Some(id) = message.get("audio").and_then(|audio| audio.get("id")).and_then(Json::as_str) {
        all.push(Part::new(Content::Audio(Media::new(Source::File(id.to_owned()), None))));
    }
    for (index, image) in read::maybe_array(message, at, "images")?.unwrap_or_default().iter().enumerate() {
        all.push(Part::new(Content::Image(parts::image(image, &format!("{at}.images.[{index}]"))?)));
    }
    for (index, call) in read::maybe_array(message, at, "tool_calls")?.unwrap_or_default().iter().enumerate() {
        all.push(one_call(message, call, &format!("{at}.tool_calls.[{index}]"))?);
    }
    if let Some(own) = read::maybe_object(message, at, "function_call")? {
        let at = path(at, "function_call");
        all.push(Part::new(Content::ToolCall(function(own, &at, format!("call_{turn}"))?)));
    }
    let taken: Vec<String> = all.iter().filter(|part| part.signature.is_some()).filter_map(call_signature).collect();
    all.retain(|part| !matches!(&part.content, Content::RedactedThinking(data) if taken.contains(data)));
    Ok(all)
}

/// The signature of a call, which OpenRouter tells among the thoughts, too.
fn call_signature(part: &Part) -> Option<String> {
    matches!(part.content, Content::ToolCall(_)).then(|| part.signature.clone())?
}

fn one_call(message: &Json<'_>, call: &Json<'_>, at: &str) -> Result<Part, Error> {
    let id = read::text(call, at, "id")?;
    let signed = signature(call).or_else(|| thoughts::signature_of_call(message, id)).map(str::to_owned);
    let content = match read::maybe_object(call, at, "function")? {
        Some(own) => function(own, &path(at, "function"), id.to_owned())?,
        // A custom tool's input is any text.
        None => {
            let own = read::maybe_object(call, at, "custom")?
                .ok_or_else(|| read::missing(path(at, "function"), "an object with a name"))?;
            let at = path(at, "custom");
            let (name, arguments) =
                (read::text(own, &at, "name")?.to_owned(), read::text(own, &at, "input")?.to_owned());
            ToolCall { id: id.to_owned(), name, arguments }
        }
    };
    Ok(Part { signature: signed, ..Part::new(Content::ToolCall(content)) })
}

fn function(own: &Json<'_>, at: &str, id: String) -> Result<ToolCall, Error> {
    let arguments = read::maybe_text(own, at, "arguments")?.unwrap_or_default().to_owned();
    Ok(ToolCall { id, name: read::text(own, at, "name")?.to_owned(), arguments })
}

/// Google's signature of a call or a message (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
pub fn signature<'j>(json: &'j Json<'_>) -> Option<&'j str> {
    json.get("extra_content")?.get("google")?.get("thought_signature")?.as_str()
}
