//! `Alike`: a chunk that differs from the last one in its words alone, known without being parsed.
//!
//! Nearly all chunks of a stream are byte for byte the same, but for the words and perhaps some random padding. What is around the
//! words of one is kept; the next is compared with it, and its words are all that is taken.

use crate::wire::spanned::{Spanned, Value};
use std::borrow::Cow;
use std::ops::Range;

/// What is around the words of a chunk that says nothing anew but words.
#[derive(Debug)]
pub(super) struct Alike {
    /// Up to the words, with the quote before them.
    head: Box<[u8]>,
    /// From the quote behind them up to the padding, where there is some.
    middle: Option<Box<[u8]>>,
    /// From the quote behind the last of them on.
    tail: Box<[u8]>,
    /// The choice that they are of.
    pub(super) index: u64,
}

impl Alike {
    /// What is around the words of `chunk`; `None` where there is anything else in it that would not be the same if it came twice:
    /// merging it once more must change nothing but the words.
    pub(super) fn of(chunk: &[u8]) -> Option<Alike> {
        let text = std::str::from_utf8(chunk).ok()?;
        let tree = Spanned::read(text)?;
        let (mut choices, mut padding) = (None, None);
        for (name, value) in fields(&tree, text)? {
            let is_new = match name.as_ref() {
                "choices" => choices.replace(value).is_some(),
                "obfuscation" if value.value != Value::Text => true,
                "obfuscation" => padding.replace(&value.span).is_some(),
                "usage" | "error" => text.get(value.span.clone()) != Some("null"),
                // What is said of all of it is replaced by the same.
                _ => false,
            };
            if is_new {
                return None;
            }
        }
        let [choice] = choices?.items() else { return None };
        let (mut index, mut delta) = (0, None);
        for (name, value) in fields(choice, text)? {
            match (name.as_ref(), &value.value) {
                ("delta", _) if delta.is_none() => delta = Some(value),
                ("index", Value::Number) => index = text.get(value.span.clone())?.parse().ok()?,
                (_, Value::Word | Value::Number) if name != "delta" => {}
                _ => return None,
            }
        }
        let mut words = None;
        for (name, value) in fields(delta?, text)? {
            match (name.as_ref(), &value.value) {
                ("content", Value::Text) if words.is_none() => words = Some(&value.span),
                ("role", Value::Text) => {}
                (_, Value::Text) if value.span.len() == 2 && name != "content" => {}
                (_, Value::Word | Value::Number) if name != "content" => {}
                _ => return None,
            }
        }
        Alike::around(chunk, words?, padding, index)
    }

    fn around(chunk: &[u8], words: &Range<usize>, padding: Option<&Range<usize>>, index: u64) -> Option<Alike> {
        let part = |range: Range<usize>| chunk.get(range).map(Box::from);
        let end = padding.map_or(words.end, |padding| padding.end);
        let middle = match padding {
            // There is no such range where it stands before the words.
            Some(padding) => Some(part(words.end - 1..padding.start + 1)?),
            None => None,
        };
        Some(Alike { head: part(0..words.start + 1)?, middle, tail: part(end - 1..chunk.len())?, index })
    }

    /// The words of `chunk`, where it is like this one and has any.
    pub(super) fn words<'c>(&self, chunk: &'c [u8]) -> Option<Cow<'c, str>> {
        let rest = chunk.strip_prefix(&*self.head)?;
        let (end, escaped) = end_of_text(rest)?;
        let behind = rest.get(end..)?;
        let tail = match &self.middle {
            None => behind,
            Some(middle) => {
                let padding = behind.strip_prefix(&**middle)?;
                let (end, escaped) = end_of_text(padding)?;
                // What it says is of no interest, but that it is a text.
                std::str::from_utf8(padding.get(..end)?).ok().filter(|_| !escaped)?;
                padding.get(end..)?
            }
        };
        if tail != &*self.tail || end == 0 {
            return None;
        }
        match escaped {
            false => std::str::from_utf8(rest.get(..end)?).ok().map(Cow::Borrowed),
            true => {
                let quoted = chunk.get(self.head.len() - 1..=self.head.len() + end)?;
                serde_json::from_slice::<String>(quoted).ok().map(Cow::Owned)
            }
        }
    }
}

