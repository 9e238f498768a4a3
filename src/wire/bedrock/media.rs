//! Pictures, documents, moving pictures and sounds: `{"format": …, "source": {"bytes" | "s3Location" | …}}` ↔ `Media`.
//!
//! The formats are those of <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html>.

use crate::types::chat::{Content, Media, Source};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::Losses;
use crate::wire::read;
use crate::wire::write::Object;

/// What kind of medium it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Image,
    Document,
    Video,
    Audio,
}

impl Kind {
    /// The kind that a block of that name holds.
    pub(super) fn of(block: &str) -> Option<Kind> {
        [Kind::Image, Kind::Document, Kind::Video, Kind::Audio].into_iter().find(|kind| kind.block() == block)
    }

    /// The name of its block.
    pub(super) fn block(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Document => "document",
            Kind::Video => "video",
            Kind::Audio => "audio",
        }
    }

    /// A piece of a turn of that kind.
    pub(super) fn content(self, media: Media) -> Content {
        match self {
            Kind::Image => Content::Image(media),
            Kind::Document => Content::Document(media),
            Kind::Video => Content::Video(media),
            Kind::Audio => Content::Audio(media),
        }
    }

    /// Formats and their media types. The first of several is the one that is written.
    fn formats(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Image => &[
                ("png", "image/png"),
                ("jpeg", "image/jpeg"),
                ("jpeg", "image/jpg"),
                ("gif", "image/gif"),
                ("webp", "image/webp"),
            ],
            Kind::Document => &[
                ("pdf", "application/pdf"),
                ("csv", "text/csv"),
                ("doc", "application/msword"),
                ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
                ("xls", "application/vnd.ms-excel"),
                ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                ("html", "text/html"),
                ("txt", "text/plain"),
                ("md", "text/markdown"),
            ],
            Kind::Video => &[
                ("mp4", "video/mp4"),
                ("mov", "video/quicktime"),
                ("mov", "video/mov"),
                ("mkv", "video/x-matroska"),
                ("webm", "video/webm"),
                ("flv", "video/x-flv"),
                ("mpeg", "video/mpeg"),
                ("mpg", "video/mpg"),
                ("wmv", "video/x-ms-wmv"),
                ("wmv", "video/wmv"),
                ("three_gp", "video/3gpp"),
            ],
            Kind::Audio => &[
                ("mp3", "audio/mpeg"),
                ("mp3", "audio/mp3"),
                ("wav", "audio/wav"),
                ("wav", "audio/x-wav"),
                ("aac", "audio/aac"),
                ("flac", "audio/flac"),
                ("ogg", "audio/ogg"),
                ("opus", "audio/opus"),
                ("mp4", "audio/mp4"),
                ("m4a", "audio/m4a"),
                ("mka", "audio/x-matroska"),
                ("webm", "audio/webm"),
                ("pcm", "audio/pcm"),
            ],
        }
    }

    /// The format of a media type.
    fn format(self, media_type: &str) -> Option<&'static str> {
        let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let known = self.formats().iter().find(|(_, one)| *one == bare).map(|(format, _)| *format);
        let is_text = bare.starts_with("text/") || matches!(bare.as_str(), "application/json" | "application/xml");
        known.or_else(|| (self == Kind::Document && is_text).then_some("txt"))
    }

    /// The media type of a format.
    pub(super) fn media_type(self, format: &str) -> Option<&'static str> {
        self.formats().iter().find(|(one, _)| *one == format).map(|(_, media_type)| *media_type)
    }

    /// The format that the first bytes tell, in base64.
    fn sniffed(self, data: &str) -> Option<&'static str> {
        let table: &[(&str, &str)] = match self {
            Kind::Image => &[("iVBORw", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp")],
            Kind::Document => &[("JVBERi", "pdf")],
            Kind::Video | Kind::Audio => &[],
        };
        table.iter().find(|(start, _)| data.starts_with(start)).map(|(_, format)| *format)
    }
}

