//! Turns and their blocks, written. Turns of one side that follow each other are one; what tools gave is told by the user,
//! before anything else that the user says.

use super::write_cache;
use crate::types::chat::{Chat, Content, Media, Part, Role, Source, ToolResult};
use crate::wire::hub::{Losses, arguments_object};
use crate::wire::write::{Array, Object};
use base64::Engine as _;
use std::borrow::Cow;

/// Writes `system`, if there is any: plain text where it is one part and no more is said about it.
pub(super) fn write_system(object: &mut Object<'_>, parts: &[Part], losses: &mut Losses) {
    let parts: Vec<&Part> = parts.iter().filter(|part| is_written(part, losses)).collect();
    match (parts.as_slice(), alone(&parts)) {
        ([], _) => {}
        (_, Some(text)) => object.text("system", text),
        _ => object.array("system", |list| write_blocks(list, &parts, losses)),
    }
}

/// Writes the turn of a user who says these parts.
pub(super) fn write_opening(list: &mut Array<'_>, parts: &[Part], losses: &mut Losses) {
    write_turn(list, "user", parts.iter().collect(), losses);
}

/// Writes the turns of a conversation.
pub(super) fn write(list: &mut Array<'_>, chat: &Chat, losses: &mut Losses) {
    let mut spoken = chat.messages.iter().filter(|message| message.role != Role::System).peekable();
    let is_model = |role: Role| role == Role::Assistant;
    while let Some(first) = spoken.next() {
        losses.drop_if(first.name.is_some(), "messages.name");
        let mut parts: Vec<&Part> = first.parts.iter().collect();
        while let Some(more) = spoken.next_if(|next| is_model(next.role) == is_model(first.role)) {
            losses.drop_if(more.name.is_some(), "messages.name");
            parts.extend(&more.parts);
        }
        if is_model(first.role) {
            let is_last = spoken.peek().is_none();
            let trimmed = if is_last { trimmed(&parts) } else { None };
            if let (Some(part), Some(last)) = (&trimmed, parts.last_mut()) {
                *last = part;
            }
            refuse_media(&parts, losses);
            write_turn(list, "assistant", parts, losses);
        } else {
            parts.sort_by_key(|part| !matches!(part.content, Content::ToolResult(_)));
            write_turn(list, "user", parts, losses);
        }
    }
}

/// The last part without the white space at its end: the vendor refuses to go on from that.
fn trimmed(parts: &[&Part]) -> Option<Part> {
    let last = parts.last()?;
    let text = last.as_text().filter(|text| text.ends_with(char::is_whitespace))?;
    Some(Part { content: Content::Text(text.trim_end().to_owned()), ..(*last).clone() })
}

/// The model says nothing but words and calls here.
fn refuse_media(parts: &[&Part], losses: &mut Losses) {
    for part in parts {
        if matches!(part.content, Content::Image(_) | Content::Document(_)) {
            losses.refuse("messages", "the model's own turns cannot hold pictures or documents.");
        }
    }
}

fn write_turn(list: &mut Array<'_>, role: &str, mut parts: Vec<&Part>, losses: &mut Losses) {
    parts.retain(|part| is_written(part, losses));
    if parts.is_empty() {
        return;
    }
    list.object(|turn| {
        turn.text("role", role);
        match alone(&parts) {
            Some(text) => turn.text("content", text),
            None => turn.array("content", |list| write_blocks(list, &parts, losses)),
        }
    });
}

/// The text, where that is all there is.
fn alone<'p>(parts: &[&'p Part]) -> Option<&'p str> {
    match parts {
        [part] if part.cache.is_none() => part.as_text(),
        _ => None,
    }
}

/// The vendor takes no text without words, and no thoughts but those it signed.
fn is_written(part: &Part, losses: &mut Losses) -> bool {
    match &part.content {
        Content::Text(text) | Content::Refusal(text) => !text.is_empty(),
        Content::Thinking(_) => {
            // What OpenAI encrypts begins so; nobody else can read it.
            let signed = part.signature.as_deref().is_some_and(|signature| !signature.starts_with("gAAAA"));
            losses.drop_if(!signed, "messages.thinking");
            signed
        }
        _ => true,
    }
}

fn write_blocks(list: &mut Array<'_>, parts: &[&Part], losses: &mut Losses) {
    for part in parts {
        list.object(|block| write_block(block, part, losses));
    }
}

