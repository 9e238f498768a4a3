//! How an answer ended and what it cost: `done_reason` and the counts beside it, which whole answers and the last line of a
//! stream have alike.

use crate::types::completion::Stop;
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::write::Object;

/// Ways to end that Ollama has no word for. Its field is a text, so that they are told by those of others.
const OTHERS: [(&str, Stop); 3] =
    [("content_filter", Stop::Filtered), ("refusal", Stop::Refusal), ("pause_turn", Stop::Pause)];

/// What is written where it is not known how the answer ended.
const UNKNOWN: &str = "unknown";

/// Reads how a finished answer ended. It is `stop` for answers that end with calls, too; older versions did not say.
pub(super) fn stop_of(json: &Json<'_>, calls: bool) -> Stop {
    match json.get("done_reason").and_then(Json::as_str).unwrap_or_default() {
        "" | "stop" if calls => Stop::ToolCalls,
        "" | "stop" => Stop::End,
        "length" => Stop::Length,
        other => {
            let known = OTHERS.into_iter().find(|(word, _)| *word == other);
            known.map_or_else(|| Stop::Other(other.to_owned()), |(_, stop)| stop)
        }
    }
}

/// Is the answer finished?
pub(super) fn is_done(json: &Json<'_>) -> bool {
    json.get("done") == Some(&Json::Bool(true))
}

/// Reads the tokens. A count of zero is left out in this wire: a prompt that was cached whole has none.
pub(super) fn usage_of(json: &Json<'_>) -> Option<Usage> {
    let count = |name: &str| json.get(name).and_then(Json::as_u64);
    let (input, output) = (count("prompt_eval_count"), count("eval_count"));
    input.or(output)?;
    let cached_tokens = count("prompt_eval_cached_count").unwrap_or(0);
    Some(Usage { cached_tokens, ..Usage::new(input.unwrap_or(0), output.unwrap_or(0)) })
}

/// Writes the fields that end an answer. `refused`: it holds words of a refusal, which look like others here.
pub(super) fn write(object: &mut Object<'_>, stop: Option<&Stop>, refused: bool, usage: Option<Usage>) {
    let other = |stop: &Stop| OTHERS.iter().find(|(_, known)| known == stop).map(|(word, _)| *word);
    let word = match stop {
        Some(Stop::End | Stop::Sequence(_) | Stop::ToolCalls) if refused => "refusal",
        Some(Stop::End | Stop::Sequence(_) | Stop::ToolCalls) => "stop",
        Some(Stop::Length) => "length",
        Some(Stop::Other(word)) if !word.is_empty() => word,
        Some(stop) => other(stop).unwrap_or(UNKNOWN),
        None => UNKNOWN,
    };
    object.flag("done", true);
    object.text("done_reason", word);
    if let Some(usage) = usage {
        object.integer("prompt_eval_count", usage.input_tokens);
        if usage.cached_tokens > 0 {
            object.integer("prompt_eval_cached_count", usage.cached_tokens);
        }
        object.integer("eval_count", usage.output_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;
    use crate::wire::write::to_text;

    fn read_back(stop: Option<Stop>, refused: bool, calls: bool) -> Stop {
        let text = to_text(|object| write(object, stop.as_ref(), refused, None));
        let json = parse(text.as_bytes()).unwrap();
        assert!(is_done(&json));
        stop_of(&json, calls)
    }

    #[test]
    fn endings_read_back() {
        let same = [Stop::End, Stop::Length, Stop::Filtered, Stop::Refusal, Stop::Pause, Stop::Other("load".into())];
        for stop in same {
            assert_eq!(read_back(Some(stop.clone()), false, false), stop);
        }
        assert_eq!(read_back(Some(Stop::Sequence(None)), false, false), Stop::End);
        assert_eq!(read_back(Some(Stop::ToolCalls), false, true), Stop::ToolCalls);
        assert_eq!(read_back(Some(Stop::End), true, false), Stop::Refusal);
        assert_eq!(read_back(None, false, false), Stop::Other("unknown".into()));
        assert_eq!(read_back(Some(Stop::Other(String::new())), false, false), Stop::Other("unknown".into()));
    }

    #[test]
    fn tokens_are_never_made_up() {
        let of = |text: &str| usage_of(&parse(text.as_bytes()).unwrap());
        assert_eq!(of("{}"), None);
        assert_eq!(of(r#"{"eval_count":4}"#), Some(Usage::new(0, 4)));
        assert_eq!(of(r#"{"prompt_eval_count":26,"eval_count":-1}"#), Some(Usage::new(26, 0)));
    }
}
