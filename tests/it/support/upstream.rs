//! `Upstream`: a provider on a real socket that does as its script says, and remembers what it was asked.

use super::script::{self, Step};
use super::{PATIENCE, until};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// 1 for the first.
    pub number: usize,
    /// Method and path.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When it was read.
    pub at: Instant,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the gateway sends JSON")
    }

    /// Is a stream wanted?
    pub fn wants_stream(&self) -> bool {
        self.json()["stream"] == true
    }
}

type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    ended: Mutex<Vec<Instant>>,
    hung_up: AtomicUsize,
    connections: AtomicUsize,
}

/// A scripted provider. It ends when dropped.
pub struct Upstream {
    /// Its base URL, `/v1` included.
    pub url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    /// Starts a provider that does as `script` says for each request.
    pub async fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            ended: Mutex::default(),
            hung_up: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Upstream { url, shared, accepting }
    }

    /// Answers every request with words of its own, streamed when that is asked: "answer 1", "answer 2", …
    pub async fn counting() -> Upstream {
        Upstream::start(|seen| {
            let text = format!("answer {}", seen.number);
            if seen.wants_stream() { script::streamed_answer(&text) } else { script::answer(&text) }
        })
        .await
    }

    /// An address where nobody listens.
    pub async fn refused() -> String {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        // Held, so that no other story's server gets the port.
        static HELD: Mutex<Vec<tokio::net::TcpSocket>> = Mutex::new(Vec::new());
        HELD.lock().push(socket);
        format!("http://{address}/v1")
    }

    /// How many requests came.
    pub fn calls(&self) -> usize {
        self.shared.seen.lock().len()
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The requests that came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }

    /// The last request that came.
    pub fn last(&self) -> Seen {
        self.shared.seen.lock().last().cloned().expect("no request came")
    }

    /// When the last byte of each reply was written.
    pub fn ended(&self) -> Vec<Instant> {
        self.shared.ended.lock().clone()
    }

    /// How often the gateway hung up in the middle of a reply.
    pub fn hung_up(&self) -> usize {
        self.shared.hung_up.load(Ordering::Relaxed)
    }

    /// Waits until `count` requests have come.
    pub async fn called(&self, count: usize) {
        until(&format!("{count} calls came"), || async { self.calls() >= count }).await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        shared.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(serve(stream, shared.clone()));
    }
}

/// Serves one connection, until a script or the other side closes it.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut pending = Vec::new();
    while let Some(seen) = read(&mut stream, &mut pending, &shared).await {
        for step in (shared.script)(&seen) {
            if !take(&mut stream, step, &shared).await {
                return;
            }
        }
        shared.ended.lock().push(Instant::now());
    }
}

/// Takes one step. False when the connection is over.
async fn take(stream: &mut TcpStream, step: Step, shared: &Shared) -> bool {
    match step {
        Step::Write(bytes) => {
            if stream.write_all(&bytes).await.is_err() {
                shared.hung_up.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            true
        }
        Step::Pause(time) => {
            tokio::time::sleep(time).await;
            true
        }
        Step::Gate(gate) => tokio::select! {
            () = gate.pass() => true,
            () = gone(stream) => { shared.hung_up.fetch_add(1, Ordering::Relaxed); false }
        },
        Step::Hang => {
            gone(stream).await;
            shared.hung_up.fetch_add(1, Ordering::Relaxed);
            false
        }
        Step::Reset => {
            reset(stream);
            false
        }
        Step::Close => false,
    }
}

/// Resolves when the other side has closed. It sends nothing meanwhile, since it waits for the reply.
async fn gone(stream: &mut TcpStream) {
    let mut byte = [0];
    assert!(!matches!(stream.read(&mut byte).await, Ok(1)), "a second request came before the first was answered");
}

/// Makes the kernel send a reset instead of an orderly end.
fn reset(stream: &mut TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// Reads the next request; `None` when the other side has closed.
async fn read(stream: &mut TcpStream, pending: &mut Vec<u8>, shared: &Shared) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = pending.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(pending).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(pending[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let target = first.rsplit_once(' ').map_or(first, |(target, _)| target).to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while pending.len() < head_end + length {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(pending)).await.ok()?;
        if read.ok()? == 0 {
            return None;
        }
    }
    let body = Bytes::copy_from_slice(&pending[head_end..head_end + length]);
    pending.drain(..head_end + length);
    let mut all = shared.seen.lock();
    let seen = Seen { number: all.len() + 1, target, headers, body, at: Instant::now() };
    all.push(seen.clone());
    Some(seen)
}
