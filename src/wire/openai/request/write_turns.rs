//! Turns of a `Chat` → `messages`.

use crate::types::chat::{CacheMark, Chat, Content, Media, Message, Part, Role, Source, ToolResult};
use crate::wire::hub::Losses;
use crate::wire::openai::habits::{Habits, Thoughts};
use crate::wire::openai::{media, thoughts};
use crate::wire::write::{Array, Object};

/// Writes the turns for one model.
pub struct Turns<'l> {
    /// What that model wants.
    pub habits: Habits,
    /// What is lost.
    pub losses: &'l mut Losses,
}

/// `cache_control`.
pub fn cache_mark(o: &mut Object<'_>, mark: &CacheMark) {
    o.object("cache_control", |o| {
        o.text("type", "ephemeral");
        o.maybe_text("ttl", mark.ttl.as_deref());
    });
}

impl Turns<'_> {
    /// Writes them all, the system's first.
    pub fn write(&mut self, list: &mut Array<'_>, chat: &Chat) {
        if !chat.system.is_empty() {
            self.turn(list, "system", None, &chat.system.iter().collect::<Vec<_>>());
        }
        for message in &chat.messages {
            match message.role {
                Role::Assistant => self.assistant(list, message),
                Role::System => self.turn(list, "system", message.name.as_deref(), &all(message)),
                Role::User | Role::Tool => self.user(list, message),
            }
        }
    }

    /// Results first, one message each, then what else was said.
    fn user(&mut self, list: &mut Array<'_>, message: &Message) {
        let mut rest = Vec::new();
        let mut labels = Vec::new();
        for part in &message.parts {
            match &part.content {
                Content::ToolResult(result) => self.result(list, part, result, &mut labels),
                _ => rest.push(part),
            }
        }
        // A tool's message holds words only: what else it gave follows in a user's.
        let (label, shown): (Vec<Part>, Vec<&Part>) = labels.into_iter().unzip();
        let shown = label.iter().zip(shown).flat_map(|(label, part)| [label, part]);
        let rest: Vec<&Part> = shown.chain(rest).collect();
        if !rest.is_empty() {
            self.turn(list, "user", message.name.as_deref(), &rest);
        }
    }

    fn result<'p>(
        &mut self,
        list: &mut Array<'_>,
        part: &Part,
        result: &'p ToolResult,
        labels: &mut Vec<(Part, &'p Part)>,
    ) {
        self.losses.drop_if(result.failed, "tool_result.is_error");
        let (words, others): (Vec<&Part>, Vec<&Part>) = result.parts.iter().partition(|part| part.as_text().is_some());
        let label = |part| (Part::text(format!("From the tool call {}:", result.id)), part);
        labels.extend(others.into_iter().map(label));
        list.object(|o| {
            o.text("role", "tool");
            o.text("tool_call_id", &result.id);
            match part.cache.as_ref().filter(|_| self.habits.cache_marks) {
                Some(mark) => o.array("content", |list| {
                    list.object(|o| {
                        o.text("type", "text");
                        o.text("text", &joined(&words, "\n"));
                        cache_mark(o, mark);
                    });
                }),
                None => {
                    self.losses.drop_if(part.cache.is_some(), "cache_control");
                    self.content(o, &words, "\n");
                }
            }
        });
    }

    fn turn(&mut self, list: &mut Array<'_>, role: &str, name: Option<&str>, parts: &[&Part]) {
        list.object(|o| {
            o.text("role", role);
            self.content(o, parts, "\n");
            o.maybe_text("name", name);
        });
    }

    /// Words alone are written as one text, which every server takes; a list of them is not known everywhere.
    fn content(&mut self, o: &mut Object<'_>, parts: &[&Part], between: &str) {
        let marked = parts.iter().any(|part| part.cache.is_some());
        self.losses.drop_if(marked && !self.habits.cache_marks, "cache_control");
        let plain = parts.iter().all(|part| part.as_text().is_some());
        if plain && !(marked && self.habits.cache_marks) {
            o.text("content", &joined(parts, between));
            return;
        }
        o.array("content", |list| parts.iter().for_each(|part| self.part(list, part)));
    }

    fn part(&mut self, list: &mut Array<'_>, part: &Part) {
        let mark = part.cache.as_ref().filter(|_| self.habits.cache_marks);
        let losses = &mut *self.losses;
        let mut item = |fill: &mut dyn FnMut(&mut Object<'_>)| {
            list.object(|o| {
                fill(o);
                if let Some(mark) = mark {
                    cache_mark(o, mark);
                }
            });
        };
        match &part.content {
            Content::Text(text) => item(&mut |o| words(o, text)),
            Content::Refusal(text) => item(&mut |o| {
                o.text("type", "refusal");
                o.text("refusal", text);
            }),
            Content::Image(media) => match address(media) {
                Some(url) => item(&mut |o| image(o, &url, media.detail.as_deref())),
                None => losses.refuse("messages", "it takes pictures as bytes or addresses, and not by a file's id."),
            },
            Content::Video(media) => match address(media) {
                Some(url) => item(&mut |o| {
                    o.text("type", "video_url");
                    o.object("video_url", |o| o.text("url", &url));
                }),
                None => losses.refuse("messages", "it takes videos as bytes or addresses, and not by a file's id."),
            },
            Content::Audio(media) => match &media.source {
                Source::Data(data) => item(&mut |o| {
                    o.text("type", "input_audio");
                    o.object("input_audio", |o| {
                        o.text("data", data);
                        o.text("format", media::sound_format(media.media_type.as_deref()));
                    });
                }),
                _ => losses.refuse("messages", "it takes sounds as bytes only."),
            },
            Content::Document(media) => match &media.source {
                Source::Text(text) => item(&mut |o| words(o, text)),
                Source::Data(_) => item(&mut |o| document(o, media)),
                // OpenAI's own ids begin like this; those of others are unknown to it.
                Source::File(id) if id.starts_with("file-") => item(&mut |o| document(o, media)),
                _ => losses.refuse("messages", "it takes documents as bytes only."),
            },
            _ => losses.drop("messages.content"),
        }
    }

    fn assistant(&mut self, list: &mut Array<'_>, message: &Message) {
        let of = |kind: fn(&Content) -> bool| message.parts.iter().filter(|p| kind(&p.content)).collect::<Vec<&Part>>();
        let said = of(|content| matches!(content, Content::Text(_)));
        let refused = of(|content| matches!(content, Content::Refusal(_)));
        let pictures = of(|content| matches!(content, Content::Image(_)));
        let calls = of(|content| matches!(content, Content::ToolCall(_)));
        list.object(|o| {
            o.text("role", "assistant");
            if said.is_empty() && !(calls.is_empty() && refused.is_empty()) {
                o.null("content");
            } else {
                // Blocks of one turn are pieces of one text (Anthropic cuts it at every quotation).
                self.content(o, &said, "");
            }
            for part in refused {
                if let Content::Refusal(text) = &part.content {
                    o.text("refusal", text);
                }
            }
            o.maybe_text("name", message.name.as_deref());
            self.thoughts(o, message);
            if !pictures.is_empty() {
                o.array("images", |list| self.pictures(list, &pictures));
            }
            for part in &message.parts {
                if let Content::Audio(Media { source: Source::File(id), .. }) = &part.content {
                    o.object("audio", |o| o.text("id", id));
                }
            }
            if !calls.is_empty() {
                o.array("tool_calls", |list| self.calls(list, &calls));
            }
        });
        let known =
            |content: &Content| !matches!(content, Content::Video(_) | Content::Document(_) | Content::ToolResult(_));
        self.losses.drop_if(!message.parts.iter().all(|part| known(&part.content)), "messages.content");
    }

    fn thoughts(&mut self, o: &mut Object<'_>, message: &Message) {
        let is_thought = |part: &Part| matches!(part.content, Content::Thinking(_) | Content::RedactedThinking(_));
        if !message.parts.iter().any(is_thought) {
            return;
        }
        match self.habits.thoughts {
            Thoughts::None => self.losses.drop("thinking"),
            Thoughts::Content => o.text("reasoning_content", &thoughts::joined(&message.parts)),
            Thoughts::Details(format) => thoughts::write(o, &message.parts, Some(format)),
        }
    }

    fn pictures(&mut self, list: &mut Array<'_>, pictures: &[&Part]) {
        for part in pictures {
            let Content::Image(media) = &part.content else { continue };
            match address(media) {
                Some(url) => list.object(|o| image(o, &url, None)),
                None => self.losses.drop("messages.images"),
            }
        }
    }

    fn calls(&mut self, list: &mut Array<'_>, calls: &[&Part]) {
        for part in calls {
            let Content::ToolCall(call) = &part.content else { continue };
            list.object(|o| {
                o.text("id", &call.id);
                o.text("type", "function");
                o.object("function", |o| {
                    o.text("name", &call.name);
                    o.text("arguments", if call.arguments.trim().is_empty() { "{}" } else { &call.arguments });
                });
                match &part.signature {
                    Some(signature) if self.habits.signed_calls => sign(o, signature),
                    Some(_) => self.losses.drop("thought_signature"),
                    None => {}
                }
            });
        }
    }
}

