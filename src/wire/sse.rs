//! Server-sent events: a byte stream split into whole events, and events written.
//!
//! After <https://html.spec.whatwg.org/multipage/server-sent-events.html>: lines end in LF, CRLF or CR, an event ends
//! at an empty line, several `data` lines are joined by LF.

use bytes::{Bytes, BytesMut};

/// Collects chunks and hands out whole events, as the bytes they came in.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: BytesMut,
    /// Up to here `pending` was searched without finding an end.
    searched: usize,
}

impl Splitter {
    /// Takes the next chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
    }

    /// The next whole event with its terminating empty line, if one is there.
    pub fn next_event(&mut self) -> Option<Bytes> {
        let from = self.searched.saturating_sub(3);
        match end_of_event(&self.pending, from) {
            Some(end) => {
                self.searched = 0;
                Some(self.pending.split_to(end).freeze())
            }
            None => {
                self.searched = self.pending.len();
                None
            }
        }
    }

    /// Bytes held back: an event that has begun and not ended.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What is left when the stream has ended without an empty line.
    pub fn rest(&mut self) -> Bytes {
        self.searched = 0;
        self.pending.split().freeze()
    }
}

/// Index just past the empty line that ends the first event.
fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    for at in memchr::memchr2_iter(b'\n', b'\r', &bytes[from..]).map(|at| at + from) {
        let rest = &bytes[at..];
        for end in [b"\n\n".as_slice(), b"\r\n\r\n", b"\r\r", b"\n\r\n"] {
            if rest.starts_with(end) {
                return Some(at + end.len());
            }
        }
    }
    None
}

/// One event, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event<'e> {
    /// Its name; empty where it has none.
    pub name: &'e str,
    /// Its data.
    pub data: std::borrow::Cow<'e, [u8]>,
}

/// Reads an event: `None` for a comment or keep-alive.
pub fn event(event: &[u8]) -> Option<Event<'_>> {
    if let Some(data) = only_line(event) {
        return Some(Event { name: "", data: data.into() });
    }
    let data = data(event)?;
    let mut lines = event.split(|&byte| byte == b'\n' || byte == b'\r');
    let name = lines.find_map(|line| line.strip_prefix(b"event:")).unwrap_or_default();
    Some(Event { name: std::str::from_utf8(name).unwrap_or_default().trim(), data })
}

/// The `data` of an event that has nothing else, as nearly all have; `None` of any other.
fn only_line(event: &[u8]) -> Option<&[u8]> {
    let line = event.strip_prefix(b"data:")?;
    let end = memchr::memchr2(b'\n', b'\r', line)?;
    let (value, ends) = line.split_at(end);
    // It ends with its empty line, or with the one before.
    let is_all = ends.len() <= 4 && ends.iter().all(|byte| matches!(byte, b'\n' | b'\r'));
    is_all.then(|| value.strip_prefix(b" ").unwrap_or(value))
}

/// The `data` of an event: `None` for a comment or keep-alive.
pub fn data(event: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
    if let Some(value) = only_line(event) {
        return Some(value.into());
    }
    let mut lines = event.split(|&byte| byte == b'\n' || byte == b'\r').filter_map(|line| {
        let rest = line.strip_prefix(b"data")?;
        match rest {
            [] => Some(rest),
            [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
            _ => None,
        }
    });
    let first = lines.next()?;
    let Some(second) = lines.next() else {
        return Some(first.into());
    };
    let mut joined = first.to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.push(b'\n');
        joined.extend_from_slice(line);
    }
    Some(joined.into())
}

/// Writes one `data` event. `json` must hold no line break.
pub fn write_event(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
}

/// Writes one event with a name. `json` must hold no line break.
pub fn write_named(out: &mut Vec<u8>, name: &str, json: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    write_event(out, json);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Vec<Bytes> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(event) = splitter.next_event() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn reads_all_line_ends() {
        for text in ["data: a\n\ndata:b\n\n", "data: a\r\n\r\ndata:b\r\n\r\n", "data: a\r\rdata:b\r\r"] {
            let events = split(&[text.as_bytes()]);
            let seen: Vec<_> = events.iter().filter_map(|event| data(event)).collect();
            assert_eq!(seen, [b"a".as_slice(), b"b"], "{text:?}");
        }
        assert_eq!(data(b": keep-alive\n\n"), None);
        let read = event(b"event: ping\r\ndata: {}\r\n\r\n").unwrap();
        assert_eq!((read.name, read.data.as_ref()), ("ping", b"{}".as_slice()));
        assert_eq!(data(b"event: x\ndata: 1\ndata: 2\n\n").as_deref(), Some(b"1\n2".as_slice()));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cuts in proptest::collection::vec(1usize..9, 0..40)) {
            let text = b"data: {\"a\":1}\n\n: ping\n\nid: 4\r\ndata: x\r\ndata: y\r\n\r\ndata: [DONE]\n\n".as_slice();
            let whole = split(&[text]);
            prop_assert_eq!(whole.len(), 4);
            let mut chunks = Vec::new();
            let mut rest = text;
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            chunks.push(rest);
            prop_assert_eq!(split(&chunks), whole);
        }
    }
}
