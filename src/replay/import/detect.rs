//! Which format a file is in, by its content.

use super::draft::content;
use super::{Format, csv, questions, rows};
use serde_json::{Map, Value};

/// The format of `text`. A file that is neither JSON nor a table is one question a line.
pub(super) fn format(text: &str) -> Result<Format, String> {
    let start = text.trim_start();
    if start.starts_with(['{', '[']) {
        // Rows are told apart by their names alone, so any format that reads JSON will do here.
        let mut rows = rows::all(text, Format::Native)?;
        return match rows.next() {
            None => Err("holds no rows".to_owned()),
            Some(row) => by_fields(&row?.fields),
        };
    }
    let head = csv::head(start);
    let has = |name: &str| head.iter().any(|column| column == name);
    if has("request_body") && (has("response_id") || has("request_created_at")) {
        return Ok(Format::Helicone);
    }
    let named = questions::QUESTIONS.iter().any(|name| has(name)) || has("question1");
    Ok(if head.len() > 1 && named { Format::Csv } else { Format::Lines })
}

/// The format of a table without a text of its own, by its first row. A column of questions is one, whatever else there
/// is: columns of tables are named for what they hold.
pub(super) fn table(row: &Map<String, Value>) -> Result<Format, String> {
    let asked = questions::QUESTIONS.iter().any(|name| row.get(*name).is_some_and(Value::is_string));
    let chat = ["conversation", "conversations", "messages", "request", "request_body"];
    match (asked && !chat.iter().any(|name| row.contains_key(*name))) || questions::is_pair(row) {
        true => Ok(Format::Csv),
        false => by_fields(row),
    }
}

fn by_fields(row: &Map<String, Value>) -> Result<Format, String> {
    let has = |name: &str| row.contains_key(name);
    let turns = |name: &str| row.get(name).and_then(Value::as_array);
    let format = if has("request_body") && (has("request_created_at") || has("response_id") || has("request_id")) {
        Format::Helicone
    } else if has("standard_logging_object") || (has("call_type") && has("startTime")) {
        Format::Litellm
    } else if has("input_history") || has("responses_input_history") || (has("provider") && has("token_usage")) {
        Format::Bifrost
    } else if turns("conversations").is_some() || speaks(turns("conversation"), "value") {
        Format::Sharegpt
    } else if turns("conversation").is_some() || ends_answered(turns("messages")) {
        Format::Lmsys
    } else if has("request") || has("request_body") || has("choices") || has("body") || has("response") {
        Format::Openai
    } else if has("text") || has("question_hash") || has("messages") || has("group") {
        Format::Native
    } else if has("prompt") || has("input") {
        Format::Openai
    } else {
        let names: Vec<&str> = row.keys().take(8).map(String::as_str).collect();
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
        return Err(format!(
            "the format is not known by the fields of its first row ({}); say it by --format: {}",
            names.join(", "),
            known.join(", ")
        ));
    };
    Ok(format)
}

fn speaks(turns: Option<&Vec<Value>>, name: &str) -> bool {
    turns.and_then(|turns| turns.first()).is_some_and(|turn| turn.get(name).is_some())
}

/// A conversation that ends with an answer is a chat, no request.
fn ends_answered(turns: Option<&Vec<Value>>) -> bool {
    let last = turns.and_then(|turns| turns.last());
    last.is_some_and(|last| last.get("role").and_then(Value::as_str) == Some("assistant") && content(last).is_some())
}
