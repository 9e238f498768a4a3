//! `Vault`: numbered placeholders of one request, and what they stand for.

use std::collections::{HashMap, HashSet};

/// More values of one request have no numbers, and are not put back.
const MOST: usize = 10_000;
/// A placeholder has no more bytes than this.
pub(super) const PLACEHOLDER_BYTES: usize = 40;

/// What was replaced in one request.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    /// By what they stand for.
    placeholders: HashMap<(&'static str, String), String>,
    counts: HashMap<&'static str, usize>,
    /// Texts that look like placeholders and stood in the request before.
    taken: HashSet<String>,
    /// What may be put back.
    values: HashMap<String, String>,
}

impl Vault {
    /// Notes what looks like a placeholder already, so that nothing else is given that name.
    pub fn leave_out(&mut self, text: &str) {
        for (at, _) in text.match_indices('[') {
            if let Some(found) = at_beginning(&text[at..]) {
                self.taken.insert(found.to_owned());
            }
        }
    }

    /// What stands in place of `value`: the same in the whole request.
    pub fn placeholder(&mut self, label: &'static str, value: &str, restore: bool) -> String {
        let key = (label, value.to_owned());
        let known = self.placeholders.get(&key).cloned();
        let name = match known {
            Some(name) => name,
            None if self.placeholders.len() >= MOST => return masked(label),
            None => {
                let name = self.next(label);
                self.placeholders.insert(key, name.clone());
                name
            }
        };
        if restore {
            self.values.entry(name.clone()).or_insert_with(|| value.to_owned());
        }
        name
    }

    fn next(&mut self, label: &'static str) -> String {
        let count = self.counts.entry(label).or_default();
        loop {
            *count += 1;
            let name = format!("[{label}_{count}]");
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }

    /// Is there nothing to put back?
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What a placeholder stands for.
    pub fn value(&self, placeholder: &str) -> Option<&str> {
        self.values.get(placeholder).map(String::as_str)
    }

    /// `text` with what its placeholders stand for; `None` where there are none.
    pub fn restored(&self, text: &str) -> Option<String> {
        let found: Vec<_> = self.places(text).collect();
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (at, placeholder, value) in &found {
            out.push_str(&text[from..*at]);
            out.push_str(value);
            from = at + placeholder.len();
        }
        out.push_str(&text[from..]);
        (!found.is_empty()).then_some(out)
    }

    /// Placeholders in `text`: where, which, and what they stand for.
    pub(super) fn places<'v>(&'v self, text: &'v str) -> impl Iterator<Item = (usize, &'v str, &'v str)> {
        let all = if self.values.is_empty() { "" } else { text };
        all.match_indices('[').filter_map(|(at, _)| {
            let placeholder = at_beginning(&text[at..])?;
            Some((at, placeholder, self.value(placeholder)?))
        })
    }
}

/// What stands in an answer in place of what was found there.
pub(super) fn masked(label: &str) -> String {
    format!("[{label}]")
}

/// The placeholder at the beginning of `text`: `[EMAIL_1]`.
fn at_beginning(text: &str) -> Option<&str> {
    let end = text.bytes().take(PLACEHOLDER_BYTES).position(|byte| byte == b']')?;
    let inside = text.get(1..end)?;
    let (label, number) = inside.rsplit_once('_')?;
    let is_label = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_label && is_number { text.get(..=end) } else { None }
}
