//! Events → `Delta`s. Each holds a line, which is an answer with a piece of the words.

use crate::types::completion::Delta;
use crate::types::json::Json;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::ollama::answer::{calls, lost, text};
use crate::wire::ollama::ending::{is_done, stop_of, usage_of};
use crate::wire::ollama::error;
use crate::wire::sse::Event;

/// An answer may have so many calls: beyond it a stream is not one of this wire.
const MAX_CALLS: usize = 1_024;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    open: Option<Kind>,
    /// Calls that came.
    calls: usize,
    /// What there is no word for.
    dropped: Vec<String>,
    ended: bool,
}

/// What is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    Thinking,
}

impl hub::Decoder for Decoder {
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String> {
        if event.data.trim_ascii().is_empty() || self.ended {
            return Ok(self.ended);
        }
        let json = parse(&event.data).map_err(|error| error.message)?;
        if let Some(error) = error::said(&json) {
            return Err(error);
        }
        if !matches!(json, Json::Object(_)) {
            return Err(format!("expected a JSON object, got {}", json.kind()));
        }
        if !std::mem::replace(&mut self.begun, true) {
            out.push(Delta::Begin { id: None, model: json.get("model").and_then(Json::as_str).map(str::to_owned) });
        }
        for name in lost(&json) {
            if !self.dropped.iter().any(|one| one == name) {
                self.dropped.push(name.to_owned());
            }
        }
        if let Some(message) = json.get("message") {
            self.message(&json, message, out)?;
        }
        if is_done(&json) {
            self.close(out);
            out.push(Delta::Stop { choice: 0, stop: stop_of(&json, self.calls > 0) });
            out.extend(usage_of(&json).map(Delta::Usage));
            self.ended = true;
        }
        Ok(self.ended)
    }

    fn end(&mut self, _out: &mut Vec<Delta>) -> Result<(), String> {
        if self.ended { Ok(()) } else { Err("the stream ended without a line that says `done`".to_owned()) }
    }

    fn dropped(&self) -> &[String] {
        &self.dropped
    }
}

impl Decoder {
    fn message(&mut self, json: &Json<'_>, message: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        if let Some(thoughts) = text(message, "thinking") {
            self.turn_to(Kind::Thinking, out);
            out.push(Delta::Thinking { choice: 0, text: thoughts.to_owned() });
        }
        if let Some(words) = text(message, "content") {
            self.turn_to(Kind::Text, out);
            out.push(Delta::Text { choice: 0, text: words.to_owned() });
        }
        for one in calls(json, message, self.calls) {
            self.close(out);
            let call = u32::try_from(self.calls).ok().filter(|_| self.calls < MAX_CALLS);
            let call = call.ok_or_else(|| format!("the answer has more than {MAX_CALLS} calls"))?;
            self.calls += 1;
            out.push(Delta::ToolCall { choice: 0, call, id: one.id, name: one.name });
            out.push(Delta::Arguments { choice: 0, call, json: one.arguments });
            out.push(Delta::PartEnd { choice: 0 });
        }
        Ok(())
    }

    fn turn_to(&mut self, kind: Kind, out: &mut Vec<Delta>) {
        if self.open != Some(kind) {
            self.close(out);
            self.open = Some(kind);
        }
    }

    fn close(&mut self, out: &mut Vec<Delta>) {
        if self.open.take().is_some() {
            out.push(Delta::PartEnd { choice: 0 });
        }
    }
}
