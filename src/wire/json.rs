//! Bytes → `Json`: one pass by serde_json, strings borrowed, duplicate keys and deep nesting refused.

use crate::types::error::{Error, ErrorKind};
use crate::types::json::{Json, Number};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Reads one JSON document. Duplicate keys are refused: two readers could see two different requests in them.
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("The body is not valid UTF-8: byte {} is not. Send JSON encoded as UTF-8.", error.valid_up_to()),
        )
        .with_code("invalid_utf8")
    })?;
    if text.trim_ascii().is_empty() {
        return Err(
            Error::new(ErrorKind::InvalidRequest, "The body is empty. Send a JSON object.").with_code("invalid_json")
        );
    }
    serde_json::from_str::<Tree<'_>>(text).map(|tree| tree.0).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("The body is not valid JSON: {error}.")).with_code("invalid_json")
    })
}

/// Where the value of a top-level `key` stands in `text`, whatever its kind.
pub fn span_of(text: &[u8], key: &str) -> Option<Range<usize>> {
    let [span] = spans_of(text, [key]);
    span
}

/// Where the values of some top-level keys stand, found in one pass.
pub fn spans_of<const N: usize>(text: &[u8], keys: [&str; N]) -> [Option<Range<usize>>; N] {
    let Ok(text) = std::str::from_utf8(text) else { return [const { None }; N] };
    let Ok(TopLevel(fields)) = serde_json::from_str(text) else { return [const { None }; N] };
    keys.map(|key| {
        let (_, raw) = fields.iter().find(|(name, _)| name == key)?;
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        Some(start..start + raw.get().len())
    })
}

/// The top-level fields of an object and their values as they are written, in their order.
pub fn top_level(text: &[u8]) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let TopLevel(fields) = serde_json::from_str(std::str::from_utf8(text).ok()?).ok()?;
    Some(fields.into_iter().map(|(key, raw)| (key, raw.get())).collect())
}

struct TopLevel<'a>(Vec<(Cow<'a, str>, &'a serde_json::value::RawValue)>);

impl<'de> Deserialize<'de> for TopLevel<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = TopLevel<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(TopLevel(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A string, borrowed when it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

struct Tree<'a>(Json<'a>);

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(Number::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(Number::Signed(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Json::Number(Number::Float(value)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Tree(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            let Tree(value) = map.next_value()?;
            fields.push((key, value));
        }
        match duplicate(&fields) {
            Some(key) => Err(A::Error::custom(format!("the key \"{key}\" stands twice in one object"))),
            None => Ok(Json::Object(fields)),
        }
    }
}

/// The first key that stands twice, found without quadratic work on hostile input.
fn duplicate<'f>(fields: &'f [(Cow<'_, str>, Json<'_>)]) -> Option<&'f str> {
    if fields.len() <= 8 {
        let twice = |at: usize| fields[..at].iter().any(|(key, _)| *key == fields[at].0);
        return (1..fields.len()).find(|&at| twice(at)).map(|at| fields[at].0.as_ref());
    }
    let mut keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_ref()).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_borrows() {
        let body = br#" {"a":[1,-2,3.5,null,true],"b":"x\ny"} "#;
        let json = parse(body).unwrap();
        assert_eq!(json.get("b").and_then(Json::as_str), Some("x\ny"));
        assert_eq!(json.get("a").and_then(Json::as_array).map(<[_]>::len), Some(5));
        assert_eq!(span_of(body, "b").map(|span| &body[span]), Some(br#""x\ny""#.as_slice()));
        let fields = top_level(body).unwrap();
        assert_eq!(fields, [("a".into(), "[1,-2,3.5,null,true]"), ("b".into(), r#""x\ny""#)]);
    }

    #[test]
    fn refuses_with_the_reason() {
        let deep = "[".repeat(100_000);
        let table: [(&[u8], &str); 7] = [
            (b"", "empty"),
            (b"  \n", "empty"),
            (b"{\"a\":1", "EOF"),
            (b"{\"a\":\xff}", "UTF-8: byte 5"),
            (br#"{"a":1,"a":2}"#, "\"a\" stands twice"),
            (br#"{"m":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"b":1}}"#, "\"b\" stands twice"),
            (deep.as_bytes(), "recursion limit"),
        ];
        for (body, expected) in table {
            let error = parse(body).unwrap_err();
            assert!(error.message.contains(expected), "{} lacks {expected}", error.message);
            assert_eq!(error.status(), 400);
        }
    }
}
