//! One output item, as answers and streams write it.

use super::sealed::Sealed;
use crate::types::chat::ToolCall;
use crate::wire::responses::request::{Form, custom_input};
use crate::wire::write::{Object, to_text};

/// The id of the item at `index`: the same in a stream and in the body that it amounts to.
pub fn id(prefix: &str, reply: &str, index: usize) -> String {
    format!("{prefix}_{}_{index}", reply.strip_prefix("resp_").unwrap_or(reply))
}

/// Words as a content part.
pub fn text_part(text: &str) -> String {
    to_text(|o| {
        o.text("type", "output_text");
        o.array("annotations", |_| {});
        o.array("logprobs", |_| {});
        o.text("text", text);
    })
}

/// A refusal as a content part.
pub fn refusal_part(text: &str) -> String {
    to_text(|o| {
        o.text("type", "refusal");
        o.text("refusal", text);
    })
}

/// A message of these content parts.
pub fn message(id: &str, status: &str, parts: &[String]) -> String {
    to_text(|o| {
        o.text("id", id);
        o.text("type", "message");
        o.text("status", status);
        o.array("content", |list| parts.iter().for_each(|part| list.raw(part)));
        o.text("role", "assistant");
    })
}

/// Thoughts, and what is sealed with them.
pub fn reasoning(id: &str, text: &str, sealed: Option<Sealed<'_>>) -> String {
    to_text(|o| {
        o.text("id", id);
        o.text("type", "reasoning");
        o.array("summary", |list| {
            if !text.is_empty() {
                list.object(|o| summary(o, text));
            }
        });
        o.maybe_text("encrypted_content", sealed.map(Sealed::write).as_deref());
    })
}

/// A part of a summary.
pub fn summary(o: &mut Object<'_>, text: &str) {
    o.text("type", "summary_text");
    o.text("text", text);
}

/// A call of a tool, in the form of its tool.
pub fn call(id: &str, status: &str, call: &ToolCall, form: &Form) -> String {
    let custom = form.custom;
    to_text(|o| {
        o.text("id", id);
        o.text("type", if custom { "custom_tool_call" } else { "function_call" });
        o.text("status", status);
        if !custom {
            o.text("arguments", &call.arguments);
        }
        o.text("call_id", &call.id);
        if custom {
            // A call that has only begun has no input yet.
            o.text("input", &if call.arguments.is_empty() { String::new() } else { custom_input(&call.arguments) });
        }
        o.text("name", &form.name);
        o.maybe_text("namespace", form.space.as_deref());
    })
}

/// A picture, in base64.
pub fn picture(id: &str, status: &str, data: Option<&str>) -> String {
    to_text(|o| {
        o.text("id", id);
        o.text("type", "image_generation_call");
        o.text("status", status);
        match data {
            Some(data) => o.text("result", data),
            None => o.null("result"),
        }
    })
}
