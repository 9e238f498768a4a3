//! What the upstream of the bench answers: OpenAI chat completions, made once and sent as they are.

use memchr::memmem;
use std::fmt::Write;

/// The model that the upstream has.
pub const MODEL: &str = "bench-model";

/// A word that each piece of an answer has once, so that its pieces can be counted: none that a random id could have in it.
pub const WORD: &str = "tick,";

/// Pieces of an answer that comes as one body.
const WORDS_OF_A_BODY: usize = 20;

/// The answers.
pub struct Answers {
    whole: Vec<u8>,
    models: Vec<u8>,
    begin: Vec<u8>,
    piece: Vec<u8>,
    end: Vec<u8>,
}

/// How a request is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// With one body.
    Whole,
    /// With a stream of so many pieces.
    Stream(usize),
    /// It is no chat: the list of models.
    Models,
}

impl Answers {
    /// Makes them.
    pub fn new() -> Answers {
        let words = vec![WORD; WORDS_OF_A_BODY].join(" ");
        let whole = format!(
            "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"{MODEL}\",\"choices\":[{{\
             \"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{words}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\
             \"prompt_tokens\":20,\"completion_tokens\":{WORDS_OF_A_BODY},\"total_tokens\":40}}}}"
        );
        let models = format!(
            "{{\"object\":\"list\",\"data\":[{{\"id\":\"{MODEL}\",\"object\":\"model\",\"created\":0,\"owned_by\":\"bench\"}}]}}"
        );
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let event = |delta: &str, finish: &str, usage: &str| {
            format!(
                "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"{MODEL}\",\
                 \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]{usage}}}\n\n"
            )
        };
        let usage = ",\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":20,\"total_tokens\":40}";
        let last = event("{}", "\"stop\"", usage) + "data: [DONE]\n\n";
        Answers {
            whole: body(&whole),
            models: body(&models),
            begin: (head.to_owned() + &chunk(&event("{\"role\":\"assistant\",\"content\":\"\"}", "null", "")))
                .into_bytes(),
            piece: chunk(&event(&format!("{{\"content\":\"{WORD} \"}}"), "null", "")).into_bytes(),
            end: (chunk(&last) + "0\r\n\r\n").into_bytes(),
        }
    }

    /// How to answer a request with this head and body: streams say in the prompt of how many pieces they are to be.
    pub fn kind(head: &[u8], body: &[u8]) -> Kind {
        if head.starts_with(b"GET") {
            return Kind::Models;
        }
        let is_stream =
            memmem::find(body, b"\"stream\":true").or_else(|| memmem::find(body, b"\"stream\": true")).is_some();
        if !is_stream {
            return Kind::Whole;
        }
        let after = memmem::find(body, b"pieces=").map(|at| &body[at + "pieces=".len()..]).unwrap_or_default();
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit());
        Kind::Stream(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
    }

    /// What goes out at once for a request of this kind.
    pub fn first(&self, kind: Kind) -> &[u8] {
        match kind {
            Kind::Whole => &self.whole,
            Kind::Models => &self.models,
            Kind::Stream(_) => &self.begin,
        }
    }

    /// One more piece of a stream.
    pub fn piece(&self) -> &[u8] {
        &self.piece
    }

    /// The end of a stream.
    pub fn end(&self) -> &[u8] {
        &self.end
    }

    /// The body of the answer that is not streamed: what a file would hold that is served in its place.
    pub fn whole_body(&self) -> &[u8] {
        let at = memmem::find(&self.whole, b"\r\n\r\n").map_or(0, |at| at + 4);
        &self.whole[at..]
    }

    /// How often the word is in a right answer.
    pub fn words(kind: Kind) -> usize {
        match kind {
            Kind::Whole => WORDS_OF_A_BODY,
            Kind::Stream(pieces) => pieces,
            Kind::Models => 0,
        }
    }
}

fn body(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}", text.len())
        .into_bytes()
}

fn chunk(text: &str) -> String {
    let mut chunk = format!("{:x}\r\n", text.len());
    let _ = write!(chunk, "{text}\r\n");
    chunk
}
