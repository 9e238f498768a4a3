//! Gemini's `Schema` → JSON Schema. It is a part of OpenAPI's, with types in capitals, `nullable`, and integers that may
//! be texts (<https://ai.google.dev/api/caching#Schema>).

use super::fields::camel;
use crate::types::json::Json;
use crate::wire::write::{self, Object};

/// `schema` as JSON Schema, as text.
pub(super) fn to_json_schema(schema: &Json<'_>) -> String {
    let mut out = Vec::with_capacity(256);
    convert(&mut out, schema);
    String::from_utf8(out).unwrap_or_default()
}

fn convert(out: &mut Vec<u8>, schema: &Json<'_>) {
    let Json::Object(fields) = schema else { return write::value(out, schema) };
    let nullable = fields.iter().any(|(key, value)| key == "nullable" && *value == Json::Bool(true));
    write::object(out, |object| {
        for (key, value) in fields {
            keyword(object, &camel(key), value, nullable);
        }
    });
}

fn keyword(object: &mut Object<'_>, key: &str, value: &Json<'_>, nullable: bool) {
    match (key, value) {
        ("nullable" | "propertyOrdering", _) => {}
        ("type", Json::String(name)) if nullable => object.array(key, |list| {
            list.text(&name.to_ascii_lowercase());
            list.text("null");
        }),
        ("type", Json::String(name)) => object.text(key, &name.to_ascii_lowercase()),
        // Formats of numbers are no constraint in JSON Schema, and some who check it refuse them.
        ("format", Json::String(name)) if matches!(name.as_ref(), "enum" | "int32" | "int64" | "float" | "double") => {}
        ("properties" | "$defs" | "defs", Json::Object(fields)) => object.object(key, |inner| {
            for (name, schema) in fields {
                convert(inner.key(name), schema);
            }
        }),
        ("items" | "additionalProperties", schema) => convert(object.key(key), schema),
        ("anyOf" | "oneOf" | "allOf" | "prefixItems", Json::Array(items)) => {
            object.array(key, |list| items.iter().for_each(|item| convert(list.item(), item)));
        }
        (
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties",
            Json::String(number),
        ) if number.parse::<u64>().is_ok() => object.raw(key, number),
        _ => write::value(object.key(key), value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    #[test]
    fn becomes_json_schema() {
        let text =
            br#"{"type":"OBJECT","properties":{"max_items":{"type":"ARRAY","max_items":"3","items":{"type":"STRING",
            "nullable":true,"enum":["a_b"],"format":"enum"}},"n":{"type":"integer","format":"int32"}},
            "required":["max_items"],"property_ordering":["n"],"any_of":[{"type":"NULL"}]}"#;
        let expected = r#"{"type":"object","properties":{"max_items":{"type":"array","maxItems":3,"items":{"type":["string","null"],"enum":["a_b"]}},"n":{"type":"integer"}},"required":["max_items"],"anyOf":[{"type":"null"}]}"#;
        assert_eq!(to_json_schema(&parse(text).unwrap()), expected);
    }
}
