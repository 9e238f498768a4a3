//! Reading HTTP/1.1 messages as they arrive, in whatever pieces: the start line and headers, then the body by its length or in chunks.

use memchr::{memchr, memmem};

/// A message that is being read.
#[derive(Default)]
pub struct Message {
    /// The start line and header lines, once all of them are there.
    pub head: Vec<u8>,
    /// What has come of the body, without its framing.
    pub body: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum State {
    #[default]
    Head,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    Ended,
}

impl Message {
    /// Takes from `bytes` what belongs to this message, and gives how much that was. A message that has ended takes nothing more.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut used = 0;
        while used < bytes.len() || self.state == State::Length(0) {
            let rest = &bytes[used..];
            used += match self.state {
                State::Head => match memmem::find(rest, b"\r\n\r\n") {
                    Some(at) => {
                        self.head.extend_from_slice(&rest[..at]);
                        self.state = self.framing()?;
                        at + 4
                    }
                    // The caller keeps what was not used, and comes again with more behind it.
                    None => return Ok(used),
                },
                State::Length(0) => {
                    self.state = State::Ended;
                    0
                }
                State::Length(left) => {
                    let taken = left.min(rest.len());
                    self.body.extend_from_slice(&rest[..taken]);
                    self.state = State::Length(left - taken);
                    taken
                }
                State::ChunkSize => match memchr(b'\n', rest) {
                    Some(at) => {
                        self.state = match chunk_size(&rest[..at])? {
                            0 => State::Trailers,
                            size => State::Chunk(size),
                        };
                        at + 1
                    }
                    None => return Ok(used),
                },
                State::Chunk(left) => {
                    let taken = left.min(rest.len());
                    self.body.extend_from_slice(&rest[..taken]);
                    self.state = if taken == left { State::ChunkEnd } else { State::Chunk(left - taken) };
                    taken
                }
                State::ChunkEnd if rest.len() < 2 => return Ok(used),
                State::ChunkEnd => {
                    self.state = State::ChunkSize;
                    2
                }
                State::Trailers => match memchr(b'\n', rest) {
                    Some(at) => {
                        if rest[..at].trim_ascii().is_empty() {
                            self.state = State::Ended;
                        }
                        at + 1
                    }
                    None => return Ok(used),
                },
                State::Ended => return Ok(used),
            };
        }
        Ok(used)
    }

    /// All of it is there.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The head is there.
    pub fn has_begun(&self) -> bool {
        self.state != State::Head
    }

    /// The next message, in the same memory.
    pub fn clear(&mut self) {
        self.head.clear();
        self.body.clear();
        self.state = State::Head;
    }

    /// The status code of a response; 0 where there is none.
    pub fn status(&self) -> u16 {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let code = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
            let at = memchr(b':', line)?;
            line[..at].eq_ignore_ascii_case(name.as_bytes()).then(|| line[at + 1..].trim_ascii())
        })
    }

    fn framing(&self) -> Result<State, String> {
        if self.header("transfer-encoding").is_some() {
            return Ok(State::ChunkSize);
        }
        let Some(length) = self.header("content-length") else { return Ok(State::Length(0)) };
        let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
        length.map(State::Length).ok_or_else(|| "a content-length that is no number".to_owned())
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    usize::from_str_radix(digits, 16).map_err(|_| format!("`{digits}` instead of the size of a chunk"))
}
