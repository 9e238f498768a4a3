//! `Delta`s → a stream.

use crate::types::chat::{Content, Media, Part, Source};
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{self, ReplyFor};
use crate::wire::openai::request::{address, image, sign};
use crate::wire::openai::{completion, ending, thoughts};
use crate::wire::write::{Object, object, to_text};
use std::collections::BTreeMap;

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    /// What each chunk begins with: `data: ` and the fields before `choices`, without the brace that ends them.
    head: Vec<u8>,
    reply: ReplyFor,
    /// Calls go where they were before there were tools.
    old: bool,
    choices: BTreeMap<u32, Choice>,
    usage: Option<Usage>,
}

/// What is known of one answer.
#[derive(Debug, Default)]
struct Choice {
    /// The thoughts that are open: their signature is told together with them.
    thought: String,
    open: Open,
    details: u64,
    images: u64,
    refused: bool,
}

/// What a signature would be of.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
enum Open {
    #[default]
    Nothing,
    Words,
    Thoughts,
    Call(u32),
}

impl Encoder {
    /// Writes the stream of that reply.
    pub fn new(reply: ReplyFor) -> Encoder {
        let fields = to_text(|o| {
            o.text("id", &reply.id);
            o.text("object", "chat.completion.chunk");
            o.integer("created", reply.created_s);
            o.text("model", &reply.model);
        });
        let head = format!("data: {}", fields.strip_suffix('}').unwrap_or_default()).into_bytes();
        let old = ending::wants_function_call(&reply.request);
        Encoder { head, reply, old, choices: BTreeMap::new(), usage: None }
    }

