//! Bytes in requests and answers: `data:` addresses, and the words for kinds of sound.

use crate::types::chat::{Media, Source};

/// What stands at an address: the bytes themselves where it is a `data:` one (RFC 2397) in base64.
pub fn at(url: &str) -> Media {
    let parts = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    match parts.and_then(|(kind, data)| Some((kind.strip_suffix(";base64")?, data))) {
        Some((kind, data)) => {
            // Parameters such as `charset` say nothing about bytes.
            let kind = kind.split(';').next().filter(|kind| !kind.is_empty());
            Media::new(Source::Data(data.to_owned()), kind.map(str::to_owned))
        }
        None => Media::new(Source::Url(url.to_owned()), None),
    }
}

/// Bytes in base64 as a `data:` address.
pub fn data_url(media: &Media, data: &str) -> String {
    let kind = media.media_type.as_deref().unwrap_or_else(|| kind_of(data));
    format!("data:{kind};base64,{data}")
}

/// The kind of bytes in base64, by how they begin.
pub fn kind_of(data: &str) -> &'static str {
    let table = [
        ("iVBOR", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lG", "image/gif"),
        ("UklG", "image/webp"),
        ("JVBER", "application/pdf"),
    ];
    table.into_iter().find(|(begin, _)| data.starts_with(begin)).map_or("application/octet-stream", |(_, kind)| kind)
}

/// The media type of a sound that OpenAI calls `format`.
pub fn sound_type(format: &str) -> String {
    match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    }
}

/// What OpenAI calls a sound of that media type.
pub fn sound_format(media_type: Option<&str>) -> &str {
    match media_type.unwrap_or("audio/wav") {
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        other => other.strip_prefix("audio/").unwrap_or("wav"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_addresses_go_both_ways() {
        let image = at("data:image/png;base64,iVBORw0=");
        assert_eq!(image, Media::new(Source::Data("iVBORw0=".into()), Some("image/png".into())));
        assert_eq!(data_url(&image, "iVBORw0="), "data:image/png;base64,iVBORw0=");
        assert_eq!(at("https://a/b.png").source, Source::Url("https://a/b.png".into()));
        assert_eq!(at("data:text/plain,hi").source, Source::Url("data:text/plain,hi".into()));
        assert_eq!(data_url(&Media::new(Source::Data("/9j/4".into()), None), "/9j/4"), "data:image/jpeg;base64,/9j/4");
        for format in ["wav", "mp3", "flac", "ogg"] {
            assert_eq!(sound_format(Some(&sound_type(format))), format);
        }
    }
}
