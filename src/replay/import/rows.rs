//! Text → rows of fields, each with its place for errors: JSON lines, one JSON document that holds rows, or CSV.

use super::{Format, csv};
use serde_json::{Map, Value};

/// Names under which replies of log APIs hold their rows.
const HOLDERS: [&str; 5] = ["logs", "data", "requests", "items", "rows"];

/// One row.
pub(super) struct Row {
    /// Where it stands: `line 3`, or `row 3` of a document.
    pub(super) at: String,
    /// Its fields.
    pub(super) fields: Map<String, Value>,
}

/// All rows of `text`, read as `format`.
pub(super) fn all(text: &str, format: Format) -> Result<Box<dyn Iterator<Item = Result<Row, String>> + '_>, String> {
    let csv = format == Format::Csv || (format == Format::Helicone && !text.trim_start().starts_with(['{', '[']));
    if csv {
        return Ok(Box::new(csv::rows(text)?));
    }
    match document(text) {
        Some(document) => Ok(Box::new(of_document(document?).into_iter())),
        None => Ok(Box::new(json_lines(text))),
    }
}

/// Rows of JSON lines. Empty lines are skipped.
fn json_lines(text: &str) -> impl Iterator<Item = Result<Row, String>> {
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(number, line)| {
        let at = format!("line {}", number + 1);
        match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => Ok(Row { at, fields }),
            Ok(other) => Err(format!("{at}: expected a JSON object, got {}", kind(&other))),
            Err(error) => Err(format!("{at}: is not JSON ({error}); expected one JSON object a line")),
        }
    })
}

/// `text` as one JSON document, where it is one and not JSON lines.
fn document(text: &str) -> Option<Result<Value, String>> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let parse = || serde_json::from_str(text).map_err(|error| format!("line {}: is not JSON ({error})", error.line()));
    if text.trim_start().starts_with('[') {
        // `[1]` on a line of its own among others is a bad line, not a document.
        let more = text.lines().filter(|line| !line.trim().is_empty()).nth(1);
        return (serde_json::from_str::<Value>(first).is_err() || more.is_none()).then(parse);
    }
    if !text.trim_start().starts_with('{') {
        return None;
    }
    match serde_json::from_str::<Value>(first) {
        // One line that is a whole object: a row, unless it holds rows.
        Ok(value) => (holder(&value).is_some() && text.trim().lines().count() == 1).then_some(Ok(value)),
        // An object over several lines. A broken line among JSON lines is not one.
        Err(_) => serde_json::from_str(text).ok().map(Ok),
    }
}

fn holder(value: &Value) -> Option<&'static str> {
    HOLDERS.into_iter().find(|name| value.get(name).is_some_and(Value::is_array))
}

fn of_document(document: Value) -> Vec<Result<Row, String>> {
    let rows = match document {
        Value::Array(rows) => rows,
        mut other => match holder(&other) {
            Some(name) => match other.get_mut(name).map(Value::take) {
                Some(Value::Array(rows)) => rows,
                _ => Vec::new(),
            },
            None => vec![other],
        },
    };
    let row = |(number, value): (usize, Value)| {
        let at = format!("row {}", number + 1);
        match value {
            Value::Object(fields) => Ok(Row { at, fields }),
            other => Err(format!("{at}: expected a JSON object, got {}", kind(&other))),
        }
    };
    rows.into_iter().enumerate().map(row).collect()
}

/// What `value` is, for errors.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
