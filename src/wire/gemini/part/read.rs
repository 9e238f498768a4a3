//! Pieces of a turn → `Part`.

use crate::types::chat::{Content, Media, Part, Source, ToolCall, ToolResult};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::gemini::fields::{field, is, list, maybe_flag, maybe_object, maybe_text, text};
use crate::wire::gemini::own;
use crate::wire::hub;
use crate::wire::read::{path, wrong_type};
use crate::wire::write;

/// Reads the parts of one conversation or answer. Calls have ids in newer versions only; for others it makes some, which
/// are the same whenever the same bytes are read.
#[derive(Debug, Default)]
pub(in crate::wire::gemini) struct Reader {
    /// What ids of an answer are made from; `None` in a request, where they are counted.
    seed: Option<String>,
    calls: usize,
    /// Calls without a result, by name and id.
    open: Vec<(String, String)>,
    /// Fields that have no word in `Part`.
    pub(in crate::wire::gemini) lost: Vec<&'static str>,
}

/// Fields that say more about a part and have no word in `Part`.
const DETAILS: [&str; 4] = ["videoMetadata", "mediaResolution", "partMetadata", "mediaProcessing"];

impl Reader {
    /// Reads an answer, whose calls need ids that no other answer of the conversation has.
    pub(in crate::wire::gemini) fn of_answer(seed: &str) -> Reader {
        Reader { seed: Some(seed.to_owned()), ..Reader::default() }
    }

    /// Reads one part.
    pub(in crate::wire::gemini) fn read(&mut self, json: &Json<'_>, at: &str) -> Result<Part, Error> {
        if !matches!(json, Json::Object(_)) {
            return Err(wrong_type(at, "an object", json));
        }
        let thought = maybe_flag(json, at, "thought")?.unwrap_or(false);
        let signature = maybe_text(json, at, "thoughtSignature")?.map(str::to_owned);
        let lost = DETAILS.into_iter().filter(|name| field(json, name).is_some());
        for name in lost.collect::<Vec<_>>() {
            if !self.lost.contains(&name) {
                self.lost.push(name);
            }
        }
        let content = match maybe_text(json, at, "text")? {
            // A signature that comes alone, at the end of a stream, belongs to no words.
            Some("") if signature.is_some() => Content::Thinking(String::new()),
            Some(words) if thought => Content::Thinking(words.to_owned()),
            Some(words) => Content::Text(words.to_owned()),
            None => match self.other(json, at)? {
                Some(content) => content,
                None => {
                    let kept = own::keep(own::PART, write::text_of(json));
                    return Ok(kept);
                }
            },
        };
        Ok(Part { content, cache: None, signature })
    }

    fn other(&mut self, json: &Json<'_>, at: &str) -> Result<Option<Content>, Error> {
        if let Some(call) = maybe_object(json, at, "functionCall")?.filter(|call| is_whole(call)) {
            return self.call(call, &path(at, "functionCall")).map(Some);
        }
        if let Some(response) = maybe_object(json, at, "functionResponse")? {
            return self.result(response, &path(at, "functionResponse")).map(Some);
        }
        if let Some(blob) = maybe_object(json, at, "inlineData")? {
            let at = path(at, "inlineData");
            let data = text(blob, &at, "data")?;
            return Ok(Some(media(Source::Data(standard(data)), blob, &at)?));
        }
        if let Some(file) = maybe_object(json, at, "fileData")? {
            let at = path(at, "fileData");
            let uri = text(file, &at, "fileUri")?;
            let source = if at_google(uri) { Source::File(uri.to_owned()) } else { Source::Url(uri.to_owned()) };
            return Ok(Some(media(source, file, &at)?));
        }
        Ok(None)
    }

