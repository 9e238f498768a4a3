//! Tokens of a prompt, before a provider has counted them: by a real tokenizer, where somebody has a limit of them.
//!
//! The vocabulary is `o200k_base`, that of OpenAI's present models; others cut text into about as many. It is made when it is first asked
//! for, and takes some 30 MB from then on.

use super::facts::{Said, images, said};
use crate::types::json::Json;
use crate::wire::json::parse;
use bpe_openai::Tokenizer;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Longer texts are counted by their bytes: nobody should wait for a count.
const MOST_BYTES: usize = 512 * 1024;
/// About what a picture of a common size is counted as.
pub(super) const TOKENS_OF_A_PICTURE: u64 = 1_600;
/// So many base64 digits of a file are taken for a token, by what it holds: text that is packed, sound, moving pictures; texts as they are.
const DIGITS_OF_A_TOKEN: [(&str, u64); 4] = [("audio", 64), ("video", 1_024), ("text", 4), ("", 8)];
/// No model reads more of one file.
const MOST_OF_A_FILE: u64 = 1_000_000;
/// Shorter ones are counted where they are, longer ones on a thread of their own.
const SHORT_BYTES: usize = 4 * 1024;

static VOCABULARY: LazyLock<&'static Tokenizer> = LazyLock::new(bpe_openai::o200k_base);

/// The tokens of all texts in the request `body`, its tools included; `None` where nobody can tell.
pub(super) async fn count(body: &Bytes) -> Option<u64> {
    if body.len() > MOST_BYTES {
        return None;
    }
    let is_made = LazyLock::get(&VOCABULARY).is_some();
    if is_made && body.len() <= SHORT_BYTES {
        return counted(body);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || counted(&body)).await.ok().flatten()
}

fn counted(body: &[u8]) -> Option<u64> {
    let vocabulary = *VOCABULARY;
    let json = parse(body).ok()?;
    let mut sum = 0u64;
    said(&json, &mut |said| {
        sum += match said {
            Said::Text(text) => vocabulary.count(text) as u64,
            Said::Token => 1,
        }
    });
    Some(sum + images(&json) as u64 * TOKENS_OF_A_PICTURE + of_files(&json))
}

/// About what the files that stand in a request come to, in the words of any wire: documents, sound, moving pictures. Pictures are
/// counted by themselves.
pub(super) fn of_files(json: &Json<'_>) -> u64 {
    match json {
        Json::Array(items) => items.iter().map(of_files).sum(),
        Json::Object(_) if is_picture(json) => 0,
        Json::Object(fields) => {
            let of_field = |(name, value): &(Cow<'_, str>, Json<'_>)| match (name.as_ref(), value) {
                ("data" | "bytes" | "file_data", Json::String(digits)) => of_file(kind(json), digits),
                ("image" | "images" | "image_url", _) => 0,
                (_, value) => of_files(value),
            };
            fields.iter().map(of_field).sum()
        }
        _ => 0,
    }
}

fn is_picture(json: &Json<'_>) -> bool {
    json.get("type").and_then(Json::as_str).is_some_and(|kind| kind.contains("image"))
}

/// What a file holds, as far as is told beside it.
fn kind<'j>(json: &'j Json<'_>) -> &'j str {
    let told =
        ["mimeType", "mime_type", "media_type", "format", "type"].iter().filter_map(|name| json.get(name)?.as_str());
    told.into_iter().find(|kind| *kind != "base64").unwrap_or_default()
}

fn of_file(kind: &str, digits: &str) -> u64 {
    // A URL tells its kind itself; sound is told by its format.
    let kind = digits.strip_prefix("data:").unwrap_or(kind);
    let kind = if ["wav", "mp3", "pcm16", "flac", "opus"].contains(&kind) { "audio" } else { kind };
    if kind.starts_with("image/") {
        return 0;
    }
    let digits_of_one =
        DIGITS_OF_A_TOKEN.iter().find(|(known, _)| kind.starts_with(known)).map_or(8, |(_, digits)| *digits);
    (digits.len() as u64).div_ceil(digits_of_one).min(MOST_OF_A_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_what_they_hold() {
        let data = "x".repeat(6_400);
        let table = [
            (
                format!(
                    r#"{{"content":[{{"type":"document","source":{{"type":"base64","media_type":"application/pdf","data":"{data}"}}}}]}}"#
                ),
                800,
            ),
            (
                format!(
                    r#"{{"content":[{{"type":"document","source":{{"type":"text","media_type":"text/plain","data":"{data}"}}}}]}}"#
                ),
                1_600,
            ),
            (
                format!(
                    r#"{{"content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}"#
                ),
                0,
            ),
            (
                format!(
                    r#"{{"parts":[{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}},{{"inlineData":{{"mimeType":"audio/wav","data":"{data}"}}}}]}}"#
                ),
                100,
            ),
            (format!(r#"{{"parts":[{{"inlineData":{{"mimeType":"video/mp4","data":"{data}"}}}}]}}"#), 7),
            (
                format!(r#"{{"content":[{{"type":"input_file","file_data":"data:application/pdf;base64,{data}"}}]}}"#),
                804,
            ),
            (
                format!(r#"{{"content":[{{"type":"input_audio","input_audio":{{"data":"{data}","format":"mp3"}}}}]}}"#),
                100,
            ),
            (
                format!(
                    r#"{{"content":[{{"image":{{"format":"png","source":{{"bytes":"{data}"}}}}}},{{"document":{{"format":"pdf","source":{{"bytes":"{data}"}}}}}}]}}"#
                ),
                800,
            ),
            (
                format!(
                    r#"{{"content":[{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}],"images":["{data}"]}}"#
                ),
                0,
            ),
            (format!(r#"{{"file_data":"{}"}}"#, "x".repeat(9_000_000)), 1_000_000),
            (r#"{"messages":[{"content":"12345678"}]}"#.to_owned(), 0),
        ];
        for (body, expected) in table {
            let shown: String = body.chars().take(120).collect();
            assert_eq!(of_files(&parse(body.as_bytes()).unwrap()), expected, "{shown}");
        }
    }

    #[tokio::test]
    async fn texts_are_counted_as_openai_does() {
        // "hello world" are two tokens, and `user` is one.
        let body = Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"hello world"}]}"#);
        assert_eq!(count(&body).await, Some(4), "the model's name is a token here, too");
        let long = format!(r#"{{"content":"{}"}}"#, "hello world ".repeat(1_000));
        assert_eq!(count(&Bytes::from(long)).await, Some(2_001));
        assert_eq!(count(&Bytes::from(vec![b' '; MOST_BYTES + 1])).await, None);
        assert_eq!(count(&Bytes::from_static(b"no json")).await, None);
    }
}
