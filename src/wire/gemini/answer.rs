//! Whole answers ↔ `Completion` (<https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>).

use super::fields::{count, field, list, maybe_text};
use super::own;
use super::part::{self, Reader};
use crate::types::chat::{Content, Part};
use crate::types::completion::{Choice, Completion, Stop};
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub::ReplyFor;
use crate::wire::json::parse;
use crate::wire::write::{self, Object};

/// Fields of a candidate that have no word in `Choice` and may be lost.
const LOST: [&str; 2] = ["citationMetadata", "safetyRatings"];

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Completion, String> {
    let json = parse(body).map_err(|error| error.message)?;
    if !matches!(json, Json::Object(_)) {
        return Err(format!("expected a JSON object, got {}", json.kind()));
    }
    let text = |name: &str| maybe_text(&json, "", name).map_err(|error| error.message);
    let id = text("responseId")?.map(str::to_owned);
    let mut whole = Completion { id, model: text("modelVersion")?.map(str::to_owned), ..Completion::default() };
    for (index, candidate) in candidates(&json)?.iter().enumerate() {
        let mut reader = Reader::of_answer(&seed(whole.id.as_deref(), index));
        let choice = choice(candidate, &format!("candidates[{index}]"), &mut reader)?;
        whole.choices.push(choice);
        note_dropped(candidate, &reader, &mut whole.dropped);
    }
    if whole.choices.is_empty() {
        match blocked(&json) {
            Some(stop) => whole.choices.push(Choice { parts: Vec::new(), stop: Some(stop) }),
            None => return Err("expected `candidates`".to_owned()),
        }
    }
    whole.usage = field(&json, "usageMetadata").map(usage);
    Ok(whole)
}

/// What the ids of calls without one are made from.
pub(super) fn seed(id: Option<&str>, choice: usize) -> String {
    format!("{}/{choice}", id.unwrap_or_default())
}

/// Notes what of a candidate has no word in `Choice`, whether it is whole or a piece of a stream.
pub(super) fn note_dropped(candidate: &Json<'_>, reader: &Reader, dropped: &mut Vec<String>) {
    let lost = LOST.into_iter().filter(|name| is_there(candidate, name)).chain(reader.lost.iter().copied());
    for name in lost {
        if !dropped.iter().any(|dropped| dropped == name) {
            dropped.push(name.to_owned());
        }
    }
}

fn is_there(candidate: &Json<'_>, name: &str) -> bool {
    match field(candidate, name) {
        Some(Json::Array(items)) => !items.is_empty(),
        other => other.is_some(),
    }
}

/// The candidates of an answer or of a piece of one.
pub(super) fn candidates<'j, 'b>(json: &'j Json<'b>) -> Result<&'j [Json<'b>], String> {
    list(json, "", "candidates").map_err(|error| error.message)
}

fn choice(candidate: &Json<'_>, at: &str, reader: &mut Reader) -> Result<Choice, String> {
    let mut parts = Vec::new();
    for (index, part) in parts_of(candidate, at)?.iter().enumerate() {
        let at = format!("{at}.content.parts[{index}]");
        parts.push(reader.read(part, &at).map_err(|error| error.message)?);
    }
    parts.retain(|part| !matches!(&part.content, Content::Text(text) if text.is_empty()));
    let calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let stop = stop_of(candidate, at)?.map(|stop| with_calls(stop, calls));
    parts.extend(metadata(candidate));
    Ok(Choice { parts, stop })
}

/// The parts of a candidate.
pub(super) fn parts_of<'j, 'b>(candidate: &'j Json<'b>, at: &str) -> Result<&'j [Json<'b>], String> {
    match field(candidate, "content") {
        Some(content) => list(content, at, "parts").map_err(|error| error.message),
        None => Ok(&[]),
    }
}

/// What only this wire says of a candidate.
pub(super) fn metadata(candidate: &Json<'_>) -> Option<Part> {
    let there = own::CANDIDATE_FIELDS.iter().filter_map(|name| Some((name, field(candidate, name)?)));
    let json = write::to_text(|o| there.for_each(|(name, value)| write::value(o.key(name), value)));
    (json != "{}").then(|| own::keep(own::CANDIDATE, json))
}

