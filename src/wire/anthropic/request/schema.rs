//! JSON schemas in the form that this wire wants.

use crate::types::json::Json;
use crate::wire::json::parse;
use crate::wire::write;
use std::borrow::Cow;

/// The schema of a tool's arguments: this wire wants one, of an object.
pub(super) fn of_arguments(schema: Option<&str>) -> Cow<'_, str> {
    const NONE: &str = r#"{"type":"object","properties":{}}"#;
    let Some(schema) = schema else { return Cow::Borrowed(NONE) };
    if schema.starts_with(r#"{"type":"object""#) {
        return Cow::Borrowed(schema);
    }
    match parse(schema.as_bytes()) {
        Ok(Json::Object(mut fields)) if !fields.iter().any(|(name, _)| name == "type") => {
            fields.insert(0, ("type".into(), Json::String("object".into())));
            Cow::Owned(write::text_of(&Json::Object(fields)))
        }
        _ => Cow::Borrowed(schema),
    }
}

/// The schema of an answer: every object in it says that it has no other fields, as Claude wants it said
/// (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs>).
pub(super) fn closed(schema: &str) -> Cow<'_, str> {
    let Ok(mut json) = parse(schema.as_bytes()) else { return Cow::Borrowed(schema) };
    if close(&mut json) { Cow::Owned(write::text_of(&json)) } else { Cow::Borrowed(schema) }
}

/// Closes every object schema that leaves it open. True when there was one.
fn close(json: &mut Json<'_>) -> bool {
    match json {
        Json::Array(items) => items.iter_mut().fold(false, |changed, item| close(item) | changed),
        Json::Object(fields) => {
            let changed = fields.iter_mut().fold(false, |changed, (_, field)| close(field) | changed);
            let has = |name: &str| fields.iter().any(|(one, _)| one == name);
            let is_object = fields.iter().any(|(name, value)| name == "type" && value.as_str() == Some("object"));
            if is_object && has("properties") && !has("additionalProperties") {
                fields.push(("additionalProperties".into(), Json::Bool(false)));
                return true;
            }
            changed
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object() {
        let table = [
            (None, r#"{"type":"object","properties":{}}"#),
            (Some("{}"), r#"{"type":"object"}"#),
            (Some(r#"{"properties":{"a":{}}}"#), r#"{"type":"object","properties":{"a":{}}}"#),
            (Some(r#"{ "x":1.50, "type":"object" }"#), r#"{ "x":1.50, "type":"object" }"#),
        ];
        for (schema, expected) in table {
            assert_eq!(of_arguments(schema), expected);
        }
    }

    #[test]
    fn objects_are_closed_however_deep_they_stand() {
        let open = r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{}}}}}"#;
        let shut = r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{},"additionalProperties":false}}},"additionalProperties":false}"#;
        assert_eq!(closed(open), shut);
        assert!(matches!(closed(shut), Cow::Borrowed(_)));
        let free = r#"{"type":"object","properties":{},"additionalProperties":true}"#;
        assert_eq!(closed(free), free);
    }
}
