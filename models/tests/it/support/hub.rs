//! A hub on loopback that can misbehave.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// What the hub does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Serves files, and the rest of files.
    Good,
    /// Serves files, but closes each connection after this many bytes of body.
    BreaksOffAfter(usize),
    /// Changes one byte of every file.
    Changed,
    /// Sends more than there is.
    TooMuch,
    /// Answers with this status.
    Status(u16),
    /// Accepts and says nothing.
    Silent,
    /// Sends headers and half a body, then nothing.
    StallsInBody,
    /// Speaks no HTTP.
    Garbage,
    /// Serves files, and tells wrong checksums of the large ones.
    Lies,
    /// Serves files, and names no commit.
    NamesNoCommit,
    /// Serves files, and redirects questions about them to another name of the repository first.
    Renamed,
}

/// The commit that a branch stands for.
pub const COMMIT: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// The hub; its thread ends with the test process.
pub struct Hub {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// Serves files by path below `resolve/<revision>/`.
    pub fn start(files: HashMap<String, Vec<u8>>, manner: Manner) -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (files, log) = (Arc::new(files), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, log) = (Arc::clone(&files), Arc::clone(&log));
                std::thread::spawn(move || serve(stream, &files, manner, &log));
            }
        });
        Hub { endpoint, requests }
    }

    /// `PATH` or `PATH from OFFSET` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    manner: Manner,
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let (path, offset, asking) = request(&stream)?;
    log.lock().unwrap().push(match offset {
        _ if asking => format!("HEAD {path}"),
        0 => path.clone(),
        offset => format!("{path} from {offset}"),
    });
    let (revision, file) = path.split_once("/resolve/")?.1.split_once('/')?;
    let mut body = files.get(file)?.clone();
    if asking {
        return stream.write_all(answer(&path, revision, &body, manner).as_bytes()).ok();
    }
    let write = |stream: &mut TcpStream, bytes: &[u8]| stream.write_all(bytes).ok();
    match manner {
        Manner::Silent => {
            std::thread::sleep(Duration::from_secs(30));
            return None;
        }
        Manner::Garbage => return write(&mut stream, b"\x00\x01garbage\r\n\r\n"),
        Manner::Status(status) => {
            let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
            return write(&mut stream, head.as_bytes());
        }
        Manner::Changed => {
            let middle = body.len() / 2;
            body[middle] ^= 1;
        }
        Manner::TooMuch => body.extend_from_slice(b"more"),
        _ => {}
    }
    let (status, range) = match offset {
        0 => ("200 OK", String::new()),
        from => {
            let range = format!("content-range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            ("206 Partial Content", range)
        }
    };
    let body = body.get(offset..)?;
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{range}connection: close\r\n\r\n", body.len());
    write(&mut stream, head.as_bytes())?;
    match manner {
        Manner::BreaksOffAfter(bytes) => write(&mut stream, &body[..bytes.min(body.len())]),
        Manner::StallsInBody => {
            write(&mut stream, &body[..body.len() / 2])?;
            std::thread::sleep(Duration::from_secs(30));
            None
        }
        _ => write(&mut stream, body),
    }
}

/// What the hub says of a file without sending it. Large files are kept elsewhere, and their checksum is told.
fn answer(path: &str, revision: &str, body: &[u8], manner: Manner) -> String {
    if manner == Manner::Renamed && !path.starts_with("/renamed/") {
        let location = path.replacen("/test/", "/renamed/", 1);
        return format!("HTTP/1.1 307 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let commit = if revision.len() == 40 { revision } else { COMMIT };
    let commit = match manner {
        Manner::NamesNoCommit => String::new(),
        _ => format!("x-repo-commit: {commit}\r\n"),
    };
    let length = body.len();
    if length < 10_000 {
        return format!(
            "HTTP/1.1 200 OK\r\n{commit}etag: \"0123456789\"\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
    }
    let sum = if manner == Manner::Lies { Sha256::digest(b"lies") } else { Sha256::digest(body) };
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/elsewhere\r\n{commit}x-linked-size: {length}\r\n\
         x-linked-etag: \"{sum}\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

/// Path, first byte asked for, and whether only the head is.
fn request(stream: &TcpStream) -> Option<(String, usize, bool)> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (asking, path) = (words.next()? == "HEAD", words.next()?.to_owned());
    let mut offset = 0;
    for line in lines {
        let line = line.ok()?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            offset = range.trim_end_matches('-').parse().ok()?;
        }
    }
    Some((path, offset, asking))
}