    fn call(&mut self, call: &Json<'_>, at: &str) -> Result<Content, Error> {
        let name = maybe_text(call, at, "name")?.unwrap_or_default().to_owned();
        let arguments = maybe_object(call, at, "args")?.map_or_else(|| "{}".to_owned(), write::text_of);
        let id = match maybe_text(call, at, "id")?.filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => self.new_id(&name, &arguments),
        };
        self.calls += 1;
        if self.seed.is_none() {
            self.open.push((name.clone(), id.clone()));
        }
        Ok(Content::ToolCall(ToolCall { id, name, arguments }))
    }

    /// Nine letters and digits where they are counted, which every vendor takes for an id.
    fn new_id(&self, name: &str, arguments: &str) -> String {
        let Some(seed) = &self.seed else { return format!("call{:05}", self.calls) };
        hub::call_id(seed, name, arguments, self.calls)
    }

    /// The call that a result is about: by its id, else the first of that name without a result.
    fn id_of(&mut self, id: Option<&str>, name: &str) -> String {
        let at = match id {
            Some(id) => self.open.iter().position(|(_, open)| open == id),
            None => self.open.iter().position(|(open, _)| open == name),
        };
        let found = at.map(|at| self.open.remove(at).1);
        id.map(str::to_owned).or(found).unwrap_or_else(|| name.to_owned())
    }

    fn result(&mut self, json: &Json<'_>, at: &str) -> Result<Content, Error> {
        let name = maybe_text(json, at, "name")?.unwrap_or_default().to_owned();
        let id = self.id_of(maybe_text(json, at, "id")?.filter(|id| !id.is_empty()), &name);
        let (mut parts, mut failed) = (Vec::new(), false);
        if let Some(response) = maybe_object(json, at, "response")? {
            let (told, is_error) = told(response);
            failed = is_error;
            parts.push(Part::text(told));
        }
        for (index, part) in list(json, at, "parts")?.iter().enumerate() {
            parts.push(self.read(part, &format!("{at}.parts[{index}]"))?);
        }
        let name = Some(name).filter(|name| !name.is_empty());
        Ok(Content::ToolResult(ToolResult { id, name, parts, failed }))
    }
}

/// What a function's response says, and whether that it failed: `output` and `error` are Google's words for it, `result`
/// that of its SDKs. A response of any other form is the output itself.
fn told(response: &Json<'_>) -> (String, bool) {
    let Json::Object(fields) = response else { return (write::text_of(response), false) };
    match fields.as_slice() {
        [(key, Json::String(text))] if matches!(key.as_ref(), "output" | "result") => (text.to_string(), false),
        [(key, Json::String(text))] if key == "error" => (text.to_string(), true),
        [(key, value)] if key == "error" => (write::text_of(value), true),
        _ => (write::text_of(response), false),
    }
}

/// Bytes in JSON may come in either alphabet of base64; the others know one.
pub(super) fn standard(data: &str) -> String {
    if !data.contains(['-', '_']) {
        return data.to_owned();
    }
    let swap = |c| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    let mut data: String = data.chars().map(swap).collect();
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    data
}

/// Does only Google get at it?
pub(in crate::wire::gemini) fn at_google(uri: &str) -> bool {
    uri.starts_with("gs://")
        || uri.starts_with("files/")
        || uri.split('/').nth(2).is_some_and(|host| host == "generativelanguage.googleapis.com")
}

fn media(source: Source, json: &Json<'_>, at: &str) -> Result<Content, Error> {
    let media_type = maybe_text(json, at, "mimeType")?.map(str::to_owned);
    let name = maybe_text(json, at, "displayName")?.map(str::to_owned);
    let of = media_type.as_deref().and_then(|media_type| media_type.split('/').next()).unwrap_or_default();
    let kind = match (of, &source) {
        ("image", _) => Content::Image,
        ("audio", _) => Content::Audio,
        ("video", _) => Content::Video,
        ("", Source::Url(url)) if url.contains("youtube.com/") || url.contains("youtu.be/") => Content::Video,
        _ => Content::Document,
    };
    Ok(kind(Media { source, media_type, name, detail: None }))
}

/// Does a call come whole? Vertex AI streams arguments in pieces to those who ask for it; such pieces are kept as they
/// are, for nobody else asks.
fn is_whole(call: &Json<'_>) -> bool {
    let has = |name: &str| field(call, name).is_some();
    has("name") && !has("partialArgs") && field(call, "willContinue") != Some(&Json::Bool(true))
}

/// Is it a part of a response of a function?
pub(in crate::wire::gemini) fn is_result(json: &Json<'_>) -> bool {
    matches!(json, Json::Object(fields) if fields.iter().any(|(key, _)| is(key, "functionResponse")))
}
