//! `Delta`s → events.

use crate::types::chat::Content;
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::cohere::ending::{word_of, write_usage};
use crate::wire::hub::{self, ReplyFor};
use crate::wire::sse::write_event;
use crate::wire::write::{self, Object};

/// Writes a stream. This wire has one answer to a request: others than the first are left out.
#[derive(Debug)]
pub struct Encoder {
    reply: ReplyFor,
    begun: bool,
    open: Open,
    /// Content parts that have begun.
    parts: u64,
    /// Calls that have begun.
    calls: u64,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

/// What is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Open {
    Nothing,
    /// Words or thoughts, by the name of their kind.
    Content(&'static str),
    Call(u64),
}

impl Encoder {
    /// Writes the stream of that reply.
    pub fn new(reply: ReplyFor) -> Encoder {
        Encoder { reply, begun: false, open: Open::Nothing, parts: 0, calls: 0, stop: None, usage: None }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        event(out, "message-start", |object| {
            object.text("id", &self.reply.id);
            message(object, |object| {
                object.text("role", "assistant");
                object.array("content", |_| {});
                object.text("tool_plan", "");
                object.array("tool_calls", |_| {});
                object.array("citations", |_| {});
            });
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Content(_) => {
                event(out, "content-end", |object| object.integer("index", self.parts.saturating_sub(1)))
            }
            Open::Call(index) => event(out, "tool-call-end", |object| object.integer("index", index)),
        }
    }

    fn words(&mut self, kind: &'static str, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.begin(out);
        if self.reply.calls_tools && kind == "text" {
            self.close(out);
            return event(out, "tool-plan-delta", |object| message(object, |object| object.text("tool_plan", text)));
        }
        if self.open != Open::Content(kind) {
            self.start(kind, out);
        }
        let index = self.parts.saturating_sub(1);
        event(out, "content-delta", |object| {
            object.integer("index", index);
            message(object, |object| object.object("content", |object| object.text(kind, text)));
        });
    }

    fn start(&mut self, kind: &'static str, out: &mut Vec<u8>) {
        self.close(out);
        event(out, "content-start", |object| {
            object.integer("index", self.parts);
            message(object, |object| {
                object.object("content", |object| {
                    object.text("type", kind);
                    object.text(kind, "");
                });
            });
        });
        self.parts += 1;
        self.open = Open::Content(kind);
    }

    fn call(&mut self, id: &str, name: &str, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        event(out, "tool-call-start", |object| {
            object.integer("index", self.calls);
            message(object, |object| {
                object.object("tool_calls", |object| {
                    object.text("id", id);
                    object.text("type", "function");
                    object.object("function", |object| {
                        object.text("name", name);
                        object.text("arguments", "");
                    });
                });
            });
        });
        self.open = Open::Call(self.calls);
        self.calls += 1;
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Begin { .. } => self.begin(out),
            Delta::Text { choice: 0, text } | Delta::Refusal { choice: 0, text } => self.words("text", text, out),
            Delta::Thinking { choice: 0, text } => self.words("thinking", text, out),
            Delta::ToolCall { choice: 0, id, name, .. } => self.call(id, name, out),
            Delta::Arguments { choice: 0, call, json } if !json.is_empty() => {
                event(out, "tool-call-delta", |object| {
                    object.integer("index", u64::from(*call));
                    message(object, |object| {
                        object.object("tool_calls", |object| {
                            object.object("function", |object| object.text("arguments", json));
                        });
                    });
                });
            }
            Delta::Whole { choice: 0, part } => match &part.content {
                Content::Text(text) | Content::Refusal(text) => self.words("text", text, out),
                Content::Thinking(text) => self.words("thinking", text, out),
                // Pictures and encrypted thoughts have no place here.
                _ => {}
            },
            Delta::PartEnd { choice: 0 } => self.close(out),
            Delta::Stop { choice: 0, stop } => self.stop = Some(stop.clone()),
            Delta::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        if self.parts == 0 && self.calls == 0 {
            // An answer has a content, were it an empty one.
            self.start("text", out);
        }
        self.close(out);
        let filtered = self.stop == Some(Stop::Filtered);
        event(out, "message-end", |object| {
            object.object("delta", |object| {
                if filtered {
                    object.text("error", "A filter of the provider cut this answer.");
                }
                object.text("finish_reason", word_of(self.stop.as_ref()));
                write_usage(object, self.usage);
            });
        });
        write_event(out, b"[DONE]");
    }
}

/// Writes an event, named as its `type` is.
fn event(out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Object<'_>)) {
    for piece in ["event: ", kind, "\ndata: "] {
        out.extend_from_slice(piece.as_bytes());
    }
    write::object(out, |object| {
        object.text("type", kind);
        fill(object);
    });
    out.extend_from_slice(b"\n\n");
}

/// Writes what an event adds to the message.
fn message(object: &mut Object<'_>, fill: impl FnOnce(&mut Object<'_>)) {
    object.object("delta", |object| object.object("message", fill));
}
