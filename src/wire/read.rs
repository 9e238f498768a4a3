//! Fields of a request, read with a clear error for each that is of the wrong kind. `at` is the path of the object that
//! holds the field, as in `messages.[0]`; empty for the request itself.

use super::write::text_of;
use crate::types::chat::Extra;
use crate::types::error::Error;
use crate::types::json::{Json, Number};

/// `at.name`, or the name alone.
pub fn path(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// A field that is there and not null.
pub fn field<'j, 'b>(json: &'j Json<'b>, name: &str) -> Option<&'j Json<'b>> {
    json.get(name).filter(|value| **value != Json::Null)
}

/// A field of the wrong kind.
pub fn wrong_type(param: impl Into<String>, expected: &str, got: &Json<'_>) -> Error {
    let param = param.into();
    let message = format!("Invalid type for `{param}`: expected {expected}, but got {} instead.", got.kind());
    Error::invalid(param, message).with_code("invalid_type")
}

/// A field that is not there.
pub fn missing(param: impl Into<String>, expected: &str) -> Error {
    let param = param.into();
    let message = format!("`{param}` is missing. Send {expected}.");
    Error::invalid(param, message).with_code("missing_field")
}

/// A value that is none of those expected.
pub fn unknown_value(param: impl Into<String>, expected: &str, got: &str) -> Error {
    let param = param.into();
    let got: String = got.chars().take(60).collect();
    let message = format!("`{param}` expects {expected}; got `{got}`.");
    Error::invalid(param, message).with_code("invalid_value")
}

/// A text.
pub fn text<'j>(json: &'j Json<'_>, at: &str, name: &str) -> Result<&'j str, Error> {
    maybe_text(json, at, name)?.ok_or_else(|| missing(path(at, name), "a string"))
}

/// A text, if it is there.
pub fn maybe_text<'j>(json: &'j Json<'_>, at: &str, name: &str) -> Result<Option<&'j str>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(path(at, name), "a string", other)),
    }
}

/// A truth, if it is there.
pub fn maybe_flag(json: &Json<'_>, at: &str, name: &str) -> Result<Option<bool>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(wrong_type(path(at, name), "a boolean", other)),
    }
}

/// A number, if it is there.
pub fn maybe_number(json: &Json<'_>, at: &str, name: &str) -> Result<Option<Number>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(*number)),
        Some(other) => Err(wrong_type(path(at, name), "a number", other)),
    }
}

/// An integer that is not negative, if it is there. A double without a fraction is one, too: some clients write `5.0`.
pub fn maybe_integer(json: &Json<'_>, at: &str, name: &str) -> Result<Option<u64>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::Number(Number::Unsigned(n))) => Ok(Some(*n)),
        Some(Json::Number(Number::Float(n))) if n.fract() == 0.0 && (0.0..9e15).contains(n) => Ok(Some(*n as u64)),
        Some(other) => Err(wrong_type(path(at, name), "a non-negative integer", other)),
    }
}

/// A list, if it is there.
pub fn maybe_array<'j, 'b>(json: &'j Json<'b>, at: &str, name: &str) -> Result<Option<&'j [Json<'b>]>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(Json::Array(items)) => Ok(Some(items)),
        Some(other) => Err(wrong_type(path(at, name), "an array", other)),
    }
}

/// An object, if it is there.
pub fn maybe_object<'j, 'b>(json: &'j Json<'b>, at: &str, name: &str) -> Result<Option<&'j Json<'b>>, Error> {
    match field(json, name) {
        None => Ok(None),
        Some(object @ Json::Object(_)) => Ok(Some(object)),
        Some(other) => Err(wrong_type(path(at, name), "an object", other)),
    }
}

/// A list of texts, or one text alone; empty where it is not there.
pub fn texts(json: &Json<'_>, at: &str, name: &str) -> Result<Vec<String>, Error> {
    let wrong = |got: &Json<'_>| wrong_type(path(at, name), "a string or an array of strings", got);
    match field(json, name) {
        None => Ok(Vec::new()),
        Some(Json::String(text)) => Ok(vec![text.to_string()]),
        Some(Json::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
        }
        Some(other) => Err(wrong(other)),
    }
}

/// The fields of `json` that are not `known` and say something. Without those in `essential` the answer would be of another
/// kind.
pub fn extras(json: &Json<'_>, known: &[&str], essential: &[&str]) -> Vec<Extra> {
    let Json::Object(fields) = json else { return Vec::new() };
    let says_nothing = |value: &Json<'_>| match value {
        Json::Null | Json::Bool(false) | Json::Number(Number::Unsigned(0)) => true,
        Json::Array(items) => items.is_empty(),
        _ => false,
    };
    let others = fields.iter().filter(|(name, value)| !known.contains(&name.as_ref()) && !says_nothing(value));
    let extra = |(name, value): &(std::borrow::Cow<'_, str>, Json<'_>)| Extra {
        name: name.to_string(),
        json: text_of(value),
        essential: essential.contains(&name.as_ref()),
    };
    others.map(extra).collect()
}
