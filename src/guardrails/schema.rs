//! Answers held against a JSON schema. Nothing outside the schema is fetched.

use jsonschema::Validator;
use serde_json::Value;

/// A schema, ready to be asked.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// The schema in `text`. The error says what is wrong with it.
    pub fn new(text: &str) -> Result<Schema, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        jsonschema::validator_for(&value).map(Schema).map_err(|error| error.to_string())
    }

    /// Is `answer` a JSON document that satisfies it?
    pub fn is_satisfied_by(&self, answer: &str) -> bool {
        serde_json::from_str::<Value>(answer).is_ok_and(|value| self.0.is_valid(&value))
    }
}
