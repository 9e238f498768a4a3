//! `Delta`s → events.

use crate::types::chat::{Content, ToolCall};
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{self, ReplyFor};
use crate::wire::ollama::answer::{write_call, write_head};
use crate::wire::ollama::ending;
use crate::wire::sse::write_event;
use crate::wire::write::{self, Object};
use std::collections::BTreeMap;

/// Writes a stream. This wire has one answer to a request: others than the first are left out.
#[derive(Debug)]
pub struct Encoder {
    reply: ReplyFor,
    /// Calls that have begun: they come whole here, and pieces of several may come in turns.
    calls: BTreeMap<u32, ToolCall>,
    refused: bool,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

impl Encoder {
    /// A stream that is not begun.
    pub fn new(reply: ReplyFor) -> Encoder {
        Encoder { reply, calls: BTreeMap::new(), refused: false, stop: None, usage: None }
    }

    /// Writes one line: what stands in its message beside the role, and what ends it.
    fn line(&self, message: impl FnOnce(&mut Object<'_>), end: impl FnOnce(&mut Object<'_>), out: &mut Vec<u8>) {
        let json = write::to_vec(|object| {
            write_head(object, &self.reply);
            object.object("message", |object| {
                object.text("role", "assistant");
                message(object);
            });
            end(object);
        });
        write_event(out, &json);
    }

    fn piece(&self, message: impl FnOnce(&mut Object<'_>), out: &mut Vec<u8>) {
        self.line(message, |object| object.flag("done", false), out);
    }

    fn words(&self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.piece(|message| message.text("content", text), out);
        }
    }

    fn thoughts(&self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let fill = |message: &mut Object<'_>| {
            message.text("content", "");
            message.text("thinking", text);
        };
        self.piece(fill, out);
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text { choice: 0, text } => self.words(text, out),
            Delta::Refusal { choice: 0, text } => {
                self.refused = true;
                self.words(text, out);
            }
            Delta::Thinking { choice: 0, text } => self.thoughts(text, out),
            Delta::ToolCall { choice: 0, call, id, name } => {
                let begun = ToolCall { id: id.clone(), name: name.clone(), arguments: String::new() };
                self.calls.insert(*call, begun);
            }
            Delta::Arguments { choice: 0, call, json } => {
                if let Some(call) = self.calls.get_mut(call) {
                    call.arguments.push_str(json);
                }
            }
            Delta::Whole { choice: 0, part } => match &part.content {
                Content::Text(text) => self.words(text, out),
                Content::Refusal(text) => {
                    self.refused = true;
                    self.words(text, out);
                }
                Content::Thinking(text) => self.thoughts(text, out),
                // Pictures and encrypted thoughts have no place here.
                _ => {}
            },
            Delta::Stop { choice: 0, stop } => self.stop = Some(stop.clone()),
            Delta::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for (at, call) in std::mem::take(&mut self.calls).into_values().enumerate() {
            let fill = |message: &mut Object<'_>| {
                message.text("content", "");
                message.array("tool_calls", |list| write_call(list, &call, Some(at)));
            };
            self.piece(fill, out);
        }
        let end = |object: &mut Object<'_>| ending::write(object, self.stop.as_ref(), self.refused, self.usage);
        self.line(|message| message.text("content", ""), end, out);
    }
}
