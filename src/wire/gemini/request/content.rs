//! `Chat` → `contents` and `systemInstruction`.

use crate::types::chat::{Chat, Content, Media, Message, Part, Role, Source, ToolResult};
use crate::wire::gemini::{generation, own, part};
use crate::wire::hub::Losses;
use crate::wire::write::{self, Array, Object};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What Google's documents give for calls that another model made: from Gemini 3 on a call without a signature is refused.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// The texts of the system instruction: what stands before the conversation, then what the operator said in its middle.
pub(super) fn system<'c>(chat: &'c Chat, losses: &mut Losses) -> Vec<&'c str> {
    let inside = chat.messages.iter().filter(|message| message.role == Role::System).flat_map(|message| &message.parts);
    let parts = chat.system.iter().chain(inside);
    parts
        .filter_map(|part| {
            losses.drop_if(part.cache.is_some(), "cache_control");
            if part.as_text().is_none() {
                losses.refuse("system", "a system instruction of Gemini is text.");
            }
            part.as_text().filter(|text| !text.is_empty())
        })
        .collect()
}

/// Writes the turns. Turns of one role that follow each other become one; results of tools stand alone.
pub(super) fn turns(list: &mut Array<'_>, chat: &Chat, losses: &mut Losses) {
    let last_question = chat.messages.iter().rposition(|message| message.role == Role::User);
    let signs = generation::signs_calls(&chat.model);
    let turns: Vec<(usize, &Message)> =
        chat.messages.iter().enumerate().filter(|(_, message)| message.role != Role::System).collect();
    for group in turns.chunk_by(|(_, one), (_, next)| one.role == next.role) {
        let Some((at, first)) = group.first() else { continue };
        // Only calls of the current turn are checked.
        let needs_signature = signs && last_question.is_none_or(|question| *at > question);
        let mut turn = Turn { chat, losses, unsigned: needs_signature };
        let parts = write::array_text(|list| {
            group.iter().flat_map(|(_, message)| &message.parts).for_each(|part| turn.write(list, part));
        });
        turn.losses.drop_if(group.iter().any(|(_, message)| message.name.is_some()), "messages.name");
        if parts != "[]" {
            list.object(|o| {
                o.text("role", if first.role == Role::Assistant { "model" } else { "user" });
                o.raw("parts", &parts);
            });
        }
    }
}

/// A turn being written.
struct Turn<'t> {
    chat: &'t Chat,
    losses: &'t mut Losses,
    /// The next call is the first of its turn, which must be signed.
    unsigned: bool,
}

impl Turn<'_> {
    fn write(&mut self, list: &mut Array<'_>, part: &Part) {
        self.losses.drop_if(part.cache.is_some(), "cache_control");
        let signature = part.signature.as_deref().filter(|text| is_base64(text));
        self.losses.drop_if(part.signature.is_some() && signature.is_none(), "signature");
        match &part.content {
            Content::ToolResult(result) => self.result(list, result),
            Content::RedactedThinking(_) => self.losses.drop("redacted_thinking"),
            Content::ToolCall(_) => {
                let unsigned = std::mem::take(&mut self.unsigned);
                let signature = signature.or(unsigned.then_some(UNSIGNED)).map(str::to_owned);
                part::write(list, &Part { signature, ..part.clone() });
            }
            Content::Image(media) | Content::Audio(media) | Content::Video(media) | Content::Document(media) => {
                self.media(list, part, media);
            }
            _ if signature.is_none() && part.signature.is_some() => {
                part::write(list, &Part { signature: None, ..part.clone() });
            }
            _ => {
                part::write(list, part);
            }
        }
    }

    fn media(&mut self, list: &mut Array<'_>, whole: &Part, media: &Media) {
        if own::kept(whole, own::CANDIDATE).is_some() {
            return;
        }
        self.losses.drop_if(media.detail.as_deref().is_some_and(|detail| detail != "auto"), "detail");
        match &media.source {
            Source::File(id) if !part::at_google(id) => {
                self.losses.refuse("file_id", "a file that another vendor holds is not to be had by Google.");
            }
            Source::Data(_) if media.media_type.is_none() && part::guess(&media.source).is_none() => {
                self.losses.refuse("media_type", "Gemini must be told what kind of data it is given.");
            }
            Source::Text(text) if own::kept(whole, own::PART).is_none() => {
                let media_type = media.media_type.as_deref().unwrap_or("text/plain");
                list.object(|o| blob(o, media_type, &STANDARD.encode(text), None));
            }
            _ => {
                part::write(list, whole);
            }
        }
    }

    /// What a tool gave, in a response that must be an object.
    fn result(&mut self, list: &mut Array<'_>, result: &ToolResult) {
        let name = result.name.as_deref().or_else(|| self.chat.tool_of(&result.id)).unwrap_or(&result.id);
        let (words, media): (Vec<&Part>, Vec<&Part>) = result.parts.iter().partition(|part| part.as_text().is_some());
        let text: String = words.iter().filter_map(|part| part.as_text()).collect::<Vec<_>>().join("\n");
        // Pictures inside a response are read from Gemini 3 on; before, they stand beside it.
        let inside = generation::signs_calls(&self.chat.model) && media.iter().all(|part| is_data(part));
        let inner = write::array_text(|list| {
            media.iter().filter(|_| inside).for_each(|part| self.write(list, part));
        });
        list.object(|o| {
            o.object("functionResponse", |o| {
                if !result.id.is_empty() {
                    o.text("id", &result.id);
                }
                o.text("name", name);
                match (result.failed, is_object(&text)) {
                    (true, _) => o.object("response", |o| o.text("error", &text)),
                    (false, true) => o.raw("response", text.trim()),
                    (false, false) => o.object("response", |o| o.text("output", &text)),
                }
                if inner != "[]" {
                    o.raw("parts", &inner);
                }
            });
        });
        media.iter().filter(|_| !inside).for_each(|part| self.write(list, part));
    }
}

fn blob(o: &mut Object<'_>, media_type: &str, data: &str, name: Option<&str>) {
    o.object("inlineData", |o| {
        o.text("mimeType", media_type);
        o.text("data", data);
        o.maybe_text("displayName", name);
    });
}

fn is_data(part: &Part) -> bool {
    match &part.content {
        Content::Image(media) | Content::Document(media) => matches!(media.source, Source::Data(_)),
        _ => false,
    }
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Signatures are bytes to Google, in either alphabet of base64; one that is not was made by somebody else.
fn is_base64(text: &str) -> bool {
    let of = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    !text.is_empty() && text.bytes().all(of)
}
