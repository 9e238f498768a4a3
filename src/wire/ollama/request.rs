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
use crate::wire::read::{self, path, wrong_type};
use crate::wire::request::model;

/// Fields without a word in `Chat` that are this wire's own. Each says something whatever its value is.
const CARRIED: [&str; 3] = ["keep_alive", "truncate", "shift"];

/// How the names of options without a word in `Chat` begin, as in `options.num_ctx`.
const OPTION: &str = "options.";

/// Checks what the gateway itself reads of a request. Without messages it loads a model, or lets go of it.
pub fn inspect(json: &Json<'_>) -> Result<Inspected, Error> {
    let model = model(json)?;
    for (at, message) in read::maybe_array(json, "", "messages")?.unwrap_or_default().iter().enumerate() {
        let at = format!("messages.[{at}]");
        if !matches!(message, Json::Object(_)) {
            return Err(wrong_type(at, "an object", message));
        }
        read::text(message, &at, "role")?;
        match read::field(message, "content") {
            None | Some(Json::String(_)) => {}
            Some(other) => return Err(wrong_type(path(&at, "content"), "a string", other)),
        }
    }
    // Here a stream is what comes unasked.
    let stream = read::maybe_flag(json, "", "stream")?.unwrap_or(true);
    Ok(Inspected { model: Some(model), stream: Some(stream), include_usage: true, question_at: question_at(json) })
}

fn question_at(json: &Json<'_>) -> Option<QuestionAt> {
    let is_user = |message: &Json<'_>| message.get("role").and_then(Json::as_str) == Some("user");
    QuestionAt::last(json, "messages", "content", is_user, |_| false)
}

#[cfg(test)]
mod tests;
