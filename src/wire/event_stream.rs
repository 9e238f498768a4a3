//! The binary framing `application/vnd.amazon.eventstream`: bytes ↔ messages, and messages ↔ server-sent events.
//!
//! After <https://smithy.io/2.0/aws/amazon-eventstream.html>. A message is: its length, the length of its headers, the
//! CRC32 of those eight bytes; headers; payload; the CRC32 of everything before. All numbers are big-endian.
//!
//! Inside the gateway every stream is one of server-sent events. An event keeps its type as the event's name
//! (`event: contentBlockDelta`), an exception its own (`event: throttlingException`), and an error is `event: error` with
//! its code and message in an object.

use super::json::parse;
use super::sse;
use super::write;
use crate::types::json::Json;
use bytes::{Buf, Bytes, BytesMut};
use std::fmt;

/// The content type of such a stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// A payload may be this large.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// The headers of a message may be this large.
pub const MAX_HEADERS_BYTES: usize = 128 << 10;

/// Lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// What a message has beside headers and payload.
const FRAME_BYTES: usize = PRELUDE_BYTES + 4;
/// A text in a header may be this long.
const MAX_TEXT_BYTES: usize = 32_767;

/// One message. Of its headers those that are texts; the gateway needs no other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// Names and values, as they came.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub payload: Bytes,
}

/// What is wrong with bytes that are no event stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

impl Message {
    /// The header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Collects chunks and hands out whole messages.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: BytesMut,
}

impl Decoder {
    /// Takes the next chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
    }

    /// The next whole message, if one is there. After an error nothing that follows can be trusted.
    pub fn next_message(&mut self) -> Result<Option<Message>, Broken> {
        let Some((total, headers)) = lengths(&self.pending)? else { return Ok(None) };
        if self.pending.len() < total {
            return Ok(None);
        }
        let mut frame = self.pending.split_to(total).freeze();
        let body = total - 4;
        let (checked, sum) = (frame.get(..body).unwrap_or_default(), frame.get(body..).and_then(number));
        if sum != Some(crc32fast::hash(checked)) {
            return Err(Broken("a message's checksum is wrong"));
        }
        let headers_end = PRELUDE_BYTES + headers;
        let headers = read_headers(frame.get(PRELUDE_BYTES..headers_end).unwrap_or_default())?;
        frame.truncate(body);
        frame.advance(headers_end);
        Ok(Some(Message { headers, payload: frame }))
    }

    /// Bytes held back: a message that has begun and not ended.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

/// The lengths of the whole message and of its headers, once its prelude is there.
fn lengths(bytes: &[u8]) -> Result<Option<(usize, usize)>, Broken> {
    let (Some(total), Some(headers), Some(sum)) = (
        bytes.get(0..4).and_then(number),
        bytes.get(4..8).and_then(number),
        bytes.get(8..PRELUDE_BYTES).and_then(number),
    ) else {
        return Ok(None);
    };
    if sum != crc32fast::hash(bytes.get(..8).unwrap_or_default()) {
        return Err(Broken("the checksum of a message's lengths is wrong"));
    }
    let (total, headers) = (total as usize, headers as usize);
    if headers > MAX_HEADERS_BYTES {
        return Err(Broken("a message's headers are too large"));
    }
    if total < FRAME_BYTES + headers {
        return Err(Broken("a message is shorter than its headers"));
    }
    if total - FRAME_BYTES - headers > MAX_PAYLOAD_BYTES {
        return Err(Broken("a message's payload is too large"));
    }
    Ok(Some((total, headers)))
}

/// Four bytes as a number.
fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Reads headers: a name with its length in a byte, the type in a byte, and a value of that type.
fn read_headers(mut bytes: &[u8]) -> Result<Vec<(String, String)>, Broken> {
    const SHORT: Broken = Broken("a header ends too early");
    let mut headers = Vec::new();
    while let Some((&name, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(name)).ok_or(SHORT)?;
        let (&kind, rest) = rest.split_first().ok_or(SHORT)?;
        let (size, rest) = match kind {
            // true, false
            0 | 1 => (0, rest),
            // byte, short, integer, long, time, uuid
            2 => (1, rest),
            3 => (2, rest),
            4 => (4, rest),
            5 | 8 => (8, rest),
            9 => (16, rest),
            // bytes, text
            6 | 7 => {
                let (size, rest) = rest.split_at_checked(2).ok_or(SHORT)?;
                (usize::from(u16::from_be_bytes(size.try_into().map_err(|_| SHORT)?)), rest)
            }
            _ => return Err(Broken("a header is of an unknown type")),
        };
        let (value, rest) = rest.split_at_checked(size).ok_or(SHORT)?;
        if kind == 7 {
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
            let (Ok(name), Ok(value)) = (text(name), text(value)) else {
                return Err(Broken("a header is not UTF-8"));
            };
            headers.push((name, value));
        }
        bytes = rest;
    }
    Ok(headers)
}

