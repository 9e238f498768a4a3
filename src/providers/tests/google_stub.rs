//! A server for the tests of Google's providers: it notes what it is sent and answers from a list.

use super::{Call, Reply};
use crate::config;
use crate::types::caller::Tenant;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The server. It ends with the test's runtime.
pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// One request that it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Stub {
    /// Answers each request with the next status and body; when there are none left, with 500.
    pub(crate) async fn start(replies: Vec<(u16, &'static str)>) -> Stub {
        crate::install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&noted), Arc::clone(&replies)));
            }
        });
        Stub { url, seen }
    }

    /// What it was sent, the first first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, replies: Arc<Mutex<VecDeque<(u16, &'static str)>>>) {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let line = lines.next().unwrap().to_owned();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = String::from_utf8(bytes[head..].to_vec()).unwrap();
    seen.lock().push(Seen { line, headers, body });
    // Others that come at the same time are to meet one that is not ready.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let (status, body) = replies.lock().pop_front().unwrap_or((500, "no reply left"));
    let reply = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(reply.as_bytes()).await;
}

/// A provider's settings.
pub(crate) fn settings(base_url: &str, key: Option<&str>) -> config::Provider {
    let known = config::known_providers().iter().find(|known| known.name == "openai").unwrap();
    let provider = config::Provider::known(known, base_url.to_owned(), false);
    config::Provider { name: "g".to_owned(), key_header: None, api_key: key.map(Secret::new), ..provider }
}

/// A call of a caller who brings a key of their own and says who is billed.
pub(crate) fn call(surface: Surface, model: &str, body: &str) -> Call {
    Call {
        surface,
        model: model.to_owned(),
        key: None,
        body: body.to_owned().into(),
        stream: false,
        include_usage: false,
        tenant: Tenant("t".to_owned()),
        bearer: Some(Secret::new("caller")),
        headers: vec![(http::HeaderName::from_static("x-goog-user-project"), http::HeaderValue::from_static("theirs"))],
    }
}

/// The body of a reply as text.
pub(crate) async fn body_of(mut reply: Reply) -> String {
    let mut body = Vec::new();
    while let Some(piece) = reply.body.next().await {
        body.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(body).unwrap()
}
