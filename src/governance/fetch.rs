//! How identity providers are asked: whom the configuration names, without redirects, within limits.

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;
use std::time::Duration;

/// For a connection, and for a whole answer.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(10);
/// An answer may be this large; the keys of large providers have some 20 KiB.
const MOST: usize = 1 << 20;

/// The client for the provider at `url`.
pub(super) fn client(url: &str) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        // A redirect would lead to where no configuration says.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("askonce/", env!("CARGO_PKG_VERSION")));
    let builder = if is_here(url) { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| format!("the HTTP client for {url} cannot be built: {}", last(&error)))
}

/// The JSON at `url`.
pub(super) async fn json(client: &reqwest::Client, url: &str) -> Result<Value, String> {
    let response = client.get(url).header("accept", "application/json").send().await;
    let response = response.map_err(|error| format!("{url} cannot be reached: {}", last(&error)))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("{url} answers with status {status}"));
    }
    let body = body(response).await.map_err(|why| format!("{url}: {why}"))?;
    serde_json::from_slice(&body).map_err(|error| format!("{url} answers with what is no JSON: {error}"))
}

/// The body of a response, within the limit.
pub(super) async fn body(response: reqwest::Response) -> Result<Bytes, String> {
    let (mut pieces, mut body) = (response.bytes_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| format!("the answer broke off: {}", last(&error)))?;
        if body.len() + piece.len() > MOST {
            return Err(format!("the answer is larger than {MOST} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

/// May the provider `issuer`, whom the configuration names, send us on to `url`? Under TLS; without it only to this machine, and only
/// where the provider is on this machine itself.
pub(super) fn may_lead_to(issuer: &str, url: &str) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else { return false };
    let bare = parsed.username().is_empty() && parsed.password().is_none() && parsed.host_str().is_some();
    bare && match parsed.scheme() {
        // A provider elsewhere has no business on this machine.
        "https" => is_here(issuer) || !is_here(url),
        "http" => is_here(url) && is_here(issuer) && issuer.starts_with("http:"),
        _ => false,
    }
}

/// Is it an address of this machine?
pub(super) fn is_here(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The cause of an error.
pub(super) fn last(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::may_lead_to;

    #[test]
    fn a_provider_leads_where_it_may() {
        let (far, near) = ("https://id.example", "http://127.0.0.1:9000");
        for url in ["https://id.example/jwks", "https://keys.example:8443/k?a=b"] {
            assert!(may_lead_to(far, url), "{url}");
        }
        for url in [
            "http://id.example/jwks",
            "http://127.0.0.1/jwks",
            "https://127.0.0.1/jwks",
            "https://[::1]/jwks",
            "https://localhost/x",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "https://u:p@id.example/",
            "jwks",
        ] {
            assert!(!may_lead_to(far, url), "{url}");
        }
        assert!(may_lead_to(near, "http://127.0.0.1:9000/jwks") && may_lead_to(near, "http://[::1]:1/jwks"));
        assert!(!may_lead_to(near, "http://10.0.0.1/jwks") && may_lead_to(near, "https://10.0.0.1/jwks"));
        assert!(!may_lead_to("https://localhost", "http://localhost/jwks"));
    }
}
