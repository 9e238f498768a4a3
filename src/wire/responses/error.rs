//! Errors ↔ `Error`. Bodies are those of all OpenAI endpoints; a stream has events of its own.

use crate::types::error::{Error, ErrorKind};
use crate::wire::hub::Told;
use crate::wire::openai;
use crate::wire::sse::write_named;
use crate::wire::write::to_vec;

/// The body of an error.
pub fn body(error: &Error) -> Vec<u8> {
    openai::error::body(error)
}

/// The events of an error in the middle of a stream: `error`, at which the vendor's SDKs raise, and `response.failed`,
/// which Codex waits for.
pub fn event(error: &Error) -> Vec<u8> {
    let mut out = Vec::new();
    let code = error.code.unwrap_or(code_of(error.kind));
    let told = String::from_utf8(body(error)).unwrap_or_default();
    let inner = told.strip_prefix("{\"error\":").and_then(|rest| rest.strip_suffix('}')).unwrap_or("{}");
    let event = to_vec(|o| {
        o.text("type", "error");
        o.integer("sequence_number", 0);
        o.text("code", code);
        o.text("message", &error.message);
        match &error.param {
            Some(param) => o.text("param", param),
            None => o.null("param"),
        }
        o.raw("error", inner);
    });
    write_named(&mut out, "error", &event);
    let failed = to_vec(|o| {
        o.text("type", "response.failed");
        o.integer("sequence_number", 0);
        o.object("response", |o| {
            o.text("id", "");
            o.text("object", "response");
            o.integer("created_at", 0);
            o.text("status", "failed");
            o.object("error", |o| {
                o.text("code", code);
                o.text("message", &error.message);
            });
            o.text("model", "");
            o.array("output", |_| {});
            o.flag("parallel_tool_calls", true);
            o.text("tool_choice", "auto");
            o.array("tools", |_| {});
        });
    });
    write_named(&mut out, "response.failed", &failed);
    out
}

/// What an error reply in this wire says.
pub fn told(body: &[u8]) -> Option<Told> {
    openai::error::told(body)
}

/// OpenAI's word for an error of a response.
fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_prompt",
        ErrorKind::TooMany | ErrorKind::UpstreamStatus(429) => "rate_limit_exceeded",
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::json::Json;
    use crate::wire::json::parse;
    use crate::wire::sse;

    #[test]
    fn an_error_in_a_stream_is_told_twice() {
        let error = Error::new(ErrorKind::UpstreamBroken, "It broke \"off\".");
        let mut splitter = sse::Splitter::default();
        splitter.push(&event(&error));
        let mut names = Vec::new();
        while let Some(one) = splitter.next_event() {
            let one = sse::event(&one).unwrap();
            let json = parse(&one.data).unwrap();
            assert_eq!(json.get("type").and_then(Json::as_str), Some(one.name));
            let own = json.get("error").or_else(|| json.get("response").and_then(|response| response.get("error")));
            assert_eq!(own.and_then(|own| own.get("message")).and_then(Json::as_str), Some("It broke \"off\"."));
            names.push(one.name.to_owned());
        }
        assert_eq!(names, ["error", "response.failed"]);
    }
}