/// Writes one message at the end of `out`. A text that no header can hold is cut.
pub fn encode(headers: &[(&str, &str)], payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE_BYTES]);
    for (name, value) in headers {
        let name = cut(name, usize::from(u8::MAX));
        let value = cut(value, MAX_TEXT_BYTES);
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.push(7);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let headers = out.len() - start - PRELUDE_BYTES;
    let total = FRAME_BYTES + headers + payload.len();
    let mut prelude = [0; PRELUDE_BYTES];
    prelude[..4].copy_from_slice(&u32::try_from(total).unwrap_or(u32::MAX).to_be_bytes());
    prelude[4..8].copy_from_slice(&u32::try_from(headers).unwrap_or(u32::MAX).to_be_bytes());
    let sum = crc32fast::hash(&prelude[..8]);
    prelude[8..].copy_from_slice(&sum.to_be_bytes());
    out[start..start + PRELUDE_BYTES].copy_from_slice(&prelude);
    out.extend_from_slice(payload);
    let sum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&sum.to_be_bytes());
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Turns an event stream into server-sent events.
#[derive(Debug, Default)]
pub struct ToSse {
    decoder: Decoder,
}

impl ToSse {
    /// Takes the next chunk and adds the events that are whole with it to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.decoder.push(chunk);
        while let Some(message) = self.decoder.next_message()? {
            to_sse(&message, out);
        }
        Ok(())
    }

    /// The bytes have ended. An error in the middle of a message.
    pub fn end(&self) -> Result<(), Broken> {
        if self.decoder.pending() == 0 { Ok(()) } else { Err(Broken("the stream ends in the middle of a message")) }
    }
}

/// Turns server-sent events into an event stream.
#[derive(Debug, Default)]
pub struct FromSse {
    splitter: sse::Splitter,
}

impl FromSse {
    /// Takes the next chunk and adds the messages that are whole with it to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.splitter.push(chunk);
        while let Some(event) = self.splitter.next_event() {
            from_sse(&event, out);
        }
    }
}

/// Writes a message as a server-sent event.
pub fn to_sse(message: &Message, out: &mut Vec<u8>) {
    let name = match message.header(":message-type") {
        Some("exception") => message.header(":exception-type").unwrap_or("internalServerException"),
        Some("error") => {
            let object = write::to_vec(|o| {
                o.maybe_text("__type", message.header(":error-code"));
                o.text("message", message.header(":error-message").unwrap_or_default());
            });
            return sse::write_named(out, "error", &object);
        }
        _ => message.header(":event-type").unwrap_or("message"),
    };
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    match memchr::memchr2(b'\n', b'\r', &message.payload) {
        None => sse::write_named(out, &name, &message.payload),
        Some(_) => {
            // Between the words of JSON a line break is but a space, and within a text it is escaped.
            let flat: Vec<u8> =
                message.payload.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect();
            sse::write_named(out, &name, &flat);
        }
    }
}

