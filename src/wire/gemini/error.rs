//! Errors ↔ `Error`: Google's form of an error (<https://cloud.google.com/apis/design/errors>), whose `status` is a code
//! of gRPC.

use super::fields::{field, list, maybe_text};
use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::wire::hub::Told;
use crate::wire::json::parse;
use crate::wire::sse::write_event;
use crate::wire::write;

const TYPE: &str = "type.googleapis.com/google.rpc.";

/// The body of an error.
pub fn body(error: &Error) -> Vec<u8> {
    let code = code(error);
    write::to_vec(|o| {
        o.object("error", |o| {
            o.integer("code", u64::from(code));
            o.text("message", &error.message);
            o.text("status", status(code));
            o.array("details", |list| {
                if let Some(param) = &error.param {
                    list.object(|o| {
                        o.text("@type", &format!("{TYPE}BadRequest"));
                        o.array("fieldViolations", |list| {
                            list.object(|o| {
                                o.text("field", param);
                                o.text("description", &error.message);
                            });
                        });
                    });
                }
                if let Some(reason) = error.code {
                    list.object(|o| {
                        o.text("@type", &format!("{TYPE}ErrorInfo"));
                        o.text("reason", &reason.to_ascii_uppercase());
                        o.text("domain", "askonce");
                    });
                }
                if let Some(wait) = error.retry_after {
                    list.object(|o| {
                        o.text("@type", &format!("{TYPE}RetryInfo"));
                        o.text("retryDelay", &format!("{}s", wait.as_secs_f64()));
                    });
                }
            });
        });
    })
}

/// The event of an error in the middle of a stream.
pub fn event(error: &Error) -> Vec<u8> {
    let mut event = Vec::new();
    write_event(&mut event, &body(error));
    event
}

/// What a provider's error reply says; `None` where it is not in this wire. The list of one that a stream without events
/// sends is read as well.
pub fn told(body: &[u8]) -> Option<Told> {
    let json = parse(body).ok()?;
    let one = json.as_array().and_then(|items| items.first()).unwrap_or(&json);
    let error = field(one, "error")?;
    let text = |name: &str| maybe_text(error, "", name).ok().flatten().map(str::to_owned);
    let details = list(error, "", "details").unwrap_or_default();
    let violated = details.iter().find_map(|detail| list(detail, "", "fieldViolations").ok()?.first());
    let param = violated.and_then(|violation| violation.get("field")).and_then(Json::as_str).map(str::to_owned);
    Some(Told { message: text("message")?, param: param.filter(|field| !field.is_empty()), code: text("status") })
}

/// The status of the reply. A refusal of the gateway's own key is none of the caller's.
fn code(error: &Error) -> u16 {
    match error.kind {
        ErrorKind::UpstreamStatus(401 | 403) if error.code == Some("upstream_unauthorized") => 502,
        _ => error.status(),
    }
}

/// gRPC's word for a status of HTTP.
fn status(code: u16) -> &'static str {
    match code {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 | 501 => "UNIMPLEMENTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        412 => "FAILED_PRECONDITION",
        416 => "OUT_OF_RANGE",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        502 | 503 | 529 => "UNAVAILABLE",
        400..=498 => "INVALID_ARGUMENT",
        500..=599 => "INTERNAL",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn statuses_have_grpcs_words() {
        let table = [
            (ErrorKind::InvalidRequest, 400, "INVALID_ARGUMENT"),
            (ErrorKind::Unauthenticated, 401, "UNAUTHENTICATED"),
            (ErrorKind::Forbidden, 403, "PERMISSION_DENIED"),
            (ErrorKind::NotFound, 404, "NOT_FOUND"),
            (ErrorKind::TooLarge, 413, "INVALID_ARGUMENT"),
            (ErrorKind::UpstreamStatus(429), 429, "RESOURCE_EXHAUSTED"),
            (ErrorKind::TooMany, 429, "RESOURCE_EXHAUSTED"),
            (ErrorKind::Internal, 500, "INTERNAL"),
            (ErrorKind::UpstreamBroken, 502, "UNAVAILABLE"),
            (ErrorKind::Overloaded, 503, "UNAVAILABLE"),
            (ErrorKind::UpstreamTimeout, 504, "DEADLINE_EXCEEDED"),
            (ErrorKind::UpstreamStatus(529), 529, "UNAVAILABLE"),
        ];
        for (kind, code, word) in table {
            let expected = format!(r#"{{"error":{{"code":{code},"message":"no","status":"{word}","details":[]}}}}"#);
            assert_eq!(String::from_utf8(body(&Error::new(kind, "no"))).unwrap(), expected);
        }
        let refused = Error::new(ErrorKind::UpstreamStatus(401), "k").with_code("upstream_unauthorized");
        assert!(body(&refused).starts_with(br#"{"error":{"code":502,"#));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut error = Error::invalid("contents[0].role", "no such role").with_code("invalid_value");
        error.retry_after = Some(Duration::from_millis(1500));
        let text = String::from_utf8(body(&error)).unwrap();
        assert!(text.contains(r#""retryDelay":"1.5s""#) && text.contains(r#""reason":"INVALID_VALUE""#), "{text}");
        let expected = Told {
            message: "no such role".into(),
            param: Some("contents[0].role".into()),
            code: Some("INVALID_ARGUMENT".into()),
        };
        assert_eq!(told(text.as_bytes()), Some(expected.clone()));
        assert_eq!(told(format!("[{text}\n]").as_bytes()), Some(expected));
        for other in ["", "[]", "{}", r#"{"error":"x"}"#, "<html>"] {
            assert_eq!(told(other.as_bytes()), None, "{other}");
        }
    }
}
