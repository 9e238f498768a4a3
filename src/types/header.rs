//! Headers of replies: askonce's own names, and values that are made once and go out as they are.

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

/// Sets headers to what is written. Texts and whole numbers are put together by hand: `core::fmt` takes several times as long.
pub struct Writer<'h> {
    headers: &'h mut HeaderMap,
    text: Text,
}

impl<'h> Writer<'h> {
    /// Sets headers of `headers`.
    pub fn new(headers: &'h mut HeaderMap) -> Writer<'h> {
        Writer { headers, text: Text(String::with_capacity(128)) }
    }

    /// Sets `name`, in place of what it was. What cannot stand in a header is left out.
    pub fn set(&mut self, name: HeaderName, write: impl FnOnce(&mut Text) -> &mut Text) {
        self.text.0.clear();
        write(&mut self.text);
        if let Ok(value) = HeaderValue::from_str(&self.text.0) {
            self.headers.insert(name, value);
        }
    }

    /// The same for a text.
    pub fn set_text(&mut self, name: HeaderName, text: &str) {
        if let Ok(value) = HeaderValue::from_str(text) {
            self.headers.insert(name, value);
        }
    }

    /// The same for a number.
    pub fn set_number(&mut self, name: HeaderName, number: u64) {
        self.set(name, |text| text.number(number));
    }

    /// The same for a word that is there as long as the program.
    pub fn set_word(&mut self, name: HeaderName, word: &'static str) {
        self.headers.insert(name, HeaderValue::from_static(word));
    }
}

/// A value in the making.
pub struct Text(String);

impl Text {
    /// Puts `text` behind it.
    pub fn text(&mut self, text: &str) -> &mut Text {
        self.0.push_str(text);
        self
    }

    /// Puts a whole number behind it.
    pub fn number(&mut self, number: u64) -> &mut Text {
        self.text(itoa::Buffer::new().format(number))
    }

    /// Puts a number of millionths behind it, as a decimal fraction with so many places, of at most six; what is smaller is cut off.
    pub fn millionths(&mut self, number: u64, places: usize) -> &mut Text {
        let mut digits = *b"000000";
        let mut rest = number % 1_000_000;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.number(number / 1_000_000).text(".");
        self.0.extend(digits.iter().take(places).map(|digit| char::from(*digit)));
        self
    }

    /// Puts anything else behind it.
    pub fn display(&mut self, what: impl Display) -> &mut Text {
        // Writing to memory cannot fail.
        let _ = write!(self.0, "{what}");
        self
    }
}

/// Sets `name` to one text; what cannot stand in a header is left out.
pub fn set(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// The text of `name`, where there is one. In any letters: names that operators give to providers may have others than ASCII has.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
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
        let mut writer = Writer::new(&mut headers);
        writer.set_text(TIER, "exact");
        writer.set(COST, |text| text.millionths(1_050_001, 3).text("/").number(7).display('x'));
        writer.set(COST, |text| text.text("a\nb"));
        writer.set_text(PROVIDER, "\u{1}");
        writer.set_text(REASON, "münchen");
        writer.set_number(SAVED, 7);
        writer.set_number(SAVED, u64::MAX);
        writer.set_word(CACHE, "hit");
        set(&mut headers, DROPPED, "n".to_owned());
        set(&mut headers, ENTRY, "\r\nx: y".to_owned());
        let found = [CACHE, TIER, REASON, COST, SAVED, DROPPED].map(|name| text(&headers, &name).map(str::to_owned));
        assert_eq!(
            found,
            ["hit", "exact", "münchen", "1.050/7x", "18446744073709551615", "n"].map(|text| Some(text.to_owned()))
        );
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn millionths_are_decimal_fractions() {
        let of = |number, places| Text(String::new()).millionths(number, places).0.clone();
        let table = [(0, 6, "0.000000"), (250, 6, "0.000250"), (12_345_678, 6, "12.345678"), (12_345_678, 3, "12.345")];
        for (number, places, expected) in table {
            assert_eq!(of(number, places), expected);
        }
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
