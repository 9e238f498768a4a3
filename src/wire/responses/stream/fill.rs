//! What fills the items of a stream: words, thoughts, calls, pictures.

use super::encode::Encoder;
use crate::types::chat::{Content, Media, Part, Source, ToolCall};
use crate::wire::responses::item;
use crate::wire::responses::request::{Form, custom_input};
use crate::wire::responses::sealed::Sealed;
use crate::wire::write::Object;

/// The item that is open.
#[derive(Debug, Default)]
pub enum Open {
    #[default]
    Nothing,
    /// Content parts that are done, and the one that is not.
    Message {
        parts: Vec<String>,
        part: Option<Said>,
    },
    /// Thoughts: a summary, once there is a word of it.
    Thought {
        text: String,
        signature: Option<String>,
    },
    Call {
        call: ToolCall,
        form: Form,
    },
}

/// A content part that is open.
#[derive(Debug)]
pub struct Said {
    refusal: bool,
    text: String,
}

impl Said {
    fn json(&self) -> String {
        if self.refusal { item::refusal_part(&self.text) } else { item::text_part(&self.text) }
    }
}

impl Encoder {
    /// An event about a content part of the message that is open.
    fn about_part(&mut self, out: &mut Vec<u8>, name: &str, at: usize, fill: impl FnOnce(&mut Object<'_>)) {
        self.about(out, name, |o| {
            o.integer("content_index", at as u64);
            fill(o);
        });
    }

    pub(super) fn close_part(&mut self, out: &mut Vec<u8>) {
        let Open::Message { parts, part } = &mut self.open else { return };
        let Some(said) = part.take() else { return };
        let (at, json) = (parts.len(), said.json());
        parts.push(json.clone());
        if said.refusal {
            self.about_part(out, "response.refusal.done", at, |o| o.text("refusal", &said.text));
        } else {
            self.about_part(out, "response.output_text.done", at, |o| {
                o.text("text", &said.text);
                o.array("logprobs", |_| {});
            });
        }
        self.about_part(out, "response.content_part.done", at, |o| o.raw("part", &json));
    }

    pub(super) fn words(&mut self, out: &mut Vec<u8>, refusal: bool, text: &str) {
        // What is signed is an item of its own, so that the signature can follow it.
        if !matches!(self.open, Open::Message { .. }) || self.of_last.is_some() {
            let open = Open::Message { parts: Vec::new(), part: None };
            self.add(out, "msg", open, |id| item::message(id, "in_progress", &[]));
        }
        if matches!(&self.open, Open::Message { part: Some(said), .. } if said.refusal != refusal) {
            self.close_part(out);
        }
        self.refused |= refusal;
        let Open::Message { parts, part } = &mut self.open else { return };
        let (at, begins) = (parts.len(), part.is_none());
        part.get_or_insert_with(|| Said { refusal, text: String::new() }).text.push_str(text);
        if begins {
            let json = Said { refusal, text: String::new() }.json();
            self.about_part(out, "response.content_part.added", at, |o| o.raw("part", &json));
        }
        if refusal {
            self.about_part(out, "response.refusal.delta", at, |o| o.text("delta", text));
        } else {
            self.about_part(out, "response.output_text.delta", at, |o| {
                o.text("delta", text);
                o.array("logprobs", |_| {});
            });
        }
    }

    pub(super) fn thought(&mut self, out: &mut Vec<u8>, more: &str) {
        if !matches!(self.open, Open::Thought { .. }) {
            let open = Open::Thought { text: String::new(), signature: None };
            self.add(out, "rs", open, |id| item::reasoning(id, "", None));
        }
        let Open::Thought { text, .. } = &mut self.open else { return };
        if more.is_empty() {
            return;
        }
        let begins = text.is_empty();
        text.push_str(more);
        if begins {
            self.about(out, "response.reasoning_summary_part.added", |o| {
                o.integer("summary_index", 0);
                o.object("part", |o| item::summary(o, ""));
            });
        }
        self.about(out, "response.reasoning_summary_text.delta", |o| {
            o.integer("summary_index", 0);
            o.text("delta", more);
        });
    }

    pub(super) fn end_summary(&mut self, out: &mut Vec<u8>, text: &str) {
        self.about(out, "response.reasoning_summary_text.done", |o| {
            o.integer("summary_index", 0);
            o.text("text", text);
        });
        self.about(out, "response.reasoning_summary_part.done", |o| {
            o.integer("summary_index", 0);
            o.object("part", |o| item::summary(o, text));
        });
    }

    pub(super) fn call(&mut self, out: &mut Vec<u8>, id: &str, name: &str) {
        let form = Form::of(name, &self.echo.forms);
        let call = ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: String::new() };
        let open = Open::Call { call: call.clone(), form: form.clone() };
        let prefix = if form.custom { "ctc" } else { "fc" };
        self.add(out, prefix, open, |id| item::call(id, "in_progress", &call, &form));
    }

    pub(super) fn arguments(&mut self, out: &mut Vec<u8>, json: &str) {
        let Open::Call { call, form } = &mut self.open else { return };
        call.arguments.push_str(json);
        // A custom tool's input is known when its arguments are whole.
        if !form.custom && !json.is_empty() {
            self.about(out, "response.function_call_arguments.delta", |o| o.text("delta", json));
        }
    }

    pub(super) fn end_call(&mut self, out: &mut Vec<u8>, call: &ToolCall, form: &Form) {
        if form.custom {
            let input = custom_input(&call.arguments);
            self.about(out, "response.custom_tool_call_input.delta", |o| o.text("delta", &input));
            self.about(out, "response.custom_tool_call_input.done", |o| o.text("input", &input));
        } else {
            self.about(out, "response.function_call_arguments.done", |o| {
                o.text("name", &form.name);
                o.text("arguments", &call.arguments);
            });
        }
    }

    pub(super) fn signature(&mut self, out: &mut Vec<u8>, more: &str) {
        match &mut self.open {
            Open::Thought { signature, .. } => signature.get_or_insert_default().push_str(more),
            Open::Message { .. } | Open::Call { .. } => self.of_last.get_or_insert_default().push_str(more),
            Open::Nothing => self.seal(out, Sealed::Own(more)),
        }
    }

    pub(super) fn whole(&mut self, out: &mut Vec<u8>, part: &Part) {
        match &part.content {
            Content::RedactedThinking(data) => {
                self.close(out, "completed");
                self.seal(out, Sealed::Redacted(data));
            }
            Content::Image(Media { source: Source::Data(data), .. }) => {
                self.add(out, "ig", Open::Nothing, |id| item::picture(id, "in_progress", None));
                let item = item::picture(&self.id, "completed", Some(data));
                self.finish_item(out, item);
            }
            Content::Text(text) => self.words(out, false, text),
            _ => {}
        }
    }
}
