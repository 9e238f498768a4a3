//! A stream → `Delta`s.

use crate::types::chat::{Content, Media, Part, Source};
use crate::types::completion::Delta;
use crate::types::ids::random;
use crate::types::json::Json;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::openai::request::{parts, signature};
use crate::wire::openai::{answer, completion, ending, thoughts};
use crate::wire::sse::Event;
use std::collections::BTreeMap;

/// An answer may have so many calls: beyond it a stream is not one of this wire.
const MAX_CALLS: usize = 1_024;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    choices: BTreeMap<u32, Choice>,
    dropped: Vec<String>,
}

/// What is known of one answer.
#[derive(Debug, Default)]
struct Choice {
    open: Option<Kind>,
    calls: Vec<Call>,
    refused: bool,
    ended: bool,
    /// Thoughts are told in a text of their own; their details say the same words again, now or later.
    thinks_aloud: bool,
}

/// The kind of part that is open.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Text,
    Refusal,
    Thinking,
    Call(u32),
}

/// A call of a tool; its place in the list is what `Delta`s count it by.
#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: String,
}

impl hub::Decoder for Decoder {
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String> {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            return Ok(true);
        }
        if data.is_empty() {
            return Ok(false);
        }
        let json = parse(data).map_err(|error| error.message)?;
        if !matches!(json, Json::Object(_)) {
            return Err(format!("a stream event is {} and not a JSON object", json.kind()));
        }
        if let Some(error) = json.get("error").filter(|error| **error != Json::Null) {
            return Err(ending::told(error));
        }
        if !self.begun {
            self.begun = true;
            let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
            out.push(Delta::Begin { id: text("id"), model: text("model") });
        }
        for (position, choice) in json.get("choices").and_then(Json::as_array).unwrap_or_default().iter().enumerate() {
            let index = choice.get("index").and_then(Json::as_u64).unwrap_or(position as u64);
            let index = u32::try_from(index).ok().filter(|&index| index < 128).ok_or("a choice counts beyond 128")?;
            let said = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(&Json::Null);
            completion::note_dropped(choice, said, &mut self.dropped);
            self.choices.entry(index).or_default().push(index, choice, said, out)?;
        }
        // Groq tells its usage in a field of its own.
        let usage = json.get("usage").or_else(|| json.get("x_groq").and_then(|own| own.get("usage")));
        out.extend(usage.and_then(answer::usage_of).map(Delta::Usage));
        Ok(false)
    }

    fn end(&mut self, _out: &mut Vec<Delta>) -> Result<(), String> {
        // Some servers send no `[DONE]`.
        if !self.choices.is_empty() && self.choices.values().all(|choice| choice.ended) {
            return Ok(());
        }
        Err("the stream ended without [DONE] and without a finish reason".to_owned())
    }

    fn dropped(&self) -> &[String] {
        &self.dropped
    }
}

impl Choice {
    fn push(&mut self, choice: u32, json: &Json<'_>, delta: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        self.thoughts(choice, delta, out);
        self.content(choice, delta.get("content"), out);
        if let Some(text) = delta.get("refusal").and_then(Json::as_str).filter(|text| !text.is_empty()) {
            self.turn_to(choice, Kind::Refusal, out);
            self.refused = true;
            out.push(Delta::Refusal { choice, text: text.to_owned() });
        }
        if let Some(signature) = signature(delta).filter(|_| self.open.is_some()) {
            out.push(Delta::Signature { choice, signature: signature.to_owned() });
        }
        self.pictures(choice, delta, out);
        for call in delta.get("tool_calls").and_then(Json::as_array).unwrap_or_default() {
            self.call(choice, call, call.get("function").or_else(|| call.get("custom")), out)?;
        }
        if let Some(own @ Json::Object(_)) = delta.get("function_call") {
            self.call(choice, &Json::Null, Some(own), out)?;
        }
        if let Some(word) = json.get("finish_reason").and_then(Json::as_str).filter(|_| !self.ended) {
            self.close(choice, out);
            self.ended = true;
            let stop = ending::read(word, !self.calls.is_empty(), self.refused);
            out.push(Delta::Stop { choice, stop });
        }
        Ok(())
    }

    fn close(&mut self, choice: u32, out: &mut Vec<Delta>) {
        if self.open.take().is_some() {
            out.push(Delta::PartEnd { choice });
        }
    }

    fn turn_to(&mut self, choice: u32, kind: Kind, out: &mut Vec<Delta>) {
        if self.open != Some(kind) {
            self.close(choice, out);
            self.open = Some(kind);
        }
    }

    fn content(&mut self, choice: u32, content: Option<&Json<'_>>, out: &mut Vec<Delta>) {
        match content {
            Some(Json::String(text)) if !text.is_empty() => {
                self.turn_to(choice, Kind::Text, out);
                out.push(Delta::Text { choice, text: text.to_string() });
            }
            // Mistral's thinking models stream lists of parts.
            Some(Json::Array(items)) => {
                for item in items {
                    let thought = parts::thoughts(item);
                    if !thought.is_empty() {
                        self.turn_to(choice, Kind::Thinking, out);
                        out.push(Delta::Thinking { choice, text: thought });
                    }
                    self.content(choice, item.get("text"), out);
                }
            }
            _ => {}
        }
    }

