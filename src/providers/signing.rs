//! What goes with a request beside its body: the operator's headers and a key, and what becomes of a refusal of that key.

use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The headers that the operator set for this provider.
pub(super) fn operator_headers(settings: &config::Provider) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(settings.headers.len());
    for (name, value) in &settings.headers {
        let wrong = |what: &str| format!("provider `{}`: header `{name}` has {what}", settings.name);
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong("no valid name"))?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong("a value that HTTP forbids"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// A key as the value of a header, `scheme` and a space before it where there is one.
pub(super) fn secret_value(scheme: &str, key: &Secret) -> Result<HeaderValue, Error> {
    let text = if scheme.is_empty() { key.expose().to_owned() } else { format!("{scheme} {}", key.expose()) };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::new(ErrorKind::Unauthenticated, "The key holds characters that HTTP forbids."))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A refusal of what the gateway itself signs in with is not the caller's fault, and its text may quote the key. `check` is
/// what the operator has to look at.
pub(super) fn without_key(mut error: Error, provider: &str, check: &str) -> Error {
    if let ErrorKind::UpstreamStatus(status @ (401 | 403)) = error.kind {
        error.reply = None;
        error.code = Some("upstream_unauthorized");
        error.message = format!(
            "Provider `{provider}` refused the gateway's key (status {status}). The operator has to check its {check}."
        );
    }
    error
}
