//! Content parts of a turn ↔ `Part`s.

use crate::types::chat::{CacheMark, Content, Media, Part, Source};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::openai::media;
use crate::wire::read::{self, path};

/// A turn's `content`: a text, or a list of parts.
pub fn content(message: &Json<'_>, at: &str) -> Result<Vec<Part>, Error> {
    match read::field(message, "content") {
        None => Ok(Vec::new()),
        Some(Json::String(text)) => Ok(vec![Part { cache: cache_mark(message), ..Part::text(text.to_string()) }]),
        Some(Json::Array(items)) => {
            let at = path(at, "content");
            let mut parts = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                parts.push(part(item, &format!("{at}.[{index}]"))?);
            }
            Ok(parts)
        }
        Some(other) => Err(read::wrong_type(path(at, "content"), "a string or an array of parts", other)),
    }
}

/// `cache_control` of a part, a message or a tool, as OpenRouter and LiteLLM take it.
pub fn cache_mark(json: &Json<'_>) -> Option<CacheMark> {
    let mark = json.get("cache_control").filter(|mark| matches!(mark, Json::Object(_)))?;
    Some(CacheMark { ttl: mark.get("ttl").and_then(Json::as_str).map(str::to_owned) })
}

fn part(json: &Json<'_>, at: &str) -> Result<Part, Error> {
    if let Json::String(text) = json {
        return Ok(Part::text(text.to_string()));
    }
    let content = match read::text(json, at, "type")? {
        "text" | "input_text" | "output_text" => Content::Text(read::text(json, at, "text")?.to_owned()),
        "refusal" => Content::Refusal(read::text(json, at, "refusal")?.to_owned()),
        "image_url" => Content::Image(image(json, at)?),
        "input_audio" => Content::Audio(sound(json, at)?),
        "file" => Content::Document(file(json, at)?),
        "video_url" => Content::Video(media::at(address(json, at, "video_url")?)),
        // Mistral's thoughts are a part of the content.
        "thinking" => Content::Thinking(thoughts(json)),
        other => {
            let expected = "one of `text`, `image_url`, `input_audio`, `file`, `video_url`, `refusal`";
            return Err(read::unknown_value(path(at, "type"), expected, other));
        }
    };
    Ok(Part { cache: cache_mark(json), ..Part::new(content) })
}

/// The text of a `thinking` part: a list of texts, or one.
pub fn thoughts(part: &Json<'_>) -> String {
    match part.get("thinking") {
        Some(Json::String(text)) => text.to_string(),
        Some(Json::Array(items)) => {
            items.iter().filter_map(|item| item.get("text").and_then(Json::as_str)).collect::<Vec<_>>().concat()
        }
        _ => String::new(),
    }
}

/// An address, in an object or as it is.
fn address<'j>(json: &'j Json<'_>, at: &str, name: &str) -> Result<&'j str, Error> {
    match read::field(json, name) {
        Some(Json::String(url)) => Ok(url),
        Some(own @ Json::Object(_)) => read::text(own, &path(at, name), "url"),
        Some(other) => Err(read::wrong_type(path(at, name), "an object with a `url`", other)),
        None => Err(read::missing(path(at, name), "an object with a `url`")),
    }
}

/// An `image_url` part.
pub fn image(json: &Json<'_>, at: &str) -> Result<Media, Error> {
    let mut image = media::at(address(json, at, "image_url")?);
    let detail = json.get("image_url").and_then(|own| own.get("detail")).and_then(Json::as_str);
    image.detail = detail.map(str::to_owned);
    Ok(image)
}

fn sound(json: &Json<'_>, at: &str) -> Result<Media, Error> {
    let own = read::maybe_object(json, at, "input_audio")?
        .ok_or_else(|| read::missing(path(at, "input_audio"), "an object with `data` and `format`"))?;
    let at = path(at, "input_audio");
    let format = read::maybe_text(own, &at, "format")?.map(media::sound_type);
    Ok(Media::new(Source::Data(read::text(own, &at, "data")?.to_owned()), format))
}

fn file(json: &Json<'_>, at: &str) -> Result<Media, Error> {
    let own = read::maybe_object(json, at, "file")?
        .ok_or_else(|| read::missing(path(at, "file"), "an object with `file_data` or `file_id`"))?;
    document(own, &path(at, "file"), "file_id", "file_data")
}

/// A document by its id or its bytes.
pub fn document(own: &Json<'_>, at: &str, id: &str, data: &str) -> Result<Media, Error> {
    let name = read::maybe_text(own, at, "filename")?.map(str::to_owned);
    if let Some(id) = read::maybe_text(own, at, id)? {
        return Ok(Media { name, ..Media::new(Source::File(id.to_owned()), None) });
    }
    let data = read::text(own, at, data)?;
    let media = if data.starts_with("data:") || data.starts_with("http") {
        media::at(data)
    } else {
        Media::new(Source::Data(data.to_owned()), Some(media::kind_of(data).to_owned()))
    };
    Ok(Media { name, ..media })
}
