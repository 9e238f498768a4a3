//! How an answer ended and what it cost, in the words that answers and streams share.

use crate::types::chat::{Content, Media, Source};
use crate::types::completion::Stop;
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub::usage_of_parts;
use crate::wire::write::Object;

/// How an answer ended, by `stop_reason` and `stop_sequence`.
pub(super) fn stop_of(reason: &str, sequence: Option<&str>) -> Stop {
    match reason {
        "end_turn" => Stop::End,
        "stop_sequence" => Stop::Sequence(sequence.map(str::to_owned)),
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "tool_use" => Stop::ToolCalls,
        "refusal" => Stop::Refusal,
        "pause_turn" => Stop::Pause,
        other => Stop::Other(other.to_owned()),
    }
}

/// Writes `stop_reason`, `stop_sequence` and `stop_details`. `has_calls` and `refused` say what stands in the answer: a word of another
/// wire may be less exact than it.
pub(super) fn write_stop(object: &mut Object<'_>, stop: Option<&Stop>, has_calls: bool, refused: bool) {
    let reason = match stop {
        Some(Stop::Sequence(_)) => "stop_sequence",
        Some(Stop::Length) => "max_tokens",
        Some(Stop::ToolCalls) => "tool_use",
        Some(Stop::Filtered | Stop::Refusal) => "refusal",
        Some(Stop::Pause) => "pause_turn",
        // A word in the manner of this wire is one that came from it.
        Some(Stop::Other(word)) if word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()) => word,
        _ if has_calls => "tool_use",
        _ if refused => "refusal",
        _ => "end_turn",
    };
    object.text("stop_reason", reason);
    match stop {
        Some(Stop::Sequence(Some(text))) => object.text("stop_sequence", text),
        _ => object.null("stop_sequence"),
    }
    object.null("stop_details");
}

/// Token counts of a `usage` object; what it does not tell is as in `before`.
pub(super) fn usage_of(json: &Json<'_>, before: Option<&Usage>) -> Usage {
    let told = |name: &str| json.get(name).and_then(Json::as_u64);
    let before = before.copied().unwrap_or_default();
    let plain = before.input_tokens.saturating_sub(before.cached_tokens).saturating_sub(before.cache_write_tokens);
    let usage = usage_of_parts(
        told("input_tokens").unwrap_or(plain),
        told("cache_read_input_tokens").unwrap_or(before.cached_tokens),
        told("cache_creation_input_tokens").unwrap_or(before.cache_write_tokens),
        told("output_tokens").unwrap_or(before.output_tokens),
    );
    let details = json.get("output_tokens_details");
    let thought = details.and_then(|details| details.get("thinking_tokens")).and_then(Json::as_u64);
    Usage { reasoning_tokens: thought.unwrap_or(before.reasoning_tokens), ..usage }
}

/// Writes a `usage` object's fields. `input_tokens` are those beside the prompt cache's.
pub(super) fn write_usage(object: &mut Object<'_>, usage: &Usage) {
    let plain = usage.input_tokens.saturating_sub(usage.cached_tokens).saturating_sub(usage.cache_write_tokens);
    object.integer("input_tokens", plain);
    object.integer("cache_creation_input_tokens", usage.cache_write_tokens);
    object.integer("cache_read_input_tokens", usage.cached_tokens);
    object.integer("output_tokens", usage.output_tokens);
    if usage.reasoning_tokens > 0 {
        object.object("output_tokens_details", |o| o.integer("thinking_tokens", usage.reasoning_tokens));
    }
}

/// What an answer of this wire has no block for, as words: a picture that the model drew, for one.
pub(super) fn as_words(content: &Content) -> Option<String> {
    let (mark, media, kind) = match content {
        Content::Image(media) => ("!", media, "image/png"),
        Content::Audio(media) => ("", media, "audio/wav"),
        Content::Video(media) => ("", media, "video/mp4"),
        Content::Document(media) => ("", media, "application/octet-stream"),
        _ => return None,
    };
    let Media { source, media_type, name, .. } = media;
    let kind = media_type.as_deref().unwrap_or(kind);
    let label = name.as_deref().unwrap_or_else(|| kind.split('/').next().unwrap_or_default());
    Some(match source {
        Source::Data(data) => format!("{mark}[{label}](data:{kind};base64,{data})"),
        Source::Url(url) => format!("{mark}[{label}]({url})"),
        Source::File(id) => format!("{mark}[{label}]({id})"),
        Source::Text(text) => text.clone(),
    })
}
