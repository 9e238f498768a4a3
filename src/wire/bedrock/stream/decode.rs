//! Streams → `Delta`s.

use super::super::answer;
use super::super::media::Kind;
use crate::types::chat::{Content, Media, Part, Source};
use crate::types::completion::Delta;
use crate::types::json::Json;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::sse::Event;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A part that comes whole may be this large in base64.
const WHOLE_BYTES: usize = 32 << 20;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    open: Option<Open>,
    /// Calls so far.
    calls: u32,
    /// What there is no word for.
    dropped: Vec<String>,
    stopped: bool,
}

/// The block that is open.
#[derive(Debug)]
enum Open {
    /// Nothing is known of it yet but that it is there.
    Unknown,
    Text,
    Thinking,
    /// Encrypted thoughts so far.
    Redacted(String),
    /// The call of that number.
    Call(u32),
    /// A picture's format and its bytes so far.
    Image(Option<String>, String),
    /// What the vendor's own tools do.
    Skipped,
}

impl hub::Decoder for Decoder {
    fn push(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<bool, String> {
        if event.name == "error" || event.name.ends_with("Exception") {
            let told = super::super::error::told(&event.data);
            return Err(told.map_or_else(|| event.name.to_owned(), |told| format!("{}: {}", event.name, told.message)));
        }
        let json = parse(&event.data).map_err(|error| error.message)?;
        match event.name {
            "messageStart" => out.push(Delta::Begin { id: None, model: None }),
            "contentBlockStart" => self.start(&json, out)?,
            "contentBlockDelta" => self.delta(&json, out)?,
            "contentBlockStop" => self.close(out),
            "messageStop" => {
                self.close(out);
                let word = json.get("stopReason").and_then(Json::as_str).ok_or("`messageStop` has no `stopReason`")?;
                let stop = answer::stop(word, json.get("additionalModelResponseFields"));
                out.push(Delta::Stop { choice: 0, stop });
                self.stopped = true;
            }
            "metadata" => {
                out.extend(json.get("usage").and_then(answer::usage).map(Delta::Usage));
                return Ok(self.stopped);
            }
            // Types that are not known yet say nothing that we could tell.
            _ => {}
        }
        Ok(false)
    }

    fn dropped(&self) -> &[String] {
        &self.dropped
    }

    fn end(&mut self, _out: &mut Vec<Delta>) -> Result<(), String> {
        if self.stopped { Ok(()) } else { Err("the stream ended before `messageStop`".to_owned()) }
    }
}

impl Decoder {
    fn lose(&mut self, name: &str) {
        if !self.dropped.iter().any(|one| one == name) {
            self.dropped.push(name.to_owned());
        }
    }

    fn start(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        self.close(out);
        let start = json.get("start");
        let inside = |name: &str| start.and_then(|start| start.get(name));
        self.open = Some(if let Some(tool) = inside("toolUse") {
            if tool.get("type").is_some_and(|kind| *kind != Json::Null) {
                self.lose("toolUse");
                Open::Skipped
            } else {
                let text = |name: &str| tool.get(name).and_then(Json::as_str).map(str::to_owned);
                let (id, name) = (text("toolUseId"), text("name"));
                let (id, name) = id.zip(name).ok_or("a `toolUse` has no `toolUseId` or no `name`")?;
                let call = self.calls;
                self.calls += 1;
                out.push(Delta::ToolCall { choice: 0, call, id, name });
                Open::Call(call)
            }
        } else if let Some(image) = inside("image") {
            Open::Image(image.get("format").and_then(Json::as_str).map(str::to_owned), String::new())
        } else if inside("toolResult").is_some() {
            self.lose("toolResult");
            Open::Skipped
        } else {
            Open::Unknown
        });
        Ok(())
    }

