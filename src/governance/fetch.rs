//! How identity providers are asked: whom the configuration names, without redirects, within limits.

use crate::types::host::{address, is_forbidden, is_inside, is_local_name};
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::Url;
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

/// May the provider `issuer`, whom the configuration names, send us on to `url`? To its own host; else under TLS to what is not of a
/// network that only machines here see. Without TLS only to this machine, and only where the provider is on this machine itself.
///
/// A name is taken by its letters: what it stands for in the end has to show a certificate of that name, as no service here does that
/// was not meant to.
pub(super) fn may_lead_to(issuer: &str, url: &str) -> bool {
    let (Ok(from), Ok(to)) = (Url::parse(issuer), Url::parse(url)) else { return false };
    let Some(host) = to.host_str() else { return false };
    if !to.username().is_empty() || to.password().is_some() {
        return false;
    }
    let here = is_here(issuer);
    match to.scheme() {
        "https" => from.host_str() == Some(host) || !is_inside(host) || (here && !is_forbidden(host)),
        "http" => from.scheme() == "http" && here && is_here(url),
        _ => false,
    }
}

/// Is it an address of this machine?
pub(super) fn is_here(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    is_local_name(host) || address(host).is_some_and(|address| address.is_loopback() || address.is_unspecified())
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
    use super::{is_here, may_lead_to};

    #[test]
    fn what_is_this_machine() {
        for host in [
            "localhost",
            "localhost.",
            "LOCALHOST",
            "id.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0",
            "0.0.0.0",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:0.0.0.0]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ] {
            assert!(is_here(&format!("https://{host}:8443/x")), "{host}");
        }
        for host in [
            "id.example",
            "localhost.example",
            "mylocalhost",
            "10.0.0.1",
            "169.254.169.254",
            "[fe80::1]",
            "[::ffff:8.8.8.8]",
        ] {
            assert!(!is_here(&format!("https://{host}/x")), "{host}");
        }
    }

    #[test]
    fn a_provider_leads_where_it_may() {
        let (far, near) = ("https://id.example", "http://127.0.0.1:9000");
        for url in [
            "https://id.example/jwks",
            "https://keys.example:8443/k?a=b",
            "https://8.8.8.8/k",
            "https://[2606:4700::1]/k",
        ] {
            assert!(may_lead_to(far, url), "{url}");
        }
        let inside = [
            "127.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "localhost.",
            "a.localhost",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "0.1.2.3",
            "169.254.169.254",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[::ffff:10.0.0.1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "224.0.0.1",
            "255.255.255.255",
            "[ff02::1]",
            "0xa9fea9fe",
        ];
        for host in inside {
            for scheme in ["https", "http"] {
                let url = format!("{scheme}://{host}/latest");
                assert!(!may_lead_to(far, &url), "{url}");
            }
        }
        for url in [
            "http://id.example/jwks",
            "file:///etc/passwd",
            "https://u:p@id.example/",
            "https://u@id.example/",
            "jwks",
            "",
        ] {
            assert!(!may_lead_to(far, url), "{url}");
        }
        assert!(may_lead_to(near, "http://127.0.0.1:9000/jwks") && may_lead_to(near, "http://[::1]:1/jwks"));
        assert!(!may_lead_to(near, "http://10.0.0.1/jwks") && may_lead_to(near, "https://10.0.0.1/jwks"));
        assert!(
            !may_lead_to(near, "https://169.254.169.254/latest") && !may_lead_to(near, "http://169.254.169.254/latest")
        );
        assert!(!may_lead_to("https://localhost", "http://localhost/jwks"));
        // A provider of one's own network, as the configuration names it.
        assert!(may_lead_to("https://10.0.0.7:8443", "https://10.0.0.7:8443/jwks"));
        assert!(!may_lead_to("https://10.0.0.7", "https://10.0.0.8/jwks"));
    }
}
