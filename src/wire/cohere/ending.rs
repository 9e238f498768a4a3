//! How an answer ended and what it cost: `finish_reason` and `usage`, which whole answers and streams have alike.

use crate::types::completion::Stop;
use crate::types::json::{Json, Number};
use crate::types::usage::{Billed, Usage};
use crate::wire::write::Object;

/// Reads a `finish_reason`.
pub(super) fn stop_of(word: &str) -> Stop {
    match word {
        "COMPLETE" => Stop::End,
        "STOP_SEQUENCE" => Stop::Sequence(None),
        "MAX_TOKENS" | "ERROR_LIMIT" => Stop::Length,
        "TOOL_CALL" => Stop::ToolCalls,
        // The first version of the wire had it, and some deployments still say it.
        "ERROR_TOXIC" => Stop::Filtered,
        other => Stop::Other(other.to_owned()),
    }
}

/// The `finish_reason` of an ending.
pub(super) fn word_of(stop: Option<&Stop>) -> &'static str {
    match stop {
        Some(Stop::End | Stop::Refusal | Stop::Pause) => "COMPLETE",
        Some(Stop::Sequence(_)) => "STOP_SEQUENCE",
        Some(Stop::Length) => "MAX_TOKENS",
        Some(Stop::ToolCalls) => "TOOL_CALL",
        Some(Stop::Other(word)) if word == "TIMEOUT" => "TIMEOUT",
        Some(Stop::Filtered | Stop::Other(_)) | None => "ERROR",
    }
}

/// Reads a `usage` object. The tokens are those that the model saw; what is billed stands beside them.
pub(super) fn usage_of(json: &Json<'_>) -> Option<Usage> {
    let count = |of: Option<&Json<'_>>, name: &str| of.and_then(|one| one.get(name)).and_then(whole);
    let (tokens, units) = (json.get("tokens"), json.get("billed_units"));
    let billed = count(units, "input_tokens")
        .map(|input_tokens| Billed { input_tokens, output_tokens: count(units, "output_tokens").unwrap_or(0) });
    let seen = count(tokens, "input_tokens").map(|input| (input, count(tokens, "output_tokens").unwrap_or(0)));
    let (input, output) = seen.or(billed.map(|billed| (billed.input_tokens, billed.output_tokens)))?;
    let cached_tokens = json.get("cached_tokens").and_then(whole).unwrap_or(0);
    let billed = billed.filter(|billed| (billed.input_tokens, billed.output_tokens) != (input, output));
    Some(Usage { cached_tokens, billed, ..Usage::new(input, output) })
}

/// Writes a `usage` object, if there is something to tell.
pub(super) fn write_usage(object: &mut Object<'_>, usage: Option<Usage>) {
    let Some(usage) = usage else { return };
    let counts = |object: &mut Object<'_>, key: &str, usage: Usage| {
        object.object(key, |object| {
            object.integer("input_tokens", usage.input_tokens);
            object.integer("output_tokens", usage.output_tokens);
        });
    };
    object.object("usage", |object| {
        counts(object, "billed_units", usage.paid());
        counts(object, "tokens", usage);
        object.maybe_integer("cached_tokens", Some(usage.cached_tokens).filter(|cached| *cached > 0));
    });
}

/// A count. The vendor's own types have doubles for them.
fn whole(json: &Json<'_>) -> Option<u64> {
    match json {
        Json::Number(Number::Unsigned(n)) => Some(*n),
        Json::Number(Number::Float(n)) if (0.0..9e15).contains(n) => Some(*n as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;
    use crate::wire::write::to_text;

    #[test]
    fn words_of_endings_read_back() {
        for word in ["COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS", "TOOL_CALL", "ERROR", "TIMEOUT"] {
            assert_eq!(word_of(Some(&stop_of(word))), word);
        }
        assert_eq!(word_of(Some(&Stop::Filtered)), "ERROR");
    }

    #[test]
    fn usage_tells_what_the_model_saw_and_what_is_billed() {
        let table = [
            (
                r#"{"billed_units":{"input_tokens":5.0,"output_tokens":7},"tokens":{"input_tokens":71.0,"output_tokens":7},"cached_tokens":16}"#,
                (71, 7, 16),
                (5, 7),
            ),
            (r#"{"tokens":{"input_tokens":4,"output_tokens":2}}"#, (4, 2, 0), (4, 2)),
            (r#"{"billed_units":{"input_tokens":9,"output_tokens":3}}"#, (9, 3, 0), (9, 3)),
        ];
        for (text, seen, paid) in table {
            let usage = usage_of(&parse(text.as_bytes()).unwrap()).unwrap();
            assert_eq!((usage.input_tokens, usage.output_tokens, usage.cached_tokens), seen, "{text}");
            assert_eq!((usage.paid().input_tokens, usage.paid().output_tokens), paid, "{text}");
            let written = to_text(|object| write_usage(object, Some(usage)));
            assert_eq!(parse(written.as_bytes()).unwrap().get("usage").and_then(usage_of), Some(usage), "{written}");
        }
        assert_eq!(usage_of(&parse(b"{}").unwrap()), None);
    }
}
