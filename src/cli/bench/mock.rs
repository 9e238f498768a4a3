//! The mock upstream: OpenAI chat completions with a fixed delay, as one body or streamed.
//!
//! A thread for each connection and blocking sleeps keep its delays exact to microseconds. The answer is derived from
//! the question, so that an answer served to the wrong question shows.

use super::args::UpstreamArgs;
use super::error::BenchError;
use super::http1::{Framing, Head, Inbound};
use super::schedule::{FineTimers, sleep_until};
use super::stop::Stop;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The model that the mock upstream serves.
pub const MODEL: &str = "bench-model";

/// Words that answers are filled up with.
const WORDS: [&str; 16] = [
    "the", "answer", "to", "this", "question", "is", "made", "of", "plain", "words", "that", "mean", "nothing", "at",
    "all", "here",
];

/// How the mock upstream behaves.
#[derive(Clone, Copy, Debug)]
pub struct MockSettings {
    /// From the end of a request to the first byte of its answer.
    pub latency: Duration,
    /// Between two pieces of a streamed answer.
    pub chunk_latency: Duration,
    /// Pieces of an answer.
    pub chunks: usize,
}

/// Runs the mock upstream in this process, until it is killed or, if so asked, its standard input ends.
pub fn run_upstream(args: UpstreamArgs) -> Result<ExitCode, BenchError> {
    let settings = MockSettings {
        latency: Duration::from_millis(args.latency_ms),
        chunk_latency: Duration::from_millis(args.chunk_latency_ms),
        chunks: args.chunks.max(1),
    };
    let listener = TcpListener::bind(args.listen).map_err(|error| {
        BenchError::Start(format!("the mock upstream cannot listen on {}: {error}; give another --listen", args.listen))
    })?;
    let unusable = |error: io::Error| BenchError::Start(format!("the mock upstream: {error}"));
    let port = listener.local_addr().map_err(unusable)?.port();
    writeln!(io::stdout(), "{port}").and_then(|()| io::stdout().flush()).map_err(unusable)?;
    let _fine = FineTimers::hold();
    if !args.until_stdin_closes {
        serve(&listener, settings);
    }
    // Connection threads inherit the fine timers from this thread through the accepting one.
    std::thread::spawn(move || serve(&listener, settings));
    // Whether it ends or breaks, whoever held the other side is gone.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    Ok(ExitCode::SUCCESS)
}

/// Serves connections for ever.
pub fn serve(listener: &TcpListener, settings: MockSettings) -> ! {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                // A connection that breaks is the other side's business; the next one is served as before.
                std::thread::spawn(move || serve_connection(stream, settings));
            }
            // Out of file descriptors, most likely: some will be given back.
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn serve_connection(stream: TcpStream, settings: MockSettings) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut inbound = Inbound::new(stream);
    let (mut body, mut out) = (Vec::new(), Vec::new());
    while let Some(head) = inbound.read_head()? {
        let framing = head.framing(Framing::Length(0))?;
        inbound.read_body(framing, &mut body, || ())?;
        let arrived = Instant::now();
        out.clear();
        match route(&head, &body) {
            Ok(Answer::Body(value)) => write_json(&mut out, "200 OK", &value),
            Ok(Answer::Chat(chat)) if chat.stream => {
                stream_chat(inbound.stream(), &chat, settings, arrived)?;
                continue;
            }
            Ok(Answer::Chat(chat)) => {
                write_json(&mut out, "200 OK", &completion(&chat, settings.chunks));
                sleep_until(arrived + settings.latency, &Stop::default());
            }
            Err((status, message)) => write_json(&mut out, status, &error_body(&message)),
        }
        inbound.stream().write_all(&out)?;
        if head.closes() {
            break;
        }
    }
    Ok(())
}

enum Answer {
    Body(Value),
    Chat(Chat),
}

/// What matters of a chat request.
struct Chat {
    model: String,
    question: String,
    stream: bool,
    usage_wanted: bool,
}