    /// One chunk with one choice.
    fn chunk(&self, out: &mut Vec<u8>, choice: u32, stop: Option<(&Stop, bool)>, fill: impl FnOnce(&mut Object<'_>)) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":[");
        object(out, |o| {
            o.integer("index", u64::from(choice));
            o.object("delta", fill);
            o.null("logprobs");
            match stop {
                Some((stop, refused)) => ending::write(o, stop, refused, self.old),
                None => o.null("finish_reason"),
            }
        });
        out.push(b']');
        if self.reply.include_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// The first chunk of an answer says whose turn it is.
    fn begin(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.choices.contains_key(&choice) {
            return;
        }
        self.choices.insert(choice, Choice::default());
        self.chunk(out, choice, None, |o| {
            o.text("role", "assistant");
            o.text("content", "");
            o.null("refusal");
        });
    }

    fn call(&self, out: &mut Vec<u8>, choice: u32, call: u32, fill: impl FnOnce(&mut Object<'_>)) {
        self.chunk(out, choice, None, |o| {
            o.array("tool_calls", |list| {
                list.object(|o| {
                    o.integer("index", u64::from(call));
                    fill(o);
                });
            });
        });
    }

    /// A detail of the thoughts, whole.
    fn detail(&mut self, out: &mut Vec<u8>, choice: u32, part: &Part) {
        let Some(known) = self.choices.get_mut(&choice) else { return };
        let index = known.details;
        known.details += 1;
        self.chunk(out, choice, None, |o| {
            o.array("reasoning_details", |list| {
                thoughts::write_detail(list, part, None, index);
            });
        });
    }

    fn signature(&mut self, out: &mut Vec<u8>, choice: u32, signature: &str) {
        let Some(known) = self.choices.get_mut(&choice) else { return };
        match known.open {
            Open::Call(call) => self.call(out, choice, call, |o| {
                // The vendor's SDK wants a function in each piece of a call.
                o.object("function", |o| o.text("arguments", ""));
                sign(o, signature);
            }),
            Open::Words => self.chunk(out, choice, None, |o| sign(o, signature)),
            Open::Thoughts | Open::Nothing => {
                let thought = std::mem::take(&mut known.thought);
                let content = Content::Thinking(thought);
                self.detail(out, choice, &Part { signature: Some(signature.to_owned()), ..Part::new(content) });
            }
        }
    }

    fn whole(&mut self, out: &mut Vec<u8>, choice: u32, part: &Part) {
        match &part.content {
            Content::RedactedThinking(_) => self.detail(out, choice, part),
            Content::Image(media) => {
                let Some(url) = address(media) else { return };
                let Some(known) = self.choices.get_mut(&choice) else { return };
                let index = known.images;
                known.images += 1;
                self.chunk(out, choice, None, |o| {
                    o.array("images", |list| {
                        list.object(|o| {
                            o.integer("index", index);
                            image(o, &url, None);
                        });
                    });
                });
            }
            Content::Audio(Media { source: Source::Data(data), .. }) => {
                self.chunk(out, choice, None, |o| o.object("audio", |o| completion::sound(o, data, &self.reply)));
            }
            _ => {}
        }
    }

    fn opens(&mut self, choice: u32, open: Open) {
        if let Some(known) = self.choices.get_mut(&choice) {
            known.open = open;
            if open != Open::Thoughts {
                known.thought.clear();
            }
        }
    }

    fn words(&mut self, out: &mut Vec<u8>, choice: u32, name: &str, text: &str) {
        self.begin(choice, out);
        if !text.is_empty() {
            self.chunk(out, choice, None, |o| o.text(name, text));
        }
    }

    fn tool_call(&mut self, out: &mut Vec<u8>, choice: u32, call: u32, id: &str, name: &str) {
        self.begin(choice, out);
        self.opens(choice, Open::Call(call));
        let function = |o: &mut Object<'_>| {
            o.text("name", name);
            o.text("arguments", "");
        };
        match (self.old, call) {
            (true, 0) => self.chunk(out, choice, None, |o| o.object("function_call", function)),
            (true, _) => {}
            (false, _) => self.call(out, choice, call, |o| {
                o.text("id", id);
                o.text("type", "function");
                o.object("function", function);
            }),
        }
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Begin { .. } => self.begin(0, out),
            Delta::Text { choice, text } => {
                self.words(out, *choice, "content", text);
                self.opens(*choice, Open::Words);
            }
            Delta::Refusal { choice, text } => {
                self.words(out, *choice, "refusal", text);
                self.opens(*choice, Open::Words);
                if let Some(known) = self.choices.get_mut(choice) {
                    known.refused = true;
                }
            }
            Delta::Thinking { choice, text } => {
                self.words(out, *choice, "reasoning_content", text);
                self.opens(*choice, Open::Thoughts);
                if let Some(known) = self.choices.get_mut(choice) {
                    known.thought.push_str(text);
                }
            }
            Delta::Signature { choice, signature } => {
                self.begin(*choice, out);
                self.signature(out, *choice, signature);
            }
            Delta::ToolCall { choice, call, id, name } => self.tool_call(out, *choice, *call, id, name),
            Delta::Arguments { choice, call, json } if self.old => {
                if *call == 0 {
                    self.chunk(out, *choice, None, |o| o.object("function_call", |o| o.text("arguments", json)));
                }
            }
            Delta::Arguments { choice, call, json } => {
                self.call(out, *choice, *call, |o| o.object("function", |o| o.text("arguments", json)));
            }
            Delta::Whole { choice, part } => {
                self.begin(*choice, out);
                self.whole(out, *choice, part);
            }
            Delta::PartEnd { choice } => {
                if let Some(known) = self.choices.get_mut(choice) {
                    known.open = Open::Nothing;
                    known.thought.clear();
                }
            }
            Delta::Stop { choice, stop } => {
                self.begin(*choice, out);
                let refused = self.choices.get(choice).is_some_and(|known| known.refused);
                self.chunk(out, *choice, Some((stop, refused)), |_| {});
            }
            Delta::Usage(usage) => self.usage = Some(*usage),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.reply.include_usage) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b",\"choices\":[],\"usage\":");
            object(out, |o| completion::usage(o, &usage));
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
