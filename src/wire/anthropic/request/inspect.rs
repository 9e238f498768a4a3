//! What the gateway itself reads of a request; all other fields are the provider's to check.

use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::wire::hub::Inspected;
use crate::wire::read::{field, maybe_flag, missing, text, wrong_type};
use crate::wire::request::model;

/// Checks a request; one to the token counter, too, which has no limit of tokens.
pub fn inspect(json: &Json<'_>) -> Result<Inspected, Error> {
    let model = model(json)?;
    check_messages(json)?;
    match field(json, "system") {
        None | Some(Json::String(_) | Json::Array(_)) => {}
        Some(other) => return Err(wrong_type("system", "a string or an array of blocks", other)),
    }
    let stream = maybe_flag(json, "", "stream")?.unwrap_or(false);
    // A stream of this wire always tells what it cost.
    Ok(Inspected { model: Some(model), stream: Some(stream), include_usage: stream, question_at: question_at(json) })
}

fn check_messages(json: &Json<'_>) -> Result<(), Error> {
    let messages = match field(json, "messages") {
        Some(Json::Array(messages)) => messages,
        Some(other) => return Err(wrong_type("messages", "an array", other)),
        None => return Err(missing("messages", "an array of messages")),
    };
    if messages.is_empty() {
        let error = Error::invalid("messages", "`messages` is empty. Send at least one message.");
        return Err(error.with_code("empty_array"));
    }
    for (index, message) in messages.iter().enumerate() {
        let fits = matches!(message, Json::Object(_))
            && message.get("role").and_then(Json::as_str).is_some_and(|role| !role.is_empty())
            && matches!(message.get("content"), Some(Json::String(_) | Json::Array(_)));
        if !fits {
            return Err(wrong_message(message, index));
        }
    }
    Ok(())
}

/// What is wrong with a message that does not fit.
fn wrong_message(message: &Json<'_>, index: usize) -> Error {
    let at = format!("messages.[{index}]");
    if !matches!(message, Json::Object(_)) {
        return wrong_type(at, "an object", message);
    }
    match text(message, &at, "role") {
        Err(error) => return error,
        Ok("") => return Error::invalid(format!("{at}.role"), format!("`{at}.role` is empty.")),
        Ok(_) => {}
    }
    let param = format!("{at}.content");
    match message.get("content") {
        None => missing(param, "a string or an array of blocks"),
        Some(other) => wrong_type(param, "a string or an array of blocks", other),
    }
}

fn question_at(json: &Json<'_>) -> Option<QuestionAt> {
    let is_user = |message: &Json<'_>| message.get("role").and_then(Json::as_str) == Some("user");
    let is_text = |block: &Json<'_>| block.get("type").and_then(Json::as_str) == Some("text");
    QuestionAt::last(json, "messages", "content", is_user, is_text)
}
