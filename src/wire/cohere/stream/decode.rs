//! Events → `Delta`s.

use crate::types::completion::Delta;
use crate::types::json::Json;
use crate::wire::cohere::ending::{stop_of, usage_of};
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::sse::Event;

/// So many names of what was dropped are told.
const MOST_DROPPED: usize = 16;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Calls that have begun.
    calls: u32,
    /// The index that the wire gave the call that began last.
    index: Option<u64>,
    /// The index of each call before it, for pieces that come late.
    earlier: Vec<(u64, u32)>,
    /// A plan of calls is open.
    planning: bool,
    /// What there is no word for.
    dropped: Vec<String>,
    ended: bool,
}

impl hub::Decoder for Decoder {
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String> {
        if event.data.is_empty() {
            return Ok(self.ended);
        }
        if event.data.as_ref() == b"[DONE]" {
            return self.end(out).map(|()| true);
        }
        let json = parse(&event.data).map_err(|error| error.message)?;
        let kind = json.get("type").and_then(Json::as_str).unwrap_or(event.name);
        let delta = json.get("delta");
        let message = delta.and_then(|delta| delta.get("message"));
        match kind {
            "message-start" => {
                let id = json.get("id").and_then(Json::as_str).map(str::to_owned);
                out.push(Delta::Begin { id, model: None });
            }
            "content-start" | "content-delta" => {
                self.plan_ends(out);
                words(message.and_then(|message| message.get("content")), out);
            }
            "content-end" | "tool-call-end" => out.push(Delta::PartEnd { choice: 0 }),
            "tool-plan-delta" => {
                let plan = message.and_then(|message| message.get("tool_plan")).and_then(Json::as_str);
                if let Some(text) = plan.filter(|text| !text.is_empty()) {
                    self.planning = true;
                    out.push(Delta::Text { choice: 0, text: text.to_owned() });
                }
            }
            "tool-call-start" => {
                self.plan_ends(out);
                self.call(&json, message, out);
            }
            "tool-call-delta" => self.arguments(&json, message, out),
            "message-end" => return self.message_end(delta, out),
            "citation-end" => {}
            // Citations and what is new.
            other => {
                let name = if other == "citation-start" { "citations" } else { other };
                if !self.dropped.iter().any(|one| one == name) && self.dropped.len() < MOST_DROPPED {
                    self.dropped.push(name.to_owned());
                }
            }
        }
        Ok(false)
    }

    fn dropped(&self) -> &[String] {
        &self.dropped
    }

    fn end(&mut self, _out: &mut Vec<Delta>) -> Result<(), String> {
        if self.ended { Ok(()) } else { Err("the stream ended without `message-end`".to_owned()) }
    }
}

impl Decoder {
    fn plan_ends(&mut self, out: &mut Vec<Delta>) {
        if std::mem::take(&mut self.planning) {
            out.push(Delta::PartEnd { choice: 0 });
        }
    }

    fn call(&mut self, json: &Json<'_>, message: Option<&Json<'_>>, out: &mut Vec<Delta>) {
        let index = json.get("index").and_then(Json::as_u64);
        if let Some(last) = self.index.filter(|_| self.calls > 0) {
            self.earlier.push((last, self.calls - 1));
        }
        self.index = index;
        let call = self.calls;
        self.calls = self.calls.saturating_add(1);
        let one = call_of(message);
        let function = one.and_then(|one| one.get("function"));
        let text = |json: Option<&Json<'_>>, name: &str| {
            json.and_then(|json| json.get(name)).and_then(Json::as_str).unwrap_or_default().to_owned()
        };
        out.push(Delta::ToolCall { choice: 0, call, id: text(one, "id"), name: text(function, "name") });
        let json = text(function, "arguments");
        if !json.is_empty() {
            out.push(Delta::Arguments { choice: 0, call, json });
        }
    }

    fn arguments(&self, json: &Json<'_>, message: Option<&Json<'_>>, out: &mut Vec<Delta>) {
        let index = json.get("index").and_then(Json::as_u64);
        let Some(last) = self.calls.checked_sub(1) else { return };
        let earlier = index.filter(|_| index != self.index);
        let earlier = earlier.and_then(|index| self.earlier.iter().rev().find(|(one, _)| *one == index));
        let call = earlier.map_or(last, |(_, call)| *call);
        let function = call_of(message).and_then(|one| one.get("function"));
        let piece = function.and_then(|function| function.get("arguments")).and_then(Json::as_str);
        if let Some(json) = piece.filter(|piece| !piece.is_empty()) {
            out.push(Delta::Arguments { choice: 0, call, json: json.to_owned() });
        }
    }

    fn message_end(&mut self, delta: Option<&Json<'_>>, out: &mut Vec<Delta>) -> Result<bool, String> {
        self.plan_ends(out);
        let text = |name: &str| delta.and_then(|delta| delta.get(name)).and_then(Json::as_str);
        let (error, reason) = (text("error"), text("finish_reason"));
        if error.is_some() || reason == Some("ERROR") {
            return Err(error.unwrap_or("the provider broke the answer off").to_owned());
        }
        out.extend(delta.and_then(|delta| delta.get("usage")).and_then(usage_of).map(Delta::Usage));
        out.extend(reason.map(|word| Delta::Stop { choice: 0, stop: stop_of(word) }));
        self.ended = true;
        Ok(true)
    }
}

/// The words or thoughts of a content event.
fn words(content: Option<&Json<'_>>, out: &mut Vec<Delta>) {
    let field = |name: &str| {
        let text = content.and_then(|content| content.get(name)).and_then(Json::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    out.extend(field("thinking").map(|text| Delta::Thinking { choice: 0, text }));
    out.extend(field("text").map(|text| Delta::Text { choice: 0, text }));
}

/// The call of an event: one, in spite of the field's name, or a list of one.
fn call_of<'j, 'b>(message: Option<&'j Json<'b>>) -> Option<&'j Json<'b>> {
    let calls = message?.get("tool_calls")?;
    match calls {
        Json::Array(items) => items.first(),
        one => Some(one),
    }
}