    fn thoughts(&mut self, choice: u32, delta: &Json<'_>, out: &mut Vec<Delta>) {
        let words = thoughts::words(delta);
        self.thinks_aloud |= words.is_some();
        if let Some(text) = words {
            self.turn_to(choice, Kind::Thinking, out);
            out.push(Delta::Thinking { choice, text: text.to_owned() });
        }
        for detail in thoughts::details(delta) {
            if let Some(text) = thoughts::text_of(detail).filter(|text| !self.thinks_aloud && !text.is_empty()) {
                self.turn_to(choice, Kind::Thinking, out);
                out.push(Delta::Thinking { choice, text: text.to_owned() });
            }
            let text = |name: &str| detail.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
            if let Some(signature) = text("signature") {
                self.turn_to(choice, Kind::Thinking, out);
                out.push(Delta::Signature { choice, signature: signature.to_owned() });
                self.close(choice, out);
            }
            if let Some(data) = text("data") {
                self.encrypted(choice, detail, data, out);
            }
        }
    }

    /// Encrypted thoughts: those of a call are its signature, OpenAI's are that of their summary.
    fn encrypted(&mut self, choice: u32, detail: &Json<'_>, data: &str, out: &mut Vec<Delta>) {
        let text = |name: &str| detail.get(name).and_then(Json::as_str).unwrap_or_default();
        let is_call = |open: Kind| match open {
            Kind::Call(call) => self.calls.get(call as usize).is_some_and(|call| call.id == text("id")),
            _ => false,
        };
        if self.open.is_some_and(is_call) {
            out.push(Delta::Signature { choice, signature: data.to_owned() });
        } else if text("format").contains("responses") {
            self.turn_to(choice, Kind::Thinking, out);
            out.push(Delta::Signature { choice, signature: data.to_owned() });
            self.close(choice, out);
        } else {
            self.close(choice, out);
            out.push(Delta::Whole { choice, part: Part::new(Content::RedactedThinking(data.to_owned())) });
        }
    }

    fn pictures(&mut self, choice: u32, delta: &Json<'_>, out: &mut Vec<Delta>) {
        let images = delta.get("images").and_then(Json::as_array).unwrap_or_default();
        let images = images.iter().filter_map(|image| parts::image(image, "images").ok()).map(Content::Image);
        let audio = delta.get("audio").and_then(|audio| audio.get("data")).and_then(Json::as_str);
        let audio = audio.map(|data| Content::Audio(Media::new(Source::Data(data.to_owned()), None)));
        for content in images.chain(audio) {
            self.close(choice, out);
            out.push(Delta::Whole { choice, part: Part::new(content) });
        }
    }

    fn call(
        &mut self,
        choice: u32,
        json: &Json<'_>,
        own: Option<&Json<'_>>,
        out: &mut Vec<Delta>,
    ) -> Result<(), String> {
        let index = json.get("index").and_then(Json::as_u64);
        let id = json.get("id").and_then(Json::as_str).unwrap_or_default();
        let text =
            |name: &str| own.and_then(|own| own.get(name)).and_then(Json::as_str).filter(|text| !text.is_empty());
        let at = match self.known(index, id) {
            Some(at) => at,
            None => {
                if self.calls.len() >= MAX_CALLS {
                    return Err(format!("the answer has more than {MAX_CALLS} calls"));
                }
                let id = if id.is_empty() { format!("call_{}", random(24)) } else { id.to_owned() };
                let at = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                self.calls.push(Call { index, id: id.clone() });
                self.turn_to(choice, Kind::Call(at), out);
                out.push(Delta::ToolCall { choice, call: at, id, name: text("name").unwrap_or_default().to_owned() });
                at
            }
        };
        if let Some(json) = text("arguments").or_else(|| text("input")) {
            self.turn_to(choice, Kind::Call(at), out);
            out.push(Delta::Arguments { choice, call: at, json: json.to_owned() });
        }
        if let Some(signature) = signature(json) {
            self.turn_to(choice, Kind::Call(at), out);
            out.push(Delta::Signature { choice, signature: signature.to_owned() });
        }
        Ok(())
    }

    /// Which call a piece belongs to. Some servers count all calls by 0, or by nothing, and tell them apart by ids only.
    fn known(&self, index: Option<u64>, id: &str) -> Option<u32> {
        let is_it = |call: &&Call| call.index == index && (id.is_empty() || call.id == id);
        let at = self
            .calls
            .iter()
            .rev()
            .find(is_it)
            .and_then(|found| self.calls.iter().position(|call| std::ptr::eq(call, found)))?;
        u32::try_from(at).ok()
    }
}
