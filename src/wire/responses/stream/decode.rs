//! A stream → `Delta`s.

use crate::types::chat::{Content, Media, Part, Source};
use crate::types::completion::Delta;
use crate::types::json::Json;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::openai::{ending, media};
use crate::wire::responses::answer;
use crate::wire::responses::request::thought_text;
use crate::wire::responses::sealed::Sealed;
use crate::wire::sse::Event;
use std::collections::BTreeMap;

/// An answer may have so many items: beyond it a stream is not one of this wire.
const MAX_ITEMS: usize = 4_096;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    /// What is known of each item, by its place.
    items: BTreeMap<u64, Item>,
    calls: u32,
    refused: bool,
    /// A part is over, but its signature may follow.
    owed: bool,
    dropped: Vec<String>,
}

#[derive(Debug, Default)]
struct Item {
    /// Which call of the answer it is.
    call: Option<u32>,
    /// Something of it was told.
    told: bool,
}

impl hub::Decoder for Decoder {
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String> {
        let data = event.data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(false);
        }
        let json = parse(data).map_err(|error| error.message)?;
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let kind = text("type").unwrap_or(event.name);
        let delta = text("delta").filter(|delta| !delta.is_empty()).map(str::to_owned);
        match kind {
            "response.created" => self.begin(json.get("response"), out),
            "response.output_item.added" => self.added(&json, out)?,
            "response.output_text.delta" => self.words(&json, delta.map(|text| Delta::Text { choice: 0, text }), out),
            "response.refusal.delta" => {
                self.refused = true;
                self.words(&json, delta.map(|text| Delta::Refusal { choice: 0, text }), out);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.words(&json, delta.map(|text| Delta::Thinking { choice: 0, text }), out);
            }
            "response.reasoning_summary_part.added" => self.next_summary(&json, out),
            "response.function_call_arguments.delta" => self.arguments(&json, delta, out),
            "response.content_part.done" => self.owed = true,
            "response.output_item.done" => self.done(&json, out),
            "response.completed" | "response.incomplete" => {
                let response = json.get("response").ok_or("the stream ended without a `response`")?;
                self.ended(response, out)?;
                return Ok(true);
            }
            "response.failed" => {
                let response = json.get("response").unwrap_or(&Json::Null);
                return Err(answer::failure(response).unwrap_or_else(|| "the provider gave the answer up".to_owned()));
            }
            "error" => return Err(ending::told(json.get("error").unwrap_or(&json))),
            "" => {
                if let Some(error) = json.get("error").filter(|error| **error != Json::Null) {
                    return Err(ending::told(error));
                }
            }
            _ => {}
        }
        Ok(false)
    }

    fn end(&mut self, _out: &mut Vec<Delta>) -> Result<(), String> {
        Err("the stream ended without response.completed".to_owned())
    }

    fn dropped(&self) -> &[String] {
        &self.dropped
    }
}

impl Decoder {
    fn begin(&mut self, response: Option<&Json<'_>>, out: &mut Vec<Delta>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let text = |name: &str| response.and_then(|one| one.get(name)).and_then(Json::as_str).map(str::to_owned);
        out.push(Delta::Begin { id: text("id"), model: text("model") });
    }

    fn settle(&mut self, out: &mut Vec<Delta>) {
        if std::mem::take(&mut self.owed) {
            out.push(Delta::PartEnd { choice: 0 });
        }
    }

    fn item(&mut self, json: &Json<'_>) -> &mut Item {
        let index = json.get("output_index").and_then(Json::as_u64).unwrap_or(0);
        self.items.entry(index).or_default()
    }

    fn added(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        self.begin(None, out);
        if self.items.len() >= MAX_ITEMS {
            return Err(format!("the answer has more than {MAX_ITEMS} items"));
        }
        let Some(item) = json.get("item") else { return Ok(()) };
        match item.get("type").and_then(Json::as_str) {
            Some("function_call") => self.call(json, item, out),
            // It tells more of what stands before it, or comes whole when it is done.
            Some("reasoning") if !matches!(sealed(item), None | Some(Sealed::Own(_))) => {}
            _ => self.settle(out),
        }
        Ok(())
    }

