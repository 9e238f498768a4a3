//! A hub on loopback that can misbehave.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
}

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
    let (path, offset) = request(&stream)?;
    log.lock().unwrap().push(match offset {
        0 => path.clone(),
        offset => format!("{path} from {offset}"),
    });
    let file = path.split_once("/resolve/")?.1.split_once('/')?.1;
    let mut body = files.get(file)?.clone();
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
        Manner::Good | Manner::BreaksOffAfter(_) | Manner::StallsInBody => {}
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

/// Path and first byte asked for.
fn request(stream: &TcpStream) -> Option<(String, usize)> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
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
    Some((path, offset))
}
