//! `Fold`: records added up by the hour and by what they are told by.

use crate::config::AccountKind;
use crate::store::database::{UsageKey, UsageSums};
use crate::types::record::Record;
use std::collections::{HashMap, HashSet};

pub(super) const HOUR_MS: u64 = 3_600_000;
/// Models and tags are words of callers: of each so many different ones are told apart in an hour.
const MOST_NAMES: usize = 1_000;
/// The longest of them, in bytes.
const NAME_BYTES: usize = 256;
/// What stands for those beyond.
const OTHER: &str = "(other)";

/// Sums in the making.
#[derive(Debug, Default)]
pub(super) struct Fold {
    sums: HashMap<UsageKey, UsageSums>,
    /// The names of the latest hours.
    names: HashMap<u64, Names>,
}

#[derive(Debug, Default)]
struct Names {
    models: HashSet<String>,
    tags: HashSet<String>,
}

impl Fold {
    /// Adds a record. `kind` tells what an account is. False where that would make more than `most` rows.
    pub(super) fn add(&mut self, record: &Record, kind: impl Fn(&str) -> Option<AccountKind>, most: usize) -> bool {
        let hour_ms = record.at_ms - record.at_ms % HOUR_MS;
        let names = self.names_of(hour_ms);
        let model = told(&mut names.models, &record.model);
        let mut tags: Vec<String> = record.tags.iter().map(|tag| told(&mut names.tags, tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let of = |wanted| {
            let name = record.accounts.iter().find(|name| kind(name) == Some(wanted));
            name.cloned().unwrap_or_default()
        };
        let key = UsageKey {
            hour_ms,
            key: record.key.clone(),
            account: record.accounts.first().cloned().unwrap_or_default(),
            team: of(AccountKind::Team),
            customer: of(AccountKind::Customer),
            organisation: of(AccountKind::Organisation),
            model,
            provider: record.provider.clone(),
            cache: record.cache.to_owned(),
            tag: String::new(),
        };
        let sums = sums_of(record);
        for tag in tags.into_iter().filter(|tag| !tag.is_empty()) {
            self.put(UsageKey { tag, ..key.clone() }, &sums, most);
        }
        self.put(key, &sums, most)
    }

    /// Adds to a row. False where there are `most` others.
    pub(super) fn put(&mut self, key: UsageKey, sums: &UsageSums, most: usize) -> bool {
        if self.sums.len() >= most && !self.sums.contains_key(&key) {
            return false;
        }
        self.sums.entry(key).or_default().add(sums);
        true
    }

    /// All rows; none is left.
    pub(super) fn take(&mut self) -> Vec<(UsageKey, UsageSums)> {
        self.sums.drain().collect()
    }

    fn names_of(&mut self, hour_ms: u64) -> &mut Names {
        // A request may have come an hour before it ended.
        if self.names.len() > 4 && !self.names.contains_key(&hour_ms) {
            let latest = self.names.keys().copied().max().unwrap_or(0);
            self.names.retain(|hour, _| *hour + 2 * HOUR_MS >= latest);
        }
        self.names.entry(hour_ms).or_default()
    }
}

/// A name, or what stands for it where there are too many.
fn told(names: &mut HashSet<String>, name: &str) -> String {
    let name = super::clean::storable(&name[..name.floor_char_boundary(NAME_BYTES)]);
    if names.contains(&name) {
        return name;
    }
    if names.len() >= MOST_NAMES {
        return OTHER.to_owned();
    }
    names.insert(name.clone());
    name
}

fn sums_of(record: &Record) -> UsageSums {
    let usage = record.usage;
    UsageSums {
        requests: 1,
        errors: u64::from(record.is_error()),
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_tokens: usage.cached_tokens,
        reasoning_tokens: usage.reasoning_tokens,
        saved_tokens: record.saved_tokens,
        cost: record.cost,
        saved: record.saved,
        took_ms: record.took_ms,
        attempts: record.attempts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at_ms: u64, model: &str, tags: &[&str]) -> Record {
        Record {
            at_ms,
            key: "k".to_owned(),
            accounts: ["ada", "lab", "house"].map(str::to_owned).to_vec().into(),
            model: model.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            cache: "miss",
            status: 200,
            cost: 3,
            ..Record::default()
        }
    }

    fn kind(name: &str) -> Option<AccountKind> {
        match name {
            "ada" => Some(AccountKind::User),
            "lab" => Some(AccountKind::Team),
            "house" => Some(AccountKind::Organisation),
            _ => None,
        }
    }

    #[test]
    fn each_request_is_in_one_row_and_once_more_in_that_of_each_tag() {
        let mut fold = Fold::default();
        for (at_ms, tags) in [(1, &["a", "b", "a"][..]), (2, &[]), (HOUR_MS, &["a"])] {
            assert!(fold.add(&record(at_ms, "m", tags), kind, 100));
        }
        let mut rows: Vec<_> = fold.take();
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        let told: Vec<_> = rows.iter().map(|(key, sums)| (key.hour_ms, &*key.tag, sums.requests, sums.cost)).collect();
        assert_eq!(told, [(0, "", 2, 6), (0, "a", 1, 3), (0, "b", 1, 3), (HOUR_MS, "", 1, 3), (HOUR_MS, "a", 1, 3)]);
        let UsageKey { account, team, customer, organisation, .. } = &rows[0].0;
        assert_eq!([account, team, customer, organisation], ["ada", "lab", "", "house"]);
        assert!(fold.take().is_empty());
    }

    #[test]
    fn names_that_callers_choose_do_not_fill_the_table() {
        let mut fold = Fold::default();
        for number in 0..MOST_NAMES + 500 {
            assert!(fold.add(&record(0, &format!("m{number}"), &[]), kind, usize::MAX));
        }
        let rows = fold.take();
        assert_eq!(rows.len(), MOST_NAMES + 1);
        let other = rows.iter().find(|(key, _)| key.model == OTHER).unwrap();
        assert_eq!(other.1.requests, 500);
        assert!(fold.add(&record(0, "a", &[]), kind, 1));
        assert!(!fold.add(&record(HOUR_MS, "a", &[]), kind, 1), "no more rows than may wait");
    }

    #[test]
    fn what_no_table_takes_is_replaced() {
        let mut fold = Fold::default();
        fold.add(&record(0, "m\0x", &[]), kind, 9);
        assert_eq!(fold.take()[0].0.model, "m\u{fffd}x");
    }
}
