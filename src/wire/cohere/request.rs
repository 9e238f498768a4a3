//! Request bodies ↔ `Chat`.
//!
//! - `decode`: bodies → `Chat`
//! - `encode`: `Chat` → bodies

mod decode;
mod encode;

pub use decode::decode;
pub use encode::encode;

use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::wire::hub::Inspected;
use crate::wire::read;
use crate::wire::request::model;

/// Fields without a word in `Chat` that are this wire's own.
const CARRIED: [&str; 4] = ["documents", "citation_options", "safety_mode", "priority"];

/// Fields without a word in `Chat` that decide what kind of answer comes back. Log probabilities have no word in an answer,
/// so that nobody is asked for them.
const ESSENTIAL: [&str; 2] = ["documents", "logprobs"];

/// Checks what the gateway itself reads of a request.
pub fn inspect(json: &Json<'_>) -> Result<Inspected, Error> {
    let model = model(json)?;
    for (at, message) in messages(json)?.iter().enumerate() {
        let at = format!("messages.[{at}]");
        if !matches!(message, Json::Object(_)) {
            return Err(read::wrong_type(at, "an object", message));
        }
        read::text(message, &at, "role")?;
        match read::field(message, "content") {
            None | Some(Json::String(_) | Json::Array(_)) => {}
            Some(other) => {
                return Err(read::wrong_type(format!("{at}.content"), "a string or an array of parts", other));
            }
        }
    }
    let stream = read::maybe_flag(json, "", "stream")?.unwrap_or(false);
    // Every stream of this wire ends with its usage.
    Ok(Inspected { model: Some(model), stream: Some(stream), include_usage: true, question_at: question_at(json) })
}

fn messages<'j, 'b>(json: &'j Json<'b>) -> Result<&'j [Json<'b>], Error> {
    let messages = read::maybe_array(json, "", "messages")?;
    let messages = messages.ok_or_else(|| read::missing("messages", "an array of messages"))?;
    if messages.is_empty() {
        let error = Error::invalid("messages", "`messages` is empty. Send at least one message.");
        return Err(error.with_code("empty_array"));
    }
    Ok(messages)
}

fn question_at(json: &Json<'_>) -> Option<QuestionAt> {
    let is_user = |message: &Json<'_>| message.get("role").and_then(Json::as_str) == Some("user");
    let is_text = |part: &Json<'_>| part.get("type").and_then(Json::as_str) == Some("text");
    QuestionAt::last(json, "messages", "content", is_user, is_text)
}

#[cfg(test)]
mod tests;
