//! Errors ↔ `Error`: `{"message": …}`, and a type that stands in the header `x-amzn-ErrorType`.
//!
//! After <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors>. The
//! type stands in the body as `__type`, too, which every SDK reads where the header is not there.

use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::wire::hub::Told;
use crate::wire::json::parse;
use crate::wire::{sse, write};

/// The header of the type.
pub const TYPE_HEADER: &str = "x-amzn-errortype";

/// The type of an error: the word for [`TYPE_HEADER`].
pub fn type_of(error: &Error) -> &'static str {
    match error.kind {
        ErrorKind::Overloaded => "ServiceUnavailableException",
        ErrorKind::UpstreamUnreachable => "ServiceUnavailableException",
        ErrorKind::UpstreamBroken => "ModelErrorException",
        _ => match error.status() {
            401 | 403 => "AccessDeniedException",
            404 => "ResourceNotFoundException",
            408 | 504 => "ModelTimeoutException",
            424 => "ModelErrorException",
            429 => "ThrottlingException",
            503 | 529 => "ServiceUnavailableException",
            400..500 => "ValidationException",
            _ => "InternalServerException",
        },
    }
}

/// The body of an error.
pub fn body(error: &Error) -> Vec<u8> {
    write::to_vec(|o| {
        o.text("__type", type_of(error));
        o.text("message", &error.message);
    })
}

/// The event of an error in the middle of a stream: one of the exceptions that a stream may have.
pub fn event(error: &Error) -> Vec<u8> {
    let name = match type_of(error) {
        "ValidationException" | "AccessDeniedException" | "ResourceNotFoundException" => "validationException",
        "ThrottlingException" => "throttlingException",
        "ServiceUnavailableException" => "serviceUnavailableException",
        "ModelErrorException" | "ModelTimeoutException" => "modelStreamErrorException",
        _ => "internalServerException",
    };
    let mut event = Vec::new();
    sse::write_named(&mut event, name, &write::to_vec(|o| o.text("message", &error.message)));
    event
}

/// What a provider's error reply says; `None` where it is not in this wire.
pub fn told(body: &[u8]) -> Option<Told> {
    let json = parse(body).ok()?;
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let message = text("message").or_else(|| text("Message"))?.to_owned();
    let code = text("__type").or_else(|| text("code")).map(|word| bare(word).to_owned());
    Some(Told { message, param: None, code })
}

/// The type's name without the namespace before it and the address behind it.
pub fn bare(word: &str) -> &str {
    let word = word.split(':').next().unwrap_or_default();
    word.rsplit('#').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_type() {
        let table = [
            (ErrorKind::InvalidRequest, "ValidationException", "validationException"),
            (ErrorKind::TooLarge, "ValidationException", "validationException"),
            (ErrorKind::Unauthenticated, "AccessDeniedException", "validationException"),
            (ErrorKind::Forbidden, "AccessDeniedException", "validationException"),
            (ErrorKind::NotFound, "ResourceNotFoundException", "validationException"),
            (ErrorKind::UpstreamStatus(429), "ThrottlingException", "throttlingException"),
            (ErrorKind::TooMany, "ThrottlingException", "throttlingException"),
            (ErrorKind::UpstreamStatus(529), "ServiceUnavailableException", "serviceUnavailableException"),
            (ErrorKind::UpstreamStatus(424), "ModelErrorException", "modelStreamErrorException"),
            (ErrorKind::UpstreamTimeout, "ModelTimeoutException", "modelStreamErrorException"),
            (ErrorKind::UpstreamBroken, "ModelErrorException", "modelStreamErrorException"),
            (ErrorKind::Overloaded, "ServiceUnavailableException", "serviceUnavailableException"),
            (ErrorKind::Internal, "InternalServerException", "internalServerException"),
        ];
        for (kind, word, name) in table {
            let error = Error::new(kind, "no\n");
            assert_eq!(type_of(&error), word, "{kind:?}");
            let told = told(&body(&error)).unwrap();
            assert_eq!((told.message.as_str(), told.code.as_deref()), ("no\n", Some(word)));
            let event = event(&error);
            assert_eq!(sse::event(&event).unwrap().name, name);
        }
    }

    #[test]
    fn the_type_is_read_in_all_its_forms() {
        for word in ["ThrottlingException", "com.amazon#ThrottlingException", "ThrottlingException:http://internal/"] {
            assert_eq!(bare(word), "ThrottlingException");
        }
        assert_eq!(told(br#"{"Message":"m"}"#).unwrap().message, "m");
        assert_eq!(told(b"{}"), None);
        assert_eq!(told(b"<html>"), None);
    }
}
