//! Headers of replies: askonce's own names, and values that are made once and go out as they are.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::{Display, Write};

/// How the cache took part: `hit`, `stale`, `miss` or `bypass`.
pub const CACHE: HeaderName = HeaderName::from_static("x-askonce-cache");
/// Where a stored answer was found.
pub const TIER: HeaderName = HeaderName::from_static("x-askonce-tier");
/// Why the cache did not answer, or why it did with what is stale.
pub const REASON: HeaderName = HeaderName::from_static("x-askonce-reason");
/// Who answered.
pub const PROVIDER: HeaderName = HeaderName::from_static("x-askonce-provider");
/// All attempts.
pub const ATTEMPTS: HeaderName = HeaderName::from_static("x-askonce-attempts");
/// What the caller pays for an answer, in dollars.
pub const COST: HeaderName = HeaderName::from_static("x-askonce-cost-usd");
/// What the caller would have paid besides, in dollars.
pub const SAVED: HeaderName = HeaderName::from_static("x-askonce-saved-usd");
/// The id of a stored answer.
pub const ENTRY: HeaderName = HeaderName::from_static("x-askonce-entry");
/// How near the question is to the one that was answered, in [-1, 1].
pub const SIMILARITY: HeaderName = HeaderName::from_static("x-askonce-similarity");
/// How likely the answer is right, in [0, 1].
pub const PROBABILITY: HeaderName = HeaderName::from_static("x-askonce-probability");
/// Names of what is not in an answer, or did not reach its provider.
pub const DROPPED: HeaderName = HeaderName::from_static("x-askonce-dropped");
/// Names of the guardrails that found something.
pub const GUARDRAILS: HeaderName = HeaderName::from_static("x-askonce-guardrails");
/// How many texts were longer than the model of this gateway reads.
pub const TRUNCATED: HeaderName = HeaderName::from_static("x-askonce-truncated");
/// The answer is the demonstration's.
pub const DEMO: HeaderName = HeaderName::from_static("x-askonce-demo");
/// The provider's own id of the request.
pub const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
/// What took how long (<https://www.w3.org/TR/server-timing/>).
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// `application/json`.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sets headers to what is written. Their values stand in one piece of memory.
pub struct Writer<'h> {
    headers: &'h mut HeaderMap,
    text: BytesMut,
}

impl<'h> Writer<'h> {
    /// Sets headers of `headers`, whose values are to take about so many bytes together.
    pub fn new(headers: &'h mut HeaderMap, bytes: usize) -> Writer<'h> {
        Writer { headers, text: BytesMut::with_capacity(bytes) }
    }

    /// Sets `name`, in place of what it was. What cannot stand in a header is left out.
    pub fn set(&mut self, name: HeaderName, value: impl Display) {
        // Writing to memory cannot fail.
        let _ = write!(self.text, "{value}");
        if let Ok(value) = HeaderValue::from_maybe_shared(self.text.split().freeze()) {
            self.headers.insert(name, value);
        }
    }

    /// The same for a word that is there as long as the program.
    pub fn set_word(&mut self, name: HeaderName, word: &'static str) {
        self.headers.insert(name, HeaderValue::from_static(word));
    }
}

/// Sets `name` to one text; what cannot stand in a header is left out.
pub fn set(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// The text of `name`, where there is one.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Does a content type begin with this one, in letters of any case?
pub fn is_type(content_type: &HeaderValue, expected: &str) -> bool {
    let told = content_type.as_bytes().trim_ascii_start();
    told.get(..expected.len()).is_some_and(|told| told.eq_ignore_ascii_case(expected.as_bytes()))
}

/// Is it the content type of server-sent events?
pub fn is_events(content_type: &HeaderValue) -> bool {
    is_type(content_type, "text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_as_they_are_written_and_none_that_cannot_stand_there() {
        let mut headers = HeaderMap::new();
        let mut writer = Writer::new(&mut headers, 4);
        writer.set(TIER, "exact");
        writer.set(COST, format_args!("{}.{:02}", 1, 5));
        writer.set(COST, "a\nb");
        writer.set(PROVIDER, "\u{1}");
        writer.set(SAVED, 7);
        writer.set(SAVED, 8);
        writer.set_word(CACHE, "hit");
        set(&mut headers, DROPPED, "n".to_owned());
        set(&mut headers, ENTRY, "\r\nx: y".to_owned());
        let found = [CACHE, TIER, COST, SAVED, DROPPED].map(|name| text(&headers, &name).map(str::to_owned));
        assert_eq!(found, ["hit", "exact", "1.05", "8", "n"].map(|text| Some(text.to_owned())));
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn content_types_are_known_in_letters_of_any_case() {
        let table = [
            ("text/event-stream", true),
            ("  Text/Event-Stream; charset=utf-8", true),
            ("text/event", false),
            ("application/json", false),
            ("", false),
        ];
        for (told, expected) in table {
            assert_eq!(is_events(&HeaderValue::from_static(told)), expected, "{told}");
        }
    }
}