fn fields<'t>(map: &'t Spanned, text: &'t str) -> Option<Vec<(Cow<'t, str>, &'t Spanned)>> {
    let Value::Map(fields) = &map.value else { return None };
    let name = |range: &Range<usize>| {
        let quoted = text.get(range.clone())?;
        let plain = quoted.strip_prefix('"')?.strip_suffix('"')?;
        // A name with escapes may be any other.
        (!plain.contains('\\')).then_some(Cow::Borrowed(plain))
    };
    fields.iter().map(|(range, value)| Some((name(range)?, value))).collect()
}

/// Where the text that begins at the beginning ends, which is where its quote is, and whether anything in it is escaped.
fn end_of_text(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut escaped) = (0, false);
    loop {
        let found = at + bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        match bytes.get(found)? {
            b'"' => return Some((found, escaped)),
            b'\\' => (at, escaped) = (found + 2, true),
            // JSON has none of these in a text.
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","usage":null,"choices":[{"index":2,"delta":{"role":"assistant","content":"Hel","refusal":null,"reasoning":""},"logprobs":null,"finish_reason":null}],"obfuscation":"a7"}"#;

    #[test]
    fn words_are_taken_from_chunks_that_are_alike() {
        let alike = Alike::of(CHUNK.as_bytes()).unwrap();
        assert_eq!(alike.index, 2);
        for (words, expected) in [
            ("lo", Some("lo")),
            (r#"a\n\"b\u00e4"#, Some("a\n\"bä")),
            ("ä€", Some("ä€")),
            ("", None),
            (r"\x", None),
            ("a\nb", None),
        ] {
            let chunk = CHUNK.replace("Hel", words).replace("a7", "zz9");
            assert_eq!(alike.words(chunk.as_bytes()).as_deref(), expected, "{words}");
        }
        for other in [
            CHUNK.replace("\"c\"", "\"d\""),
            CHUNK.replace("\"finish_reason\":null", "\"finish_reason\":\"stop\""),
            CHUNK.replace("\"usage\":null", "\"usage\":{}"),
            CHUNK.replace("Hel", "Hel\",\"x\":\"y"),
            CHUNK.replace("a7\"}", "a7\",\"x\":1}"),
            CHUNK.replace("a7\"}", "a7\"}x"),
            CHUNK.replace("a7", "a\\\"7"),
            CHUNK[..CHUNK.len() - 1].to_owned(),
        ] {
            assert_eq!(alike.words(other.as_bytes()), None, "{other}");
        }
        let mut broken = CHUNK.as_bytes().to_vec();
        let at = CHUNK.find("Hel").unwrap();
        broken[at] = 0xff;
        assert_eq!(alike.words(&broken), None);
    }

    #[test]
    fn what_says_more_than_words_is_no_pattern() {
        for other in [
            CHUNK.replace("\"logprobs\":null", "\"logprobs\":{\"content\":[]}"),
            CHUNK.replace("\"reasoning\":\"\"", "\"reasoning\":\"x\""),
            CHUNK.replace("\"refusal\":null", "\"content\":\"x\""),
            CHUNK.replace("\"refusal\":null", "\"tool_calls\":[]"),
            CHUNK.replace("\"usage\":null", "\"usage\":{\"prompt_tokens\":1}"),
            CHUNK.replace("\"usage\":null", "\"error\":{}"),
            CHUNK.replace("\"usage\":null", "\"choices\":[]"),
            CHUNK.replace("\"usage\":null", "\"cho\\u0069ces\":[]"),
            CHUNK.replace("\"content\":\"Hel\"", "\"content\":null"),
            CHUNK.replace("\"index\":2", "\"index\":-2"),
            CHUNK.replace("\"index\":2", "\"delta\":{}"),
            CHUNK.replace("\"choices\":[{", "\"choices\":[{},{"),
            CHUNK.replace("\"finish_reason\":null", "\"finish_reason\":\"stop\""),
            CHUNK.replace("\"id\":\"c\"", "\"obfuscation\":\"y\""),
            "[]".to_owned(),
            "{}".to_owned(),
        ] {
            assert!(Alike::of(other.as_bytes()).is_none(), "{other}");
        }
        let early = r#"{"obfuscation":"y","choices":[{"index":0,"delta":{"content":"x"}}]}"#;
        assert!(Alike::of(early.as_bytes()).is_none());
        assert!(Alike::of(br#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#).is_some());
    }
}