    fn call(&mut self, json: &Json<'_>, item: &Json<'_>, out: &mut Vec<Delta>) {
        self.settle(out);
        let (number, call) = (self.calls, answer::call(item));
        self.calls += 1;
        self.item(json).call = Some(number);
        out.push(Delta::ToolCall { choice: 0, call: number, id: call.id, name: call.name });
    }

    fn words(&mut self, json: &Json<'_>, delta: Option<Delta>, out: &mut Vec<Delta>) {
        let Some(delta) = delta else { return };
        self.settle(out);
        self.item(json).told = true;
        out.push(delta);
    }

    /// One item's summary in several parts is one thought.
    fn next_summary(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) {
        if self.item(json).told {
            out.push(Delta::Thinking { choice: 0, text: "\n\n".to_owned() });
        }
    }

    fn arguments(&mut self, json: &Json<'_>, delta: Option<String>, out: &mut Vec<Delta>) {
        let item = self.item(json);
        if let (Some(call), Some(json)) = (item.call, delta) {
            item.told = true;
            out.push(Delta::Arguments { choice: 0, call, json });
        }
    }

    fn done(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) {
        let Some(item) = json.get("item") else { return };
        answer::note_dropped(item, &mut self.dropped);
        match item.get("type").and_then(Json::as_str) {
            Some("function_call" | "custom_tool_call") => {
                if self.item(json).call.is_none() {
                    self.call(json, item, out);
                }
                let told = self.item(json).told;
                let arguments = Some(answer::call(item).arguments).filter(|text| !told && !text.is_empty());
                self.arguments(json, arguments, out);
                self.owed = true;
            }
            Some("reasoning") => self.thought(json, item, out),
            Some("image_generation_call") => {
                self.settle(out);
                let Some(data) = item.get("result").and_then(Json::as_str) else { return };
                let media = Media::new(Source::Data(data.to_owned()), Some(media::kind_of(data).to_owned()));
                out.push(Delta::Whole { choice: 0, part: Part::new(Content::Image(media)) });
            }
            Some("message") => self.message(json, item, out),
            _ => {}
        }
    }

    /// Some servers send items whole.
    fn message(&mut self, json: &Json<'_>, item: &Json<'_>, out: &mut Vec<Delta>) {
        if !self.item(json).told {
            for part in item.get("content").and_then(Json::as_array).unwrap_or_default() {
                let text = |name: &str| part.get(name).and_then(Json::as_str).map(str::to_owned);
                self.settle(out);
                out.extend(text("text").map(|text| Delta::Text { choice: 0, text }));
                if let Some(text) = text("refusal") {
                    self.refused = true;
                    out.push(Delta::Refusal { choice: 0, text });
                }
                self.owed = true;
            }
        }
    }

    fn thought(&mut self, json: &Json<'_>, item: &Json<'_>, out: &mut Vec<Delta>) {
        let own = match sealed(item) {
            Some(Sealed::Redacted(data)) => {
                self.settle(out);
                let part = Part::new(Content::RedactedThinking(data.to_owned()));
                out.push(Delta::Whole { choice: 0, part });
                return;
            }
            Some(Sealed::OfLast(signature)) => {
                out.push(Delta::Signature { choice: 0, signature: signature.to_owned() });
                return;
            }
            Some(Sealed::Own(signature)) => Some(signature),
            None => None,
        };
        if !self.item(json).told {
            self.settle(out);
            out.push(Delta::Thinking { choice: 0, text: thought_text(item) });
        }
        out.extend(own.map(|signature| Delta::Signature { choice: 0, signature: signature.to_owned() }));
        self.owed = true;
    }

    fn ended(&mut self, response: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        self.begin(Some(response), out);
        if let Some(why) = answer::failure(response) {
            return Err(why);
        }
        self.settle(out);
        out.extend(response.get("usage").and_then(answer::usage).map(Delta::Usage));
        let stop = answer::ending(response, self.calls > 0, self.refused);
        out.extend(stop.map(|stop| Delta::Stop { choice: 0, stop }));
        Ok(())
    }
}

/// What an item keeps sealed.
fn sealed<'j>(item: &'j Json<'_>) -> Option<Sealed<'j>> {
    item.get("encrypted_content").and_then(Json::as_str).filter(|sealed| !sealed.is_empty()).map(Sealed::read)
}
