//! A server for the tests of providers: it notes what it is sent and answers from a list.

use super::Call;
use crate::types::caller::Tenant;
use crate::types::surface::Surface;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Replies = Arc<Mutex<VecDeque<(u16, &'static str)>>>;

/// The server. It ends with the test's runtime.
pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// One request that it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The first line.
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
    /// Answers each request with the next status and body; 500 when there are none left.
    pub(crate) async fn start(replies: Vec<(u16, &'static str)>) -> Stub {
        crate::install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (noted, replies): (_, Replies) = (seen.clone(), Arc::new(Mutex::new(replies.into())));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, noted.clone(), replies.clone()));
            }
        });
        Stub { url, seen }
    }

    /// What it was sent, the oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

/// Serves one request and closes.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, replies: Replies) -> Option<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(field).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    while bytes.len() < head + 4 + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head + 4..].to_vec()).ok()?;
    seen.lock().push(Seen { line, headers, body });
    let (status, reply) = replies.lock().pop_front().unwrap_or((500, "none left"));
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        reply.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(reply.as_bytes()).await.ok()
}

/// A call of nobody in particular.
pub(crate) fn call(surface: Surface, model: &str, body: &'static str) -> Call {
    Call {
        surface,
        model: model.to_owned(),
        key: None,
        body: body.into(),
        stream: false,
        include_usage: false,
        tenant: Tenant::configured("t"),
        bearer: None,
        headers: Vec::new(),
    }
}
