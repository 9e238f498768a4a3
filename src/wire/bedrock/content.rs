//! Blocks of turns ↔ `Part`s: the same in requests and answers.

use super::media::{self, Kind};
use crate::types::chat::{CacheMark, Content, Part, Source, ToolCall, ToolResult};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::{self, Losses};
use crate::wire::read;
use crate::wire::write::{Array, Object, text_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// What was read and has no word in `types`.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Names of what only biases.
    pub(super) biasing: Vec<String>,
    /// Names and JSON of what makes the answer another one.
    pub(super) essential: Vec<(String, String)>,
}

/// Reads a list of blocks. `at` is its path.
pub(super) fn read_all(blocks: &[Json<'_>], at: &str, lost: &mut Lost) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter().enumerate() {
        let at = format!("{at}.[{index}]");
        let Json::Object(fields) = block else { return Err(read::wrong_type(at, "an object", block)) };
        let Some((name, inside)) = fields.iter().find(|(_, value)| *value != Json::Null) else {
            return Err(read::missing(at, "a content block such as {\"text\": …}"));
        };
        read_block(name, inside, &read::path(&at, name), lost, &mut parts)?;
    }
    Ok(parts)
}

/// Reads one block: `name` is the one key of the union.
fn read_block(name: &str, json: &Json<'_>, at: &str, lost: &mut Lost, parts: &mut Vec<Part>) -> Result<(), Error> {
    let wrong = |expected: &str| Err(read::wrong_type(at, expected, json));
    if let ("text", Json::String(text)) = (name, json) {
        parts.push(Part::text(text.as_ref()));
        return Ok(());
    }
    if name == "text" {
        return wrong("a string");
    }
    if !matches!(json, Json::Object(_)) {
        return wrong("an object");
    }
    match (name, Kind::of(name)) {
        (_, Some(kind)) => {
            if let Some(context) = read::maybe_text(json, at, "context")? {
                parts.push(Part::text(context));
            }
            let media = media::read(kind, json, at, &mut lost.biasing)?;
            parts.push(Part::new(kind.content(media)));
        }
        ("cachePoint", _) => match parts.last_mut() {
            Some(part) => part.cache = Some(cache_mark(json, at)?),
            None => lost.biasing.push("cachePoint".to_owned()),
        },
        ("reasoningContent", _) => parts.push(read_reasoning(json, at)?),
        ("toolUse" | "toolResult", _) if read::field(json, "type").is_some() => {
            // What the vendor's own tools did is told in the answer's words, too.
            lost.biasing.push(format!("{name}.type"));
        }
        ("toolUse", _) => parts.push(Part::new(Content::ToolCall(read_call(json, at)?))),
        ("toolResult", _) => parts.push(Part::new(Content::ToolResult(read_result(json, at, lost)?))),
        ("guardContent", _) => read_guarded(json, at, lost, parts)?,
        ("citationsContent", _) => {
            lost.biasing.push("citationsContent.citations".to_owned());
            parts.extend(texts(json, at)?.into_iter().map(Part::text));
        }
        ("searchResult", _) => parts.push(read_search_result(json, at, lost)?),
        _ => lost.essential.push((at.to_owned(), text_of(json))),
    }
    Ok(())
}

/// A mark of the prompt cache.
pub(super) fn cache_mark(json: &Json<'_>, at: &str) -> Result<CacheMark, Error> {
    Ok(CacheMark { ttl: read::maybe_text(json, at, "ttl")?.map(str::to_owned) })
}

fn read_reasoning(json: &Json<'_>, at: &str) -> Result<Part, Error> {
    if let Some(text) = read::maybe_object(json, at, "reasoningText")? {
        let signature = read::maybe_text(text, at, "signature")?.map(str::to_owned);
        let thoughts = read::maybe_text(text, at, "text")?.unwrap_or_default().to_owned();
        return Ok(Part { signature, ..Part::new(Content::Thinking(thoughts)) });
    }
    Ok(Part::new(Content::RedactedThinking(read::text(json, at, "redactedContent")?.to_owned())))
}

fn read_call(json: &Json<'_>, at: &str) -> Result<ToolCall, Error> {
    Ok(ToolCall {
        id: read::text(json, at, "toolUseId")?.to_owned(),
        name: read::text(json, at, "name")?.to_owned(),
        arguments: read::field(json, "input").map_or_else(|| "{}".to_owned(), text_of),
    })
}

fn read_result(json: &Json<'_>, at: &str, lost: &mut Lost) -> Result<ToolResult, Error> {
    let mut parts = Vec::new();
    let inside = read::path(at, "content");
    for (index, block) in read::maybe_array(json, at, "content")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{inside}.[{index}]");
        match read::field(block, "json") {
            Some(json) => parts.push(Part::text(text_of(json))),
            None => parts.extend(read_all(std::slice::from_ref(block), &at, lost)?),
        }
    }
    Ok(ToolResult {
        id: read::text(json, at, "toolUseId")?.to_owned(),
        name: None,
        parts,
        failed: read::maybe_text(json, at, "status")? == Some("error"),
    })
}

fn read_guarded(json: &Json<'_>, at: &str, lost: &mut Lost, parts: &mut Vec<Part>) -> Result<(), Error> {
    lost.biasing.push("guardContent".to_owned());
    if let Some(text) = read::maybe_object(json, at, "text")? {
        parts.push(Part::text(read::text(text, &read::path(at, "text"), "text")?));
    }
    if let Some(image) = read::maybe_object(json, at, "image")? {
        let media = media::read(Kind::Image, image, &read::path(at, "image"), &mut lost.biasing)?;
        parts.push(Part::new(Content::Image(media)));
    }
    Ok(())
}

