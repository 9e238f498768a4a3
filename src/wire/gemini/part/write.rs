//! `Part` → pieces of a turn.

use crate::types::chat::{Content, Media, Part, Source};
use crate::wire::gemini::own;
use crate::wire::hub::arguments_object;
use crate::wire::write::{Array, Object};

/// Writes a part of those that both requests and answers have. False where this is none.
pub(in crate::wire::gemini) fn write(list: &mut Array<'_>, part: &Part) -> bool {
    let signature = part.signature.as_deref();
    let signed = |o: &mut Object<'_>| o.maybe_text("thoughtSignature", signature);
    match &part.content {
        Content::Text(text) | Content::Refusal(text) if text.is_empty() && signature.is_none() => {}
        Content::Text(text) | Content::Refusal(text) => list.object(|o| {
            o.text("text", text);
            signed(o);
        }),
        Content::Thinking(text) if text.is_empty() && signature.is_none() => {}
        Content::Thinking(text) => list.object(|o| {
            o.text("text", text);
            if !text.is_empty() {
                o.flag("thought", true);
            }
            signed(o);
        }),
        Content::ToolCall(call) => list.object(|o| {
            o.object("functionCall", |o| {
                o.text("name", &call.name);
                o.raw("args", &arguments_object(&call.arguments));
                if !call.id.is_empty() {
                    o.text("id", &call.id);
                }
            });
            signed(o);
        }),
        Content::Image(media) | Content::Audio(media) | Content::Video(media) | Content::Document(media) => {
            if let Some(json) = own::kept(part, own::PART) {
                list.raw(json);
                return true;
            }
            return write_media(list, media, signature);
        }
        Content::RedactedThinking(_) | Content::ToolResult(_) => return false,
    }
    true
}

fn write_media(list: &mut Array<'_>, media: &Media, signature: Option<&str>) -> bool {
    let (field, value, name) = match &media.source {
        Source::Data(data) => ("inlineData", data.as_str(), "data"),
        Source::Url(uri) | Source::File(uri) => ("fileData", uri.as_str(), "fileUri"),
        Source::Text(_) => return false,
    };
    list.object(|o| {
        o.object(field, |o| {
            o.maybe_text("mimeType", media.media_type.as_deref().or_else(|| guess(&media.source)));
            o.text(name, value);
        });
        o.maybe_text("thoughtSignature", signature);
    });
    true
}

/// What kind of bytes these are, by how they begin or what their name ends in.
pub(in crate::wire::gemini) fn guess(source: &Source) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 5] = [
        ("iVBOR", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi", "application/pdf"),
    ];
    const ENDINGS: [(&str, &str); 10] = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("pdf", "application/pdf"),
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("mp4", "video/mp4"),
        ("txt", "text/plain"),
    ];
    match source {
        Source::Data(data) => BEGINNINGS.iter().find(|(begin, _)| data.starts_with(begin)).map(|(_, kind)| *kind),
        Source::Url(url) | Source::File(url) => {
            let path = url.split(['?', '#']).next()?;
            let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
            ENDINGS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
        }
        Source::Text(_) => Some("text/plain"),
    }
}
