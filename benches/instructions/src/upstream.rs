//! A provider on a thread of its own: one connection at a time, each request answered with the same bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// What it answers.
#[derive(Clone, Copy)]
pub enum Answer {
    /// One body.
    Whole,
    /// A stream of so many pieces.
    Stream(usize),
}

/// Starts it.
pub fn start(answer: Answer) -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let answer = bytes(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &answer));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.set_nodelay(true);
    let mut request = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&piece[..count]),
        }
        if is_whole(&request) {
            request.clear();
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}

/// Has all of it come? Bodies are JSON objects, and nothing follows them; a list of models has none.
fn is_whole(request: &[u8]) -> bool {
    request.starts_with(b"GET") && request.ends_with(b"\r\n\r\n") || request.ends_with(b"}")
}

fn bytes(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Whole => {
            let words = ["word"; 40].join(" ");
            let body = format!(
                r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{words}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":20,"completion_tokens":40,"total_tokens":60}}}}"#
            );
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            (head + &body).into_bytes()
        }
        Answer::Stream(pieces) => {
            let event = |delta: &str, reason: &str| {
                format!(
                    "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\
                     \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n"
                )
            };
            let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
            let mut all =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
            all += &chunk(&event(r#"{"role":"assistant","content":""}"#, "null"));
            (0..pieces).for_each(|_| all += &chunk(&event(r#"{"content":"word "}"#, "null")));
            all += &chunk(&event("{}", "\"stop\""));
            all += &chunk("data: [DONE]\n\n");
            (all + "0\r\n\r\n").into_bytes()
        }
    }
}
