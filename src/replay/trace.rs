//! JSON lines → requests.
//!
//! A line is an object with `text` or `messages` (OpenAI's form), and `group`: requests of one group have one right
//! answer. Optional: `id`, `t` (seconds), `scope`, `in_tok`, `out_tok`. Other fields are ignored.

use serde_json::{Map, Value};
use std::io::BufRead;

/// One request of a trace.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request body, as a caller would send it.
    pub body: String,
    /// The text that is asked.
    pub text: String,
    /// Requests of one group have one right answer.
    pub group: String,
    /// The partition that it is asked in.
    pub scope: Option<String>,
    /// Seconds since the trace began.
    pub t: f64,
    /// Prompt tokens.
    pub in_tok: u64,
    /// Completion tokens.
    pub out_tok: u64,
}

/// Reads a trace. The error names the line. `scope_field` says which field is the scope.
pub fn read(input: impl BufRead, scope_field: &str) -> Result<Vec<Request>, String> {
    let mut requests = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let at = |what: String| format!("line {}: {what}", number + 1);
        let line = line.map_err(|error| at(format!("cannot be read: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let row = match serde_json::from_str(&line) {
            Ok(Value::Object(row)) => row,
            Ok(_) => return Err(at("expected a JSON object".to_owned())),
            Err(error) => return Err(at(format!("is not JSON: {error}"))),
        };
        requests.push(request(&row, scope_field).map_err(at)?);
    }
    if requests.is_empty() {
        return Err("the trace is empty: expected one JSON object a line".to_owned());
    }
    Ok(requests)
}

fn request(row: &Map<String, Value>, scope_field: &str) -> Result<Request, String> {
    let (text, messages) = match (row.get("messages"), row.get("text")) {
        (Some(Value::Array(messages)), _) => (last_text(messages)?, Value::Array(messages.clone())),
        (None, Some(Value::String(text))) => (text.clone(), serde_json::json!([{"role": "user", "content": text}])),
        _ => return Err("expected `text` (a string) or `messages` (an array)".to_owned()),
    };
    let body = serde_json::json!({"model": "replay", "messages": messages}).to_string();
    let group = row.get("group").and_then(word).ok_or("expected `group`: what has one right answer")?;
    let t = match row.get("t") {
        None | Some(Value::Null) => 0.0,
        Some(value) => {
            value.as_f64().filter(|t| t.is_finite() && *t >= 0.0).ok_or("expected `t` in seconds, 0 or more")?
        }
    };
    let tokens = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    let scope = row.get(scope_field).and_then(word);
    Ok(Request { body, text, group, scope, t, in_tok: tokens("in_tok"), out_tok: tokens("out_tok") })
}

/// A string or a number, as a word.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of the last message, for embedding ahead.
fn last_text(messages: &[Value]) -> Result<String, String> {
    let last = messages.last().ok_or("`messages` is empty")?;
    Ok(last.get("content").and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_names_the_line_at_fault() {
        let good = "{\"text\":\"a\",\"group\":1,\"src\":\"x\",\"t\":2.5,\"in_tok\":3}\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}],\"group\":\"g\"}\n";
        let requests = read(good.as_bytes(), "src").unwrap();
        let of = |at: usize| (&*requests[at].text, &*requests[at].group, requests[at].scope.as_deref(), requests[at].t);
        assert_eq!(of(0), ("a", "1", Some("x"), 2.5));
        assert_eq!(of(1), ("b", "g", None, 0.0));
        let table = [
            ("", "empty"),
            ("{\"text\":\"a\",\"group\":1}\nnope", "line 2: is not JSON"),
            ("[1]", "line 1: expected a JSON object"),
            ("{\"group\":1}", "`text`"),
            ("{\"text\":\"a\"}", "`group`"),
            ("{\"text\":\"a\",\"group\":1,\"t\":-1}", "`t`"),
            ("{\"messages\":[],\"group\":1}", "`messages` is empty"),
        ];
        for (text, expected) in table {
            let error = read(text.as_bytes(), "scope").unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
