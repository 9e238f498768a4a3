//! Errors ↔ `Error`: `{"id", "message"}` (<https://docs.cohere.com/reference/errors>).

use super::answer::new_id;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::Told;
use crate::wire::json::parse;
use crate::wire::sse::write_named;
use crate::wire::write;

/// The body of an error. The status tells its class.
pub fn body(error: &Error) -> Vec<u8> {
    write::to_vec(|object| {
        object.text("id", &new_id());
        object.text("message", &error.message);
    })
}

/// The event of an error in the middle of a stream: an end that tells of it.
pub fn event(error: &Error) -> Vec<u8> {
    let json = write::to_vec(|object| {
        object.text("type", "message-end");
        object.object("delta", |object| {
            object.text("error", &error.message);
            object.text("finish_reason", "ERROR");
        });
    });
    let mut event = Vec::new();
    write_named(&mut event, "message-end", &json);
    event
}

/// What a provider's error reply says; `None` where it is not in this wire.
pub fn told(body: &[u8]) -> Option<Told> {
    let json = parse(body).ok()?;
    let message = json.get("message").or_else(|| json.get("detail")).or_else(|| json.get("error"))?;
    let message = message.as_str().or_else(|| message.get("message").and_then(Json::as_str))?;
    Some(Told { message: message.to_owned(), param: None, code: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::error::ErrorKind;

    #[test]
    fn errors_are_told_in_this_wire() {
        let error = Error::new(ErrorKind::NotFound, "model \"x\" not found");
        let body = body(&error);
        let json = parse(&body).unwrap();
        assert_eq!(json.get("message").and_then(Json::as_str), Some("model \"x\" not found"));
        assert_eq!(json.get("id").and_then(Json::as_str).map(str::len), Some(36));
        assert_eq!(told(&body).unwrap().message, error.message);
        assert_eq!(told(br#"{"error":{"message":"no"}}"#).unwrap().message, "no");
        assert_eq!(told(b"<html>"), None);
        let event = String::from_utf8(event(&error)).unwrap();
        assert_eq!(
            event,
            "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"error\":\"model \\\"x\\\" not found\",\
             \"finish_reason\":\"ERROR\"}}\n\n"
        );
    }
}
