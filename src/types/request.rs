//! `Request`: the canonical request, with the original bytes kept beside it.

use super::surface::Surface;
use bytes::Bytes;
use std::ops::Range;

/// A decoded request. What is sent on to a same-wire target is `body` with `model_span` replaced.
#[derive(Clone, Debug)]
pub struct Request {
    /// The door it came through.
    pub surface: Surface,
    /// The model, as the caller named it.
    pub model: String,
    /// Where the value of `model` stands in `body`, quotes included.
    pub model_span: Range<usize>,
    /// The caller wants a stream.
    pub stream: bool,
    /// The caller wants usage in the stream (`stream_options.include_usage`).
    pub include_usage: bool,
    /// The bytes as they came.
    pub body: Bytes,
    /// Where the question stands, when the last message is a user's text.
    pub question_at: Option<QuestionAt>,
    /// The question itself: the text of the last user turn.
    pub question: Option<String>,
}

impl Request {
    /// The original bytes with the model's name replaced, and nothing else. The same bytes when the name agrees.
    pub fn body_for(&self, model: &str) -> Bytes {
        if model == self.model {
            return self.body.clone();
        }
        let name = quoted(model);
        let mut body = Vec::with_capacity(self.body.len() + name.len());
        body.extend_from_slice(&self.body[..self.model_span.start]);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&self.body[self.model_span.end..]);
        body.into()
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Where the question stands within `messages`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuestionAt {
    /// Index of the message.
    pub message: usize,
    /// Index of the text part when the content is a list of parts; `None` when it is a plain string.
    pub part: Option<usize>,
}
