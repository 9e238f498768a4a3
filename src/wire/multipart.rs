//! `multipart/form-data` (RFC 7578, on RFC 2046): where a field stands in a body, which is neither copied nor changed.

use crate::types::error::{Error, ErrorKind};
use memchr::memmem::{self, Finder};
use std::ops::Range;

/// A form may have this many parts.
const MOST_PARTS: usize = 1_000;
/// What stands before a part may be this large.
const HEAD_BYTES: usize = 16 << 10;
/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES: usize = 70;

/// Is a body of this content type a form?
pub fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("multipart/form-data")
}

/// Where the value of the field `name` stands in the form `body`; `None` where the form has no such field. A file is no
/// field, whatever it is called. A field that is there twice is refused: two readers could see two different requests.
pub fn field(content_type: &str, body: &[u8], name: &str) -> Result<Option<Range<usize>>, Error> {
    let boundary = boundary(content_type).ok_or_else(|| {
        wrong("its content type names no boundary; let the HTTP client write the header `content-type` itself")
    })?;
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let parts = Parts { body, delimiter: Finder::new(&delimiter), at: None, seen: 0 };
    let mut found = None;
    for part in parts {
        let Part { head, content } = part?;
        if name_of(head).as_deref() == Some(name) && found.replace(content).is_some() {
            return Err(Error::invalid(name.to_owned(), format!("`{name}` is there twice in the form.")));
        }
    }
    Ok(found)
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<String> {
    let value = parameter(content_type, "boundary")?;
    (1..=BOUNDARY_BYTES).contains(&value.len()).then_some(value)
}

/// The name of a field by the head of its part; `None` where the part is a file, or has no name.
fn name_of(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let is_disposition = |line: &&str| {
        line.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
    };
    let line = head.split("\r\n").find(is_disposition)?;
    if parameter(line, "filename").is_some() || parameter(line, "filename*").is_some() {
        return None;
    }
    parameter(line, "name")
}

/// The value of a parameter of a header: `…; name=value` or `…; name="value"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next.split_once(';')?.1;
    }
}

/// A quoted value, and what follows it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// One part.
struct Part<'b> {
    head: &'b [u8],
    content: Range<usize>,
}

/// The parts of a form, one after another.
struct Parts<'b, 'd> {
    body: &'b [u8],
    /// What stands between them: a line break, two hyphens, the boundary.
    delimiter: Finder<'d>,
    /// Behind the last delimiter; `None` before the first.
    at: Option<usize>,
    seen: usize,
}

impl<'b> Parts<'b, '_> {
    /// Where the next delimiter begins, at or after `from`.
    fn boundary_from(&self, from: usize) -> Option<usize> {
        Some(from + self.delimiter.find(self.body.get(from..)?)?)
    }

    fn step(&mut self) -> Result<Option<Part<'b>>, Error> {
        let delimiter = self.delimiter.needle().len();
        let behind = match self.at {
            Some(at) => at,
            // The first may stand at the very beginning, without a line break before it.
            None if self.body.starts_with(&self.delimiter.needle()[2..]) => delimiter - 2,
            None => delimiter + self.boundary_from(0).ok_or_else(|| wrong("its boundary is not in the body"))?,
        };
        let rest = self.body.get(behind..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(None);
        }
        self.seen += 1;
        if self.seen > MOST_PARTS {
            return Err(wrong(&format!("it has more than {MOST_PARTS} parts")));
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line = &rest[padding..];
        if !line.starts_with(b"\r\n") {
            return Err(wrong("a boundary is not followed by a line break"));
        }
        // A head may have no lines at all; the line break behind the boundary then is its beginning, too.
        let window = &line[..line.len().min(HEAD_BYTES)];
        let head = memmem::find(window, b"\r\n\r\n").ok_or_else(|| wrong("a part has no end of its head"))?;
        let start = behind + padding + head + 4;
        let end = self.boundary_from(start).ok_or_else(|| wrong("its last boundary is missing"))?;
        self.at = Some(end + delimiter);
        Ok(Some(Part { head: &line[..head], content: start..end }))
    }
}

