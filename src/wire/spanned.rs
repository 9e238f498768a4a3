//! `Spanned`: a JSON document as a tree of places, so that single values can be replaced and all else stays byte for byte.

use std::borrow::Cow;
use std::ops::Range;

/// Deeper documents are not read; serde_json refuses them, too.
const MOST_DEPTH: usize = 128;

/// A value and where it stands, quotes and brackets included.
#[derive(Clone, PartialEq, Debug)]
pub struct Spanned {
    /// Its bytes.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `null`, `true`, `false`.
    Word,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A list.
    List(Vec<Spanned>),
    /// Keys and values in their order.
    Map(Vec<(Range<usize>, Spanned)>),
}

impl Spanned {
    /// Reads a document. `None` where it is no JSON.
    pub fn read(text: &str) -> Option<Spanned> {
        let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// The value of `key`, where this is a map that has it.
    pub fn get<'s>(&'s self, key: &str, text: &str) -> Option<&'s Spanned> {
        let Value::Map(fields) = &self.value else { return None };
        fields.iter().find(|(name, _)| unquoted(text, name) == key).map(|(_, value)| value)
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Spanned] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, where this is one.
    pub fn text<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        matches!(self.value, Value::Text).then(|| unquoted(text, &self.span))
    }

    /// The whole number, where this is one that is not negative.
    pub fn number(&self, text: &str) -> Option<u64> {
        text.get(self.span.clone())?.parse().ok()
    }
}

/// The string at `span`, quotes included, without its escapes.
pub fn unquoted<'t>(text: &'t str, span: &Range<usize>) -> Cow<'t, str> {
    let Some(raw) = text.get(span.clone()) else { return Cow::Borrowed("") };
    let inside = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    serde_json::from_str(raw).map_or(Cow::Borrowed(inside), Cow::Owned)
}

/// What stands instead of the bytes at a place.
pub type Edit = (Range<usize>, String);

/// `text` with `edits`, which stand in their order and do not overlap.
pub fn edited(text: &str, edits: &[Edit]) -> String {
    let more: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = String::with_capacity(text.len() + more);
    let mut at = 0;
    for (span, new) in edits {
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(new);
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Option<Spanned> {
        self.space();
        let start = self.at;
        let value = match self.peek()? {
            b'"' => self.string().map(|_| Value::Text)?,
            b'[' if depth < MOST_DEPTH => Value::List(self.list(depth)?),
            b'{' if depth < MOST_DEPTH => Value::Map(self.map(depth)?),
            b'-' | b'0'..=b'9' => {
                self.run(Value::Number, |byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            }
            b't' | b'f' | b'n' => self.run(Value::Word, |byte| byte.is_ascii_lowercase()),
            _ => return None,
        };
        Some(Spanned { span: start..self.at, value })
    }

    fn run(&mut self, value: Value, belongs: impl Fn(u8) -> bool) -> Value {
        while self.peek().is_some_and(&belongs) {
            self.at += 1;
        }
        value
    }

    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            let next = memchr::memchr2(b'"', b'\\', self.bytes.get(self.at..)?)?;
            self.at += next + 1;
            if self.bytes.get(self.at - 1) == Some(&b'"') {
                return Some(start..self.at);
            }
            self.at += 1;
        }
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Spanned>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.takes(b']') {
            return Some(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.takes(b']') {
                return Some(items);
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(Range<usize>, Spanned)>> {
        self.at += 1;
        let mut fields = Vec::new();
        if self.takes(b'}') {
            return Some(fields);
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return None;
            }
            let key = self.string()?;
            if !self.takes(b':') {
                return None;
            }
            fields.push((key, self.value(depth + 1)?));
            if self.takes(b'}') {
                return Some(fields);
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_found_and_replaced_where_they_stand() {
        let text = r#" { "a" : [1, "x\ny", true], "b":{"c":null} } "#;
        let tree = Spanned::read(text).unwrap();
        let list = tree.get("a", text).unwrap();
        assert_eq!((list.items()[0].number(text), list.items()[1].text(text).as_deref()), (Some(1), Some("x\ny")));
        let edits = [(list.items()[1].span.clone(), "7".to_owned())];
        assert_eq!(edited(text, &edits), r#" { "a" : [1, 7, true], "b":{"c":null} } "#);
        for broken in ["", "{", "[1,]", "{\"a\"}", "{a:1}", "[1] 2", "\"x", "\"\\", "{\"a\":1,}"] {
            assert_eq!(Spanned::read(broken), None, "{broken}");
        }
        assert_eq!(Spanned::read(&"[".repeat(100_000)), None);
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn again(one: &Spanned, text: &str) -> serde_json::Value {
        match &one.value {
            Value::List(items) => items.iter().map(|item| again(item, text)).collect(),
            Value::Map(fields) => serde_json::Value::Object(
                fields.iter().map(|(key, value)| (unquoted(text, key).into_owned(), again(value, text))).collect(),
            ),
            Value::Text => one.text(text).unwrap().into_owned().into(),
            _ => serde_json::from_str(&text[one.span.clone()]).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn every_document_is_read_as_it_is(value in values()) {
            let text = value.to_string();
            prop_assert_eq!(again(&Spanned::read(&text).unwrap(), &text), value);
        }
    }
}
