//! Thoughts of a model in this wire: `reasoning_content` (DeepSeek, and those who follow it), `reasoning` (OpenRouter,
//! vLLM, Groq) and OpenRouter's `reasoning_details`, in which signatures and encrypted thoughts survive the way to a client
//! and back (<https://openrouter.ai/docs/guides/best-practices/reasoning-tokens>).

use crate::types::chat::{Content, Part};
use crate::types::json::Json;
use crate::wire::write::{Array, Object};

/// The thoughts of a message, or of a stream's piece, in words.
pub fn words<'j>(message: &'j Json<'_>) -> Option<&'j str> {
    let text = |name: &str| message.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    text("reasoning_content").or_else(|| text("reasoning"))
}

/// The thoughts of a whole message, in parts.
pub fn read(message: &Json<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    for detail in details(message) {
        push_detail(&mut parts, detail);
    }
    if !parts.iter().any(|part| matches!(&part.content, Content::Thinking(text) if !text.is_empty())) {
        let text = words(message).map(|text| Part::new(Content::Thinking(text.to_owned())));
        parts.splice(0..0, text);
    }
    parts
}

/// `reasoning_details`, or nothing.
pub fn details<'j, 'b>(message: &'j Json<'b>) -> &'j [Json<'b>] {
    message.get("reasoning_details").and_then(Json::as_array).unwrap_or_default()
}

/// The text field of a detail, by its `type`.
pub fn text_of<'j>(detail: &'j Json<'_>) -> Option<&'j str> {
    let name = match detail.get("type").and_then(Json::as_str)? {
        "reasoning.text" => "text",
        "reasoning.summary" => "summary",
        _ => return None,
    };
    detail.get(name).and_then(Json::as_str)
}

/// Encrypted thoughts that are the signature of something else: the call of that id, as OpenRouter tells Gemini's.
pub fn signature_of_call<'j>(message: &'j Json<'_>, id: &str) -> Option<&'j str> {
    let of_call = |detail: &&Json<'_>| !id.is_empty() && detail.get("id").and_then(Json::as_str) == Some(id);
    details(message).iter().find(of_call)?.get("data")?.as_str()
}

fn push_detail(parts: &mut Vec<Part>, detail: &Json<'_>) {
    let text = |name: &str| detail.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    let signature = text("signature").map(str::to_owned);
    match detail.get("type").and_then(Json::as_str) {
        Some("reasoning.text" | "reasoning.summary") => {
            let thought = text_of(detail).unwrap_or_default().to_owned();
            if !thought.is_empty() || signature.is_some() {
                parts.push(Part { signature, ..Part::new(Content::Thinking(thought)) });
            }
        }
        Some("reasoning.encrypted") => {
            let Some(data) = text("data").map(str::to_owned) else { return };
            let from_openai = text("format").is_some_and(|format| format.contains("responses"));
            match parts.last_mut().filter(|last| from_openai && last.signature.is_none()) {
                // OpenAI encrypts the thoughts of which it tells a summary: one thought, and not two.
                Some(summary) => summary.signature = Some(data),
                None if from_openai => {
                    parts.push(Part { signature: Some(data), ..Part::new(Content::Thinking(String::new())) });
                }
                None => parts.push(Part::new(Content::RedactedThinking(data))),
            }
        }
        _ => {}
    }
}

/// All thoughts of a turn as one text.
pub fn joined(parts: &[Part]) -> String {
    let thoughts = parts.iter().filter_map(|part| match &part.content {
        Content::Thinking(text) if !text.is_empty() => Some(text.as_str()),
        _ => None,
    });
    thoughts.collect::<Vec<_>>().join("\n")
}

/// Is there anything about the thoughts of a turn that words alone do not tell?
pub fn are_signed(parts: &[Part]) -> bool {
    parts.iter().any(|part| match part.content {
        Content::Thinking(_) => part.signature.is_some(),
        Content::RedactedThinking(_) => true,
        _ => false,
    })
}

/// `reasoning_details` of a turn.
pub fn write(object: &mut Object<'_>, parts: &[Part], format: Option<&str>) {
    object.array("reasoning_details", |list| {
        let mut index = 0;
        for part in parts {
            index += u64::from(write_detail(list, part, format, index));
        }
    });
}

/// One of them; false where the part is no thought.
pub fn write_detail(list: &mut Array<'_>, part: &Part, format: Option<&str>, index: u64) -> bool {
    match &part.content {
        Content::Thinking(text) => list.object(|o| {
            o.text("type", "reasoning.text");
            o.text("text", text);
            o.maybe_text("signature", part.signature.as_deref());
            o.maybe_text("format", format);
            o.integer("index", index);
        }),
        Content::RedactedThinking(data) => list.object(|o| {
            o.text("type", "reasoning.encrypted");
            o.text("data", data);
            o.maybe_text("format", format);
            o.integer("index", index);
        }),
        _ => return false,
    }
    true
}
