//! `Error` ↔ Anthropic's error object (<https://platform.claude.com/docs/en/api/errors>):
//! `{"type": "error", "error": {"type", "message"}}`.

use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::wire::hub::Told;
use crate::wire::json::parse;
use crate::wire::sse::write_named;
use crate::wire::write;

/// The body of an error.
pub fn body(error: &Error) -> Vec<u8> {
    write::to_vec(|object| {
        object.text("type", "error");
        object.object("error", |object| {
            object.text("type", type_of(error.kind));
            object.text("message", &error.message);
            if let Some(code) = error.code {
                object.object("details", |details| details.text("error_code", code));
            }
        });
    })
}

/// The event of an error in the middle of a stream.
pub fn event(error: &Error) -> Vec<u8> {
    let mut event = Vec::new();
    write_named(&mut event, "error", &body(error));
    event
}

/// What a provider's error reply says; `None` where it is not in this wire.
pub fn told(body: &[u8]) -> Option<Told> {
    let json = parse(body).ok()?;
    let error = json.get("error")?;
    let text = |of: &Json<'_>, name: &str| of.get(name).and_then(Json::as_str).map(str::to_owned);
    let code = error.get("details").and_then(|details| text(details, "error_code"));
    Some(Told { message: text(error, "message")?, param: None, code: code.or_else(|| text(error, "type")) })
}

/// Anthropic's `type` word of an error.
fn type_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::MethodNotAllowed
        | ErrorKind::Conflict
        | ErrorKind::PreconditionFailed
        | ErrorKind::UnsupportedMedia => "invalid_request_error",
        ErrorKind::Unauthenticated | ErrorKind::UpstreamStatus(401) => "authentication_error",
        ErrorKind::OverBudget | ErrorKind::UpstreamStatus(402) => "billing_error",
        ErrorKind::Forbidden | ErrorKind::UpstreamStatus(403) => "permission_error",
        ErrorKind::NotFound | ErrorKind::UpstreamStatus(404) => "not_found_error",
        ErrorKind::TooLarge | ErrorKind::UpstreamStatus(413) => "request_too_large",
        ErrorKind::TooMany | ErrorKind::UpstreamStatus(429) => "rate_limit_error",
        ErrorKind::RequestTimeout | ErrorKind::UpstreamTimeout | ErrorKind::UpstreamStatus(408 | 504) => {
            "timeout_error"
        }
        ErrorKind::Overloaded | ErrorKind::UpstreamStatus(503 | 529) => "overloaded_error",
        ErrorKind::UpstreamStatus(400..=499) => "invalid_request_error",
        ErrorKind::LoopDetected
        | ErrorKind::NotCached
        | ErrorKind::UpstreamStatus(_)
        | ErrorKind::UpstreamUnreachable
        | ErrorKind::UpstreamBroken
        | ErrorKind::Internal => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_vendors_word() {
        let table = [
            (ErrorKind::InvalidRequest, "invalid_request_error"),
            (ErrorKind::Unauthenticated, "authentication_error"),
            (ErrorKind::UpstreamStatus(402), "billing_error"),
            (ErrorKind::Forbidden, "permission_error"),
            (ErrorKind::NotFound, "not_found_error"),
            (ErrorKind::TooLarge, "request_too_large"),
            (ErrorKind::UpstreamStatus(422), "invalid_request_error"),
            (ErrorKind::UpstreamStatus(429), "rate_limit_error"),
            (ErrorKind::TooMany, "rate_limit_error"),
            (ErrorKind::UpstreamStatus(500), "api_error"),
            (ErrorKind::UpstreamBroken, "api_error"),
            (ErrorKind::UpstreamTimeout, "timeout_error"),
            (ErrorKind::UpstreamStatus(529), "overloaded_error"),
        ];
        for (kind, word) in table {
            let body = String::from_utf8(body(&Error::new(kind, "a \"b\""))).unwrap();
            let expected = format!(r#"{{"type":"error","error":{{"type":"{word}","message":"a \"b\""}}}}"#);
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn what_is_told_is_what_was_said() {
        let error = Error::invalid("n", "No.").with_code("unsupported_by_target");
        let expected = Told { message: "No.".into(), param: None, code: Some("unsupported_by_target".into()) };
        assert_eq!(told(&body(&error)), Some(expected));
        let event = String::from_utf8(event(&error)).unwrap();
        assert!(event.starts_with("event: error\ndata: {\"type\":\"error\""), "{event}");
        let busy = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#;
        assert_eq!(told(busy).unwrap().code.as_deref(), Some("overloaded_error"));
        assert_eq!(told(b"<html>"), None);
        assert_eq!(told(br#"{"detail":"x"}"#), None);
    }
}
