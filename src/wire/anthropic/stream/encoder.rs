//! `Delta`s → events, one block after the other, as the vendor sends them.

use super::super::words;
use crate::types::chat::{Content, Part};
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{self, ReplyFor};
use crate::wire::write::Object;
use crate::wire::{sse, write};

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    reply: ReplyFor,
    begun: bool,
    open: Option<Open>,
    /// The next block's index.
    next: u64,
    /// The blocks of calls, by the number of the call.
    calls: Vec<(u32, u64)>,
    stop: Option<Stop>,
    refused: bool,
    usage: Usage,
    /// One event's data, kept for its memory.
    data: Vec<u8>,
}

/// The block that is open, and its index.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Open {
    kind: Kind,
    index: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Text,
    Thinking,
    Call(u32),
}

impl Encoder {
    /// Writes the stream of that reply.
    pub fn new(reply: ReplyFor) -> Encoder {
        Encoder {
            reply,
            begun: false,
            open: None,
            next: 0,
            calls: Vec::new(),
            stop: None,
            refused: false,
            usage: Usage::default(),
            data: Vec::new(),
        }
    }

    /// Writes one event, whose data begin with its name.
    fn event(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        self.data.clear();
        write::object(&mut self.data, |object| {
            object.text("type", name);
            fill(object);
        });
        sse::write_named(out, name, &self.data);
    }

    /// Writes `message_start`, if it is not written yet: with the first piece, so that the prompt's tokens stand in it
    /// where they are known by then.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let ReplyFor { id, model, .. } = std::mem::take(&mut self.reply);
        let usage = self.usage;
        self.event("message_start", out, |event| {
            event.object("message", |message| {
                message.text("id", &id);
                message.text("type", "message");
                message.text("role", "assistant");
                message.text("model", &model);
                message.array("content", |_| {});
                message.null("stop_reason");
                message.null("stop_sequence");
                message.object("usage", |object| words::write_usage(object, &usage));
            });
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(Open { index, .. }) = self.open.take() {
            self.event("content_block_stop", out, |event| event.integer("index", index));
        }
    }

    /// Opens a block and gives its index. `fill` writes its first form.
    fn start(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) -> u64 {
        self.close(out);
        let index = self.next;
        self.next += 1;
        self.event("content_block_start", out, |event| {
            event.integer("index", index);
            event.object("content_block", fill);
        });
        index
    }

    fn delta(&mut self, index: u64, kind: &str, field: &str, text: &str, out: &mut Vec<u8>) {
        self.event("content_block_delta", out, |event| {
            event.integer("index", index);
            event.object("delta", |delta| {
                delta.text("type", kind);
                delta.text(field, text);
            });
        });
    }

    fn words(&mut self, text: &str, out: &mut Vec<u8>) {
        let index = match self.open {
            Some(Open { kind: Kind::Text, index }) => index,
            _ => {
                let index = self.start(out, |block| {
                    block.text("type", "text");
                    block.text("text", "");
                });
                self.open = Some(Open { kind: Kind::Text, index });
                index
            }
        };
        if !text.is_empty() {
            self.delta(index, "text_delta", "text", text, out);
        }
    }

    fn thoughts(&mut self, text: &str, out: &mut Vec<u8>) {
        let index = match self.open {
            Some(Open { kind: Kind::Thinking, index }) => index,
            _ => {
                let index = self.start(out, |block| {
                    block.text("type", "thinking");
                    block.text("thinking", "");
                    block.text("signature", "");
                });
                self.open = Some(Open { kind: Kind::Thinking, index });
                index
            }
        };
        if !text.is_empty() {
            self.delta(index, "thinking_delta", "thinking", text, out);
        }
    }

    fn call(&mut self, call: u32, id: &str, name: &str, out: &mut Vec<u8>) {
        let index = self.start(out, |block| {
            block.text("type", "tool_use");
            block.text("id", id);
            block.text("name", name);
            block.object("input", |_| {});
        });
        self.calls.push((call, index));
        self.open = Some(Open { kind: Kind::Call(call), index });
    }

    /// Arguments of a call that is no longer open still go to its block: clients gather them by its index.
    fn arguments(&mut self, call: u32, json: &str, out: &mut Vec<u8>) {
        let block = self.calls.iter().rev().find(|(one, _)| *one == call);
        if let Some((_, index)) = block.copied() {
            self.delta(index, "input_json_delta", "partial_json", json, out);
        }
    }

    fn whole(&mut self, part: &Part, out: &mut Vec<u8>) {
        match &part.content {
            Content::RedactedThinking(data) => {
                let index = self.start(out, |block| {
                    block.text("type", "redacted_thinking");
                    block.text("data", data);
                });
                self.event("content_block_stop", out, |event| event.integer("index", index));
            }
            other => {
                if let Some(text) = words::as_words(other) {
                    self.close(out);
                    self.words(&text, out);
                    self.close(out);
                }
            }
        }
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Begin { .. } => return,
            Delta::Usage(usage) => {
                self.usage = *usage;
                return;
            }
            _ => self.begin(out),
        }
        match delta {
            Delta::Text { choice: 0, text } => self.words(text, out),
            Delta::Refusal { choice: 0, text } => {
                self.refused = true;
                self.words(text, out);
            }
            Delta::Thinking { choice: 0, text } => self.thoughts(text, out),
            Delta::Signature { choice: 0, signature } => {
                if let Some(Open { kind: Kind::Thinking, index }) = self.open {
                    self.delta(index, "signature_delta", "signature", signature, out);
                }
            }
            Delta::ToolCall { choice: 0, call, id, name } => self.call(*call, id, name, out),
            Delta::Arguments { choice: 0, call, json } => self.arguments(*call, json, out),
            Delta::Whole { choice: 0, part } => self.whole(part, out),
            Delta::PartEnd { choice: 0 } => self.close(out),
            Delta::Stop { choice: 0, stop } => self.stop = Some(stop.clone()),
            // This wire has one answer to a request.
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        let (stop, usage, refused, has_calls) = (self.stop.take(), self.usage, self.refused, !self.calls.is_empty());
        self.event("message_delta", out, |event| {
            event.object("delta", |delta| words::write_stop(delta, stop.as_ref(), has_calls, refused));
            event.object("usage", |object| words::write_usage(object, &usage));
        });
        self.event("message_stop", out, |_| {});
    }
}
