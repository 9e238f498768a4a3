//! Whole answers of the Responses wire ↔ `Completion` (<https://platform.openai.com/docs/api-reference/responses/object>).

use super::request::{custom_arguments, flat, thought_text};
use super::sealed::Sealed;
use super::stream::Encoder;
use crate::types::chat::{Content, Media, Part, Source, ToolCall};
use crate::types::completion::{Choice, Completion, Stop};
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub::{Encoder as _, ReplyFor};
use crate::wire::json::parse;
use crate::wire::openai::media;
use crate::wire::write::Object;

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Completion, String> {
    let json = parse(body).map_err(|error| error.message)?;
    read(&json)
}

/// Reads a response object.
pub fn read(json: &Json<'_>) -> Result<Completion, String> {
    if let Some(why) = failure(json) {
        return Err(why);
    }
    let output = json.get("output").and_then(Json::as_array).ok_or("expected an `output` array")?;
    let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let mut whole = Completion { id: text("id"), model: text("model"), ..Completion::default() };
    whole.created_s = json.get("created_at").and_then(|at| match at {
        Json::Number(crate::types::json::Number::Float(at)) => Some(*at as u64),
        other => other.as_u64(),
    });
    whole.usage = json.get("usage").and_then(usage);
    let mut parts = Vec::new();
    for item in output {
        note_dropped(item, &mut whole.dropped);
        push_item(item, &mut parts);
    }
    let stop = stop(json, &parts);
    whole.choices.push(Choice { parts, stop });
    Ok(whole)
}

/// Why there is no answer, in words.
pub fn failure(json: &Json<'_>) -> Option<String> {
    let error = json.get("error").filter(|error| **error != Json::Null);
    let status = json.get("status").and_then(Json::as_str);
    match (error, status) {
        (Some(error), _) => Some(crate::wire::openai::ending::told(error)),
        (None, Some("failed" | "cancelled")) => Some("the provider gave the answer up".to_owned()),
        // Answers of the background come later, and not to who asked.
        (None, Some("queued" | "in_progress")) => Some("the provider put the answer off".to_owned()),
        _ => None,
    }
}

/// How a response ended.
pub fn stop(json: &Json<'_>, parts: &[Part]) -> Option<Stop> {
    let has = |kind: fn(&Content) -> bool| parts.iter().any(|part| kind(&part.content));
    ending(
        json,
        has(|content| matches!(content, Content::ToolCall(_))),
        has(|content| matches!(content, Content::Refusal(_))),
    )
}

/// How a response ended that called tools, or refused.
pub fn ending(json: &Json<'_>, called: bool, refused: bool) -> Option<Stop> {
    let reason = json.get("incomplete_details").and_then(|details| details.get("reason")).and_then(Json::as_str);
    Some(match (json.get("status").and_then(Json::as_str)?, reason) {
        (_, Some("max_output_tokens")) => Stop::Length,
        (_, Some("content_filter")) => Stop::Filtered,
        (_, Some(other)) => Stop::Other(other.to_owned()),
        ("completed", None) if called => Stop::ToolCalls,
        ("completed", None) if refused => Stop::Refusal,
        ("completed", None) => Stop::End,
        (other, None) => Stop::Other(other.to_owned()),
    })
}

/// Token counts of a response.
pub fn usage(json: &Json<'_>) -> Option<Usage> {
    let detail = |of: &str, name: &str| json.get(of).and_then(|one| one.get(name)).and_then(Json::as_u64).unwrap_or(0);
    Some(Usage {
        input_tokens: json.get("input_tokens")?.as_u64()?,
        output_tokens: json.get("output_tokens").and_then(Json::as_u64).unwrap_or(0),
        cached_tokens: detail("input_tokens_details", "cached_tokens"),
        cache_write_tokens: detail("input_tokens_details", "cache_write_tokens"),
        reasoning_tokens: detail("output_tokens_details", "reasoning_tokens"),
        billed: None,
    })
}