fn all(message: &Message) -> Vec<&Part> {
    message.parts.iter().collect()
}

fn joined(parts: &[&Part], between: &str) -> String {
    parts.iter().filter_map(|part| part.as_text()).collect::<Vec<_>>().join(between)
}

fn words(o: &mut Object<'_>, text: &str) {
    o.text("type", "text");
    o.text("text", text);
}

/// Where a picture is, or its bytes as an address.
pub fn address(media: &Media) -> Option<String> {
    match &media.source {
        Source::Data(data) => Some(media::data_url(media, data)),
        Source::Url(url) => Some(url.clone()),
        Source::File(_) | Source::Text(_) => None,
    }
}

/// An `image_url` part.
pub fn image(o: &mut Object<'_>, url: &str, detail: Option<&str>) {
    o.text("type", "image_url");
    o.object("image_url", |o| {
        o.text("url", url);
        o.maybe_text("detail", detail);
    });
}

fn document(o: &mut Object<'_>, media: &Media) {
    o.text("type", "file");
    o.object("file", |o| match &media.source {
        Source::File(id) => o.text("file_id", id),
        Source::Data(data) => {
            o.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
            o.text("file_data", &media::data_url(media, data));
        }
        Source::Url(_) | Source::Text(_) => {}
    });
}

/// Google's signature of a call or a message.
pub fn sign(o: &mut Object<'_>, signature: &str) {
    o.object("extra_content", |o| o.object("google", |o| o.text("thought_signature", signature)));
}
