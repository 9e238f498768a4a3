//! A small HTTP server of tests: it answers by a function, and remembers what it was asked.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request that came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A reply: status, headers, body.
pub(crate) type Said = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A server that runs until the test ends.
pub(crate) struct Stub {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    pub(crate) async fn new(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Stub {
        crate::install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move {
                    let Some(one) = read(&mut stream).await else { return };
                    let (status, headers, body) = answer(&one);
                    seen.lock().push(one);
                    let mut head =
                        format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
                    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
                    let _ = stream.write_all(&body).await;
                });
            }
        });
        Stub { url, asked }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let mut lines = head.split("\r\n");
        let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while bytes.len() < end + 4 + length {
            stream.read_buf(&mut bytes).await.ok()?;
        }
        return Some(Asked { line, headers, body: bytes.split_off(end + 4) });
    }
}