    fn delta(&mut self, json: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        let delta = json.get("delta").ok_or("a `contentBlockDelta` has no `delta`")?;
        if delta.get("citation").is_some() {
            self.lose("citations");
        }
        if let Some(text) = delta.get("text").and_then(Json::as_str) {
            self.become_text(out);
            out.push(Delta::Text { choice: 0, text: text.to_owned() });
        } else if let Some(tool) = delta.get("toolUse") {
            let json = tool.get("input").and_then(Json::as_str).unwrap_or_default().to_owned();
            match self.open {
                Some(Open::Call(call)) => out.push(Delta::Arguments { choice: 0, call, json }),
                Some(Open::Skipped) => {}
                _ => return Err("arguments of a tool came before its `contentBlockStart`".to_owned()),
            }
        } else if let Some(reasoning) = delta.get("reasoningContent") {
            self.reasoning(reasoning, out)?;
        } else if let Some(image) = delta.get("image") {
            let data = image.get("source").and_then(|source| source.get("bytes")).and_then(Json::as_str);
            if !matches!(self.open, Some(Open::Image(..))) {
                self.close(out);
                self.open = Some(Open::Image(None, String::new()));
            }
            if let Some(Open::Image(_, bytes)) = &mut self.open {
                grow(bytes, data.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, reasoning: &Json<'_>, out: &mut Vec<Delta>) -> Result<(), String> {
        let text = |name: &str| reasoning.get(name).and_then(Json::as_str);
        if let Some(data) = text("redactedContent") {
            if !matches!(self.open, Some(Open::Redacted(_))) {
                self.close(out);
                self.open = Some(Open::Redacted(String::new()));
            }
            if let Some(Open::Redacted(all)) = &mut self.open {
                grow(all, data)?;
            }
            return Ok(());
        }
        let began = matches!(self.open, Some(Open::Thinking));
        if !began {
            self.become_other(Open::Thinking, out);
        }
        match (text("text"), text("signature")) {
            (Some(text), _) => out.push(Delta::Thinking { choice: 0, text: text.to_owned() }),
            // A signature belongs to thoughts, even to such as are not told.
            (None, Some(_)) if !began => out.push(Delta::Thinking { choice: 0, text: String::new() }),
            _ => {}
        }
        if let Some(signature) = text("signature") {
            out.push(Delta::Signature { choice: 0, signature: signature.to_owned() });
        }
        Ok(())
    }

    fn become_text(&mut self, out: &mut Vec<Delta>) {
        if !matches!(self.open, Some(Open::Text)) {
            self.become_other(Open::Text, out);
        }
    }

    /// A block of words has no start of its own: its first delta tells what it is.
    fn become_other(&mut self, kind: Open, out: &mut Vec<Delta>) {
        if !matches!(self.open, None | Some(Open::Unknown)) {
            self.close(out);
        }
        self.open = Some(kind);
    }

    fn close(&mut self, out: &mut Vec<Delta>) {
        match self.open.take() {
            None | Some(Open::Unknown | Open::Skipped) => {}
            Some(Open::Text | Open::Thinking | Open::Call(_)) => out.push(Delta::PartEnd { choice: 0 }),
            Some(Open::Redacted(data)) => {
                out.push(Delta::Whole { choice: 0, part: Part::new(Content::RedactedThinking(data)) });
            }
            Some(Open::Image(format, bytes)) => {
                let media_type = format.map(|format| match Kind::Image.media_type(&format) {
                    Some(known) => known.to_owned(),
                    None => format!("image/{format}"),
                });
                let part = Part::new(Content::Image(Media::new(Source::Data(bytes), media_type)));
                out.push(Delta::Whole { choice: 0, part });
            }
        }
    }
}

/// Adds the next piece of a text in base64. Where the last one was filled up, both are one sequence of bytes.
fn grow(all: &mut String, piece: &str) -> Result<(), String> {
    if all.len() + piece.len() > WHOLE_BYTES {
        return Err("a part of the answer is too large".to_owned());
    }
    if all.ends_with('=') && !piece.is_empty() {
        let wrong = |_| "a part of the answer is not in base64".to_owned();
        let mut bytes = STANDARD.decode(all.as_bytes()).map_err(wrong)?;
        bytes.extend(STANDARD.decode(piece).map_err(wrong)?);
        *all = STANDARD.encode(bytes);
    } else {
        all.push_str(piece);
    }
    Ok(())
}
