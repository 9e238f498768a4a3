//! `Delta`s → streams.

use crate::types::chat::{Content, Part, ToolCall};
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::gemini::answer::{end, tail, write_metadata};
use crate::wire::gemini::{own, part};
use crate::wire::hub::{self, ReplyFor};
use crate::wire::write::{self, Array, Object};
use std::collections::BTreeMap;

/// Writes a stream. Words go out as they come; a call goes out whole, since this wire has no pieces of arguments; how the
/// answer ended and what it cost stand in the last event.
#[derive(Debug)]
pub struct Encoder {
    reply: ReplyFor,
    choices: BTreeMap<u32, Open>,
    usage: Option<Usage>,
}

/// What is held back of one of the answers.
#[derive(Debug, Default)]
struct Open {
    /// Calls that have begun, by their numbers.
    calls: BTreeMap<u32, (ToolCall, Option<String>)>,
    /// The call that a signature would belong to.
    last_call: Option<u32>,
    /// The signature of words or thoughts that are out.
    signature: String,
    /// The open part is one of thoughts that are out.
    thinking: bool,
    stop: Option<Stop>,
}

impl Encoder {
    /// Writes the stream of that reply.
    pub fn new(reply: ReplyFor) -> Encoder {
        Encoder { reply, choices: BTreeMap::new(), usage: None }
    }

    /// An event with one part.
    fn part(&self, choice: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Array<'_>)) {
        event(out, |o| {
            o.array("candidates", |list| {
                list.object(|o| {
                    content(o, fill);
                    o.integer("index", u64::from(choice));
                });
            });
            tail(o, None, &self.reply);
        });
    }

    fn words(&mut self, choice: u32, text: &str, thinking: bool, out: &mut Vec<u8>) {
        self.release(choice, out);
        if text.is_empty() {
            return;
        }
        self.choices.entry(choice).or_default().thinking = thinking;
        self.part(choice, out, |list| {
            list.object(|o| {
                o.text("text", text);
                if thinking {
                    o.flag("thought", true);
                }
            });
        });
    }

    fn whole(&mut self, choice: u32, whole: &Part, out: &mut Vec<u8>) {
        self.release(choice, out);
        if own::kept(whole, own::CANDIDATE).is_none() {
            if !matches!(whole.content, Content::RedactedThinking(_) | Content::ToolResult(_)) {
                self.part(choice, out, |list| {
                    part::write(list, whole);
                });
            }
            return;
        }
        event(out, |o| {
            o.array("candidates", |list| {
                list.object(|o| {
                    content(o, empty);
                    o.integer("index", u64::from(choice));
                    write_metadata(o, whole);
                });
            });
            tail(o, None, &self.reply);
        });
    }

    /// Writes what is held back of an answer.
    fn release(&mut self, choice: u32, out: &mut Vec<u8>) {
        let Some(open) = self.choices.get_mut(&choice) else { return };
        open.last_call = None;
        let calls = std::mem::take(&mut open.calls);
        let signature = std::mem::take(&mut open.signature);
        let thinking = open.thinking;
        for (call, signature) in calls.into_values() {
            let whole = Part { content: Content::ToolCall(call), cache: None, signature };
            self.part(choice, out, |list| {
                part::write(list, &whole);
            });
        }
        if !signature.is_empty() {
            self.part(choice, out, |list| {
                list.object(|o| {
                    o.text("text", "");
                    if thinking {
                        o.flag("thought", true);
                    }
                    o.text("thoughtSignature", &signature);
                });
            });
        }
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Begin { .. } => {}
            Delta::Text { choice, text } | Delta::Refusal { choice, text } => self.words(*choice, text, false, out),
            Delta::Thinking { choice, text } => self.words(*choice, text, true, out),
            Delta::Signature { choice, signature } => {
                let open = self.choices.entry(*choice).or_default();
                match open.last_call.and_then(|call| open.calls.get_mut(&call)) {
                    Some((_, signed)) => signed.get_or_insert_default().push_str(signature),
                    None => open.signature.push_str(signature),
                }
            }
            Delta::ToolCall { choice, call, id, name } => {
                let open = self.choices.entry(*choice).or_default();
                // Calls may come mixed; words before them do not wait.
                if open.calls.is_empty() {
                    self.release(*choice, out);
                }
                let open = self.choices.entry(*choice).or_default();
                let one = ToolCall { id: id.clone(), name: name.clone(), arguments: String::new() };
                open.calls.insert(*call, (one, None));
                open.last_call = Some(*call);
            }
            Delta::Arguments { choice, call, json } => {
                let open = self.choices.entry(*choice).or_default();
                if let Some((one, _)) = open.calls.get_mut(call) {
                    one.arguments.push_str(json);
                }
            }
            Delta::Whole { choice, part } => self.whole(*choice, part, out),
            Delta::PartEnd { choice } => {
                self.release(*choice, out);
                self.choices.entry(*choice).or_default().thinking = false;
            }
            Delta::Stop { choice, stop } => {
                self.release(*choice, out);
                self.choices.entry(*choice).or_default().stop = Some(stop.clone());
            }
            Delta::Usage(usage) => self.usage = Some(*usage),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for choice in self.choices.keys().copied().collect::<Vec<_>>() {
            self.release(choice, out);
        }
        if self.choices.is_empty() {
            self.choices.insert(0, Open::default());
        }
        event(out, |o| {
            o.array("candidates", |list| {
                for (choice, open) in &self.choices {
                    list.object(|o| {
                        content(o, empty);
                        end(o, open.stop.as_ref().unwrap_or(&Stop::End));
                        o.integer("index", u64::from(*choice));
                    });
                }
            });
            tail(o, self.usage.as_ref(), &self.reply);
        });
    }
}

/// Writes one event.
fn event(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.extend_from_slice(b"data: ");
    write::object(out, fill);
    out.extend_from_slice(b"\n\n");
}

fn content(o: &mut Object<'_>, fill: impl FnOnce(&mut Array<'_>)) {
    o.object("content", |o| {
        o.array("parts", fill);
        o.text("role", "model");
    });
}

/// A part without words: Google's SDKs do not keep a turn in a chat's history if one of its events has no part.
fn empty(list: &mut Array<'_>) {
    list.object(|o| o.text("text", ""));
}
