//! What Gemini by key and Vertex AI have in common: models in paths, methods, and the operator's headers.

use super::Call;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use crate::wire::gemini::embed;
use crate::wire::json::parse;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use std::time::Duration;

/// Asking for the models must not hold a start up.
pub(super) const MODELS_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages of a list of models; a list that goes on is no list.
pub(super) const MODEL_PAGES: usize = 20;

/// A header's value that is not to be logged.
pub(super) fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header with a key in it.
pub(super) fn key_value(text: &str) -> Result<HeaderValue, Error> {
    secret_value(text)
        .ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "The key holds characters that HTTP forbids."))
}

/// The headers of a call, without those that say who is billed where that is the operator's word.
pub(super) fn call_headers(call: &mut Call, ours: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.extend(std::mem::take(&mut call.headers));
    if ours {
        headers.remove("x-goog-user-project");
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if call.stream { "text/event-stream" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers
}

/// The method of a call, as it stands behind the model. A stream is always asked for as one of events.
pub(super) fn method(call: &Call) -> Result<&'static str, Error> {
    match call.surface {
        Surface::GenerateContent if call.stream => Ok("streamGenerateContent?alt=sse"),
        Surface::GenerateContent => Ok("generateContent"),
        Surface::EmbedContent if parse(&call.body).is_ok_and(|json| embed::is_batch(&json)) => Ok("batchEmbedContents"),
        Surface::EmbedContent => Ok("embedContent"),
        Surface::CountContent => Ok("countTokens"),
        other => {
            let message = format!("Google has nothing for `{}`.", other.as_str());
            Err(Error::new(ErrorKind::Internal, message))
        }
    }
}

/// A model's name as a part of a path. Callers choose it: it must not lead to any other path.
pub(super) fn in_path(name: &str) -> Result<String, Error> {
    let wrong = || {
        let shown: String = name.chars().take(60).collect();
        Error::invalid("model", format!("`{shown}` cannot be the name of a model of Google's."))
            .with_code("model_not_found")
    };
    let mut path = String::with_capacity(name.len());
    for segment in name.split('/') {
        if matches!(segment, "" | "." | "..") {
            return Err(wrong());
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&encoded(segment));
    }
    Ok(path)
}

/// `text` with everything but the unreserved characters of a URL percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The base URL without a version, and the version that it names or `default`.
pub(super) fn versioned<'b>(base_url: &'b str, default: &'b str) -> (&'b str, &'b str) {
    match base_url.rsplit_once('/') {
        Some((base, last)) if is_version(last) => (base, last),
        _ => (base_url, default),
    }
}

/// `v1`, `v1beta`, `v1beta1`, `v1alpha`.
fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A refusal of the gateway's own key is not the caller's fault, and its text may quote the key. Google says 400 of a key
/// that is not valid.
pub(super) fn without_key(mut error: Error, name: &str) -> Error {
    let says_so = |error: &Error| {
        let body = error.reply.as_ref().map(|reply| String::from_utf8_lossy(&reply.body));
        body.is_some_and(|body| body.contains("API_KEY_INVALID") || body.contains("API key not valid"))
    };
    let refused = match error.kind {
        ErrorKind::UpstreamStatus(status @ (401 | 403)) => Some(status),
        ErrorKind::UpstreamStatus(400) if says_so(&error) => Some(401),
        _ => None,
    };
    if let Some(status) = refused {
        error.kind = ErrorKind::UpstreamStatus(status);
        error.reply = None;
        error.code = Some("upstream_unauthorized");
        error.message = format!(
            "Provider `{name}` refused the gateway's credentials (status {status}). The operator has to check them."
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_lead_nowhere_else() {
        let table = [
            ("gemini-2.5-flash", Some("gemini-2.5-flash")),
            ("tunedModels/a b", Some("tunedModels/a%20b")),
            ("m:generateContent?x=1#y", Some("m%3AgenerateContent%3Fx%3D1%23y")),
            ("%2e%2e", Some("%252e%252e")),
            ("claude-3@20240620", Some("claude-3@20240620")),
            ("../files/x", None),
            ("a/../b", None),
            ("a//b", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(in_path(name).ok().as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_version_in_the_base_url_is_kept() {
        let table = [
            ("https://a", ("https://a", "v1beta")),
            ("https://a/v1beta", ("https://a", "v1beta")),
            ("https://a/v1", ("https://a", "v1")),
            ("https://a/vertex", ("https://a/vertex", "v1beta")),
            ("https://a/x/v1beta1", ("https://a/x", "v1beta1")),
        ];
        for (base_url, expected) in table {
            assert_eq!(versioned(base_url, "v1beta"), expected);
        }
    }
}
