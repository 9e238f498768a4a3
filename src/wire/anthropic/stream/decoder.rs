//! Events → `Delta`s. Events and blocks of kinds that are not known are passed over: the vendor may add some.

use super::super::answer::drop_once;
use super::super::{error, words};
use crate::types::chat::{Content, Part};
use crate::types::completion::Delta;
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::sse::Event;
use crate::wire::write;

/// This wire has one answer to a request.
const CHOICE: u32 = 0;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    open: Open,
    /// Calls of tools so far.
    calls: u32,
    usage: Option<Usage>,
    dropped: Vec<String>,
}

/// The block that is open.
#[derive(Debug, Default, PartialEq)]
enum Open {
    /// None, or one that is passed over.
    #[default]
    Nothing,
    /// Words or thoughts.
    Words,
    /// A call of a tool, and whether arguments have come.
    Call { call: u32, argued: bool },
}

impl hub::Decoder for Decoder {
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String> {
        let json = parse(&event.data).map_err(|error| error.message)?;
        let kind = json.get("type").and_then(Json::as_str).unwrap_or(event.name);
        match kind {
            "content_block_delta" => self.delta(&json, out),
            "content_block_start" => self.start(&json, out),
            "content_block_stop" => self.stop_block(out),
            "message_start" => self.begin(&json, out),
            "message_delta" => self.message_delta(&json, out),
            "message_stop" => return Ok(true),
            "error" => {
                let told = error::told(&event.data);
                return Err(told.map_or_else(|| "an error it said nothing about".to_owned(), |told| told.message));
            }
            _ => {}
        }
        Ok(false)
    }

    fn end(&mut self, _out: &mut Vec<Delta>) -> Result<(), String> {
        Err("the stream ended without `message_stop`".to_owned())
    }

    fn dropped(&self) -> &[String] {
        &self.dropped
    }
}

impl Decoder {
    fn begin(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) {
        let message = json.get("message").unwrap_or(json);
        let text = |name: &str| message.get(name).and_then(Json::as_str).map(str::to_owned);
        out.push(Delta::Begin { id: text("id"), model: text("model") });
        self.usage(message, out);
    }

    fn usage(&mut self, of: &Json<'_>, out: &mut Vec<Delta>) {
        if let Some(usage) = of.get("usage") {
            let usage = words::usage_of(usage, self.usage.as_ref());
            self.usage = Some(usage);
            out.push(Delta::Usage(usage));
        }
    }

    fn start(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) {
        let Some(block) = json.get("content_block") else { return };
        let text = |name: &str| block.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        self.open = Open::Words;
        match block.get("type").and_then(Json::as_str).unwrap_or_default() {
            "text" => words_of(text("text"), out),
            // Thoughts that are not told have a place, too: their signature goes there.
            "thinking" => {
                out.push(Delta::Thinking { choice: CHOICE, text: text("thinking") });
                sign(text("signature"), out);
            }
            "tool_use" => self.call(block, text("id"), text("name"), out),
            "redacted_thinking" => {
                let part = Part::new(Content::RedactedThinking(text("data")));
                out.push(Delta::Whole { choice: CHOICE, part });
                self.open = Open::Nothing;
            }
            other => {
                drop_once(&mut self.dropped, other);
                self.open = Open::Nothing;
            }
        }
    }

    fn call(&mut self, block: &Json<'_>, id: String, name: String, out: &mut Vec<Delta>) {
        let call = self.calls;
        self.calls = call.saturating_add(1);
        out.push(Delta::ToolCall { choice: CHOICE, call, id, name });
        // An input that is already there is whole; usually it is empty, and comes in pieces.
        let whole = block.get("input").filter(|input| matches!(input, Json::Object(fields) if !fields.is_empty()));
        if let Some(input) = whole {
            out.push(Delta::Arguments { choice: CHOICE, call, json: write::text_of(input) });
        }
        self.open = Open::Call { call, argued: whole.is_some() };
    }

    fn delta(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) {
        let Some(delta) = json.get("delta") else { return };
        let text = |name: &str| delta.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        match (delta.get("type").and_then(Json::as_str).unwrap_or_default(), &mut self.open) {
            ("text_delta", Open::Words) => words_of(text("text"), out),
            ("thinking_delta", Open::Words) => out.push(Delta::Thinking { choice: CHOICE, text: text("thinking") }),
            ("signature_delta", Open::Words) => sign(text("signature"), out),
            ("input_json_delta", Open::Call { call, argued }) => {
                let json = text("partial_json");
                if !json.is_empty() {
                    *argued = true;
                    out.push(Delta::Arguments { choice: CHOICE, call: *call, json });
                }
            }
            ("citations_delta", _) => drop_once(&mut self.dropped, "citations"),
            _ => {}
        }
    }

    fn stop_block(&mut self, out: &mut Vec<Delta>) {
        match std::mem::take(&mut self.open) {
            Open::Nothing => return,
            Open::Call { call, argued: false } => {
                out.push(Delta::Arguments { choice: CHOICE, call, json: "{}".to_owned() });
            }
            _ => {}
        }
        out.push(Delta::PartEnd { choice: CHOICE });
    }

    fn message_delta(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) {
        if let Some(delta) = json.get("delta") {
            let text = |name: &str| delta.get(name).and_then(Json::as_str);
            if delta.get("container").is_some_and(|one| *one != Json::Null) {
                drop_once(&mut self.dropped, "container");
            }
            if let Some(reason) = text("stop_reason") {
                let stop = words::stop_of(reason, text("stop_sequence"));
                out.push(Delta::Stop { choice: CHOICE, stop });
            }
        }
        self.usage(json, out);
    }
}

fn words_of(text: String, out: &mut Vec<Delta>) {
    if !text.is_empty() {
        out.push(Delta::Text { choice: CHOICE, text });
    }
}

fn sign(signature: String, out: &mut Vec<Delta>) {
    if !signature.is_empty() {
        out.push(Delta::Signature { choice: CHOICE, signature });
    }
}
