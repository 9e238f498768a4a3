//! `Delta`s → a stream: each item is added, filled and done before the next begins. `fill` has what fills them.

use super::events::Events;
use super::fill::Open;
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{self, ReplyFor};
use crate::wire::responses::answer::write_usage;
use crate::wire::responses::echo::{Body, Echo};
use crate::wire::responses::item;
use crate::wire::responses::sealed::Sealed;
use crate::wire::write::{Object, to_text};

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    reply: ReplyFor,
    pub(super) echo: Echo,
    events: Events,
    begun: bool,
    /// The items that are done, as JSON texts.
    pub(super) done: Vec<String>,
    pub(super) open: Open,
    /// The id of the item that is open.
    pub(super) id: String,
    /// The signature of the words or the call that are open: told after their item.
    pub(super) of_last: Option<String>,
    /// There is a refusal in the answer, in words.
    pub(super) refused: bool,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

impl Encoder {
    /// Writes the stream of that reply.
    pub fn new(reply: ReplyFor) -> Encoder {
        let echo = Echo::of(&reply);
        Encoder {
            reply,
            echo,
            events: Events::default(),
            begun: false,
            done: Vec::new(),
            open: Open::Nothing,
            id: String::new(),
            of_last: None,
            refused: false,
            stop: None,
            usage: None,
        }
    }

    /// The response object as it is now.
    pub fn response(&self, ended: bool) -> Vec<u8> {
        let (status, incomplete) = match (&self.stop, ended) {
            (_, false) => ("in_progress", None),
            (Some(Stop::Length), _) => ("incomplete", Some("max_output_tokens")),
            (Some(Stop::Filtered), _) => ("incomplete", Some("content_filter")),
            (Some(Stop::Refusal), _) if !self.refused => ("incomplete", Some("content_filter")),
            _ => ("completed", None),
        };
        let usage = self.usage.filter(|_| ended).map(|tokens| to_text(|o| write_usage(o, &tokens)));
        let mut out = Vec::with_capacity(1024);
        let (id, created_s) = (self.reply.id.as_str(), self.reply.created_s);
        let output = self.done.as_slice();
        self.echo.write(&mut out, &Body { id, created_s, status, incomplete, output, usage: usage.as_deref() });
        out
    }

    fn told(&mut self, out: &mut Vec<u8>, name: &str, ended: bool) {
        let response = String::from_utf8(self.response(ended)).unwrap_or_default();
        self.events.write(out, name, |o| o.raw("response", &response));
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.told(out, "response.created", false);
            self.told(out, "response.in_progress", false);
        }
    }

    /// A new item begins.
    pub(super) fn add(&mut self, out: &mut Vec<u8>, prefix: &str, open: Open, json: impl FnOnce(&str) -> String) {
        self.begin(out);
        self.close(out, "completed");
        self.id = item::id(prefix, &self.reply.id, self.done.len());
        self.open = open;
        let (index, item) = (self.done.len() as u64, json(&self.id));
        self.events.write(out, "response.output_item.added", |o| {
            o.integer("output_index", index);
            o.raw("item", &item);
        });
    }

    /// The item that is open is done.
    pub(super) fn finish_item(&mut self, out: &mut Vec<u8>, item: String) {
        let index = self.done.len() as u64;
        self.events.write(out, "response.output_item.done", |o| {
            o.integer("output_index", index);
            o.raw("item", &item);
        });
        self.done.push(item);
    }

    /// Ends the item that is open, if there is one.
    pub(super) fn close(&mut self, out: &mut Vec<u8>, status: &str) {
        self.close_part(out);
        let item = match std::mem::take(&mut self.open) {
            Open::Nothing => return,
            Open::Message { parts, .. } => item::message(&self.id, status, &parts),
            Open::Thought { text, signature } => {
                if !text.is_empty() {
                    self.end_summary(out, &text);
                }
                item::reasoning(&self.id, &text, signature.as_deref().map(Sealed::Own))
            }
            Open::Call { call, form } => {
                self.end_call(out, &call, &form);
                item::call(&self.id, status, &call, &form)
            }
        };
        self.finish_item(out, item);
        if let Some(signature) = self.of_last.take() {
            self.seal(out, Sealed::OfLast(&signature));
        }
    }

    /// An item of nothing but something sealed.
    pub(super) fn seal(&mut self, out: &mut Vec<u8>, sealed: Sealed<'_>) {
        self.add(out, "rs", Open::Nothing, |id| item::reasoning(id, "", Some(sealed)));
        let item = item::reasoning(&self.id, "", Some(sealed));
        self.finish_item(out, item);
    }

    /// An event about the item that is open.
    pub(super) fn about(&mut self, out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let (id, index) = (&self.id, self.done.len() as u64);
        self.events.write(out, name, |o| {
            o.text("item_id", id);
            o.integer("output_index", index);
            fill(o);
        });
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Begin { .. } => self.begin(out),
            Delta::Text { choice: 0, text } => self.words(out, false, text),
            Delta::Refusal { choice: 0, text } => self.words(out, true, text),
            Delta::Thinking { choice: 0, text } => self.thought(out, text),
            Delta::Signature { choice: 0, signature } => self.signature(out, signature),
            Delta::ToolCall { choice: 0, id, name, .. } => self.call(out, id, name),
            Delta::Arguments { choice: 0, json, .. } => self.arguments(out, json),
            Delta::Whole { choice: 0, part } => self.whole(out, part),
            Delta::PartEnd { choice: 0 } => match self.open {
                Open::Thought { .. } => self.close(out, "completed"),
                _ => self.close_part(out),
            },
            Delta::Stop { choice: 0, stop } => {
                self.begin(out);
                self.close(out, if *stop == Stop::Length { "incomplete" } else { "completed" });
                self.stop = Some(stop.clone());
            }
            Delta::Usage(usage) => self.usage = Some(*usage),
            // This wire gives one answer to a request.
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out, "completed");
        let incomplete = match self.stop {
            Some(Stop::Length | Stop::Filtered) => true,
            Some(Stop::Refusal) => !self.refused,
            _ => false,
        };
        self.told(out, if incomplete { "response.incomplete" } else { "response.completed" }, true);
    }
}