fn read_search_result(json: &Json<'_>, at: &str, lost: &mut Lost) -> Result<Part, Error> {
    if read::field(json, "citations").is_some() {
        lost.biasing.push("searchResult.citations".to_owned());
    }
    let (source, title) = (read::maybe_text(json, at, "source")?, read::maybe_text(json, at, "title")?);
    let words = texts(json, at)?.join("\n");
    // Where it was found counts: it is told in words.
    let text = source.map_or(words.clone(), |source| format!("{source}\n{words}"));
    let media = crate::types::chat::Media {
        source: Source::Text(text),
        media_type: Some("text/plain".to_owned()),
        name: title.map(str::to_owned),
        detail: None,
    };
    Ok(Part::new(Content::Document(media)))
}

/// The texts of `content: [{"text": …}]`.
fn texts(json: &Json<'_>, at: &str) -> Result<Vec<String>, Error> {
    let pieces = read::maybe_array(json, at, "content")?.unwrap_or_default();
    Ok(pieces.iter().filter_map(|piece| piece.get("text").and_then(Json::as_str)).map(str::to_owned).collect())
}

/// Writes blocks.
pub(super) struct Writer<'l> {
    pub(super) losses: &'l mut Losses,
    /// Thoughts that nobody signed are refused by the target.
    pub(super) signed_only: bool,
    /// Documents so far.
    pub(super) documents: usize,
}

impl Writer<'_> {
    /// Writes a part, and the mark of the cache behind it.
    pub(super) fn part(&mut self, part: &Part, list: &mut Array<'_>) {
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => words(text, list),
            Content::Thinking(_) if self.signed_only && part.signature.is_none() => self.losses.drop("reasoning"),
            Content::Thinking(text) => list.object(|o| reasoning(o, text, part.signature.as_deref())),
            Content::RedactedThinking(data) => {
                list.object(|o| o.object("reasoningContent", |o| o.text("redactedContent", &blob(data))));
            }
            Content::ToolCall(call) => list.object(|o| {
                o.object("toolUse", |o| {
                    o.text("toolUseId", &safe_id(&call.id));
                    o.text("name", &call.name);
                    o.raw("input", &hub::arguments_object(&call.arguments));
                });
            }),
            Content::ToolResult(result) => list.object(|o| self.result(result, o)),
            Content::Image(media) => self.medium(Kind::Image, media, list),
            Content::Document(media) => self.medium(Kind::Document, media, list),
            Content::Video(media) => self.medium(Kind::Video, media, list),
            Content::Audio(media) => self.medium(Kind::Audio, media, list),
        }
        if let (Some(mark), false) = (&part.cache, list.is_empty()) {
            list.object(|o| cache_point(o, mark));
        }
    }

    fn medium(&mut self, kind: Kind, media: &crate::types::chat::Media, list: &mut Array<'_>) {
        if let Some(ready) = media::ready(kind, media, self.losses) {
            self.documents += usize::from(kind == Kind::Document);
            list.object(|o| ready.write(o, self.documents));
        }
    }

    fn result(&mut self, result: &ToolResult, object: &mut Object<'_>) {
        object.object("toolResult", |o| {
            o.text("toolUseId", &safe_id(&result.id));
            o.array("content", |list| {
                for part in &result.parts {
                    match &part.content {
                        Content::Text(text) | Content::Refusal(text) => words(text, list),
                        Content::Image(media) => self.medium(Kind::Image, media, list),
                        Content::Document(media) => self.medium(Kind::Document, media, list),
                        Content::Video(media) => self.medium(Kind::Video, media, list),
                        _ => self.losses.refuse("messages", "a tool's result holds what Converse has no block for."),
                    }
                    self.losses.drop_if(part.cache.is_some(), "cache_control");
                }
            });
            if result.failed {
                o.text("status", "error");
            }
        });
    }
}

/// Writes words. An empty text is refused, and says nothing.
fn words(text: &str, list: &mut Array<'_>) {
    if !text.is_empty() {
        list.object(|o| o.text("text", text));
    }
}

/// Writes a block of thoughts.
pub(super) fn reasoning(object: &mut Object<'_>, text: &str, signature: Option<&str>) {
    object.object("reasoningContent", |o| {
        o.object("reasoningText", |o| {
            o.text("text", text);
            o.maybe_text("signature", signature);
        });
    });
}

/// Writes a mark of the prompt cache.
pub(super) fn cache_point(object: &mut Object<'_>, mark: &CacheMark) {
    object.object("cachePoint", |o| {
        o.text("type", "default");
        o.maybe_text("ttl", mark.ttl.as_deref());
    });
}

/// Bytes as the wire has them: in base64. What another vendor encrypted into a text of any other form is put into it.
pub(super) fn blob(data: &str) -> Cow<'_, str> {
    let bare = data.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if data.len().is_multiple_of(4) && data.len() - bare.len() <= 2 && bare.bytes().all(allowed) {
        return Cow::Borrowed(data);
    }
    Cow::Owned(STANDARD.encode(data))
}

/// The id of a call as the wire allows it; one that it does not allow becomes another, always the same.
pub(super) fn safe_id(id: &str) -> Cow<'_, str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if (1..=64).contains(&id.len()) && id.bytes().all(allowed) {
        return Cow::Borrowed(id);
    }
    let hash = blake3::hash(id.as_bytes()).to_hex();
    Cow::Owned(format!("call_{}", hash.get(..32).unwrap_or_default()))
}
