//! Turns of a `Chat` → `input`.

use crate::types::chat::{Chat, Content, Media, Message, Part, Role, Source, ToolResult};
use crate::wire::hub::Losses;
use crate::wire::openai::media;
use crate::wire::openai::request::address;
use crate::wire::write::{Array, Object};

/// Writes the items.
pub struct Items<'l> {
    /// What is lost.
    pub losses: &'l mut Losses,
}

impl Items<'_> {
    /// Writes them all.
    pub fn write(&mut self, list: &mut Array<'_>, chat: &Chat) {
        for message in &chat.messages {
            self.losses.drop_if(message.name.is_some(), "messages.name");
            match message.role {
                Role::Assistant => message.parts.iter().for_each(|part| self.said(list, part)),
                Role::System => self.asked(list, "developer", message),
                Role::User | Role::Tool => self.asked(list, "user", message),
            }
        }
    }

    /// Results first, one item each, then what else was said.
    fn asked(&mut self, list: &mut Array<'_>, role: &str, message: &Message) {
        let mut rest = Vec::new();
        for part in &message.parts {
            self.losses.drop_if(part.cache.is_some(), "cache_control");
            match &part.content {
                Content::ToolResult(result) => self.result(list, result),
                _ => rest.push(part),
            }
        }
        if rest.is_empty() {
            return;
        }
        list.object(|o| {
            o.text("type", "message");
            o.text("role", role);
            o.array("content", |list| rest.iter().for_each(|part| self.part(list, part)));
        });
    }

    fn result(&mut self, list: &mut Array<'_>, result: &ToolResult) {
        self.losses.drop_if(result.failed, "tool_result.is_error");
        list.object(|o| {
            o.text("type", "function_call_output");
            o.text("call_id", &result.id);
            if result.parts.iter().all(|part| part.as_text().is_some()) {
                let words: Vec<&str> = result.parts.iter().filter_map(Part::as_text).collect();
                o.text("output", &words.join("\n"));
            } else {
                o.array("output", |list| result.parts.iter().for_each(|part| self.part(list, part)));
            }
        });
    }

    fn part(&mut self, list: &mut Array<'_>, part: &Part) {
        let losses = &mut *self.losses;
        match &part.content {
            Content::Text(text) => list.object(|o| words(o, text)),
            Content::Image(media) => match (&media.source, address(media)) {
                (_, Some(url)) => list.object(|o| image(o, "image_url", &url, media)),
                (Source::File(id), None) if id.starts_with("file-") => list.object(|o| image(o, "file_id", id, media)),
                _ => losses.refuse("messages", "it knows no picture of that file's id."),
            },
            Content::Audio(Media { source: Source::Data(data), media_type, .. }) => list.object(|o| {
                o.text("type", "input_audio");
                o.object("input_audio", |o| {
                    o.text("data", data);
                    o.text("format", media::sound_format(media_type.as_deref()));
                });
            }),
            Content::Document(media) => match &media.source {
                Source::Text(text) => list.object(|o| words(o, text)),
                Source::File(id) if !id.starts_with("file-") => {
                    losses.refuse("messages", "it knows no document of that file's id.");
                }
                _ => list.object(|o| document(o, media)),
            },
            Content::Audio(_) => losses.refuse("messages", "it takes sounds as bytes only."),
            Content::Video(_) => losses.refuse("messages", "its wire has no videos."),
            _ => losses.drop("messages.content"),
        }
    }

    /// What the model said: an item each.
    fn said(&mut self, list: &mut Array<'_>, part: &Part) {
        match &part.content {
            Content::Text(text) => list.object(|o| spoken(o, "output_text", "text", text)),
            Content::Refusal(text) => list.object(|o| spoken(o, "refusal", "refusal", text)),
            Content::Thinking(text) => match &part.signature {
                Some(signature) => list.object(|o| {
                    o.text("type", "reasoning");
                    o.array("summary", |list| {
                        if !text.is_empty() {
                            list.object(|o| {
                                o.text("type", "summary_text");
                                o.text("text", text);
                            });
                        }
                    });
                    o.text("encrypted_content", signature);
                }),
                // Thoughts go back under their vendor's seal only.
                None => self.losses.drop("thinking"),
            },
            Content::ToolCall(call) => {
                self.losses.drop_if(part.signature.is_some(), "thought_signature");
                list.object(|o| {
                    o.text("type", "function_call");
                    o.text("call_id", &call.id);
                    o.text("name", &call.name);
                    o.text("arguments", if call.arguments.trim().is_empty() { "{}" } else { &call.arguments });
                });
            }
            Content::RedactedThinking(_) => self.losses.drop("thinking"),
            _ => self.losses.drop("messages.content"),
        }
    }
}

fn words(o: &mut Object<'_>, text: &str) {
    o.text("type", "input_text");
    o.text("text", text);
}

fn spoken(o: &mut Object<'_>, kind: &str, name: &str, text: &str) {
    o.text("type", "message");
    o.text("role", "assistant");
    o.array("content", |list| {
        list.object(|o| {
            o.text("type", kind);
            o.text(name, text);
        });
    });
}

fn image(o: &mut Object<'_>, name: &str, place: &str, media: &Media) {
    o.text("type", "input_image");
    o.text(name, place);
    o.text("detail", media.detail.as_deref().unwrap_or("auto"));
}

fn document(o: &mut Object<'_>, media: &Media) {
    o.text("type", "input_file");
    match &media.source {
        Source::Data(data) => {
            o.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
            o.text("file_data", &media::data_url(media, data));
        }
        Source::Url(url) => o.text("file_url", url),
        Source::File(id) => o.text("file_id", id),
        Source::Text(_) => {}
    }
}
