//! Blocks of a turn → parts.

use super::{cache_of, extra};
use crate::types::chat::{Content, Extra, Media, Part, Role, Source, ToolCall, ToolResult};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read::{
    field, maybe_array, maybe_flag, maybe_object, maybe_text, missing, path, text, unknown_value, wrong_type,
};
use crate::wire::write;

/// Is it what a tool gave?
pub(super) fn is_result(part: &Part) -> bool {
    matches!(part.content, Content::ToolResult(_))
}

/// Reads a block: usually one part; none where it has no word in `Chat`, and then it is kept aside.
pub(super) fn read(block: &Json<'_>, at: &str, role: Role, extras: &mut Vec<Extra>) -> Result<Vec<Part>, Error> {
    if !matches!(block, Json::Object(_)) {
        return Err(wrong_type(at, "an object", block));
    }
    let mut part = match text(block, at, "type")? {
        "text" => {
            cited(block, extras);
            Part::text(text(block, at, "text")?)
        }
        "image" => Part::new(Content::Image(media(source(block, at)?, &path(at, "source"))?)),
        "document" => return document(block, at, extras),
        "search_result" => search_result(block, at, extras)?,
        "thinking" => {
            let signature = maybe_text(block, at, "signature")?.filter(|signature| !signature.is_empty());
            let thinking = Part::new(Content::Thinking(text(block, at, "thinking")?.to_owned()));
            return Ok(vec![Part { signature: signature.map(str::to_owned), ..thinking }]);
        }
        "redacted_thinking" => Part::new(Content::RedactedThinking(text(block, at, "data")?.to_owned())),
        "tool_use" => Part::new(Content::ToolCall(call(block, at)?)),
        "tool_result" => Part::new(Content::ToolResult(result(block, at, extras)?)),
        // What the vendor's own tools did before is told in the answer's words; what a user sends is asked about.
        other => {
            extra(extras, format!("messages.{other}"), block, role == Role::User);
            return Ok(Vec::new());
        }
    };
    part.cache = cache_of(block, at)?;
    Ok(vec![part])
}

/// Citations have no word in `Chat`.
fn cited(block: &Json<'_>, extras: &mut Vec<Extra>) {
    let asked = match field(block, "citations") {
        Some(list @ Json::Array(items)) if !items.is_empty() => list,
        Some(config) if config.get("enabled") == Some(&Json::Bool(true)) => config,
        _ => return,
    };
    extra(extras, "messages.citations".to_owned(), asked, false);
}

fn source<'j, 'b>(block: &'j Json<'b>, at: &str) -> Result<&'j Json<'b>, Error> {
    maybe_object(block, at, "source")?.ok_or_else(|| missing(path(at, "source"), "an object"))
}

fn media(source: &Json<'_>, at: &str) -> Result<Media, Error> {
    let source_of = match text(source, at, "type")? {
        "base64" => Source::Data(text(source, at, "data")?.to_owned()),
        "url" => Source::Url(text(source, at, "url")?.to_owned()),
        "file" => Source::File(text(source, at, "file_id")?.to_owned()),
        "text" => Source::Text(text(source, at, "data")?.to_owned()),
        other => {
            return Err(unknown_value(path(at, "type"), "`base64`, `url`, `file`, `text` or `content`", other));
        }
    };
    Ok(Media::new(source_of, maybe_text(source, at, "media_type")?.map(str::to_owned)))
}

/// A document: its context before it, its pictures behind it where it is made of blocks.
fn document(block: &Json<'_>, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Part>, Error> {
    cited(block, extras);
    let source = source(block, at)?;
    let mut pictures = Vec::new();
    let mut media = match text(source, &path(at, "source"), "type")? {
        "content" => {
            let inner = contents(source, &path(at, "source"), extras)?;
            let (words, others): (Vec<Part>, Vec<Part>) = inner.into_iter().partition(|part| part.as_text().is_some());
            pictures = others;
            let text = words.iter().filter_map(Part::as_text).collect::<Vec<_>>().join("\n");
            Media::new(Source::Text(text), Some("text/plain".to_owned()))
        }
        _ => media(source, &path(at, "source"))?,
    };
    media.name = maybe_text(block, at, "title")?.map(str::to_owned);
    let mut parts = Vec::with_capacity(1);
    if let Some(context) = maybe_text(block, at, "context")?.filter(|context| !context.is_empty()) {
        parts.push(Part::text(context));
    }
    parts.push(Part { cache: cache_of(block, at)?, ..Part::new(Content::Document(media)) });
    parts.extend(pictures);
    Ok(parts)
}

/// A result of the caller's own search is a document of text.
fn search_result(block: &Json<'_>, at: &str, extras: &mut Vec<Extra>) -> Result<Part, Error> {
    cited(block, extras);
    let words = contents(block, at, extras)?;
    let source = std::iter::once(text(block, at, "source")?);
    let text = source.chain(words.iter().filter_map(Part::as_text)).collect::<Vec<_>>().join("\n");
    let name = maybe_text(block, at, "title")?.map(str::to_owned);
    let media = Media { name, ..Media::new(Source::Text(text), Some("text/plain".to_owned())) };
    Ok(Part::new(Content::Document(media)))
}

fn call(block: &Json<'_>, at: &str) -> Result<ToolCall, Error> {
    let arguments = field(block, "input").map_or_else(|| "{}".to_owned(), write::text_of);
    Ok(ToolCall { id: text(block, at, "id")?.to_owned(), name: text(block, at, "name")?.to_owned(), arguments })
}

fn result(block: &Json<'_>, at: &str, extras: &mut Vec<Extra>) -> Result<ToolResult, Error> {
    Ok(ToolResult {
        id: text(block, at, "tool_use_id")?.to_owned(),
        name: None,
        parts: contents(block, at, extras)?,
        failed: maybe_flag(block, at, "is_error")?.unwrap_or(false),
    })
}

/// `content`: text alone, or blocks.
fn contents(block: &Json<'_>, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Part>, Error> {
    if let Some(Json::String(text)) = field(block, "content") {
        return Ok(vec![Part::text(text.as_ref())]);
    }
    let mut parts = Vec::new();
    for (index, inner) in maybe_array(block, at, "content")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{at}.content.[{index}]");
        // Results do not nest, and a hostile request must not either.
        match text(inner, &at, "type")? {
            "text" | "image" | "document" | "search_result" => parts.extend(read(inner, &at, Role::Tool, extras)?),
            other => extra(extras, format!("messages.tool_result.{other}"), inner, false),
        }
    }
    Ok(parts)
}