#[derive(Deserialize)]
struct ChatBody {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

fn route(head: &Head, body: &[u8]) -> Result<Answer, (&'static str, String)> {
    let mut words = head.start_line().split(' ');
    match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
        ("POST", "/v1/chat/completions") => read_chat(body).map(Answer::Chat).map_err(|why| ("400 Bad Request", why)),
        ("GET", "/v1/models") => Ok(Answer::Body(json!({
            "object": "list",
            "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "askonce-bench"}],
        }))),
        (method, path) => {
            Err(("404 Not Found", format!("the mock upstream has POST /v1/chat/completions, not {method} {path}")))
        }
    }
}

fn read_chat(body: &[u8]) -> Result<Chat, String> {
    let chat: ChatBody = serde_json::from_slice(body).map_err(|error| format!("not a chat request: {error}"))?;
    let last = chat.messages.iter().rev().find(|message| message.role == "user");
    let question = match last.map(|message| &message.content) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => return Err("expected a user message with text".into()),
    };
    let usage_wanted = chat.stream_options.is_some_and(|options| options.include_usage);
    Ok(Chat { model: chat.model, question, stream: chat.stream, usage_wanted })
}

/// What every answer to `question`, and to no other, begins with: 16 hex digits.
pub fn mark(question: &str) -> String {
    blake3::hash(question.as_bytes()).to_hex()[..16].to_owned()
}

/// The pieces of the answer to `question`; the first is its mark.
fn pieces(question: &str, chunks: usize) -> impl Iterator<Item = String> {
    let seed = blake3::hash(question.as_bytes());
    let word = move |index: usize| format!(" {}", WORDS[usize::from(seed.as_bytes()[index % 32]) % WORDS.len()]);
    std::iter::once(mark(question)).chain((1..chunks).map(word))
}

fn usage(question: &str, chunks: usize) -> Value {
    let prompt = question.split_whitespace().count();
    json!({"prompt_tokens": prompt, "completion_tokens": chunks, "total_tokens": prompt + chunks})
}

fn next_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("chatcmpl-mock-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn created() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn completion(chat: &Chat, chunks: usize) -> Value {
    json!({
        "id": next_id(),
        "object": "chat.completion",
        "created": created(),
        "model": chat.model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": pieces(&chat.question, chunks).collect::<String>()},
            "finish_reason": "stop",
        }],
        "usage": usage(&chat.question, chunks),
    })
}

/// Streams the answer. Each piece leaves at its own time after the request arrived, so that delays do not add up.
fn stream_chat(out: &mut TcpStream, chat: &Chat, settings: MockSettings, arrived: Instant) -> io::Result<()> {
    let (id, created) = (next_id(), created());
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut event = json!({
            "id": id, "object": "chat.completion.chunk", "created": created, "model": chat.model, "choices": choices,
        });
        if let Some(usage) = usage {
            event["usage"] = usage;
        }
        format!("data: {event}\n\n")
    };
    let mut wire = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
        transfer-encoding: chunked\r\n\r\n"
        .to_vec();
    let mut due = arrived + settings.latency;
    for (index, piece) in pieces(&chat.question, settings.chunks).enumerate() {
        let delta = if index == 0 { json!({"role": "assistant", "content": piece}) } else { json!({"content": piece}) };
        write_chunk(&mut wire, &chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]), None));
        sleep_until(due, &Stop::default());
        out.write_all(&wire)?;
        wire.clear();
        due += settings.chunk_latency;
    }
    let mut rest = chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), None);
    if chat.usage_wanted {
        rest.push_str(&chunk(json!([]), Some(usage(&chat.question, settings.chunks))));
    }
    rest.push_str("data: [DONE]\n\n");
    write_chunk(&mut wire, &rest);
    wire.extend_from_slice(b"0\r\n\r\n");
    out.write_all(&wire)
}

fn write_chunk(wire: &mut Vec<u8>, text: &str) {
    wire.extend_from_slice(format!("{:x}\r\n", text.len()).as_bytes());
    wire.extend_from_slice(text.as_bytes());
    wire.extend_from_slice(b"\r\n");
}

fn write_json(out: &mut Vec<u8>, status: &str, value: &Value) {
    let body = value.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

fn error_body(message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}})
}