/// How a candidate ended; `None` while it has not.
pub(super) fn stop_of(candidate: &Json<'_>, at: &str) -> Result<Option<Stop>, String> {
    let word = maybe_text(candidate, at, "finishReason").map_err(|error| error.message)?;
    Ok(word.and_then(|word| match word {
        "" | "FINISH_REASON_UNSPECIFIED" => None,
        "STOP" => Some(Stop::End),
        "MAX_TOKENS" => Some(Stop::Length),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION" => Some(Stop::Filtered),
        other => Some(Stop::Other(other.to_owned())),
    }))
}

/// Google says `STOP` of an answer that ends with calls, too.
pub(super) fn with_calls(stop: Stop, calls: bool) -> Stop {
    if calls && stop == Stop::End { Stop::ToolCalls } else { stop }
}

/// The end of an answer to a prompt that was blocked, which has no candidates.
pub(super) fn blocked(json: &Json<'_>) -> Option<Stop> {
    let reason = field(field(json, "promptFeedback")?, "blockReason")?.as_str()?;
    (!matches!(reason, "" | "BLOCKED_REASON_UNSPECIFIED" | "BLOCK_REASON_UNSPECIFIED")).then_some(Stop::Filtered)
}

/// Tokens. Google counts thoughts beside the candidates, and what tools gave beside the prompt.
pub(super) fn usage(json: &Json<'_>) -> Usage {
    let thoughts = count(json, "thoughtsTokenCount");
    Usage {
        input_tokens: count(json, "promptTokenCount").saturating_add(count(json, "toolUsePromptTokenCount")),
        output_tokens: count(json, "candidatesTokenCount").saturating_add(thoughts),
        cached_tokens: count(json, "cachedContentTokenCount"),
        cache_write_tokens: 0,
        reasoning_tokens: thoughts,
        billed: None,
    }
}

/// Writes a whole answer.
pub fn encode(completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    write::to_vec(|o| {
        o.array("candidates", |list| {
            for (index, choice) in completion.choices.iter().enumerate() {
                list.object(|o| {
                    o.object("content", |o| {
                        if !choice.parts.is_empty() {
                            o.array("parts", |list| {
                                choice.parts.iter().for_each(|part| {
                                    part::write(list, part);
                                });
                            });
                        }
                        o.text("role", "model");
                    });
                    if let Some(stop) = &choice.stop {
                        end(o, stop);
                    }
                    o.integer("index", index as u64);
                    choice.parts.iter().for_each(|part| write_metadata(o, part));
                });
            }
        });
        tail(o, completion.usage.as_ref(), reply);
    })
}

/// Writes what only this wire says of a candidate.
pub(super) fn write_metadata(o: &mut Object<'_>, part: &Part) {
    let Some(json) = own::kept(part, own::CANDIDATE).and_then(|json| parse(json.as_bytes()).ok()) else { return };
    for name in own::CANDIDATE_FIELDS {
        if let Some(value) = field(&json, name) {
            write::value(o.key(name), value);
        }
    }
}

/// Writes how a candidate ended.
pub(super) fn end(o: &mut Object<'_>, stop: &Stop) {
    let word = match stop {
        Stop::End | Stop::Sequence(_) | Stop::ToolCalls => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filtered | Stop::Refusal => "SAFETY",
        Stop::Pause => "OTHER",
        Stop::Other(word) if is_word(word) => word,
        Stop::Other(_) => "OTHER",
    };
    o.text("finishReason", word);
    match stop {
        Stop::Pause => o.text("finishMessage", "The provider paused the turn."),
        Stop::Other(word) if !is_word(word) => o.text("finishMessage", word),
        _ => {}
    }
}

/// Is it a word of Google's? SDKs read those that they do not know.
fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// Writes what stands behind the candidates.
pub(super) fn tail(o: &mut Object<'_>, usage: Option<&Usage>, reply: &ReplyFor) {
    if let Some(usage) = usage {
        o.object("usageMetadata", |o| {
            o.integer("promptTokenCount", usage.input_tokens);
            o.integer("candidatesTokenCount", usage.output_tokens.saturating_sub(usage.reasoning_tokens));
            o.integer("totalTokenCount", usage.total());
            o.maybe_integer("cachedContentTokenCount", Some(usage.cached_tokens).filter(|n| *n > 0));
            o.maybe_integer("thoughtsTokenCount", Some(usage.reasoning_tokens).filter(|n| *n > 0));
        });
    }
    o.text("modelVersion", &reply.model);
    o.text("responseId", &reply.id);
}

#[cfg(test)]
mod tests;
