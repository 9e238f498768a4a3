//! `Connection`: one keep-alive connection of the load generator, one request at a time.

use super::error::BenchError;
use super::fault::{Fault, FaultKind};
use super::http1::{Framing, Head, Inbound};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Endpoint {
    address: SocketAddr,
    /// `host:port`, for the Host header.
    host: String,
    /// Path in front of `/v1`, without a slash at its end.
    prefix: String,
    api_key: Option<String>,
}

impl Endpoint {
    /// An endpoint on loopback.
    pub fn local(port: u16) -> Endpoint {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Endpoint { address, host: address.to_string(), prefix: String::new(), api_key: None }
    }

    /// The endpoint that `url` names; a path of `/v1` at its end may be there or not.
    pub fn parse(url: &str, api_key: Option<String>) -> Result<Endpoint, BenchError> {
        let refuse =
            |why: &str| BenchError::Usage(format!("{url:?}: {why}; expected something like http://127.0.0.1:8080"));
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => return Err(refuse("only plain http can be measured")),
            _ => return Err(refuse("not an http URL")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() || authority.contains('@') || path.contains(['?', '#', ' ']) {
            return Err(refuse("expected a host, a port and at most a path"));
        }
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix("v1").unwrap_or(path).trim_end_matches('/');
        let with_port = if authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok())
            && !authority.ends_with(']')
        {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let address = with_port
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next())
            .ok_or_else(|| refuse("the host or port is unknown"))?;
        let bad_key = |key: &String| !key.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
        if api_key.as_ref().is_some_and(bad_key) {
            return Err(BenchError::Usage("--api-key must be printable ASCII without spaces".into()));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Endpoint { address, host: authority.to_owned(), prefix, api_key })
    }

    /// `host:port` as it was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The wire form of a GET of `path`.
    pub fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {}{path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.prefix, self.host).into_bytes()
    }

    /// The wire form of a chat request with the further header lines `headers` (each ending in CRLF).
    pub fn post_chat(&self, headers: &str, body: &str) -> Vec<u8> {
        let key = match &self.api_key {
            Some(key) => format!("authorization: Bearer {key}\r\n"),
            None => String::new(),
        };
        format!(
            "POST {}/v1/chat/completions HTTP/1.1\r\nhost: {}\r\n{key}{headers}content-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.prefix,
            self.host,
            body.len()
        )
        .into_bytes()
    }
}

/// A response as it was received; its body is in the caller's buffer.
#[derive(Debug)]
pub struct Reply {
    /// Status line and headers.
    pub head: Head,
    /// Status code.
    pub status: u16,
    /// When the first byte of the body was there; of an empty body, its end.
    pub first_byte: Instant,
    /// When the last byte was there.
    pub ended: Instant,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    inbound: Inbound<TcpStream>,
}

impl Connection {
    /// Connects; from then on, `timeout` without a byte fails a request.
    pub fn open(endpoint: &Endpoint, timeout: Duration) -> Result<Connection, Fault> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&endpoint.address, timeout)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        };
        match connect() {
            Ok(stream) => Ok(Connection { inbound: Inbound::new(stream) }),
            Err(error) => Err(Fault::from_io(FaultKind::Connect, &error)),
        }
    }

    /// Sends `request` and receives the whole response. After an error the connection must not be used again.
    pub fn exchange(&mut self, request: &[u8], body: &mut Vec<u8>) -> Result<Reply, Fault> {
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::InvalidData => Fault::from_io(FaultKind::Garbled, &error),
            _ => Fault::from_io(FaultKind::Broken, &error),
        };
        self.inbound.stream().write_all(request).map_err(failed)?;
        let head = match self.inbound.read_head().map_err(failed)? {
            Some(head) => head,
            None => {
                return Err(Fault::new(FaultKind::Broken, "the connection was closed instead of an answer"));
            }
        };
        let Some(status) = head.status() else {
            return Err(Fault::new(FaultKind::Garbled, format!("not a status line: {:?}", head.start_line())));
        };
        let framing = head.framing(Framing::ToClose).map_err(failed)?;
        let mut first_byte = None;
        self.inbound.read_body(framing, body, || _ = first_byte.get_or_insert_with(Instant::now)).map_err(failed)?;
        let ended = Instant::now();
        Ok(Reply { head, status, first_byte: first_byte.unwrap_or(ended), ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        let endpoint = Endpoint::parse("http://127.0.0.1:8080/gate/v1/", Some("k".into())).unwrap();
        assert_eq!((endpoint.address.port(), endpoint.prefix.as_str()), (8080, "/gate"));
        let wire = String::from_utf8(endpoint.post_chat("x-a: b\r\n", "{}")).unwrap();
        assert!(wire.starts_with("POST /gate/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"), "{wire}");
        assert!(wire.contains("authorization: Bearer k\r\nx-a: b\r\n"), "{wire}");
        assert_eq!(Endpoint::parse("http://[::1]", None).unwrap().address.to_string(), "[::1]:80");
        for url in ["127.0.0.1:80", "https://localhost", "http://", "http://a@127.0.0.1", "http://127.0.0.1:8080/?a"] {
            let error = Endpoint::parse(url, None).unwrap_err().to_string();
            assert!(error.contains("expected something like"), "{url}: {error}");
        }
        assert!(Endpoint::parse("http://127.0.0.1:1", Some("a\r\nb".into())).is_err());
    }
}
