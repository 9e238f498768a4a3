//! Tables of questions: with a column of groups, as Banking77 has `text,category`; or pairs with a column that says whether
//! they ask the same, as Quora has `question1,question2,is_duplicate`.

use super::csv;
use super::draft::{Draft, scope, tokens, word};
use super::rows::Row;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Names of the column of questions, best first.
pub(super) const QUESTIONS: [&str; 7] = ["text", "question", "query", "prompt", "utterance", "input", "sentence"];
const GROUPS: [&str; 8] = ["group", "category", "intent", "label", "cluster", "topic", "group_id", "answer_id"];
const ANSWERS: [&str; 5] = ["answer", "response", "output", "completion", "reply"];
const TIMES: [&str; 4] = ["timestamp", "time", "created_at", "date"];

/// One row: a question, and its group or answer where there is one.
pub(super) fn read(row: &Map<String, Value>, scope_field: &str) -> Result<Vec<Draft>, String> {
    let of = |names: &[&str]| names.iter().find_map(|name| row.get(*name)).and_then(word);
    let Some(text) = of(&QUESTIONS) else {
        return Err(format!("expected a question in one of the columns {}", QUESTIONS.join(", ")));
    };
    let t = match row.get("t").and_then(word) {
        None => 0.0,
        Some(t) => {
            t.parse().ok().filter(|t: &f64| t.is_finite() && *t >= 0.0).ok_or("expected `t` in seconds, 0 or more")?
        }
    };
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut draft = Draft {
        group: of(&GROUPS),
        answer: of(&ANSWERS),
        scope: scope(row, scope_field),
        t,
        usage: tokens(row),
        ..Draft::text(&text)
    };
    if let Some(model @ Value::String(_)) = row.get("model") {
        draft.body.insert("model".to_owned(), model.clone());
    }
    let time = TIMES.iter().find_map(|name| row.get(*name));
    Ok(vec![draft.at(time)])
}

const PAIR: [&str; 3] = ["question1", "question2", "is_duplicate"];

/// Is this a file of pairs?
pub(super) fn has_pairs(text: &str) -> bool {
    let head = csv::head(text);
    PAIR.iter().all(|name| head.iter().any(|column| column == name))
}

/// Is this a row of a table of pairs?
pub(super) fn is_pair(row: &Map<String, Value>) -> bool {
    PAIR.iter().all(|name| row.contains_key(*name))
}

/// Pairs → every question once, in order; questions that are joined by duplicates are one group.
pub(super) fn pairs(rows: impl Iterator<Item = Result<Row, String>>) -> Result<Vec<Draft>, String> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut questions: Vec<String> = Vec::new();
    let mut parent: Vec<usize> = Vec::new();
    for row in rows {
        let Row { at, fields } = row?;
        let mut of = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())?;
            Some(*numbers.entry(text.to_owned()).or_insert_with(|| {
                parent.push(questions.len());
                questions.push(text.to_owned());
                questions.len() - 1
            }))
        };
        // Quora's own file has a few pairs with nothing on one side.
        let (one, other) = (of("question1"), of("question2"));
        let same = match fields.get("is_duplicate") {
            Some(Value::Bool(same)) => *same,
            given => match given.and_then(word).as_deref().map(str::trim) {
                Some("1" | "true" | "True") => true,
                Some("0" | "false" | "False") => false,
                other => return Err(format!("{at}: expected `is_duplicate` as 0 or 1, got {other:?}")),
            },
        };
        if let (Some(one), Some(other), true) = (one, other, same) {
            let (one, other) = (root(&mut parent, one), root(&mut parent, other));
            parent[one.max(other)] = one.min(other);
        }
    }
    let drafts = questions.iter().enumerate().map(|(at, question)| {
        let group = Some(format!("q{}", root(&mut parent, at)));
        Draft { group, ..Draft::text(question) }
    });
    Ok(drafts.collect())
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}
