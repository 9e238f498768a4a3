//! JSON, written straight into bytes in the order of the calls. Strings are escaped by serde_json; `raw` takes JSON text.

use crate::types::json::{Json, Number};

/// An object being written.
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// A list being written.
pub struct Array<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// Writes one object at the end of `out`.
pub fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, first: true });
    out.push(b'}');
}

/// Writes one list at the end of `out`.
pub fn array(out: &mut Vec<u8>, fill: impl FnOnce(&mut Array<'_>)) {
    out.push(b'[');
    fill(&mut Array { out, first: true });
    out.push(b']');
}

/// One object, as bytes.
pub fn to_vec(fill: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    object(&mut out, fill);
    out
}

/// One object, as text.
pub fn to_text(fill: impl FnOnce(&mut Object<'_>)) -> String {
    String::from_utf8(to_vec(fill)).unwrap_or_default()
}

/// One list, as text.
pub fn array_text(fill: impl FnOnce(&mut Array<'_>)) -> String {
    let mut out = Vec::with_capacity(128);
    array(&mut out, fill);
    String::from_utf8(out).unwrap_or_default()
}

/// Writes `text` as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    // Writing into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// `json` as text, its fields in their order. Doubles are written in their shortest form.
pub fn text_of(json: &Json<'_>) -> String {
    let mut out = Vec::with_capacity(64);
    value(&mut out, json);
    String::from_utf8(out).unwrap_or_default()
}

/// Writes `json` at the end of `out`.
pub fn value(out: &mut Vec<u8>, json: &Json<'_>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(one) => number(out, *one),
        Json::String(text) => string(out, text),
        Json::Array(items) => array(out, |list| items.iter().for_each(|item| value(list.item(), item))),
        Json::Object(fields) => object(out, |object| {
            for (key, field) in fields {
                value(object.key(key), field);
            }
        }),
    }
}

fn number(out: &mut Vec<u8>, number: Number) {
    let _ = match number {
        Number::Unsigned(n) => serde_json::to_writer(out, &n),
        Number::Signed(n) => serde_json::to_writer(out, &n),
        Number::Float(n) => serde_json::to_writer(out, &n),
    };
}

impl Object<'_> {
    /// Begins a field; its value is to be written into what is given.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A text.
    pub fn text(&mut self, key: &str, text: &str) {
        string(self.key(key), text);
    }

    /// A text, if there is one.
    pub fn maybe_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// An integer.
    pub fn integer(&mut self, key: &str, n: u64) {
        number(self.key(key), Number::Unsigned(n));
    }

    /// An integer, if there is one.
    pub fn maybe_integer(&mut self, key: &str, n: Option<u64>) {
        if let Some(n) = n {
            self.integer(key, n);
        }
    }

    /// A number, if there is one.
    pub fn maybe_number(&mut self, key: &str, n: Option<Number>) {
        if let Some(n) = n {
            number(self.key(key), n);
        }
    }

    /// A truth.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "true" } else { "false" });
    }

    /// A truth, if there is one.
    pub fn maybe_flag(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.flag(key, value);
        }
    }

    /// `null`.
    pub fn null(&mut self, key: &str) {
        self.raw(key, "null");
    }

    /// JSON text as it stands.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key).extend_from_slice(json.as_bytes());
    }

    /// JSON text as it stands, if there is some.
    pub fn maybe_raw(&mut self, key: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.raw(key, json);
        }
    }

    /// An object.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.key(key), fill);
    }

    /// A list.
    pub fn array(&mut self, key: &str, fill: impl FnOnce(&mut Array<'_>)) {
        array(self.key(key), fill);
    }
}

impl Array<'_> {
    /// Begins an item; it is to be written into what is given.
    pub fn item(&mut self) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        self.out
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        string(self.item(), text);
    }

    /// JSON text as it stands.
    pub fn raw(&mut self, json: &str) {
        self.item().extend_from_slice(json.as_bytes());
    }

    /// An object.
    pub fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.item(), fill);
    }

    /// Is it still empty?
    pub fn is_empty(&self) -> bool {
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    #[test]
    fn writes_what_it_is_told_in_that_order() {
        let text = to_text(|o| {
            o.text("b\n", "é\"");
            o.maybe_text("gone", None);
            o.object("a", |o| o.integer("n", 3));
            o.array("l", |l| {
                l.text("x");
                l.object(|o| o.flag("f", true));
                l.raw("[1.50]");
            });
            o.maybe_number("t", Some(Number::Float(0.7)));
        });
        assert_eq!(text, r#"{"b\n":"é\"","a":{"n":3},"l":["x",{"f":true},[1.50]],"t":0.7}"#);
        assert_eq!(text_of(&parse(text.as_bytes()).unwrap()), text.replace("1.50", "1.5"));
    }
}
