//! Headers → who asks, what they ask of the cache, and what goes on to the provider.

use crate::types::directives::Directives;
use crate::types::directives::{ID_BYTES, MOST_FEEDBACK, MOST_TAGS, TAG_BYTES};
use crate::types::error::{Error, ErrorKind};
use crate::types::staleness::Staleness;
use crate::wire::bedrock;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, ORIGIN, USER_AGENT};
use http::request::Parts;
use std::time::Duration;

/// Caller headers that mean something to a provider of the caller's own wire, and those of traces.
const PASSED_ON: [&str; 11] = [
    "openai-organization",
    "openai-project",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-trace",
    "x-amzn-bedrock-performanceconfig-latency",
    "traceparent",
    "tracestate",
];

/// Headers whose last word is one of these hold a secret.
const SECRETS: [&str; 9] =
    ["key", "token", "secret", "auth", "authorization", "password", "credential", "assertion", "jwt"];

/// Headers in which SDKs send a key that is no bearer token.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "x-goog-api-key", "api-key"];

/// The key of a request, wherever its SDK puts it: a bearer token, a header of the vendor's own, the id of an AWS access
/// key, or `key` in the query, as Google's clients may send it.
pub fn credential(request: &Parts) -> Option<String> {
    let headers = &request.headers;
    if let Some(token) = bearer(headers) {
        return Some(token.to_owned());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(id) = text("authorization").and_then(bedrock::auth::access_key_id) {
        return Some(id.to_owned());
    }
    let in_header = KEY_HEADERS.into_iter().find_map(|name| text(name).filter(|key| !key.is_empty()));
    in_header.map(str::to_owned).or_else(|| in_query(request.uri.query()?))
}

/// The parameter `key` of a query.
fn in_query(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("key="))?;
    Some(value.to_owned()).filter(|key| !key.is_empty())
}

/// The bearer token, if one was sent.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The headers that go on to the provider, with all their values. In one order, whatever order they came in: answers are kept by them, too.
pub fn passed_on(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let place = |name: &HeaderName| PASSED_ON.iter().position(|known| *known == name.as_str());
    let passed = headers.iter().filter(|(name, _)| place(name).is_some());
    let mut passed: Vec<_> = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
    passed.sort_by_key(|(name, _)| place(name));
    passed
}

