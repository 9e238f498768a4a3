//! Tags of a request: those of the header, then those of `metadata`, as clients of other gateways send them.

use crate::types::directives::{MOST_TAGS, TAG_BYTES};
use crate::types::json::Json;

/// The tags of a request with this body: `header` has them from `x-askonce-tags`. `metadata.tags` is a list of texts or
/// one text with commas. It belongs to the caller's own application, so that what is no tag there is left alone.
pub(super) fn of(header: &[String], body: &Json<'_>) -> Vec<String> {
    let mut tags = header.to_vec();
    let more: Vec<&str> = match body.get("metadata").and_then(|metadata| metadata.get("tags")) {
        Some(Json::String(text)) => text.split(',').collect(),
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    for tag in more.into_iter().map(str::trim).filter(|tag| (1..=TAG_BYTES).contains(&tag.len())) {
        if tags.len() < MOST_TAGS && !tags.iter().any(|other| other == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    #[test]
    fn header_and_metadata_together() {
        let long = "x".repeat(TAG_BYTES + 1);
        let table = [
            (r#"{}"#.to_owned(), vec!["h"]),
            (r#"{"metadata":{"tags":["a","h","b",7,""]}}"#.to_owned(), vec!["h", "a", "b"]),
            (r#"{"metadata":{"tags":" a , b,"}}"#.to_owned(), vec!["h", "a", "b"]),
            (format!(r#"{{"metadata":{{"tags":["{long}","b"]}}}}"#), vec!["h", "b"]),
            (r#"{"metadata":"tags"}"#.to_owned(), vec!["h"]),
        ];
        for (body, expected) in table {
            let body = bytes::Bytes::from(body);
            assert_eq!(of(&["h".to_owned()], &parse(&body).unwrap()), expected);
        }
        let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let body = bytes::Bytes::from(serde_json::json!({"metadata": {"tags": many}}).to_string());
        assert_eq!(of(&[], &parse(&body).unwrap()).len(), MOST_TAGS);
    }
}