/// Notes what of an item has no word in `Completion`.
pub fn note_dropped(item: &Json<'_>, dropped: &mut Vec<String>) {
    let content = match item.get("type").and_then(Json::as_str).unwrap_or_default() {
        "message" => item.get("content").and_then(Json::as_array).unwrap_or_default(),
        "reasoning" | "function_call" | "custom_tool_call" | "image_generation_call" => return,
        other => return note(dropped, &format!("output.{other}")),
    };
    for part in content {
        let there = |name: &&str| part.get(name).and_then(Json::as_array).is_some_and(|items| !items.is_empty());
        match part.get("type").and_then(Json::as_str).unwrap_or_default() {
            "output_text" => {
                ["annotations", "logprobs"].iter().filter(|name| there(name)).for_each(|name| note(dropped, name))
            }
            "refusal" => {}
            other => note(dropped, &format!("output.message.{other}")),
        }
    }
}

fn push_item(item: &Json<'_>, parts: &mut Vec<Part>) {
    let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default();
    match text("type") {
        "message" => {
            for part in item.get("content").and_then(Json::as_array).unwrap_or_default() {
                push_content(part, parts);
            }
        }
        "reasoning" => push_thought(item, parts),
        "function_call" | "custom_tool_call" => parts.push(Part::new(Content::ToolCall(call(item)))),
        "image_generation_call" => {
            let source = Source::Data(text("result").to_owned());
            parts.push(Part::new(Content::Image(Media::new(source, Some(media::kind_of(text("result")).to_owned())))));
        }
        _ => {}
    }
}

fn push_content(part: &Json<'_>, parts: &mut Vec<Part>) {
    let text = |name: &str| part.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    match text("type").as_str() {
        "output_text" => parts.push(Part::text(text("text"))),
        "refusal" => parts.push(Part::new(Content::Refusal(text("refusal")))),
        _ => {}
    }
}

fn push_thought(item: &Json<'_>, parts: &mut Vec<Part>) {
    let thought = Part::new(Content::Thinking(thought_text(item)));
    let sealed = item.get("encrypted_content").and_then(Json::as_str).filter(|sealed| !sealed.is_empty());
    match sealed.map(Sealed::read) {
        None => parts.push(thought),
        Some(Sealed::Own(signature)) => parts.push(Part { signature: Some(signature.to_owned()), ..thought }),
        Some(Sealed::Redacted(data)) => parts.push(Part::new(Content::RedactedThinking(data.to_owned()))),
        Some(Sealed::OfLast(signature)) => {
            if let Some(last) = parts.last_mut() {
                last.signature = Some(signature.to_owned());
            }
        }
    }
}

/// A call of a function or of a custom tool.
pub fn call(item: &Json<'_>) -> ToolCall {
    let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let arguments = match item.get("input").and_then(Json::as_str) {
        Some(input) => custom_arguments(input),
        None => text("arguments"),
    };
    let name = flat(item.get("namespace").and_then(Json::as_str), &text("name"));
    ToolCall { id: text("call_id"), name, arguments }
}

fn note(names: &mut Vec<String>, name: &str) {
    // They are the provider's words: so many are told of, and no more.
    const MOST: usize = 32;
    if names.len() < MOST && !names.iter().any(|old| old == name) {
        names.push(name.to_owned());
    }
}

/// Writes a whole answer: what its stream would end with.
pub fn encode(completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    let mut encoder = Encoder::new(reply.clone());
    let mut events = Vec::with_capacity(4096);
    for delta in completion.deltas(|text| vec![text.to_owned()]) {
        encoder.push(&delta, &mut events);
        events.clear();
    }
    encoder.finish(&mut events);
    encoder.response(true)
}

/// `usage`, with its details.
pub fn write_usage(o: &mut Object<'_>, usage: &Usage) {
    o.integer("input_tokens", usage.input_tokens);
    o.object("input_tokens_details", |o| {
        o.integer("cached_tokens", usage.cached_tokens);
        o.integer("cache_write_tokens", usage.cache_write_tokens);
    });
    o.integer("output_tokens", usage.output_tokens);
    o.object("output_tokens_details", |o| o.integer("reasoning_tokens", usage.reasoning_tokens));
    o.integer("total_tokens", usage.total());
}
