//! How answers end in this wire: finish reasons, errors in place of answers, and `function_call` of old.

use crate::types::completion::Stop;
use crate::types::json::Json;
use crate::wire::json::parse;
use crate::wire::write::Object;

/// The stop that a finish reason tells. `called` and `refused`: what the answer holds, as some say `stop` whatever it is.
pub fn read(word: &str, called: bool, refused: bool) -> Stop {
    match word {
        "stop" | "eos" | "end_turn" if refused => Stop::Refusal,
        "stop" | "eos" | "end_turn" | "tool_calls" | "function_call" if called => Stop::ToolCalls,
        "stop" | "eos" | "end_turn" => Stop::End,
        "stop_sequence" => Stop::Sequence(None),
        "length" | "max_tokens" | "model_length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::ToolCalls,
        "content_filter" | "safety" | "SAFETY" | "RECITATION" | "PROHIBITED_CONTENT" => Stop::Filtered,
        "refusal" => Stop::Refusal,
        other => Stop::Other(other.to_owned()),
    }
}

/// The finish reason of a stop. `refused`: the refusal stands in the message, where OpenAI has it.
pub fn word(stop: &Stop, refused: bool, old: bool) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::Pause | Stop::Other(_) => "stop",
        Stop::Length => "length",
        Stop::ToolCalls if old => "function_call",
        Stop::ToolCalls => "tool_calls",
        Stop::Refusal if refused => "stop",
        Stop::Filtered | Stop::Refusal => "content_filter",
    }
}

/// Writes `finish_reason`, and the provider's own word where this wire has none for it, under OpenRouter's name.
pub fn write(o: &mut Object<'_>, stop: &Stop, refused: bool, old: bool) {
    o.text("finish_reason", word(stop, refused, old));
    if let Stop::Other(word) = stop {
        o.text("native_finish_reason", word);
    }
}

/// An `error` in place of an answer, in words.
pub fn told(error: &Json<'_>) -> String {
    let message = error.as_str().or_else(|| error.get("message").and_then(Json::as_str)).unwrap_or("no message");
    format!("the provider reported an error: {message}")
}

/// The caller asked with `functions`, and reads calls where they were before there were tools.
pub fn wants_function_call(request: &[u8]) -> bool {
    let key = b"\"functions\"";
    memchr::memmem::find(request, key).is_some()
        && parse(request).is_ok_and(|json| json.get("functions").is_some() && json.get("tools").is_none())
}
