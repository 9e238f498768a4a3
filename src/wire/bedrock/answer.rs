//! Whole answers ↔ `Completion`.

use super::content::{self, Lost, Writer};
use crate::types::completion::{Choice, Completion, Stop};
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub::{self, Losses, ReplyFor};
use crate::wire::json::parse;
use crate::wire::read;
use crate::wire::write::{self, Object};

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Completion, String> {
    let json = parse(body).map_err(|error| error.message)?;
    let message = json.get("output").and_then(|output| output.get("message")).ok_or("it has no `output.message`")?;
    let mut lost = Lost::default();
    let blocks = read::maybe_array(message, "output.message", "content").map_err(|error| error.message)?;
    let at = "output.message.content";
    let parts = content::read_all(blocks.unwrap_or_default(), at, &mut lost).map_err(|error| error.message)?;
    let fields = read::field(&json, "additionalModelResponseFields");
    let word = json.get("stopReason").and_then(Json::as_str);
    let mut dropped = lost.biasing;
    dropped.extend(lost.essential.into_iter().map(|(name, _)| name));
    for name in ["trace", "performanceConfig", "serviceTier"] {
        if read::field(&json, name).is_some() {
            dropped.push(name.to_owned());
        }
    }
    if fields.is_some_and(|fields| !only_stop_sequence(fields)) {
        dropped.push("additionalModelResponseFields".to_owned());
    }
    Ok(Completion {
        choices: vec![Choice { parts, stop: word.map(|word| stop(word, fields)) }],
        usage: read::field(&json, "usage").and_then(usage),
        dropped,
        ..Completion::default()
    })
}

/// Writes a whole answer.
pub fn encode(completion: &Completion, _reply: &ReplyFor) -> Vec<u8> {
    let choice = completion.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    // What an answer holds beyond the blocks of this wire was never asked for in it.
    let mut losses = Losses::default();
    let mut writer = Writer { losses: &mut losses, signed_only: false, documents: 0 };
    let stop = choice.and_then(|choice| choice.stop.as_ref()).unwrap_or(&Stop::End);
    write::to_vec(|o| {
        o.object("output", |o| {
            o.object("message", |o| {
                o.text("role", "assistant");
                o.array("content", |list| parts.iter().for_each(|part| writer.part(part, list)));
            });
        });
        o.text("stopReason", stop_word(stop));
        write_usage(completion.usage, o);
        write_metrics(o);
        write_stop_sequence(stop, o);
    })
}

/// How an answer ended. Which text ended it is told where the caller asked for that.
pub(super) fn stop(word: &str, fields: Option<&Json<'_>>) -> Stop {
    match word {
        "end_turn" => Stop::End,
        "tool_use" => Stop::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => {
            let text = fields.and_then(|fields| fields.get("stop_sequence")).and_then(Json::as_str);
            Stop::Sequence(text.map(str::to_owned))
        }
        "content_filtered" | "guardrail_intervened" => Stop::Filtered,
        other => Stop::Other(other.to_owned()),
    }
}

/// The word for it.
pub(super) fn stop_word(stop: &Stop) -> &str {
    match stop {
        Stop::End | Stop::Pause => "end_turn",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::ToolCalls => "tool_use",
        Stop::Filtered | Stop::Refusal => "content_filtered",
        Stop::Other(word) if word.starts_with("malformed_") => word,
        Stop::Other(_) => "end_turn",
    }
}

fn only_stop_sequence(fields: &Json<'_>) -> bool {
    matches!(fields, Json::Object(fields) if fields.iter().all(|(name, _)| name == "stop_sequence"))
}

/// Writes which text ended the answer.
pub(super) fn write_stop_sequence(stop: &Stop, object: &mut Object<'_>) {
    if let Stop::Sequence(Some(text)) = stop {
        object.object("additionalModelResponseFields", |o| o.text("stop_sequence", text));
    }
}

/// Reads token counts; counts of nothing at all are none, since a prompt has some.
pub(super) fn usage(json: &Json<'_>) -> Option<Usage> {
    let count = |name: &str| json.get(name).and_then(Json::as_u64);
    let (input, output) = (count("inputTokens")?, count("outputTokens")?);
    let (read, written) = (count("cacheReadInputTokens"), count("cacheWriteInputTokens"));
    let usage = hub::usage_of_parts(input, read.unwrap_or_default(), written.unwrap_or_default(), output);
    (usage != Usage::default()).then_some(usage)
}

/// Writes token counts. The field must be there: where nobody counted, all are zero.
pub(super) fn write_usage(usage: Option<Usage>, object: &mut Object<'_>) {
    let usage = usage.unwrap_or_default();
    let cached = usage.cached_tokens.saturating_add(usage.cache_write_tokens);
    object.object("usage", |o| {
        o.integer("inputTokens", usage.input_tokens.saturating_sub(cached));
        o.integer("outputTokens", usage.output_tokens);
        o.integer("totalTokens", usage.total());
        o.integer("cacheReadInputTokens", usage.cached_tokens);
        o.integer("cacheWriteInputTokens", usage.cache_write_tokens);
    });
}

/// Writes the measures that must be there; how long the model took is not known here.
pub(super) fn write_metrics(object: &mut Object<'_>) {
    object.object("metrics", |o| o.integer("latencyMs", 0));
}
