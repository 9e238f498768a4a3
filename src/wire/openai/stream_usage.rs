//! Asking for the usage of a stream where the caller did not: the one thing that is ever added to a request's body, and
//! only for a provider whose settings say so (`stream_usage`).

use crate::wire::json::span_of;
use bytes::Bytes;
use serde_json::{Map, Value};

/// `body` with `stream_options.include_usage` set, all else byte for byte. `body` must be a JSON object.
pub fn asked(body: &Bytes) -> Bytes {
    const ASK: &str = r#""stream_options":{"include_usage":true}"#;
    let (at, ask) = match span_of(body, "stream_options") {
        Some(span) => {
            let mut options = serde_json::from_slice::<Map<String, Value>>(&body[span.clone()]).unwrap_or_default();
            options.insert("include_usage".to_owned(), true.into());
            (span, Value::Object(options).to_string())
        }
        None => match body.iter().position(|&byte| byte == b'{') {
            // A request always has more fields, so a comma is always right.
            Some(brace) => (brace + 1..brace + 1, format!("{ASK},")),
            None => return body.clone(),
        },
    };
    [&body[..at.start], ask.as_bytes(), &body[at.end..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_and_leaves_the_rest_alone() {
        let table = [
            (r#" {"model":"m", "x":1.0}"#, r#" {"stream_options":{"include_usage":true},"model":"m", "x":1.0}"#),
            (
                r#"{"model":"m","stream_options": {"include_usage":false,"y":[1]} }"#,
                r#"{"model":"m","stream_options": {"include_usage":true,"y":[1]} }"#,
            ),
            (
                r#"{"stream_options":null,"a":{"stream_options":1}}"#,
                r#"{"stream_options":{"include_usage":true},"a":{"stream_options":1}}"#,
            ),
        ];
        for (body, expected) in table {
            assert_eq!(asked(&Bytes::from_static(body.as_bytes())), expected.as_bytes(), "{body}");
        }
    }
}
