//! Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use super::credentials::AccessKey;
use super::dates;
use crate::wire::path::percent_encoded;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ring::{digest, hmac};
use std::time::SystemTime;

/// A request that is to be signed, all of it but for the headers that the signature adds.
pub struct Unsigned<'r> {
    /// Its method.
    pub method: &'r Method,
    /// Its address, percent-encoded as it will be sent.
    pub url: &'r reqwest::Url,
    /// Its headers. `content-type` and those that begin with `x-amz` are signed.
    pub headers: &'r HeaderMap,
    /// Its body.
    pub body: &'r [u8],
    /// The region it is for.
    pub region: &'r str,
    /// What AWS calls the service.
    pub service: &'r str,
}

/// The headers that make `request` a signed one.
pub fn sign(
    request: &Unsigned<'_>,
    key: &AccessKey,
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let date = dates::compact(now);
    let day = date.get(..8).unwrap_or_default();
    let mut headers = signed_headers(request);
    headers.push(("x-amz-date".to_owned(), date.clone()));
    headers.extend(key.token.as_ref().map(|token| ("x-amz-security-token".to_owned(), token.expose().to_owned())));
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        canonical_path(request.url.path()),
        canonical_query(request.url.query().unwrap_or_default()),
        hash(request.body),
    );
    let scope = format!("{day}/{}/{}/aws4_request", request.region, request.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(canonical.as_bytes()));
    let first = format!("AWS4{}", key.secret.expose());
    let words = [day, request.region, request.service, "aws4_request", &to_sign];
    let signature = words.iter().fold(first.into_bytes(), |secret, word| mac(&secret, word.as_bytes()));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        key.id.expose(),
        hex(&signature)
    );
    let mut added = vec![("x-amz-date", date), ("authorization", authorization)];
    added.extend(key.token.as_ref().map(|token| ("x-amz-security-token", token.expose().to_owned())));
    let header = |(name, value): (&'static str, String)| {
        let mut value = HeaderValue::try_from(value).map_err(|_| "an access key holds what HTTP forbids".to_owned())?;
        value.set_sensitive(name != "x-amz-date");
        Ok((HeaderName::from_static(name), value))
    };
    added.into_iter().map(header).collect()
}

/// Host, `content-type` and the headers of AWS's own, in lower case, their values trimmed.
fn signed_headers(request: &Unsigned<'_>) -> Vec<(String, String)> {
    let host = request.url.host_str().unwrap_or_default();
    let host = request.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut headers = vec![("host".to_owned(), host)];
    for name in request.headers.keys().map(HeaderName::as_str) {
        let values: Vec<&str> = request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if name == "content-type" || name.starts_with("x-amz") {
            let words: Vec<&str> = values.iter().flat_map(|value| value.split_ascii_whitespace()).collect();
            let value = if values.len() == 1 { words.join(" ") } else { values.join(",") };
            headers.push((name.to_owned(), value));
        }
    }
    headers
}

/// The path, every word of it encoded once more than it is sent: `%3A` is signed as `%253A`.
fn canonical_path(path: &str) -> String {
    if path.is_empty() { "/".to_owned() } else { percent_encoded(path).replace("%2F", "/") }
}

/// The query's pairs in order. They are encoded as they are sent.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(secret: &[u8], bytes: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::secret::Secret;
    use std::time::{Duration, UNIX_EPOCH};

    fn signed(method: Method, url: &str, body: &str, region: &str, service: &str, token: Option<&str>) -> Vec<String> {
        let key = AccessKey {
            id: Secret::new("AKIDEXAMPLE"),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: token.map(Secret::new),
        };
        let url = reqwest::Url::parse(url).unwrap();
        let mut headers = HeaderMap::new();
        if method == Method::POST {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let unsigned =
            Unsigned { method: &method, url: &url, headers: &headers, body: body.as_bytes(), region, service };
        let added = sign(&unsigned, &key, UNIX_EPOCH + Duration::from_secs(1_440_938_160)).unwrap();
        added.into_iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    /// The first two are of AWS's published test suite (`get-vanilla`, `get-vanilla-query-order-key-case`), the others were
    /// made by AWS's own library for Python.
    #[test]
    fn signatures_are_those_of_aws() {
        let bedrock = "https://bedrock-runtime.us-east-1.amazonaws.com";
        let table = [
            (
                Method::GET,
                "https://example.amazonaws.com/".to_owned(),
                "",
                "us-east-1",
                "service",
                "host;x-amz-date",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                Method::GET,
                "https://example.amazonaws.com/?Param2=value2&Param1=value1".to_owned(),
                "",
                "us-east-1",
                "service",
                "host;x-amz-date",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                Method::POST,
                format!("{bedrock}/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"),
                r#"{"messages":[]}"#,
                "us-east-1",
                "bedrock",
                "content-type;host;x-amz-date",
                "dba7f2f77cc33808be655f27b8ebf1d1b1d77751fc96dad0bd71e020cb07c442",
            ),
            (
                Method::POST,
                "http://127.0.0.1:8080/bedrock/model/m/invoke".to_owned(),
                r#"{"messages":[]}"#,
                "eu-west-1",
                "bedrock",
                "content-type;host;x-amz-date",
                "424dcb50acfd1854c9728ef3155b7a88d9b5b7e0df0b29af4bf3cd0185df19de",
            ),
        ];
        for (method, url, body, region, service, names, signature) in table {
            let added = signed(method, &url, body, region, service, None);
            let expected = format!(
                "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/{region}/{service}/aws4_request, SignedHeaders={names}, Signature={signature}"
            );
            assert_eq!(added, ["x-amz-date: 20150830T123600Z".to_owned(), expected], "{url}");
        }
    }

    #[test]
    fn a_temporary_key_and_an_arn_are_signed() {
        let arn = percent_encoded("arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123");
        let url = format!("https://bedrock-runtime.eu-west-1.amazonaws.com/model/{arn}/converse-stream");
        let added =
            signed(Method::POST, &url, r#"{"messages":[]}"#, "eu-west-1", "bedrock", Some("TOKEN/with+chars=="));
        assert!(added[1].ends_with("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=d514f9813080c0aab7835e2e0cb9fb1561a2ae21799476d4e2d9b29824971b9c"), "{added:?}");
        assert_eq!(added[2], "x-amz-security-token: TOKEN/with+chars==");
    }
}
