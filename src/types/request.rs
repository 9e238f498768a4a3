//! `Request`: the canonical request, with the original bytes kept beside it.

use super::json::Json;
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
    /// Where the value of `model` stands in `body`, quotes included; `None` where the wire tells the model in the path.
    pub model_span: Option<Range<usize>>,
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
        let Some(span) = self.model_span.clone().filter(|_| model != self.model) else {
            return self.body.clone();
        };
        let name = quoted(model);
        let mut body = Vec::with_capacity(self.body.len() + name.len());
        body.extend_from_slice(&self.body[..span.start]);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&self.body[span.end..]);
        body.into()
    }
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
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

/// Where the question stands in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuestionAt {
    /// The field that holds the turns: `messages`, `contents`, `input`.
    pub list: &'static str,
    /// Index of the turn; `None` where that field is the question itself.
    pub message: Option<usize>,
    /// The field of a turn that holds what is said: `content`, `parts`.
    pub content: &'static str,
    /// Index of the part when that is a list; `None` when it is a plain string.
    pub part: Option<usize>,
}

impl QuestionAt {
    /// The last text of the last turn, when that turn is a user's. `is_user` knows the turn, `is_text` a part of it.
    ///
    /// Of several text parts only the last is the question; the others count exactly, like everything else.
    pub fn last(
        json: &Json<'_>,
        list: &'static str,
        content: &'static str,
        is_user: impl Fn(&Json<'_>) -> bool,
        is_text: impl Fn(&Json<'_>) -> bool,
    ) -> Option<QuestionAt> {
        let messages = json.get(list)?.as_array()?;
        let message = messages.len().checked_sub(1)?;
        let last = messages.get(message).filter(|last| is_user(last))?;
        let part = match last.get(content)? {
            Json::String(_) => None,
            Json::Array(parts) => {
                let has_text = |part: &Json<'_>| is_text(part) && part.get("text").and_then(Json::as_str).is_some();
                Some(parts.iter().rposition(has_text)?)
            }
            _ => return None,
        };
        Some(QuestionAt { list, message: Some(message), content, part })
    }

    /// The text that stands there.
    pub fn text<'j>(&self, json: &'j Json<'_>) -> Option<&'j str> {
        let list = json.get(self.list)?;
        let Some(message) = self.message else { return list.as_str() };
        let content = list.as_array()?.get(message)?.get(self.content)?;
        match self.part {
            None => content.as_str(),
            Some(part) => content.as_array()?.get(part)?.get("text")?.as_str(),
        }
    }
}
