//! Errors ↔ `Error`: `{"error": "…"}`, as a body and as a line of a stream (<https://docs.ollama.com/api/errors>).

use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::Told;
use crate::wire::json::parse;
use crate::wire::sse::write_event;
use crate::wire::write;

/// The body of an error. The status tells its class.
pub fn body(error: &Error) -> Vec<u8> {
    write::to_vec(|object| object.text("error", &error.message))
}

/// The event of an error in the middle of a stream.
pub fn event(error: &Error) -> Vec<u8> {
    let mut event = Vec::new();
    write_event(&mut event, &body(error));
    event
}

/// What a provider's error reply says; `None` where it is not in this wire.
pub fn told(body: &[u8]) -> Option<Told> {
    let message = said(&parse(body).ok()?)?;
    Some(Told { message, param: None, code: None })
}

/// What an object says went wrong, if it says so. Ollama's paths of OpenAI's wire, and proxies before it, tell an object.
pub(super) fn said(json: &Json<'_>) -> Option<String> {
    let error = json.get("error").filter(|error| **error != Json::Null)?;
    let message = error.as_str().or_else(|| error.get("message").and_then(Json::as_str));
    Some(message.filter(|message| !message.is_empty()).unwrap_or("an error without a message").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::error::ErrorKind;

    #[test]
    fn errors_are_told_in_this_wire() {
        let error = Error::new(ErrorKind::NotFound, "model \"x\" not found");
        assert_eq!(String::from_utf8(body(&error)).unwrap(), r#"{"error":"model \"x\" not found"}"#);
        assert_eq!(told(&body(&error)).unwrap().message, error.message);
        assert_eq!(event(&error), b"data: {\"error\":\"model \\\"x\\\" not found\"}\n\n");
        assert_eq!(told(br#"{"error":{"message":"no"}}"#).unwrap().message, "no");
        assert_eq!(told(br#"{"error":{}}"#).unwrap().message, "an error without a message");
        for other in ["<html>", "{}", r#"{"error":null}"#, "[]"] {
            assert_eq!(told(other.as_bytes()), None, "{other}");
        }
    }
}
