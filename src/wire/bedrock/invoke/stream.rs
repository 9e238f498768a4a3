//! `Delta`s → streams of InvokeModel: each event is a `chunk`, whose bytes are an object of the model's own stream.

use super::super::stream as converse;
use super::{Form, answer, form_of};
use crate::types::completion::{Delta, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::{self, ReplyFor};
use crate::wire::write::{self, Object};
use crate::wire::{anthropic, openai, sse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What the last chunk tells about the whole.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// Writes a stream in the form of the request that it answers.
pub struct Encoder {
    form: Form,
    id: String,
    /// The form's own writer, where it has a wire.
    inner: Option<Box<dyn hub::Encoder>>,
    /// What that has written.
    written: Vec<u8>,
    stop: Option<Stop>,
    usage: Option<Usage>,
    /// The whole text, which Cohere tells again at the end.
    text: String,
}

impl Encoder {
    /// Writes the stream of that reply; the request stands in it.
    pub fn new(model: &str, reply: ReplyFor) -> Encoder {
        let form = form_of(model, &reply);
        let id = reply.id.clone();
        let inner: Option<Box<dyn hub::Encoder>> = match form {
            Form::Anthropic => Some(Box::new(anthropic::stream::Encoder::new(reply))),
            Form::Nova => Some(Box::new(converse::Encoder::new(reply))),
            Form::OpenAi | Form::TitanEmbed | Form::CohereEmbed => Some(Box::new(openai::stream::Encoder::new(reply))),
            _ => None,
        };
        Encoder { form, id, inner, written: Vec::new(), stop: None, usage: None, text: String::new() }
    }

    /// Puts what the form's own writer has written into chunks.
    fn wrap(&mut self, out: &mut Vec<u8>) {
        let mut rest = std::mem::take(&mut self.written);
        let mut splitter = sse::Splitter::default();
        splitter.push(&rest);
        while let Some(event) = splitter.next_event() {
            let Some(event) = sse::event(&event) else { continue };
            match (self.form, event.data.as_ref()) {
                (_, b"[DONE]") => {}
                (Form::Nova, data) => {
                    let mut object = Vec::with_capacity(data.len() + 32);
                    write::object(&mut object, |o| o.key(event.name).extend_from_slice(data));
                    chunk(out, &object);
                }
                (Form::Anthropic, data) if event.name == "message_stop" => {
                    let mut object = data.strip_suffix(b"}").unwrap_or(data).to_vec();
                    object.push(b',');
                    write::string(&mut object, METRICS);
                    object.push(b':');
                    write::object(&mut object, |o| metrics(self.usage, o));
                    object.push(b'}');
                    chunk(out, &object);
                }
                (_, data) => chunk(out, data),
            }
        }
        rest.clear();
        self.written = rest;
    }

    /// A piece of words in the family's own form.
    fn words(&self, text: &str) -> Vec<u8> {
        write::to_vec(|o| match self.form {
            Form::Titan => titan(text, None, None, o),
            Form::Llama => {
                o.text("generation", text);
                answer::llama_counts(None, o);
                o.null("stop_reason");
            }
            Form::Mistral => mistral(text, None, o),
            Form::CohereGenerate => {
                o.integer("index", 0);
                o.flag("is_finished", false);
                o.text("text", text);
            }
            _ => {
                o.flag("is_finished", false);
                o.text("event_type", "text-generation");
                o.text("text", text);
            }
        })
    }

    /// The last object in the family's own form.
    fn last(&self) -> Vec<u8> {
        let word = answer::stop_word(self.form, self.stop.as_ref());
        write::to_vec(|o| {
            match self.form {
                Form::Titan => titan("", self.usage, Some(word), o),
                Form::Llama => {
                    o.text("generation", "");
                    answer::llama_counts(self.usage, o);
                    o.text("stop_reason", word);
                }
                Form::Mistral => mistral("", Some(word), o),
                Form::CohereGenerate => {
                    o.integer("index", 0);
                    o.flag("is_finished", true);
                    o.text("finish_reason", word);
                }
                _ => {
                    o.flag("is_finished", true);
                    o.text("event_type", "stream-end");
                    o.text("finish_reason", word);
                    o.object("response", |o| answer::cohere_chat(&self.text, word, &self.id, o));
                }
            }
            o.object(METRICS, |o| metrics(self.usage, o));
        })
    }
}

impl hub::Encoder for Encoder {
    fn push(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Stop { choice: 0, stop } => self.stop = Some(stop.clone()),
            Delta::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
        if let Some(inner) = &mut self.inner {
            inner.push(delta, &mut self.written);
            return self.wrap(out);
        }
        if let Delta::Text { choice: 0, text } | Delta::Refusal { choice: 0, text } = delta {
            if self.form == Form::CohereChat {
                self.text.push_str(text);
            }
            chunk(out, &self.words(text));
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.inner {
            Some(inner) => {
                inner.finish(&mut self.written);
                self.wrap(out);
            }
            None => chunk(out, &self.last()),
        }
    }
}

/// Writes one chunk.
fn chunk(out: &mut Vec<u8>, object: &[u8]) {
    sse::write_named(out, "chunk", &write::to_vec(|o| o.text("bytes", &STANDARD.encode(object))));
}

fn titan(text: &str, usage: Option<Usage>, word: Option<&str>, o: &mut Object<'_>) {
    o.text("outputText", text);
    o.integer("index", 0);
    let count = |o: &mut Object<'_>, name: &str, n: Option<u64>| match n {
        Some(n) => o.integer(name, n),
        None => o.null(name),
    };
    count(o, "totalOutputTextTokenCount", usage.map(|usage| usage.output_tokens));
    match word {
        Some(word) => o.text("completionReason", word),
        None => o.null("completionReason"),
    }
    count(o, "inputTextTokenCount", usage.map(|usage| usage.input_tokens));
}

fn mistral(text: &str, word: Option<&str>, o: &mut Object<'_>) {
    o.array("outputs", |list| {
        list.object(|o| {
            o.text("text", text);
            match word {
                Some(word) => o.text("stop_reason", word),
                None => o.null("stop_reason"),
            }
        });
    });
}

/// What the whole took; counts where somebody counted.
fn metrics(usage: Option<Usage>, o: &mut Object<'_>) {
    o.maybe_integer("inputTokenCount", usage.map(|usage| usage.input_tokens));
    o.maybe_integer("outputTokenCount", usage.map(|usage| usage.output_tokens));
}
