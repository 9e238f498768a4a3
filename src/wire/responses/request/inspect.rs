//! What the gateway itself reads of a request.

use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::wire::hub::Inspected;
use crate::wire::read;
use crate::wire::request::model;

/// Checks what the gateway itself reads of a request.
pub fn inspect(json: &Json<'_>) -> Result<Inspected, Error> {
    let model = model(json)?;
    let question_at = match read::field(json, "input") {
        Some(Json::String(_)) => Some(QuestionAt { list: "input", message: None, content: "content", part: None }),
        Some(Json::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                if !matches!(item, Json::Object(_)) {
                    return Err(read::wrong_type(format!("input.[{at}]"), "an object", item));
                }
            }
            let is_text =
                |part: &Json<'_>| matches!(part.get("type").and_then(Json::as_str), Some("input_text" | "text"));
            QuestionAt::last(json, "input", "content", is_user, is_text)
        }
        Some(other) => return Err(read::wrong_type("input", "a string or an array of items", other)),
        // A stored prompt, or the conversation so far, is enough.
        None if read::field(json, "prompt").or(read::field(json, "previous_response_id")).is_some() => None,
        None => return Err(read::missing("input", "a string or an array of items")),
    };
    read::maybe_text(json, "", "previous_response_id")?;
    let stream = read::maybe_flag(json, "", "stream")?.unwrap_or(false);
    // Usage is a part of every stream of this wire.
    Ok(Inspected { model: Some(model), stream: Some(stream), include_usage: true, question_at })
}

fn is_user(item: &Json<'_>) -> bool {
    let kind = item.get("type").and_then(Json::as_str).unwrap_or("message");
    kind == "message" && item.get("role").and_then(Json::as_str) == Some("user")
}
