//! Request bodies ↔ `Chat`.
//!
//! - `decode`, `encode`: the two ways
//! - `fields`: what Converse has no field for and single models have (`additionalModelRequestFields`): thoughts, `top_k`

mod decode;
mod encode;
mod fields;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;

use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::wire::hub::Inspected;
use crate::wire::read;

/// Fields of a request beside the conversation that have no word in `Chat`: their names, and whether the answer would be
/// another one without them. They are written back as they came.
const EXTRAS: [(&str, bool); 6] = [
    // What a guardrail lets through, and what a stored prompt says.
    ("guardrailConfig", true),
    ("promptVariables", true),
    ("additionalModelResponseFieldPaths", false),
    ("requestMetadata", false),
    ("performanceConfig", false),
    ("serviceTier", false),
];

/// Checks what the gateway itself reads of a request.
pub fn inspect(json: &Json<'_>) -> Result<Inspected, Error> {
    for (at, message) in read::maybe_array(json, "", "messages")?.unwrap_or_default().iter().enumerate() {
        let at = format!("messages.[{at}]");
        if !matches!(message, Json::Object(_)) {
            return Err(read::wrong_type(at, "an object", message));
        }
        read::text(message, &at, "role")?;
        read::maybe_array(message, &at, "content")?;
    }
    let is_user = |turn: &Json<'_>| turn.get("role").and_then(Json::as_str) == Some("user");
    let question_at = QuestionAt::last(json, "messages", "content", is_user, |_| true);
    Ok(Inspected { model: None, stream: None, include_usage: false, question_at })
}
