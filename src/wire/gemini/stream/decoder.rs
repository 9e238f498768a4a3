//! Streams → `Delta`s.

use crate::types::chat::{Content, Part};
use crate::types::completion::{Delta, Stop};
use crate::types::json::Json;
use crate::wire::gemini::answer::{
    blocked, candidates, metadata, note_dropped, parts_of, seed, stop_of, usage, with_calls,
};
use crate::wire::gemini::error;
use crate::wire::gemini::fields::{field, maybe_integer, maybe_text};
use crate::wire::gemini::part::Reader;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::sse::Event;
use std::collections::BTreeMap;

/// More answers than Google gives to one request.
const MOST_CHOICES: u64 = 64;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    id: Option<String>,
    choices: BTreeMap<u32, Open>,
    dropped: Vec<String>,
}

/// One of the answers, as far as it has come.
#[derive(Debug, Default)]
struct Open {
    reader: Reader,
    /// The part that takes more, if there is one.
    part: Option<Kind>,
    calls: u32,
    stopped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    Thinking,
}

impl hub::Decoder for Decoder {
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String> {
        if event.data.trim_ascii().is_empty() {
            return Ok(false);
        }
        let json = parse(&event.data).map_err(|error| error.message)?;
        if let Some(error) = field(&json, "error") {
            let told = error::told(&event.data).map(|told| told.message);
            return Err(told.unwrap_or_else(|| format!("an error of a kind that has no message: {}", error.kind())));
        }
        if !matches!(json, Json::Object(_)) {
            return Err(format!("expected a JSON object, got {}", json.kind()));
        }
        self.begin(&json, out)?;
        for (position, candidate) in candidates(&json)?.iter().enumerate() {
            self.candidate(position, candidate, out)?;
        }
        if let Some(stop) = blocked(&json) {
            self.stop(0, stop, out);
        }
        out.extend(field(&json, "usageMetadata").map(|counts| Delta::Usage(usage(counts))));
        // What ended may still be told more of: the usage comes with or behind the last words.
        Ok(false)
    }

    fn end(&mut self, _out: &mut Vec<Delta>) -> Result<(), String> {
        match self.choices.values().all(|open| open.stopped) && !self.choices.is_empty() {
            true => Ok(()),
            false => Err("the stream ended without a `finishReason`".to_owned()),
        }
    }

    fn dropped(&self) -> &[String] {
        &self.dropped
    }
}

impl Decoder {
    fn begin(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let text = |name| maybe_text(json, "", name).map(|text| text.map(str::to_owned)).map_err(|error| error.message);
        self.id = text("responseId")?;
        out.push(Delta::Begin { id: self.id.clone(), model: text("modelVersion")? });
        Ok(())
    }

    fn candidate(&mut self, position: usize, json: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        let index = maybe_integer(json, "", "index").map_err(|error| error.message)?.unwrap_or(position as u64);
        if index >= MOST_CHOICES {
            return Err(format!("a candidate with the index {index}"));
        }
        let choice = index as u32;
        let open = self.choices.entry(choice).or_insert_with(|| Open {
            reader: Reader::of_answer(&seed(self.id.as_deref(), choice as usize)),
            ..Open::default()
        });
        for part in parts_of(json, "candidates")? {
            let part = open.reader.read(part, "candidates.content.parts").map_err(|error| error.message)?;
            open.part(choice, part, out);
        }
        note_dropped(json, &open.reader, &mut self.dropped);
        if let Some(part) = metadata(json) {
            open.close(choice, out);
            out.push(Delta::Whole { choice, part });
        }
        if let Some(stop) = stop_of(json, "candidates")? {
            self.stop(choice, stop, out);
        }
        Ok(())
    }

    fn stop(&mut self, choice: u32, stop: Stop, out: &mut Vec<Delta>) {
        let open = self.choices.entry(choice).or_default();
        if !std::mem::replace(&mut open.stopped, true) {
            open.close(choice, out);
            out.push(Delta::Stop { choice, stop: with_calls(stop, open.calls > 0) });
        }
    }
}

impl Open {
    fn part(&mut self, choice: u32, part: Part, out: &mut Vec<Delta>) {
        let signature = part.signature;
        match part.content {
            Content::Text(text) if text.is_empty() && signature.is_none() => return,
            Content::Text(text) => {
                self.open(choice, Kind::Text, out);
                out.push(Delta::Text { choice, text });
            }
            // A signature without words is that of the thoughts before it, if they are open, else it stands alone.
            Content::Thinking(text) => {
                self.open(choice, Kind::Thinking, out);
                out.push(Delta::Thinking { choice, text });
            }
            Content::ToolCall(call) => {
                self.close(choice, out);
                let index = self.calls;
                self.calls += 1;
                out.push(Delta::ToolCall { choice, call: index, id: call.id, name: call.name });
                out.push(Delta::Arguments { choice, call: index, json: call.arguments });
                out.extend(signature.map(|signature| Delta::Signature { choice, signature }));
                return out.push(Delta::PartEnd { choice });
            }
            content => {
                self.close(choice, out);
                let part = Part { content, cache: None, signature };
                return out.push(Delta::Whole { choice, part });
            }
        }
        if let Some(signature) = signature {
            out.push(Delta::Signature { choice, signature });
            self.close(choice, out);
        }
    }

    fn open(&mut self, choice: u32, kind: Kind, out: &mut Vec<Delta>) {
        if self.part != Some(kind) {
            self.close(choice, out);
            self.part = Some(kind);
        }
    }

    fn close(&mut self, choice: u32, out: &mut Vec<Delta>) {
        if self.part.take().is_some() {
            out.push(Delta::PartEnd { choice });
        }
    }
}