impl<'b> Iterator for Parts<'b, '_> {
    type Item = Result<Part<'b>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("The body is no valid form: {why}.")).with_code("invalid_form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: &str = "multipart/form-data; boundary=XX";

    fn found(body: &str) -> Result<Option<String>, String> {
        let span = field(KIND, body.as_bytes(), "model").map_err(|error| error.message)?;
        Ok(span.map(|span| body[span].to_owned()))
    }

    fn part(head: &str, content: &str) -> String {
        format!("--XX\r\n{head}\r\n\r\n{content}\r\n")
    }

    #[test]
    fn finds_the_field_and_nothing_like_it() {
        let model = part("Content-Disposition: form-data; name=\"model\"", "whisper-1");
        let file = part("Content-Disposition: form-data; name=\"model\"; filename=\"m\"\r\nContent-Type: x/y", "no");
        let starred = part("Content-Disposition: form-data; filename*=UTF-8''m; name=model", "no");
        let quoted = part("content-disposition:form-data;name=\"mo\\del\" ; x=1", "odd");
        let inside = part("Content-Disposition: form-data; name=\"file\"", "name=\"model\"\r\n\r\nno\r\n--X\r\n");
        let other = part("Content-Disposition: form-data; name=\"models\"", "no");
        let headless = "--XX\r\n\r\nno\r\n";
        let table = [
            (format!("{model}--XX--\r\n"), Some("whisper-1")),
            (format!("{file}{starred}{inside}{other}{headless}{model}--XX--"), Some("whisper-1")),
            (format!("preamble\r\n{model}--XX--\r\nepilogue --XX"), Some("whisper-1")),
            (format!("{quoted}--XX--"), Some("odd")),
            (format!("{}--XX--", part("Content-Disposition: form-data; name=model", "")), Some("")),
            (format!("--XX \t\r\n{}--XX--", &model[6..]), Some("whisper-1")),
            (format!("{file}{starred}{inside}--XX--"), None),
            ("--XX--\r\n".to_owned(), None),
        ];
        for (body, expected) in table {
            assert_eq!(found(&body), Ok(expected.map(str::to_owned)), "{body:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_form() {
        let model = part("Content-Disposition: form-data; name=\"model\"", "a");
        let table = [
            (format!("{model}{model}--XX--"), "`model` is there twice"),
            (model.clone(), "its last boundary is missing"),
            (format!("--XXY\r\n{}--XX--", &model[6..]), "not followed by a line break"),
            ("--XX\r\nContent-Disposition: form-data\r\n--XX--".to_owned(), "no end of its head"),
            (String::new(), "its boundary is not in the body"),
            (format!("{}--XX--", part("a: b", "c").repeat(MOST_PARTS + 1)), "more than 1000 parts"),
        ];
        for (body, expected) in table {
            let told = found(&body).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
        for kind in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a"] {
            assert!(field(kind, b"", "model").unwrap_err().message.contains("names no boundary"), "{kind}");
        }
    }

    #[test]
    fn knows_forms_and_boundaries() {
        assert!(is_form("Multipart/Form-Data; boundary=x") && !is_form("multipart/mixed; boundary=x"));
        let table = [
            ("multipart/form-data; charset=utf-8; Boundary=\"a b;c\"", Some("a b;c")),
            ("multipart/form-data;boundary=----Web1 ; x=y", Some("----Web1")),
            ("multipart/form-data; boundary", None),
        ];
        for (kind, expected) in table {
            assert_eq!(boundary(kind).as_deref(), expected, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(body: Vec<u8>) {
            let _ = field(KIND, &body, "model");
        }

        #[test]
        fn finds_it_beside_any_bytes(before: Vec<u8>, value in "[ -~]{0,40}") {
            prop_assume!(memmem::find(&before, b"--XX").is_none());
            let mut body = b"--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n".to_vec();
            body.extend_from_slice(&before);
            let head = "\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";
            body.extend_from_slice(format!("{head}{value}\r\n--XX--\r\n").as_bytes());
            let span = field(KIND, &body, "model").unwrap().unwrap();
            prop_assert_eq!(&body[span], value.as_bytes());
        }
    }
}
