//! `Error` → OpenAI's error object: `{"error": {"message", "type", "param", "code"}}`.

use crate::types::error::{Error, ErrorKind};

/// The error body in OpenAI's shape.
pub fn body(error: &Error) -> Vec<u8> {
    let object = serde_json::json!({
        "error": {
            "message": error.message,
            "type": type_of(error.kind),
            "param": error.param,
            "code": error.code,
        }
    });
    object.to_string().into_bytes()
}

/// OpenAI's `type` word of an error.
fn type_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::NotFound
        | ErrorKind::MethodNotAllowed
        | ErrorKind::RequestTimeout
        | ErrorKind::TooLarge
        | ErrorKind::UnsupportedMedia => "invalid_request_error",
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::UpstreamStatus(429) => "rate_limit_error",
        ErrorKind::NotCached => "not_cached_error",
        ErrorKind::LoopDetected => "server_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::UpstreamStatus(_)
        | ErrorKind::UpstreamUnreachable
        | ErrorKind::UpstreamTimeout
        | ErrorKind::UpstreamBroken => "upstream_error",
        ErrorKind::Internal => "server_error",
    }
}
