//! `Error` → OpenAI's error object: `{"error": {"message", "type", "param", "code"}}`.

use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::wire::hub::Told;
use crate::wire::json::parse;
use crate::wire::sse::write_event;

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

/// The event of an error in the middle of a stream.
pub fn event(error: &Error) -> Vec<u8> {
    let mut event = Vec::new();
    write_event(&mut event, &body(error));
    event
}

/// What an error reply in OpenAI's shape says, or in one of those that are near to it.
pub fn told(body: &[u8]) -> Option<Told> {
    let json = parse(body).ok()?;
    let error = json.get("error").unwrap_or(&json);
    let text = |name: &str| error.get(name).and_then(Json::as_str).map(str::to_owned);
    let message = error.as_str().map(str::to_owned).or_else(|| text("message")).or_else(|| text("detail"))?;
    Some(Told { message, param: text("param"), code: text("code").or_else(|| text("type")) })
}

/// OpenAI's `type` word of an error.
fn type_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::NotFound
        | ErrorKind::MethodNotAllowed
        | ErrorKind::Conflict
        | ErrorKind::PreconditionFailed
        | ErrorKind::RequestTimeout
        | ErrorKind::TooLarge
        | ErrorKind::UnsupportedMedia => "invalid_request_error",
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::OverBudget => "insufficient_quota",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::TooMany | ErrorKind::UpstreamStatus(429) => "rate_limit_error",
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
