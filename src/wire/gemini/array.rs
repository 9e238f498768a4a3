//! A stream as one JSON list, which is what a caller of `streamGenerateContent` without `alt=sse` gets: each event's data
//! is an item, an error among them.

use crate::wire::sse::{Splitter, data};

/// An event that has begun may be this long; the gateway's own limit for one is below.
const EVENT_BYTES: usize = 64 * 1024 * 1024;

/// Turns the bytes of a stream of events into those of a list.
#[derive(Debug, Default)]
pub struct ArrayForm {
    splitter: Splitter,
    begun: bool,
}

impl ArrayForm {
    /// Takes the next bytes of the stream and writes what they amount to. False: an event is longer than any should be,
    /// and the stream is to be broken off.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        self.splitter.push(bytes);
        while let Some(event) = self.splitter.next_event() {
            self.item(&event, out);
        }
        self.splitter.pending() <= EVENT_BYTES
    }

    /// Writes the end of a stream that has ended, well or with an error that was its last event.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let rest = self.splitter.rest();
        self.item(&rest, out);
        if !self.begun {
            out.push(b'[');
        }
        out.extend_from_slice(b"]");
    }

    fn item(&mut self, event: &[u8], out: &mut Vec<u8>) {
        let Some(json) = data(event).filter(|json| !json.trim_ascii().is_empty()) else { return };
        // A line break after each comma, as Google sends it: some read such a list line by line.
        out.extend_from_slice(if std::mem::replace(&mut self.begun, true) { b",\r\n" } else { b"[" });
        out.extend_from_slice(json.trim_ascii());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(chunks: &[&[u8]]) -> String {
        let (mut form, mut out) = (ArrayForm::default(), Vec::new());
        for chunk in chunks {
            assert!(form.push(chunk, &mut out));
        }
        form.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_become_items() {
        let table: [(&str, &str); 5] = [
            ("", "[]"),
            (": ping\n\n", "[]"),
            ("data: {\"a\":1}\n\n", "[{\"a\":1}\n]"),
            (
                "data: {\"a\":1}\r\n\r\n: ping\n\ndata: {\"error\":{\"code\":503}}\n\n",
                "[{\"a\":1}\n,\r\n{\"error\":{\"code\":503}}\n]",
            ),
            ("data: {\"a\":1}\n\ndata: {\"b\":2}", "[{\"a\":1}\n,\r\n{\"b\":2}\n]"),
        ];
        for (events, expected) in table {
            assert_eq!(list(&[events.as_bytes()]), expected, "{events:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_the_list_is_json(
            texts in proptest::collection::vec(".{0,12}", 0..6),
            cuts in proptest::collection::vec(1usize..20, 0..40),
        ) {
            let mut stream = Vec::new();
            for text in &texts {
                let json = serde_json::json!({ "text": text }).to_string();
                crate::wire::sse::write_event(&mut stream, json.as_bytes());
            }
            let whole = list(&[&stream]);
            let (mut chunks, mut rest) = (Vec::new(), stream.as_slice());
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            chunks.push(rest);
            prop_assert_eq!(&list(&chunks), &whole);
            let items: Vec<serde_json::Value> = serde_json::from_str(&whole).unwrap();
            let read: Vec<_> = items.iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect();
            prop_assert_eq!(read, texts);
        }
    }
}