/// Writes a server-sent event as a message; a comment is none.
pub fn from_sse(event: &[u8], out: &mut Vec<u8>) {
    const JSON: (&str, &str) = (":content-type", "application/json");
    let Some(event) = sse::event(event) else { return };
    if event.name == "error" {
        let json = parse(&event.data).ok();
        let text = |name: &str| json.as_ref().and_then(|json| json.get(name)).and_then(Json::as_str);
        let code = text("__type").unwrap_or("InternalServerException");
        let message = text("message").unwrap_or_default();
        encode(&[(":error-code", code), (":error-message", message), (":message-type", "error")], b"", out);
    } else if event.name.ends_with("Exception") {
        encode(&[(":exception-type", event.name), JSON, (":message-type", "exception")], &event.data, out);
    } else {
        encode(&[(":event-type", event.name), JSON, (":message-type", "event")], &event.data, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(headers, payload, &mut out);
        out
    }

    /// A frame with these header bytes.
    fn raw(headers: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&((FRAME_BYTES + headers.len()) as u32).to_be_bytes());
        out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out.extend_from_slice(headers);
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    fn all(chunks: &[&[u8]]) -> Result<Vec<Message>, Broken> {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(message) = decoder.next_message()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn the_smallest_message_is_as_the_specification_has_it() {
        let bytes = [0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
        assert_eq!(frame(&[], b""), bytes);
        assert_eq!(all(&[&bytes]), Ok(vec![Message::default()]));
    }

    #[test]
    fn every_type_of_header_is_skipped_but_texts() {
        let mut headers = Vec::new();
        for (kind, size) in [(0u8, 0usize), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
            headers.extend_from_slice(&[1, b'x', kind]);
            headers.extend(std::iter::repeat_n(7, size));
        }
        headers.extend_from_slice(&[1, b'b', 6, 0, 2, 0xff, 0xfe, 1, b't', 7, 0, 2, b'o', b'k']);
        let messages = all(&[&raw(&headers)]).unwrap();
        assert_eq!(messages[0].headers, [("t".to_owned(), "ok".to_owned())]);
        for wrong in
            [&[1u8][..], &[1, b'x'], &[1, b'x', 10], &[1, b'x', 7, 0], &[1, b'x', 7, 0, 2, b'o'], &[1, b'x', 9]]
        {
            assert!(all(&[&raw(wrong)]).is_err(), "{wrong:?}");
        }
        assert!(all(&[&raw(&[1, b'x', 7, 0, 1, 0xff])]).is_err(), "no UTF-8");
    }

    #[test]
    fn lengths_that_lie_are_refused_at_once() {
        for (total, headers) in [(15u32, 0u32), (20, 8), (u32::MAX, 0), (1 << 20, (128 << 10) + 1)] {
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&total.to_be_bytes());
            bytes.extend_from_slice(&headers.to_be_bytes());
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            assert!(all(&[&bytes]).is_err(), "{total} {headers}");
        }
    }

    #[test]
    fn messages_are_events_and_back() {
        let event = |name| [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
        let table = [
            (frame(&event("messageStop"), br#"{"a":1}"#), "event: messageStop\ndata: {\"a\":1}\n\n"),
            (
                frame(
                    &[
                        (":exception-type", "throttlingException"),
                        (":content-type", "application/json"),
                        (":message-type", "exception"),
                    ],
                    br#"{"message":"slow"}"#,
                ),
                "event: throttlingException\ndata: {\"message\":\"slow\"}\n\n",
            ),
            (
                frame(&[(":error-code", "Oh"), (":error-message", "no\n"), (":message-type", "error")], b""),
                "event: error\ndata: {\"__type\":\"Oh\",\"message\":\"no\\n\"}\n\n",
            ),
        ];
        for (bytes, text) in table {
            let (mut sse, mut back) = (Vec::new(), Vec::new());
            let mut to = ToSse::default();
            to.push(&bytes, &mut sse).unwrap();
            assert_eq!((String::from_utf8_lossy(&sse).as_ref(), to.end()), (text, Ok(())));
            FromSse::default().push(&sse, &mut back);
            assert_eq!(back, bytes, "{text}");
        }
        let mut sse = Vec::new();
        ToSse::default().push(&frame(&event("x"), b"{\n\"a\":1\r\n}"), &mut sse).unwrap();
        assert_eq!(sse, b"event: x\ndata: { \"a\":1  }\n\n");
        let mut none = Vec::new();
        FromSse::default().push(b": ping\n\n", &mut none);
        assert!(none.is_empty());
        let mut cut = ToSse::default();
        cut.push(&frame(&[], b"x")[..9], &mut none).unwrap();
        assert!(cut.end().is_err());
    }

    type Wanted = (Vec<(String, String)>, Vec<u8>);

    fn message() -> impl Strategy<Value = Wanted> {
        let header = ("[:a-z-]{1,20}", "\\PC{0,30}");
        (proptest::collection::vec(header, 0..5), proptest::collection::vec(any::<u8>(), 0..80))
    }

    fn written(messages: &[Wanted]) -> Vec<u8> {
        let mut out = Vec::new();
        for (headers, payload) in messages {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            encode(&headers, payload, &mut out);
        }
        out
    }

    proptest! {
        #[test]
        fn messages_come_back_wherever_they_were_cut(
            messages in proptest::collection::vec(message(), 0..6),
            cuts in proptest::collection::vec(1usize..40, 0..30),
        ) {
            let bytes = written(&messages);
            let mut chunks = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            chunks.push(rest);
            let read: Vec<_> =
                all(&chunks).unwrap().into_iter().map(|one| (one.headers, one.payload.to_vec())).collect();
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn a_flipped_bit_is_no_message(one in message(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = written(&[one]);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // What grew longer waits for the rest; nothing is taken for a message.
            prop_assert!(all(&[&bytes]).map(|messages| messages.is_empty()).unwrap_or(true));
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&[&bytes]);
            let _ = read_headers(&bytes);
            let (mut frames, mut events) = (Vec::new(), Vec::new());
            FromSse::default().push(&bytes, &mut frames);
            prop_assert!(ToSse::default().push(&frames, &mut events).is_ok());
        }
    }
}
