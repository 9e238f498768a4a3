//! Bytes on a socket, for what no HTTP client would send.

use super::PATIENCE;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends `bytes`, then `more` as long as the other side takes it, and reads all that comes until the other side closes.
pub async fn exchange(address: SocketAddr, bytes: &[u8], more: impl Iterator<Item = Vec<u8>>) -> String {
    String::from_utf8_lossy(&exchange_bytes(address, bytes, more).await).into_owned()
}

/// The same, as the bytes that came.
pub async fn exchange_bytes(address: SocketAddr, bytes: &[u8], more: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
    let read = async {
        let mut all = Vec::new();
        // A reset after the reply is as good an end as any.
        while let Ok(1..) = from.read_buf(&mut all).await {}
        all
    };
    let write = async {
        let mut taken = to.write_all(bytes).await.is_ok();
        for piece in more {
            taken = taken && to.write_all(&piece).await.is_ok();
            if !taken {
                break;
            }
        }
        // Kept open: what follows is the other side's to decide.
        std::future::pending::<()>().await;
    };
    let read = async {
        tokio::select! {
            all = read => all,
            () = write => unreachable!(),
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the connection is not closed")
}

/// A reply in chunked encoding as it stands on the wire.
#[derive(Clone, Debug)]
pub struct Chunked {
    /// The head, headers in lower case.
    pub head: String,
    /// The body, the chunks put together.
    pub body: Vec<u8>,
    /// The trailers, in lower case, with their values.
    pub trailers: Vec<(String, String)>,
}

impl Chunked {
    /// Posts JSON with further lines in its head, and reads a reply that has to be chunked and to end in order.
    pub async fn post(address: SocketAddr, path: &str, body: &serde_json::Value, lines: &[&str]) -> Chunked {
        let body = body.to_string();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        lines.iter().for_each(|line| request.push_str(&format!("{line}\r\n")));
        request.push_str("\r\n");
        request.push_str(&body);
        Chunked::read(&exchange_bytes(address, request.as_bytes(), std::iter::empty()).await)
    }

    fn read(all: &[u8]) -> Chunked {
        let line_end = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == b"\r\n").expect("a line that ends");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let head_end = all.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        let head = text(&all[..head_end]).to_ascii_lowercase();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        let (mut rest, mut body, mut trailers) = (&all[head_end + 4..], Vec::new(), Vec::new());
        loop {
            let end = line_end(rest);
            let size = usize::from_str_radix(text(&rest[..end]).trim(), 16).expect("the size of a chunk");
            rest = &rest[end + 2..];
            if size == 0 {
                break;
            }
            body.extend_from_slice(&rest[..size]);
            assert_eq!(&rest[size..size + 2], b"\r\n");
            rest = &rest[size + 2..];
        }
        loop {
            let end = line_end(rest);
            let line = text(&rest[..end]);
            rest = &rest[end + 2..];
            let Some((name, value)) = line.split_once(':') else {
                assert!(line.is_empty() && rest.is_empty(), "{line:?} before {rest:?}");
                return Chunked { head, body, trailers };
            };
            trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let of = |line: &str| line.split_once(": ").filter(|(own, _)| *own == name).is_some();
        self.head.lines().find(|line| of(line)).map_or("", |line| &line[name.len() + 2..])
    }

    /// A trailer's value; empty where there is none.
    pub fn trailer(&self, name: &str) -> &str {
        let found = self.trailers.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// The status of a reply as it stands on the wire; 0 where there is none.
pub fn status(reply: &str) -> u16 {
    reply.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}
