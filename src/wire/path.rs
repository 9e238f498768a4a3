//! Text ↔ a segment of a path (RFC 3986, section 3.3).

/// `text` as one segment of a path: what is not unreserved is written as `%XX`.
///
/// `None` where no writing helps: an empty segment, and `.` and `..`, which mean other segments however they are written
/// (<https://url.spec.whatwg.org/#single-dot-path-segment>).
pub fn segment(text: &str) -> Option<String> {
    if matches!(text, "" | "." | "..") {
        return None;
    }
    Some(percent_encoded(text))
}

/// `text` with every byte escaped that has a meaning in a path, a query or a form.
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_one_segment() {
        let table = [
            ("file-abc_1.2~3", Some("file-abc_1.2~3")),
            ("a/b", Some("a%2Fb")),
            ("../x", Some("..%2Fx")),
            ("a?b#c%2e", Some("a%3Fb%23c%252e")),
            ("{model}", Some("%7Bmodel%7D")),
            ("é\n", Some("%C3%A9%0A")),
            ("...", Some("...")),
            (".", None),
            ("..", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(segment(text).as_deref(), expected, "{text:?}");
        }
    }
}
