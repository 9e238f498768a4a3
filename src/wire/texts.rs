//! Which strings of a request or an answer are texts: what somebody said, or a tool was given or gave. All others are the wire's
//! own words: kinds, ids, signatures, bytes of pictures.
//!
//! Told by what is left out, so that a field that nobody knows counts as a text. What a tool is given and gives is read whole,
//! whatever its fields are called, its keys and long numbers included.

use super::spanned::{Edit, Spanned, Value, edited, unquoted};
use crate::types::surface::Surface;
use std::borrow::Cow;
use std::ops::Range;

/// Fields whose strings are words of the wire. What else stands there is read: a schema below `format`, a property called `id`.
const STRUCTURE: [&str; 45] = [
    "model",
    "role",
    "type",
    "id",
    "object",
    "format",
    "status",
    "detail",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "redactedContent",
    "media_type",
    "mimeType",
    "mime_type",
    "finish_reason",
    "finishReason",
    "stop_reason",
    "stopReason",
    "tool_call_id",
    "toolCallId",
    "tool_use_id",
    "toolUseId",
    "call_id",
    "item_id",
    "response_id",
    "responseId",
    "previous_response_id",
    "file_id",
    "fileId",
    "container_id",
    "service_tier",
    "reasoning_effort",
    "effort",
    "verbosity",
    "truncation",
    "modelVersion",
    "system_fingerprint",
    "created_at",
    "cache_control",
    "cachePoint",
    "usage",
    "encoding_format",
    "embedding_types",
];
/// Fields that hold bytes of pictures, sound and files, in base64; whatever else stands there is a text.
const BYTES: [&str; 9] = ["data", "bytes", "file_data", "image", "images", "b64_json", "image_url", "url", "audio"];
/// Fields that hold what a tool is given or gives, or documents of whatever form: every string in them is a text.
const FREE: [&str; 4] = ["args", "arguments", "documents", "metadata"];
/// A number of fewer digits is nobody's.
const LONG_NUMBER: usize = 9;

/// Who said a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaker {
    /// Whoever wrote the application: the system prompt, the definitions of tools.
    System,
    /// The user, or a tool.
    User,
    /// The model.
    Assistant,
}

/// How a text is written where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As a string.
    String,
    /// As a number.
    Number,
}

/// One text.
#[derive(Clone, PartialEq, Debug)]
pub struct Text<'t> {
    /// What it says.
    pub text: Cow<'t, str>,
    /// Where it stands, quotes included.
    pub span: Range<usize>,
    /// Who said it.
    pub speaker: Speaker,
    /// How it is written.
    pub form: Form,
    /// It stands among what a tool is given or gives, where strings may be JSON themselves.
    pub free: bool,
}

/// What is read of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// A request: all of it.
    Request,
    /// An answer: what was answered, and not what it repeats of its request.
    Answer(Surface),
    /// Everything, what an answer repeats included.
    Whole,
}

/// The texts of `document`, in their order.
pub fn texts<'t>(document: &'t str, tree: &Spanned, scope: Scope) -> Vec<Text<'t>> {
    let speaker = if matches!(scope, Scope::Request) { Speaker::User } else { Speaker::Assistant };
    let mut walk = Walk { document, found: Vec::new() };
    // All other wires repeat nothing.
    let output = matches!(scope, Scope::Answer(Surface::Responses)).then(|| tree.get("output", document)).flatten();
    match output {
        Some(output) => walk.value("output", output, speaker, None),
        None => walk.value("", tree, speaker, None),
    }
    walk.found
}

/// `document` with other texts: `change` gives what is to stand in place of one, or `None` to leave it. Strings that are JSON
/// themselves, as arguments of calls are, are read like documents of their own. `None`: nothing was changed.
pub fn changed(
    document: &str,
    scope: Scope,
    change: &mut dyn FnMut(&str, Speaker) -> Option<String>,
) -> Option<String> {
    let tree = Spanned::read(document)?;
    let edits = edits(document, &texts(document, &tree, scope), change);
    (!edits.is_empty()).then(|| edited(document, &edits))
}

/// The same of JSON that a tool is given or gives: every string in it is a text.
pub fn changed_free(
    document: &str,
    speaker: Speaker,
    change: &mut dyn FnMut(&str, Speaker) -> Option<String>,
) -> Vec<Edit> {
    let Some(tree) = Spanned::read(document) else { return Vec::new() };
    let mut walk = Walk { document, found: Vec::new() };
    walk.free(&tree, speaker);
    edits(document, &walk.found, change)
}

/// What stands in place of `texts` of a document, where `change` gives something. Strings that are JSON themselves are taken apart.
pub fn edits(document: &str, texts: &[Text<'_>], change: &mut dyn FnMut(&str, Speaker) -> Option<String>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for text in texts {
        let new = if text.free && is_json(&text.text) {
            let inner = changed_free(&text.text, text.speaker, change);
            (!inner.is_empty()).then(|| edited(&text.text, &inner))
        } else {
            change(&text.text, text.speaker)
        };
        edits.extend(new.map(|new| (text.span.clone(), quoted(&new))));
    }
    debug_assert!(edits.iter().all(|(span, _)| document.get(span.clone()).is_some()));
    edits
}

/// Every text of `document` that `see` is shown, strings that are JSON themselves taken apart.
pub fn shown(document: &str, scope: Scope, see: &mut dyn FnMut(&str, Speaker)) {
    let _ = changed(document, scope, &mut |text, speaker| {
        see(text, speaker);
        None
    });
}

