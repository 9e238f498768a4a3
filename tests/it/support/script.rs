//! What a scripted provider can say and do, as steps on its socket.

use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// One thing to do with the connection.
#[derive(Clone)]
pub enum Step {
    /// Write these bytes in one go.
    Write(Bytes),
    /// Wait for that long.
    Pause(Duration),
    /// Wait until the test lets it through.
    Gate(Gate),
    /// Never say anything more; ends when the other side hangs up.
    Hang,
    /// Break the connection off with a reset.
    Reset,
    /// Close the connection in order.
    Close,
}

/// A gate that opens by one step at a time.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }

    /// Lets `count` steps through.
    pub fn let_through(&self, count: usize) {
        self.0.add_permits(count);
    }

    /// Stays open from here on.
    pub fn open(&self) {
        self.let_through(100_000);
    }

    pub(super) async fn pass(&self) {
        self.0.acquire().await.expect("gates are never closed for good").forget();
    }
}

/// The body of a plain chat answer.
pub fn chat_body(text: &str) -> Value {
    json!({
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 17,
        "model": "m-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    })
}

/// A plain reply.
pub fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    vec![Step::Write([head.as_bytes(), body].concat().into())]
}

/// A chat answer.
pub fn answer(text: &str) -> Vec<Step> {
    reply(200, &[], chat_body(text).to_string())
}

/// The head of a streamed reply.
pub fn stream_head() -> Step {
    Step::Write(Bytes::from_static(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    ))
}

/// One piece of a body in chunked encoding.
pub fn piece(text: impl AsRef<[u8]>) -> Step {
    let text = text.as_ref();
    let size = format!("{:x}\r\n", text.len());
    Step::Write([size.as_bytes(), text, b"\r\n"].concat().into())
}

/// The end of a body in chunked encoding.
pub fn stream_end() -> Step {
    Step::Write(Bytes::from_static(b"0\r\n\r\n"))
}

/// The event of one chunk.
pub fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

/// The event of some words.
pub fn words(text: &str) -> String {
    event(&json!({
        "id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 17, "model": "m-2026",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    }))
}

/// The event of the last choice, and `[DONE]`.
pub fn last_events() -> String {
    let last = event(&json!({
        "id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 17, "model": "m-2026",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    }));
    format!("{last}data: [DONE]\n\n")
}

/// A whole streamed answer, a word at a time.
pub fn streamed_answer(text: &str) -> Vec<Step> {
    let mut steps = vec![stream_head()];
    steps.extend(text.split_inclusive(' ').map(|word| piece(words(word))));
    steps.extend([piece(last_events()), stream_end()]);
    steps
}
