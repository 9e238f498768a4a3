//! `Document`: what a store gives for one place, and a field of it.

use super::ask::Failure;
use crate::types::secret::Secret;
use std::collections::BTreeMap;

/// So many names of fields are told where one is not there.
const NAMES_TOLD: usize = 12;

/// What a store gives for one place.
pub(super) enum Document {
    /// A text.
    Text(Secret),
    /// Fields by their names.
    Fields(BTreeMap<String, Secret>),
}

impl Document {
    /// The fields of a JSON object: texts, numbers and truth values as they are written. Others are left out.
    pub(super) fn of(object: &serde_json::Map<String, serde_json::Value>) -> Document {
        let field = |(name, value): (&String, &serde_json::Value)| {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(truth) => truth.to_string(),
                _ => return None,
            };
            Some((name.clone(), Secret::new(text)))
        };
        Document::Fields(object.iter().filter_map(field).collect())
    }

    /// The secret that is meant by `field`; without one, the whole text.
    pub(super) fn pick(&self, field: Option<&str>) -> Result<Secret, Failure> {
        let secret = match (self, field) {
            (Document::Text(text), None) => text.clone(),
            (Document::Fields(fields), Some(field)) => one_of(fields, field)?,
            (Document::Fields(_), None) => return Err(Failure::lasting("it has fields, and the reference names none")),
            (Document::Text(text), Some(field)) => {
                let json = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text.expose());
                let json = json.map_err(|_| Failure::lasting("it is no JSON object, so that it has no fields"))?;
                return Document::of(&json).pick(Some(field));
            }
        };
        if secret.expose().is_empty() {
            return Err(Failure::lasting("it is empty"));
        }
        Ok(secret)
    }
}

fn one_of(fields: &BTreeMap<String, Secret>, field: &str) -> Result<Secret, Failure> {
    fields.get(field).cloned().ok_or_else(|| {
        let names: Vec<String> = fields.keys().take(NAMES_TOLD).map(|name| format!("`{name}`")).collect();
        let more = if fields.len() > NAMES_TOLD { " and others" } else { "" };
        Failure::lasting(format!("it has no text in a field `{field}`; its fields are {}{more}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_picked_and_values_never_told() {
        let text = Document::Text(Secret::new(r#"{"key":"hush","n":7,"on":true,"list":["hush"],"empty":""}"#));
        let pick = |document: &Document, field| document.pick(field).map(|secret| secret.expose().to_owned());
        assert_eq!(pick(&text, Some("key")).unwrap(), "hush");
        assert_eq!(pick(&text, Some("n")).unwrap(), "7");
        assert_eq!(pick(&text, Some("on")).unwrap(), "true");
        assert!(pick(&text, None).unwrap().starts_with("{\"key\""));
        for (document, field, words) in [
            (&text, Some("list"), "no text in a field `list`; its fields are `empty`, `key`, `n`, `on`"),
            (&text, Some("empty"), "it is empty"),
            (&Document::Text(Secret::new("hush")), Some("a"), "no JSON object"),
            (&Document::Text(Secret::default()), None, "it is empty"),
            (&Document::Fields(BTreeMap::new()), None, "names none"),
        ] {
            let why = document.pick(field).unwrap_err().why;
            assert!(why.contains(words) && !why.contains("hush"), "{why}");
        }
    }
}
