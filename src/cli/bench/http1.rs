//! `Inbound`: the receiving half of HTTP/1.1 on a blocking stream, for both the load generator and the mock upstream.
//!
//! Blocking and own, because here a runtime would be part of what is measured: its timers tick in milliseconds and a
//! hand-over between threads costs as much as the gateway itself.

use memchr::{memchr, memmem};
use std::io::{self, ErrorKind, Read};

/// Bytes of the receive buffer; a message head must fit in it.
const BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of a body beyond which the other side is taken to be broken.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The start line and header lines of one message.
#[derive(Debug)]
pub struct Head(Vec<u8>);

impl Head {
    /// The request line or status line.
    pub fn start_line(&self) -> &str {
        self.lines().next().unwrap_or_default()
    }

    /// The value of the first header called `name`, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The status code, if this is the head of a response.
    pub fn status(&self) -> Option<u16> {
        let mut words = self.start_line().split(' ');
        words.next().filter(|version| version.starts_with("HTTP/1."))?;
        words.next()?.parse().ok()
    }

    /// Whether the sender means to close the connection after this message.
    pub fn closes(&self) -> bool {
        self.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// How long the body is. `to_close` is what a body without a length means: until the end for a response, none for
    /// a request.
    pub fn framing(&self, to_close: Framing) -> io::Result<Framing> {
        if let Some(coding) = self.get("transfer-encoding") {
            return if coding.eq_ignore_ascii_case("chunked") {
                Ok(Framing::Chunked)
            } else {
                Err(garbled(format!("unknown transfer-encoding {coding:?}")))
            };
        }
        match self.get("content-length") {
            Some(text) => match text.parse() {
                Ok(length) if length <= BODY_BYTES_MAX => Ok(Framing::Length(length)),
                _ => Err(garbled(format!("content-length {text:?} is not a length up to {BODY_BYTES_MAX}"))),
            },
            None => Ok(to_close),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.split(|&byte| byte == b'\n').map(|line| str::from_utf8(line).unwrap_or_default().trim_end())
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// So many bytes.
    Length(usize),
    /// Chunks, the last one empty.
    Chunked,
    /// Up to the end of the stream.
    ToClose,
}

/// A stream with a receive buffer in front of it.
#[derive(Debug)]
pub struct Inbound<S> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<S: Read> Inbound<S> {
    /// Reads messages from `stream`.
    pub fn new(stream: S) -> Inbound<S> {
        Inbound { stream, buffer: vec![0; BUFFER_BYTES].into(), start: 0, end: 0 }
    }

    /// The stream, to write to.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The next message head; `None` if the stream ended before one began.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(at) = memmem::find(&self.buffer[self.start..self.end], b"\r\n\r\n") {
                let head = self.buffer[self.start..self.start + at].to_vec();
                self.start += at + 4;
                return Ok(Some(Head(head)));
            }
            if self.fill()? == 0 {
                return if self.start == self.end { Ok(None) } else { Err(cut_off("a message head")) };
            }
        }
    }

    /// Reads a whole body into `body` (emptied first), calling `on_bytes` whenever some of it arrived.
    pub fn read_body(&mut self, framing: Framing, body: &mut Vec<u8>, mut on_bytes: impl FnMut()) -> io::Result<()> {
        body.clear();
        match framing {
            Framing::Length(length) => self.copy(length, body, &mut on_bytes),
            Framing::Chunked => loop {
                let size = self.read_chunk_size()?;
                if size == 0 {
                    while !self.read_line()?.is_empty() {}
                    return Ok(());
                }
                if size > BODY_BYTES_MAX - body.len() {
                    return Err(garbled(format!("a body of more than {BODY_BYTES_MAX} bytes")));
                }
                self.copy(size, body, &mut on_bytes)?;
                if !self.read_line()?.is_empty() {
                    return Err(garbled("a chunk longer than its stated size".into()));
                }
            },
            Framing::ToClose => loop {
                let held = self.end - self.start;
                if held == 0 && self.fill()? == 0 {
                    return Ok(());
                }
                if body.len() > BODY_BYTES_MAX {
                    return Err(garbled(format!("a body of more than {BODY_BYTES_MAX} bytes")));
                }
                self.copy(self.end - self.start, body, &mut on_bytes)?;
            },
        }
    }

