//! Request bodies ↔ `Chat`. The model and whether a stream is wanted stand in the path.
//!
//! - `decode`, `settings`: read; what is said, and how it is to be answered
//! - `encode`, `content`: written; as a whole, and turn by turn

mod content;
mod decode;
mod encode;
mod settings;

pub use decode::decode;
pub use encode::encode;
pub(super) use encode::fields;

use super::fields::field;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::wire::hub::Inspected;
use crate::wire::read::{missing, wrong_type};

/// Checks what the gateway itself reads of a request. Usage comes with every stream of this wire.
pub fn inspect(json: &Json<'_>) -> Result<Inspected, Error> {
    match field(json, "contents") {
        Some(Json::Array(turns)) => {
            for (at, turn) in turns.iter().enumerate() {
                if !matches!(turn, Json::Object(_)) {
                    return Err(wrong_type(format!("contents[{at}]"), "an object", turn));
                }
            }
        }
        Some(Json::Object(_)) => {}
        Some(other) => return Err(wrong_type("contents", "an array", other)),
        None => return Err(missing("contents", "an array of contents")),
    }
    let is_user = |turn: &Json<'_>| match turn.get("role") {
        None => true,
        Some(role) => role.as_str() == Some("user"),
    };
    let is_text = |part: &Json<'_>| part.get("thought") != Some(&Json::Bool(true));
    let question_at = QuestionAt::last(json, "contents", "parts", is_user, is_text);
    Ok(Inspected { model: None, stream: None, include_usage: true, question_at })
}

#[cfg(test)]
mod tests;
