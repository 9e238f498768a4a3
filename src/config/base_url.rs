//! The base URL of a provider: checked once here, so that joining a path to it later is all there is to do.

use http::Uri;

/// What to do about a URL that is refused.
pub(super) const SUGGESTION: &str = "write the part before `/chat/completions`, such as `https://api.example.com/v1`";

/// `text` without a slash at its end. The error says what is wrong, and never quotes it: it may hold a password.
pub fn check(text: &str) -> Result<String, String> {
    if text.contains('#') {
        return Err("a base URL has no fragment (`#…`)".to_owned());
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return Err("expected a URL that begins with `http://` or `https://`".to_owned());
    };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("expected a URL that begins with `http://` or `https://`".to_owned());
    };
    if authority.as_str().contains('@') {
        return Err("a base URL holds no user name or password; use `api_key` or `headers`".to_owned());
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    if authority.host().is_empty() || !(port.is_empty() || authority.port_u16().is_some_and(|port| port > 0)) {
        return Err("expected a host and, if any, a port from 1 to 65535".to_owned());
    }
    if uri.query().is_some() {
        return Err("a base URL has no query (`?…`)".to_owned());
    }
    let text = text.trim_end_matches('/');
    if text.ends_with("/chat/completions") {
        return Err("this is the address of an endpoint, not a base URL".to_owned());
    }
    Ok(text.to_owned())
}

/// As [`check`], of a host whose API stands below paths of its own: a version at the end was meant for another wire.
pub fn check_root(text: &str) -> Result<String, String> {
    let text = check(text)?;
    let version =
        |part: &str| part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let (_, path) = text.split_once("://").unwrap_or_default();
    match path.split('/').skip(1).find(|part| version(part)) {
        Some(part) => Err(format!("this address goes on to a version of the API (`/{part}`), which is added to it")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{check, check_root};

    #[test]
    fn a_root_ends_before_the_version() {
        for text in ["https://api.anthropic.com", "http://127.0.0.1:1/proxy/anthropic", "https://v8.example/vast"] {
            assert_eq!(check_root(text).as_deref(), Ok(text));
        }
        for text in ["https://api.anthropic.com/v1", "https://h/v1beta/openai", "https://h/v2/"] {
            assert!(check_root(text).is_err_and(|why| why.contains("version of the API")), "{text}");
        }
    }

    #[test]
    fn accepts_base_urls() {
        let cases = [
            ("https://api.example.com/v1", "https://api.example.com/v1"),
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://[::1]:8000/", "http://[::1]:8000"),
            ("HTTP://host/a/b", "HTTP://host/a/b"),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_without_quoting_it() {
        let cases = [
            "",
            "/v1",
            "api.example.com",
            "api.example.com:443",
            "ftp://host",
            "file:///etc/passwd",
            "https://",
            "https:///v1",
            "https://ada:hunter2@host/v1",
            "https://host/v1?hunter2=1",
            "https://host/v1#hunter2",
            "https://host:0/",
            "https://host:99999/",
            "https://host:port/",
            "https://ho st/",
            "https://[::1/",
            "https://\u{fc}ber/v1",
            "https://host/v1/chat/completions",
        ];
        for text in cases {
            let error = check(text).expect_err(text);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