    fn read_chunk_size(&mut self) -> io::Result<usize> {
        let line = self.read_line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        usize::from_str_radix(digits, 16).map_err(|_| garbled(format!("chunk size {line:?} is not a hex number")))
    }

    /// One line without its line end.
    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.start..self.end]) {
                let line = String::from_utf8_lossy(&self.buffer[self.start..self.start + at]).trim_end().to_owned();
                self.start += at + 1;
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(cut_off("a chunked body"));
            }
        }
    }

    fn copy(&mut self, mut left: usize, body: &mut Vec<u8>, on_bytes: &mut impl FnMut()) -> io::Result<()> {
        while left > 0 {
            if self.start == self.end && self.fill()? == 0 {
                return Err(cut_off("a body"));
            }
            let taken = left.min(self.end - self.start);
            body.extend_from_slice(&self.buffer[self.start..self.start + taken]);
            self.start += taken;
            left -= taken;
            on_bytes();
        }
        Ok(())
    }

    /// Reads once; 0 means that the stream has ended.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err(garbled(format!("a line or head of more than {BUFFER_BYTES} bytes")));
        }
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn garbled(text: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

fn cut_off(what: &str) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, format!("the connection ended within {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of one size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn reads_messages_however_they_are_cut() {
        let wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A:  b \r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nt: v\r\n\r\n\
            HTTP/1.1 503 Busy\r\ncontent-length: 2\r\nConnection: close\r\n\r\nno";
        for size in 1..wire.len() {
            let mut inbound = Inbound::new(Pieces(wire, size));
            let mut body = Vec::new();
            let head = inbound.read_head().unwrap().unwrap();
            assert_eq!((head.status(), head.get("x-a"), head.closes()), (Some(200), Some("b"), false));
            let mut arrivals = 0;
            inbound.read_body(head.framing(Framing::ToClose).unwrap(), &mut body, || arrivals += 1).unwrap();
            assert_eq!(body, b"hello!");
            assert!(arrivals >= 2, "{arrivals}");
            let head = inbound.read_head().unwrap().unwrap();
            assert_eq!((head.status(), head.closes()), (Some(503), true));
            inbound.read_body(head.framing(Framing::ToClose).unwrap(), &mut body, || ()).unwrap();
            assert_eq!(body, b"no");
            assert!(inbound.read_head().unwrap().is_none());
        }
    }

    #[test]
    fn refuses_what_is_broken() {
        let cases: [(&[u8], ErrorKind); 6] = [
            (b"HTTP/1.1 200 OK\r\ncont", ErrorKind::UnexpectedEof),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", ErrorKind::UnexpectedEof),
            (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", ErrorKind::InvalidData),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", ErrorKind::InvalidData),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", ErrorKind::InvalidData),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n", ErrorKind::InvalidData),
        ];
        for (wire, kind) in cases {
            let mut inbound = Inbound::new(Pieces(wire, 7));
            let read = inbound.read_head().and_then(|head| {
                let framing = head.unwrap().framing(Framing::ToClose)?;
                inbound.read_body(framing, &mut Vec::new(), || ())
            });
            assert_eq!(read.unwrap_err().kind(), kind, "{}", String::from_utf8_lossy(wire));
        }
        let endless = vec![b'a'; BUFFER_BYTES + 1];
        assert_eq!(Inbound::new(Pieces(&endless, 4096)).read_head().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn reads_a_body_to_the_end_of_the_stream() {
        let mut inbound = Inbound::new(Pieces(b"HTTP/1.0 200 OK\r\n\r\nall of it", 4));
        let head = inbound.read_head().unwrap().unwrap();
        let mut body = Vec::new();
        inbound.read_body(head.framing(Framing::ToClose).unwrap(), &mut body, || ()).unwrap();
        assert_eq!(body, b"all of it");
    }
}
