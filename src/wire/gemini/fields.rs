//! Fields by their names in either spelling: readers of protobuf's JSON take `systemInstruction` and
//! `system_instruction` (<https://protobuf.dev/programming-guides/json/>), and integers as numbers or as texts.

use crate::types::error::Error;
use crate::types::json::{Json, Number};
use crate::wire::read::{missing, path, wrong_type};

/// A field that is there and not null. `name` is in camel case.
pub(super) fn field<'j, 'b>(json: &'j Json<'b>, name: &str) -> Option<&'j Json<'b>> {
    let Json::Object(fields) = json else { return None };
    let (_, value) = fields.iter().find(|(key, _)| is(key, name))?;
    Some(value).filter(|value| **value != Json::Null)
}

/// Is `key` that name, in camel case or in snake case?
pub(super) fn is(key: &str, name: &str) -> bool {
    let mut key = key.bytes();
    for wanted in name.bytes() {
        match key.next() {
            Some(byte) if byte == wanted => {}
            Some(b'_') if wanted.is_ascii_uppercase() && key.next() == Some(wanted.to_ascii_lowercase()) => {}
            _ => return false,
        }
    }
    key.next().is_none()
}

/// `key` in camel case.
pub(super) fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut upper = false;
    for c in key.chars() {
        match c {
            '_' if !out.is_empty() => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// A text, if it is there.
pub(super) fn maybe_text<'j>(json: &'j Json<'_>, at: &str, name: &str) -> Result<Option<&'j str>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(path(at, name), "a string", other)),
    }
}

/// A text.
pub(super) fn text<'j>(json: &'j Json<'_>, at: &str, name: &str) -> Result<&'j str, Error> {
    maybe_text(json, at, name)?.ok_or_else(|| missing(path(at, name), "a string"))
}

/// A truth, if it is there.
pub(super) fn maybe_flag(json: &Json<'_>, at: &str, name: &str) -> Result<Option<bool>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(wrong_type(path(at, name), "a boolean", other)),
    }
}

/// A number, if it is there.
pub(super) fn maybe_number(json: &Json<'_>, at: &str, name: &str) -> Result<Option<Number>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(*number)),
        Some(Json::String(text)) if text.parse::<i64>().is_ok() => Ok(text.parse().ok().map(number_of)),
        Some(other) => Err(wrong_type(path(at, name), "a number", other)),
    }
}

fn number_of(n: i64) -> Number {
    u64::try_from(n).map_or(Number::Signed(n), Number::Unsigned)
}

/// An integer, if it is there.
pub(super) fn maybe_signed(json: &Json<'_>, at: &str, name: &str) -> Result<Option<i64>, Error> {
    let wrong = || field(json, name).map(|got| wrong_type(path(at, name), "an integer", got));
    let n = match maybe_number(json, at, name)? {
        None => return Ok(None),
        Some(Number::Unsigned(n)) => i64::try_from(n).ok(),
        Some(Number::Signed(n)) => Some(n),
        Some(Number::Float(n)) if n.fract() == 0.0 && n.abs() < 9e15 => Some(n as i64),
        Some(Number::Float(_)) => None,
    };
    match (n, wrong()) {
        (None, Some(error)) => Err(error),
        (n, _) => Ok(n),
    }
}

/// An integer that is not negative, if it is there.
pub(super) fn maybe_integer(json: &Json<'_>, at: &str, name: &str) -> Result<Option<u64>, Error> {
    let Some(n) = maybe_signed(json, at, name)? else { return Ok(None) };
    match (u64::try_from(n), field(json, name)) {
        (Err(_), Some(got)) => Err(wrong_type(path(at, name), "a non-negative integer", got)),
        (n, _) => Ok(n.ok()),
    }
}

/// An object, if it is there.
pub(super) fn maybe_object<'j, 'b>(json: &'j Json<'b>, at: &str, name: &str) -> Result<Option<&'j Json<'b>>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(object @ Json::Object(_)) => Ok(Some(object)),
        Some(other) => Err(wrong_type(path(at, name), "an object", other)),
    }
}

/// A list; Google takes one item alone for a list of it. Empty where it is not there.
pub(super) fn list<'j, 'b>(json: &'j Json<'b>, at: &str, name: &str) -> Result<&'j [Json<'b>], Error> {
    match field(json, name) {
        None => Ok(&[]),
        Some(Json::Array(items)) => Ok(items),
        Some(object @ Json::Object(_)) => Ok(std::slice::from_ref(object)),
        Some(other) => Err(wrong_type(path(at, name), "an array", other)),
    }
}

/// A list of texts; empty where it is not there.
pub(super) fn texts(json: &Json<'_>, at: &str, name: &str) -> Result<Vec<String>, Error> {
    let wrong = |got: &Json<'_>| wrong_type(path(at, name), "an array of strings", got);
    match field(json, name) {
        None => Ok(Vec::new()),
        Some(Json::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
        }
        Some(other) => Err(wrong(other)),
    }
}

/// A count in an answer: 0 where it is not there or is none.
pub(super) fn count(json: &Json<'_>, name: &str) -> u64 {
    maybe_integer(json, "", name).ok().flatten().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    #[test]
    fn a_field_is_found_in_both_spellings_and_in_no_third() {
        let table = [
            ("systemInstruction", true),
            ("system_instruction", true),
            ("system_Instruction", false),
            ("systeminstruction", false),
            ("system_instruction_", false),
            ("systemInstructio", false),
            ("", false),
        ];
        for (key, same) in table {
            assert_eq!(is(key, "systemInstruction"), same, "{key}");
        }
        assert_eq!(camel("max_output_tokens"), "maxOutputTokens");
        assert_eq!(camel("$ref"), "$ref");
    }

    #[test]
    fn integers_come_as_numbers_and_as_texts() {
        let json = parse(br#"{"a_b":"-5","c":7.0,"d":7.5,"e":-1,"f":null}"#).unwrap();
        assert_eq!(maybe_signed(&json, "", "aB").unwrap(), Some(-5));
        assert_eq!(maybe_integer(&json, "", "c").unwrap(), Some(7));
        assert!(maybe_integer(&json, "", "d").is_err());
        assert_eq!(maybe_integer(&json, "x", "e").unwrap_err().param.as_deref(), Some("x.e"));
        assert_eq!(maybe_integer(&json, "", "f").unwrap(), None);
    }
}