/// The headers that conditions of targets are told of: the callers' own, and what they call with. What may be a key is none.
pub fn told(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let is_key =
        |name: &str| name.starts_with("x-amz") || name.rsplit('-').next().is_some_and(|word| SECRETS.contains(&word));
    let is_told = |name: &str| name == USER_AGENT.as_str() || (name.starts_with("x-") && !is_key(name));
    headers
        .iter()
        .filter(|(name, _)| is_told(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A web page elsewhere can send a form, or nothing at all, without asking; with a key of its own it cannot.
pub fn is_no_web_page(headers: &HeaderMap) -> Result<(), Error> {
    let has_key = headers.contains_key(AUTHORIZATION) || KEY_HEADERS.iter().any(|name| headers.contains_key(*name));
    if headers.contains_key(ORIGIN) && !has_key {
        let message = "Requests of web pages are taken with a key only, or as `Content-Type: application/json`.";
        return Err(Error::new(ErrorKind::Forbidden, message).with_code("wrong_origin"));
    }
    Ok(())
}

/// What the caller asks of the cache. A malformed wish is refused: it was meant to protect something.
pub fn directives(headers: &HeaderMap) -> Result<Directives, Error> {
    let mut asked = Directives::default();
    for value in headers.get_all(CACHE_CONTROL) {
        let text = value.to_str().map_err(|_| wrong("cache-control", "visible ASCII", "other bytes"))?;
        text.split(',').try_for_each(|directive| cache_control(directive.trim(), &mut asked))?;
    }
    // Most callers say no more.
    if !headers.keys().any(|name| name.as_str().starts_with("x-askonce-")) {
        return Ok(asked);
    }
    if let Some(text) = text(headers, "x-askonce-cache")? {
        match text.to_ascii_lowercase().as_str() {
            "bypass" => (asked.no_cache, asked.no_store) = (true, true),
            "exact" => asked.exact_only = true,
            _ => return Err(wrong("x-askonce-cache", "`bypass` or `exact`", text)),
        }
    }
    if let Some(text) = text(headers, "x-askonce-threshold")? {
        let threshold = text.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
        asked.threshold = Some(threshold.ok_or_else(|| wrong("x-askonce-threshold", "a number from 0 to 1", text))?);
    }
    if let Some(text) = text(headers, "x-askonce-ttl-s")? {
        let ttl = text.parse().map(Duration::from_secs).map_err(|_| wrong("x-askonce-ttl-s", "whole seconds", text))?;
        asked.ttl = Some(ttl);
    }
    if let Some(text) = text(headers, "x-askonce-staleness")? {
        let class = Staleness::from_word(&text.to_ascii_lowercase());
        let expected = "`never`, `minutes`, `hours`, `days` or `static`";
        asked.staleness = Some(class.ok_or_else(|| wrong("x-askonce-staleness", expected, text))?);
    }
    if let Some(scope) = text(headers, "x-askonce-scope")? {
        if scope.len() > TAG_BYTES {
            return Err(wrong("x-askonce-scope", &format!("at most {TAG_BYTES} bytes"), &format!("{}", scope.len())));
        }
        asked.scope = Some(scope.to_owned());
    }
    if let Some(session) = text(headers, "x-askonce-session")? {
        if session.len() > TAG_BYTES {
            let came = session.len().to_string();
            return Err(wrong("x-askonce-session", &format!("at most {TAG_BYTES} bytes"), &came));
        }
        asked.session = Some(session.to_owned());
    }
    if let Some(text) = text(headers, "x-askonce-trace")? {
        asked.trace = match text {
            "attempts" => true,
            _ => return Err(wrong("x-askonce-trace", "`attempts`", text)),
        };
    }
    if let Some(tags) = text(headers, "x-askonce-tags")? {
        asked.tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        if asked.tags.len() > MOST_TAGS || asked.tags.iter().any(|tag| tag.len() > TAG_BYTES) {
            let expected = format!("at most {MOST_TAGS} tags of at most {TAG_BYTES} bytes");
            return Err(wrong("x-askonce-tags", &expected, "more"));
        }
    }
    if let Some(text) = text(headers, "x-askonce-feedback")? {
        asked.feedback = text.split(',').map(|one| feedback(one.trim())).collect::<Result<_, _>>()?;
        if asked.feedback.len() > MOST_FEEDBACK {
            let expected = format!("at most {MOST_FEEDBACK} answers");
            return Err(wrong("x-askonce-feedback", &expected, &asked.feedback.len().to_string()));
        }
    }
    Ok(asked)
}

/// `ID=right` or `ID=wrong`.
fn feedback(text: &str) -> Result<(String, bool), Error> {
    let said = match text.rsplit_once('=') {
        Some((id, word)) if (1..=ID_BYTES).contains(&id.trim().len()) => Some((id.trim(), word.trim())),
        _ => None,
    };
    match said {
        Some((id, word)) if word.eq_ignore_ascii_case("right") => Ok((id.to_owned(), true)),
        Some((id, word)) if word.eq_ignore_ascii_case("wrong") => Ok((id.to_owned(), false)),
        _ => Err(wrong("x-askonce-feedback", "`ID=right` or `ID=wrong`", text)),
    }
}

/// One directive of `Cache-Control` (RFC 9111, section 5.2.1). Unknown ones are ignored, as the RFC says.
fn cache_control(directive: &str, asked: &mut Directives) -> Result<(), Error> {
    let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
    match name.trim().to_ascii_lowercase().as_str() {
        "no-store" => asked.no_store = true,
        "no-cache" => asked.no_cache = true,
        "only-if-cached" => asked.only_if_cached = true,
        "max-age" => {
            let seconds = value.trim().trim_matches('"').parse::<u64>();
            let seconds = seconds.map_err(|_| wrong("cache-control", "`max-age=SECONDS`", directive))?;
            asked.max_age = Some(Duration::from_secs(seconds));
        }
        _ => {}
    }
    Ok(())
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Error> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| wrong(name, "visible ASCII", "other bytes"))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

fn wrong(header: &'static str, expected: &str, got: &str) -> Error {
    let got: String = got.chars().take(60).collect();
    Error::invalid(header, format!("The header {header} expects {expected}; got `{got}`.")).with_code("invalid_header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_in_one_order_and_whole() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            passed_on(&headers)
        };
        let one = of(&[("anthropic-beta", "a"), ("x-own", "1"), ("anthropic-version", "v"), ("anthropic-beta", "b")]);
        let other = of(&[("anthropic-version", "v"), ("anthropic-beta", "a"), ("anthropic-beta", "b")]);
        assert_eq!(one, other);
        let told: Vec<(&str, &[u8])> = one.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(told, [("anthropic-version", &b"v"[..]), ("anthropic-beta", b"a"), ("anthropic-beta", b"b")]);
    }

    #[test]
    fn conditions_are_told_of_headers_but_of_no_keys() {
        let all = [
            "x-tier",
            "user-agent",
            "x-askonce-session",
            "x-token-budget",
            "x-keys",
            "authorization",
            "cookie",
            "accept",
            "x-api-key",
            "x-goog-api-key",
            "api-key",
            "x-auth-token",
            "x-amz-security-token",
            "x-amz-date",
            "x-client-secret",
            "x-token",
        ];
        let headers =
            HeaderMap::from_iter(all.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("v"))));
        let mut found: Vec<String> = told(&headers).into_iter().map(|(name, _)| name.to_string()).collect();
        found.sort();
        assert_eq!(found, ["user-agent", "x-askonce-session", "x-keys", "x-tier", "x-token-budget"]);
    }

    fn read(headers: &[(&'static str, &'static str)]) -> Result<Directives, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        directives(&map)
    }

    #[test]
    fn reads_wishes() {
        let default = Directives::default;
        let table = [
            (vec![("cache-control", "no-store")], Directives { no_store: true, ..default() }),
            (
                vec![("cache-control", "No-Cache, max-age=\"5\""), ("cache-control", "x=1")],
                Directives { no_cache: true, max_age: Some(Duration::from_secs(5)), ..default() },
            ),
            (vec![("cache-control", "only-if-cached")], Directives { only_if_cached: true, ..default() }),
            (vec![("x-askonce-cache", "bypass")], Directives { no_cache: true, no_store: true, ..default() }),
            (
                vec![("x-askonce-threshold", "0.97"), ("x-askonce-tags", "a, b,,"), ("x-askonce-scope", "user 7")],
                Directives {
                    threshold: Some(0.97),
                    tags: vec!["a".to_owned(), "b".to_owned()],
                    scope: Some("user 7".to_owned()),
                    ..default()
                },
            ),
            (vec![("x-askonce-ttl-s", "60")], Directives { ttl: Some(Duration::from_secs(60)), ..default() }),
            (
                vec![("x-askonce-feedback", "req_1=Wrong, chatcmpl-a=b=right")],
                Directives { feedback: vec![("req_1".into(), false), ("chatcmpl-a=b".into(), true)], ..default() },
            ),
            (vec![], default()),
        ];
        for (headers, expected) in table {
            assert_eq!(read(&headers).unwrap(), expected, "{headers:?}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let table = [
            ("cache-control", "max-age=soon"),
            ("x-askonce-cache", "maybe"),
            ("x-askonce-threshold", "NaN"),
            ("x-askonce-threshold", "2"),
            ("x-askonce-ttl-s", "-1"),
            ("x-askonce-staleness", "weeks"),
            ("x-askonce-feedback", "req_1"),
            ("x-askonce-feedback", "req_1=bad"),
            ("x-askonce-feedback", "=right"),
            ("x-askonce-feedback", "a=right,b=right,c=right,d=right,e=right,f=right,g=right,h=right,i=right"),
        ];
        for header in table {
            let error = read(&[header]).unwrap_err();
            assert_eq!((error.status(), error.param.as_deref()), (400, Some(header.0)), "{header:?}");
        }
    }

    #[test]
    fn finds_the_key_where_each_sdk_puts_it() {
        let of = |uri: &str, headers: &[(&'static str, &'static str)]| {
            let mut request = http::Request::builder().uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            credential(&request.body(()).unwrap().into_parts().0)
        };
        let aws =
            "AWS4-HMAC-SHA256 Credential=sk-1/20261122/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=a";
        let table = [
            ("/", vec![("authorization", "Bearer sk-1"), ("x-api-key", "other")], Some("sk-1")),
            ("/", vec![("x-api-key", "sk-1")], Some("sk-1")),
            ("/", vec![("x-goog-api-key", "sk-1")], Some("sk-1")),
            ("/", vec![("api-key", "sk-1")], Some("sk-1")),
            ("/", vec![("authorization", aws)], Some("sk-1")),
            ("/?alt=sse&key=sk-1", vec![], Some("sk-1")),
            ("/?monkey=sk-1", vec![("x-api-key", "")], None),
        ];
        for (uri, headers, expected) in table {
            assert_eq!(of(uri, &headers).as_deref(), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn reads_bearers() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer sk-1").as_deref(), Some("sk-1"));
        assert_eq!(of("bearer  sk-1 ").as_deref(), Some("sk-1"));
        assert_eq!((of("Basic sk-1"), of("Bearer "), of("Bearer")), (None, None, None));
    }
}