/// Are there lists of tokens in place of texts, which cannot be read?
pub fn has_tokens(document: &str, tree: &Spanned) -> bool {
    let is_numbers = |one: &Spanned| one.items().first().is_some_and(|item| item.value == Value::Number);
    ["input", "prompt"]
        .into_iter()
        .filter_map(|key| tree.get(key, document))
        .any(|value| is_numbers(value) || value.items().iter().any(is_numbers))
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    super::write::string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// Is it a JSON object or list, as arguments of calls are written in strings?
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && Spanned::read(text).is_some()
}

struct Walk<'t> {
    document: &'t str,
    found: Vec<Text<'t>>,
}

impl<'t> Walk<'t> {
    fn value(&mut self, key: &str, one: &Spanned, speaker: Speaker, parent: Option<&Spanned>) {
        match &one.value {
            Value::Text => self.string(key, one, speaker, parent),
            Value::List(items) => items.iter().for_each(|item| self.value(key, item, speaker, parent)),
            Value::Map(fields) => {
                let speaker = self.speaker_of(one).unwrap_or(speaker);
                for (name, value) in fields {
                    let name = unquoted(self.document, name);
                    if self.is_free(&name, value, one) {
                        self.free(value, speaker);
                    } else {
                        let speaker = speaker_at(&name).unwrap_or(speaker);
                        self.value(&name, value, speaker, Some(one));
                    }
                }
            }
            Value::Number | Value::Word => {}
        }
    }

    /// Is it what a tool is given or gives? `input`, `output` and `response` of other things are the turns of a conversation, or all
    /// of an answer, and `parameters` a schema where it has a `type`. Lists of these hold parts, which have a form of their own.
    fn is_free(&self, name: &str, value: &Spanned, parent: &Spanned) -> bool {
        let has = |one: &Spanned, key: &str| one.get(key, self.document).is_some();
        let is_list = matches!(value.value, Value::List(_));
        match name {
            "parameters" => matches!(value.value, Value::Map(_)) && !has(value, "type"),
            "json" | "data" => matches!(value.value, Value::Map(_)),
            "input" | "response" => !is_list && has(parent, "name"),
            "output" => !is_list && (has(parent, "call_id") || has(parent, "name")),
            _ => FREE.contains(&name),
        }
    }

    fn string(&mut self, key: &str, one: &Spanned, speaker: Speaker, parent: Option<&Spanned>) {
        let text = unquoted(self.document, &one.span);
        let is_plain = || {
            let kind = parent.and_then(|parent| parent.get("type", self.document));
            kind.and_then(|kind| kind.text(self.document)).as_deref() == Some("text")
        };
        let skipped = STRUCTURE.contains(&key)
            || (key == "name" && is_name(&text) && !self.is_person(parent))
            || (BYTES.contains(&key) && !is_plain() && is_bytes(&text));
        if !skipped && !text.is_empty() {
            self.found.push(Text { text, span: one.span.clone(), speaker, form: Form::String, free: false });
        }
    }

    /// Does its `name` name who speaks, and not a tool?
    fn is_person(&self, parent: Option<&Spanned>) -> bool {
        let role = parent.and_then(|parent| parent.get("role", self.document)?.text(self.document));
        role.is_some_and(|role| !matches!(role.as_ref(), "tool" | "function"))
    }

    fn free(&mut self, one: &Spanned, speaker: Speaker) {
        let text = |span: &Range<usize>| unquoted(self.document, span);
        match &one.value {
            Value::Text => {
                let text = text(&one.span);
                self.found.push(Text { text, span: one.span.clone(), speaker, form: Form::String, free: true });
            }
            Value::Number if one.span.len() >= LONG_NUMBER => {
                let text = text(&one.span);
                self.found.push(Text { text, span: one.span.clone(), speaker, form: Form::Number, free: false });
            }
            Value::List(items) => items.iter().for_each(|item| self.free(item, speaker)),
            Value::Map(fields) => {
                for (key, value) in fields {
                    let name = unquoted(self.document, key);
                    self.found.push(Text { text: name, span: key.clone(), speaker, form: Form::String, free: false });
                    self.free(value, speaker);
                }
            }
            Value::Number | Value::Word => {}
        }
    }

    fn speaker_of(&self, one: &Spanned) -> Option<Speaker> {
        let role = one.get("role", self.document)?;
        Some(match role.text(self.document)?.to_ascii_lowercase().as_str() {
            "system" | "developer" => Speaker::System,
            "assistant" | "model" | "chatbot" => Speaker::Assistant,
            _ => Speaker::User,
        })
    }
}

/// Fields that the application itself writes.
fn speaker_at(key: &str) -> Option<Speaker> {
    let own = matches!(
        key,
        "system" | "instructions" | "systemInstruction" | "system_instruction" | "preamble" | "tools" | "toolConfig"
    );
    own.then_some(Speaker::System)
}

/// Is it a field whose string is a word of the wire?
pub(super) fn is_structure(key: &str) -> bool {
    STRUCTURE.contains(&key)
}

/// Names of tools and the like, which are no sentences.
fn is_name(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte))
}

/// Base64, or a `data:` URL.
fn is_bytes(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-\r\n".contains(&byte);
    let body = match text.split_once(";base64,") {
        Some((head, body)) if head.starts_with("data:") => body,
        _ => text,
    };
    !body.is_empty() && body.bytes().all(is_base64)
}

#[cfg(test)]
mod tests;
