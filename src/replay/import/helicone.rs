//! Helicone: rows of its export tool and of its query API, as JSON, JSON lines or CSV.
//!
//! `request_body` and `response_body` are objects, or strings of JSON in CSV; `request_created_at` dates,
//! `prompt_tokens` and `completion_tokens` count. Exports without bodies (without `--include-body`) hold no questions.

use super::draft::{Draft, count, json, scope};
use super::{openai, reply};
use crate::types::usage::Usage;
use serde_json::{Map, Value};

pub(super) fn read(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    let status = row.get("response_status").map_or(200, |status| count(Some(status)));
    if status != 0 && !(200..300).contains(&status) {
        return Ok(Vec::new());
    }
    let asked = json(row.get("request_body"), "request_body")?;
    let Some(asked) = asked.filter(|asked| asked.as_object().is_some_and(|fields| !fields.is_empty())) else {
        return Err("expected `request_body` (an object): export with --include-body".to_owned());
    };
    let Some((messages, body)) = openai::conversation(&asked)? else { return Ok(Vec::new()) };
    let given = json(row.get("response_body"), "response_body")?;
    let mut usage = Usage::new(count(row.get("prompt_tokens")), count(row.get("completion_tokens")));
    if usage.total() == 0 {
        usage = reply::usage(given.as_ref().and_then(|given| given.get("usage")));
    }
    let latency = ["delay_ms", "latency"].into_iter().find_map(|name| row.get(name)).map(|value| count(Some(value)));
    let draft = Draft {
        body,
        messages,
        answer: given.as_ref().and_then(reply::answer),
        scope: scope(row, scope_field),
        usage,
        took_ms: latency.map(|ms| ms as f64),
        ..Draft::default()
    };
    Ok(vec![draft.at(row.get("request_created_at").or(row.get("response_created_at")))])
}
