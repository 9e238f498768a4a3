//! askonce's own trace: what `docs/replay.md` describes, and what `serve` records.

use super::draft::{Draft, asks, messages, scope, tokens, word};
use serde_json::{Map, Value};

pub(super) fn read(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    let mut draft = match (row.get("messages"), row.get("text"), row.get("question_hash")) {
        (Some(given @ Value::Array(_)), ..) => {
            let messages = messages(given, "messages")?;
            if messages.is_empty() {
                return Err("`messages` is empty; expected a conversation".to_owned());
            }
            // A last message of another role is no question: its answer depends on all that came before.
            let text = (!asks(&messages)).then(String::new);
            Draft { messages, text, ..Draft::default() }
        }
        // What `serve` records where prompts are hashed. Equal after folding is what a cache goes by.
        (_, Some(Value::String(text)), _) if is_hash(text) => {
            let folded = row.get("normalised").and_then(Value::as_str);
            Draft { hashed: true, ..Draft::text(folded.unwrap_or(text)) }
        }
        (_, Some(Value::String(text)), _) => Draft::text(text),
        (_, _, Some(Value::String(hash))) => Draft { hashed: true, ..Draft::text(hash) },
        _ => return Err("expected `text` (a string), `messages` (an array) or `question_hash` (a string)".to_owned()),
    };
    if let Some(model @ Value::String(_)) = row.get("model") {
        draft.body.insert("model".to_owned(), model.clone());
    }
    draft.t = match row.get("t") {
        None | Some(Value::Null) => 0.0,
        Some(value) => {
            value.as_f64().filter(|t| t.is_finite() && *t >= 0.0).ok_or("expected `t` in seconds, 0 or more")?
        }
    };
    // Seconds since the epoch are a point in time.
    draft.absolute = draft.t > 1e9;
    draft.group = row.get("group").and_then(word);
    draft.answer = ["answer", "answer_hash"].into_iter().find_map(|name| row.get(name).and_then(word));
    draft.scope = scope(row, scope_field);
    // The answer of a hit is another request's.
    let from_cache = |how: &str| how.starts_with("hit") || how.starts_with("stale");
    draft.cached = row.get("cache").and_then(Value::as_str).is_some_and(from_cache);
    draft.took_ms = row.get("took_ms").and_then(Value::as_f64);
    draft.usage = tokens(row);
    Ok(vec![draft])
}

/// A keyed hash as `serve` writes it: `b3:` and 32 hexadecimal digits.
fn is_hash(text: &str) -> bool {
    text.strip_prefix("b3:").is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