fn write_block(block: &mut Object<'_>, part: &Part, losses: &mut Losses) {
    match &part.content {
        Content::Text(text) | Content::Refusal(text) => {
            block.text("type", "text");
            block.text("text", text);
        }
        Content::Thinking(text) => {
            block.text("type", "thinking");
            block.text("thinking", text);
            // Thoughts take no mark of the prompt cache.
            return block.text("signature", part.signature.as_deref().unwrap_or_default());
        }
        Content::RedactedThinking(data) => {
            block.text("type", "redacted_thinking");
            return block.text("data", data);
        }
        Content::Image(media) => write_image(block, media, losses),
        Content::Document(media) => write_document(block, media, losses),
        Content::Audio(_) => losses.refuse("messages", "it has no audio."),
        Content::Video(_) => losses.refuse("messages", "it has no video."),
        Content::ToolCall(call) => {
            block.text("type", "tool_use");
            block.text("id", &id(&call.id));
            block.text("name", &call.name);
            block.raw("input", &arguments_object(&call.arguments));
        }
        Content::ToolResult(result) => write_result(block, result, losses),
    }
    write_cache(block, part.cache.as_ref());
}

fn write_result(block: &mut Object<'_>, result: &ToolResult, losses: &mut Losses) {
    block.text("type", "tool_result");
    block.text("tool_use_id", &id(&result.id));
    let parts: Vec<&Part> = result.parts.iter().collect();
    match (parts.as_slice(), alone(&parts)) {
        ([], _) => {}
        (_, Some(text)) => block.text("content", text),
        _ => block.array("content", |list| {
            let parts: Vec<&Part> = parts.iter().copied().filter(|part| is_written(part, losses)).collect();
            write_blocks(list, &parts, losses);
        }),
    }
    if result.failed {
        block.flag("is_error", true);
    }
}

/// An id of a call: the vendor takes letters, digits, `_` and `-`. Others are written as their numbers, so that ids that
/// differ still do.
fn id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let mut out = String::with_capacity(id.len() + 8);
    for c in id.chars() {
        if fits(c) {
            out.push(c);
        } else {
            out.push_str(&format!("_{:x}", u32::from(c)));
        }
    }
    Cow::Owned(out)
}

fn write_image(block: &mut Object<'_>, media: &Media, losses: &mut Losses) {
    losses.drop_if(media.detail.is_some(), "messages.image.detail");
    block.text("type", "image");
    block.object("source", |source| match &media.source {
        Source::Data(data) => {
            let kind = media.media_type.as_deref().or_else(|| image_type(data));
            source.text("type", "base64");
            source.text("media_type", kind.unwrap_or("image/png"));
            source.text("data", data);
        }
        other => write_source(source, other, losses),
    });
}

/// The kind of a picture, by how its base64 begins.
fn image_type(data: &str) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 4] =
        [("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("R0lG", "image/gif"), ("UklGR", "image/webp")];
    BEGINNINGS.into_iter().find(|(beginning, _)| data.starts_with(beginning)).map(|(_, kind)| kind)
}

fn write_document(block: &mut Object<'_>, media: &Media, losses: &mut Losses) {
    block.text("type", "document");
    block.object("source", |source| match &media.source {
        Source::Data(data) => write_data(source, data, media, losses),
        other => write_source(source, other, losses),
    });
    block.maybe_text("title", media.name.as_deref());
}

/// A document's bytes: of a PDF as they are, of a text as text.
fn write_data(source: &mut Object<'_>, data: &str, media: &Media, losses: &mut Losses) {
    let kind = media.media_type.as_deref().unwrap_or_default();
    if kind == "application/pdf" || data.starts_with("JVBERi") {
        source.text("type", "base64");
        source.text("media_type", "application/pdf");
        return source.text("data", data);
    }
    let is_text = kind.starts_with("text/") || kind == "application/json";
    let bytes = is_text.then(|| base64::engine::general_purpose::STANDARD.decode(data).ok()).flatten();
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => write_source(source, &Source::Text(text), losses),
        None => losses.refuse("messages", "its documents are PDFs and plain texts."),
    }
}

fn write_source(source: &mut Object<'_>, of: &Source, losses: &mut Losses) {
    match of {
        Source::Url(url) => {
            source.text("type", "url");
            source.text("url", url);
        }
        // Those of other vendors are written otherwise: `file-`, `files/`.
        Source::File(id) if id.starts_with("file_") => {
            source.text("type", "file");
            source.text("file_id", id);
        }
        Source::File(_) => losses.refuse("messages", "it does not know the file ids of another provider."),
        Source::Text(text) => {
            source.text("type", "text");
            source.text("media_type", "text/plain");
            source.text("data", text);
        }
        Source::Data(_) => losses.refuse("messages", "it cannot take these bytes here."),
    }
}
