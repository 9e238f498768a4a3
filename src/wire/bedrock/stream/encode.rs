//! `Delta`s → streams.

use super::super::answer;
use super::super::content::{blob, safe_id};
use crate::types::chat::{Content, Media, Part, Source};
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{self, ReplyFor};
use crate::wire::write::{self, Object};
use std::collections::BTreeMap;

/// Writes a stream.
#[derive(Debug, Default)]
pub struct Encoder {
    begun: bool,
    stopped: bool,
    /// Blocks that are open, by their indices, the last one opened last. More than one only where calls overlap.
    open: Vec<(Kind, u64)>,
    /// Blocks of calls, by the numbers of the calls.
    calls: BTreeMap<u32, u64>,
    /// Blocks so far.
    blocks: u64,
    usage: Option<Usage>,
    /// One event's object, before it is written as an event.
    object: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    Thinking,
    Call,
}

impl Encoder {
    /// Writes the stream of that reply.
    pub fn new(_reply: ReplyFor) -> Encoder {
        Encoder::default()
    }

    fn event(&mut self, out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.object.clear();
        write::object(&mut self.object, fill);
        crate::wire::sse::write_named(out, name, &self.object);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.event(out, "messageStart", |o| o.text("role", "assistant"));
        }
    }

    fn delta(&mut self, out: &mut Vec<u8>, index: u64, fill: impl FnOnce(&mut Object<'_>)) {
        self.event(out, "contentBlockDelta", |o| {
            o.integer("contentBlockIndex", index);
            o.object("delta", fill);
        });
    }

    /// The index of the block of words that is open, which is opened if there is none of that kind.
    fn block(&mut self, kind: Kind, out: &mut Vec<u8>) -> u64 {
        if let Some((last, index)) = self.open.last()
            && *last == kind
        {
            return *index;
        }
        self.close_all(out);
        self.open_one(kind)
    }

    fn open_one(&mut self, kind: Kind) -> u64 {
        let index = self.blocks;
        self.blocks += 1;
        self.open.push((kind, index));
        index
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        for (_, index) in std::mem::take(&mut self.open) {
            self.event(out, "contentBlockStop", |o| o.integer("contentBlockIndex", index));
        }
    }

    fn close_last(&mut self, out: &mut Vec<u8>) {
        if let Some((_, index)) = self.open.pop() {
            self.event(out, "contentBlockStop", |o| o.integer("contentBlockIndex", index));
        }
    }

    fn call(&mut self, call: u32, id: &str, name: &str, out: &mut Vec<u8>) {
        if self.open.last().is_some_and(|(kind, _)| *kind != Kind::Call) {
            self.close_all(out);
        }
        let index = self.open_one(Kind::Call);
        self.calls.insert(call, index);
        self.event(out, "contentBlockStart", |o| {
            o.integer("contentBlockIndex", index);
            o.object("start", |o| {
                o.object("toolUse", |o| {
                    o.text("toolUseId", &safe_id(id));
                    o.text("name", name);
                });
            });
        });
    }

    fn whole(&mut self, part: &Part, out: &mut Vec<u8>) {
        match &part.content {
            Content::RedactedThinking(data) => {
                self.close_all(out);
                let index = self.open_one(Kind::Thinking);
                self.delta(out, index, |o| {
                    o.object("reasoningContent", |o| o.text("redactedContent", &blob(data)));
                });
            }
            Content::Image(Media { source: Source::Data(data), media_type, .. }) => {
                self.close_all(out);
                let index = self.open_one(Kind::Text);
                let format = media_type.as_deref().and_then(|kind| kind.strip_prefix("image/")).unwrap_or("png");
                self.event(out, "contentBlockStart", |o| {
                    o.integer("contentBlockIndex", index);
                    o.object("start", |o| o.object("image", |o| o.text("format", format)));
                });
                self.delta(out, index, |o| {
                    o.object("image", |o| o.object("source", |o| o.text("bytes", data)));
                });
            }
            // Streams of this wire have nothing for others, and models behind other wires send none.
            _ => return,
        }
        self.close_all(out);
    }

    fn stop(&mut self, stop: &Stop, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.close_all(out);
        self.event(out, "messageStop", |o| {
            o.text("stopReason", answer::stop_word(stop));
            answer::write_stop_sequence(stop, o);
        });
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        self.begin(out);
        match delta {
            Delta::Begin { .. } => {}
            Delta::Text { choice: 0, text } | Delta::Refusal { choice: 0, text } => {
                let index = self.block(Kind::Text, out);
                self.delta(out, index, |o| o.text("text", text));
            }
            Delta::Thinking { choice: 0, text } => {
                let index = self.block(Kind::Thinking, out);
                self.delta(out, index, |o| o.object("reasoningContent", |o| o.text("text", text)));
            }
            // Only thoughts are signed in this wire.
            Delta::Signature { choice: 0, signature } => {
                if let Some((Kind::Thinking, index)) = self.open.last().copied() {
                    self.delta(out, index, |o| o.object("reasoningContent", |o| o.text("signature", signature)));
                }
            }
            Delta::ToolCall { choice: 0, call, id, name } => self.call(*call, id, name, out),
            Delta::Arguments { choice: 0, call, json } => {
                if let Some(index) = self.calls.get(call).copied() {
                    self.delta(out, index, |o| o.object("toolUse", |o| o.text("input", json)));
                }
            }
            Delta::Whole { choice: 0, part } => self.whole(part, out),
            Delta::PartEnd { choice: 0 } => self.close_last(out),
            Delta::Stop { choice: 0, stop } => self.stop(stop, out),
            Delta::Usage(usage) => self.usage = Some(*usage),
            // This wire has one answer a request.
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.stop(&Stop::End, out);
        let usage = self.usage;
        self.event(out, "metadata", |o| {
            answer::write_usage(usage, o);
            answer::write_metrics(o);
        });
    }
}
