//! Lines of JSON (`application/x-ndjson`) ↔ server-sent events: one line is the data of one event.
//!
//! Ollama streams so (<https://github.com/ollama/ollama/blob/main/docs/api.md#streaming-responses>). Inside the gateway every
//! stream is one of server-sent events.

use super::sse;
use bytes::BytesMut;
use serde::de::IgnoredAny;
use std::fmt;

/// The content type of such a stream.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// A line may be this long.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// What is wrong with bytes that are no lines of JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

/// Turns lines into server-sent events.
#[derive(Debug, Default)]
pub struct ToSse {
    pending: BytesMut,
    /// Up to here `pending` was searched without finding an end.
    searched: usize,
}

impl ToSse {
    /// Takes the next chunk and adds the events of the lines that are whole with it to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.pending.extend_from_slice(chunk);
        while let Some(at) = self.pending.get(self.searched..).and_then(|new| memchr::memchr(b'\n', new)) {
            let line = self.pending.split_to(self.searched + at + 1);
            self.searched = 0;
            to_sse(&line, out)?;
        }
        self.searched = self.pending.len();
        fits(&self.pending)
    }

    /// The bytes have ended. What is left is a line if it is whole JSON, and an error if it was cut.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.searched = 0;
        let rest = self.pending.split();
        if !rest.trim_ascii().is_empty() && serde_json::from_slice::<IgnoredAny>(&rest).is_err() {
            return Err(Broken("the stream ends in the middle of a line"));
        }
        to_sse(&rest, out)
    }
}

fn fits(line: &[u8]) -> Result<(), Broken> {
    if line.len() <= MAX_LINE_BYTES { Ok(()) } else { Err(Broken("a line is too long")) }
}

/// Writes a line as an event; an empty one is none.
fn to_sse(line: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    fits(line)?;
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(());
    }
    if memchr::memchr(b'\r', line).is_none() {
        sse::write_event(out, line);
    } else {
        sse::write_event(out, &flat(line));
    }
    Ok(())
}

/// Between the words of JSON a line break is but a space, and within a text it is escaped.
fn flat(json: &[u8]) -> Vec<u8> {
    json.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

/// Turns server-sent events into lines.
#[derive(Debug, Default)]
pub struct FromSse {
    splitter: sse::Splitter,
}

impl FromSse {
    /// Takes the next chunk and adds the lines of the events that are whole with it to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.splitter.push(chunk);
        while let Some(event) = self.splitter.next_event() {
            from_sse(&event, out);
        }
    }

    /// The events have ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let rest = self.splitter.rest();
        from_sse(&rest, out);
    }
}

/// Writes an event as a line; a comment is none.
fn from_sse(event: &[u8], out: &mut Vec<u8>) {
    let Some(data) = sse::data(event).filter(|data| !data.trim_ascii().is_empty()) else { return };
    match memchr::memchr2(b'\n', b'\r', &data) {
        None => out.extend_from_slice(&data),
        Some(_) => out.extend_from_slice(&flat(&data)),
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> Result<String, Broken> {
        let (mut lines, mut out) = (ToSse::default(), Vec::new());
        chunks.iter().try_for_each(|chunk| lines.push(chunk, &mut out))?;
        lines.end(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_line_is_an_event() {
        let table = [
            ("", ""),
            ("\n \r\n", ""),
            ("{\"a\":1}\n{\"b\":2}\r\n", "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n"),
            ("{\"a\":\r1}\n\n{\"b\":2}", "data: {\"a\": 1}\n\ndata: {\"b\":2}\n\n"),
        ];
        for (lines, expected) in table {
            assert_eq!(events(&[lines.as_bytes()]).unwrap(), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_cut_line_and_one_without_an_end_are_errors() {
        for cut in ["{\"a\":1}\n{\"b\"", "{\"a\":\"x", "{\"a\":1} {\"b\":2}"] {
            assert_eq!(events(&[cut.as_bytes()]), Err(Broken("the stream ends in the middle of a line")), "{cut}");
        }
        let long = vec![b' '; MAX_LINE_BYTES];
        assert!(ToSse::default().push(&long, &mut Vec::new()).is_ok());
        assert_eq!(events(&[&long, b"  "]), Err(Broken("a line is too long")));
        assert_eq!(events(&[&long, b"\n"]), Err(Broken("a line is too long")));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_lines_come_back(
            texts in proptest::collection::vec(".{0,12}", 0..6),
            cuts in proptest::collection::vec(1usize..20, 0..40),
        ) {
            let lines: String = texts.iter().map(|text| format!("{}\n", serde_json::json!({ "text": text }))).collect();
            let (mut chunks, mut rest) = (Vec::new(), lines.as_bytes());
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            chunks.push(rest);
            let sse = events(&chunks).unwrap();
            prop_assert_eq!(sse.matches("data: ").count() >= texts.len(), true);
            let (mut back, mut out) = (FromSse::default(), Vec::new());
            sse.as_bytes().chunks(7).for_each(|piece| back.push(piece, &mut out));
            back.finish(&mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), lines);
        }
    }
}
