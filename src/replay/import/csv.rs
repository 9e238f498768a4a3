//! Comma and tab separated rows with a head: quotes, doubled quotes, and line breaks inside quotes.

use super::rows::Row;
use serde_json::{Map, Value};

/// The separator of a head line: a tab where there is one.
pub(super) fn separator(head: &str) -> char {
    if head.contains('\t') { '\t' } else { ',' }
}

/// The names in the first row of `text`, in lower case; none where it cannot be read.
pub(super) fn head(text: &str) -> Vec<String> {
    let mut records = Records::new(text);
    let first = records.next().and_then(Result::ok).unwrap_or_default();
    first.1.iter().map(|name| name.trim().to_lowercase()).collect()
}

/// Rows of `text` by the names of its head. Empty cells are left out.
pub(super) fn rows(text: &str) -> Result<impl Iterator<Item = Result<Row, String>> + '_, String> {
    let names = head(text);
    if names.iter().all(String::is_empty) {
        return Err("line 1: expected a head with names of columns".to_owned());
    }
    let mut records = Records::new(text);
    records.next();
    Ok(records.map(move |record| {
        let (line, cells) = record?;
        let at = format!("line {line}");
        if cells.len() != names.len() {
            let (got, expected) = (cells.len(), names.len());
            return Err(format!("{at}: expected {expected} columns, as the head has, got {got}"));
        }
        let fields: Map<String, Value> = names
            .iter()
            .zip(cells)
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| (name.clone(), Value::String(cell)))
            .collect();
        Ok(Row { at, fields })
    }))
}

/// Records of cells, each with the line it begins on. Empty lines are skipped.
struct Records<'t> {
    rest: &'t str,
    line: usize,
    separator: char,
}

impl<'t> Records<'t> {
    fn new(text: &'t str) -> Records<'t> {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Records { rest: text, line: 1, separator: separator(first) }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<(usize, Vec<String>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(after) = self.rest.strip_prefix('\n').or_else(|| self.rest.strip_prefix("\r\n")) {
            self.rest = after;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let began = self.line;
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut chars = self.rest.char_indices().peekable();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            self.line += usize::from(c == '\n');
            let cell = cells.last_mut()?;
            match c {
                '"' if quoted => {
                    if chars.next_if(|(_, next)| *next == '"').is_some() {
                        cell.push('"')
                    } else {
                        quoted = false
                    }
                }
                _ if quoted => cell.push(c),
                '"' if cell.is_empty() => quoted = true,
                '\n' => {
                    end = at + 1;
                    break;
                }
                '\r' if chars.peek().is_some_and(|(_, next)| *next == '\n') => {}
                c if c == self.separator => cells.push(String::new()),
                c => cell.push(c),
            }
        }
        self.rest = &self.rest[end..];
        if quoted {
            self.rest = "";
            return Some(Err(format!("line {began}: expected a closing quote for what begins here")));
        }
        Some(Ok((began, cells)))
    }
}