/// Reads the inside of a block. `lost` takes the names of what has no word.
pub(super) fn read(kind: Kind, block: &Json<'_>, at: &str, lost: &mut Vec<String>) -> Result<Media, Error> {
    let format = read::maybe_text(block, at, "format")?;
    let name = read::maybe_text(block, at, "name")?.map(str::to_owned);
    let source =
        read::maybe_object(block, at, "source")?.ok_or_else(|| read::missing(read::path(at, "source"), "it"))?;
    let inside = read::path(at, "source");
    let source = if let Some(data) = read::maybe_text(source, &inside, "bytes")? {
        Source::Data(data.to_owned())
    } else if let Some(place) = read::maybe_object(source, &inside, "s3Location")? {
        if read::field(place, "bucketOwner").is_some() {
            lost.push("s3Location.bucketOwner".to_owned());
        }
        Source::Url(read::text(place, &inside, "uri")?.to_owned())
    } else if let Some(text) = read::maybe_text(source, &inside, "text")? {
        Source::Text(text.to_owned())
    } else if let Some(pieces) = read::maybe_array(source, &inside, "content")? {
        let texts: Vec<&str> = pieces.iter().filter_map(|piece| piece.get("text").and_then(Json::as_str)).collect();
        Source::Text(texts.join("\n"))
    } else {
        return Err(read::missing(read::path(&inside, "bytes"), "the bytes in base64"));
    };
    for field in ["citations", "error"].into_iter().filter(|field| read::field(block, field).is_some()) {
        lost.push(format!("{}.{field}", kind.block()));
    }
    let media_type = format.map(|format| match kind.media_type(format) {
        Some(known) => known.to_owned(),
        None => format!("{}/{format}", if kind == Kind::Document { "application" } else { kind.block() }),
    });
    Ok(Media { source, media_type, name, detail: None })
}

/// A medium that is ready to be written: all of it can be carried.
pub(super) struct Ready<'m> {
    kind: Kind,
    format: Option<&'static str>,
    media: &'m Media,
}

/// Checks that a medium can be carried, and notes what cannot. `param` is where callers have it.
pub(super) fn ready<'m>(kind: Kind, media: &'m Media, losses: &mut Losses) -> Option<Ready<'m>> {
    losses.drop_if(media.detail.as_deref().is_some_and(|detail| detail != "auto"), "detail");
    let told = media.media_type.as_deref().and_then(|media_type| kind.format(media_type));
    let format = match &media.source {
        Source::Data(data) => told.or_else(|| kind.sniffed(data)),
        Source::Text(_) if kind == Kind::Document => told.or(Some("txt")),
        Source::Url(url) if url.starts_with("s3://") => {
            let end = url.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
            let end = if end == "jpg" { "jpeg" } else { end.as_str() };
            told.or_else(|| kind.formats().iter().find(|(format, _)| *format == end).map(|(format, _)| *format))
        }
        Source::Url(_) => {
            losses.refuse("messages", "Converse fetches nothing by an http address; send the bytes, or an s3 address.");
            return None;
        }
        Source::File(_) | Source::Text(_) => {
            losses.refuse("messages", "files that were uploaded to another vendor are not there.");
            return None;
        }
    };
    // A document in S3 may go without.
    if format.is_none() && (kind != Kind::Document || matches!(media.source, Source::Data(_))) {
        let media_type = media.media_type.as_deref().unwrap_or("no media type").chars().take(60).collect::<String>();
        losses.refuse("messages", &format!("Converse takes no {} of `{media_type}`.", kind.block()));
        return None;
    }
    Some(Ready { kind, format, media })
}

impl Ready<'_> {
    /// Writes the block. `number` counts documents, which must have names.
    pub(super) fn write(&self, object: &mut Object<'_>, number: usize) {
        object.object(self.kind.block(), |o| {
            o.maybe_text("format", self.format);
            if self.kind == Kind::Document {
                o.text("name", &document_name(self.media.name.as_deref(), number));
            }
            o.object("source", |o| match &self.media.source {
                Source::Data(data) => o.text("bytes", data),
                Source::Url(url) => o.object("s3Location", |o| o.text("uri", url)),
                Source::Text(text) | Source::File(text) => o.text("text", text),
            });
        });
    }
}

/// A document's name as the wire wants it: letters, digits, hyphens, round and square brackets, single spaces.
fn document_name(name: Option<&str>, number: usize) -> String {
    let mut safe = String::new();
    for c in name.unwrap_or_default().chars().take(200) {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => safe.push(c),
            _ if safe.is_empty() || safe.ends_with(' ') => {}
            _ => safe.push(' '),
        }
    }
    let safe = safe.trim_end();
    if safe.is_empty() { format!("document {number}") } else { safe.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_gets_a_name_that_is_allowed() {
        let table = [
            (Some("report 2024.pdf"), "report 2024 pdf"),
            (Some("a__b (1)[x]-y"), "a b (1)[x]-y"),
            (Some("…"), "document 3"),
            (None, "document 3"),
        ];
        for (name, expected) in table {
            assert_eq!(document_name(name, 3), expected);
        }
    }

    #[test]
    fn a_format_is_told_or_seen() {
        assert_eq!(Kind::Image.format("image/JPG; q=1"), Some("jpeg"));
        assert_eq!(Kind::Image.format("image/tiff"), None);
        assert_eq!(Kind::Image.sniffed("iVBORw0KGgo="), Some("png"));
        for kind in [Kind::Image, Kind::Document, Kind::Video, Kind::Audio] {
            for (format, _) in kind.formats() {
                let media_type = kind.media_type(format).unwrap();
                assert_eq!(kind.format(media_type), Some(*format));
            }
        }
    }
}
