//! Handles of series that this thread has recorded before: recording again neither makes a key nor asks the registry.

use ahash::RandomState;
use metrics::{Counter, Histogram, Label};
use parking_lot::RwLock;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Names of labels with their values.
type Labels<'l> = &'l [(&'static str, &'l str)];

/// The label whose values callers choose.
pub(super) const MODEL: &str = "gen_ai_request_model";

/// Models that are told apart. A default provider takes any name, so callers could fill the registry with names.
const MOST_MODELS: usize = 1_000;

/// Handles that a thread keeps; with more than these it begins anew. Names of callers are among their keys.
const MOST_HANDLES: usize = 16_384;

/// There is a registry. Handles of before lead nowhere, and are not kept.
static BEGUN: AtomicBool = AtomicBool::new(false);

thread_local! {
    static HISTOGRAMS: RefCell<Table<Histogram>> = RefCell::default();
    static COUNTERS: RefCell<Table<Counter>> = RefCell::default();
}

/// From now on there is a registry.
pub(super) fn begin() {
    BEGUN.store(true, Ordering::Release);
}

/// Puts `value` into the histogram `name` with these labels.
pub(super) fn record(name: &'static str, labels: Labels<'_>, value: f64) {
    if !BEGUN.load(Ordering::Acquire) {
        return metrics::histogram!(name, made(labels)).record(value);
    }
    HISTOGRAMS.with_borrow_mut(|table| {
        table.get(name, labels, || metrics::histogram!(name, made(labels))).record(value);
    });
}

/// Adds `by` to the counter `name` with these labels.
pub(super) fn count(name: &'static str, labels: Labels<'_>, by: u64) {
    if !BEGUN.load(Ordering::Acquire) {
        return metrics::counter!(name, made(labels)).increment(by);
    }
    COUNTERS.with_borrow_mut(|table| {
        table.get(name, labels, || metrics::counter!(name, made(labels))).increment(by);
    });
}

/// Series by the hash of their names and labels' values: what has one hash is compared.
struct Table<H> {
    hasher: RandomState,
    series: HashMap<u64, Vec<Series<H>>, RandomState>,
    count: usize,
}

struct Series<H> {
    name: &'static str,
    values: Vec<Box<str>>,
    handle: H,
}

impl<H> Default for Table<H> {
    fn default() -> Table<H> {
        Table { hasher: RandomState::new(), series: HashMap::default(), count: 0 }
    }
}

impl<H> Table<H> {
    /// The handle of a series, made where it is not known. One name always comes with the same names of labels.
    fn get(&mut self, name: &'static str, labels: Labels<'_>, make: impl FnOnce() -> H) -> &H {
        let hash = self.hasher.hash_one((name, labels));
        let is_this = |series: &Series<H>| {
            let values = series.values.iter().map(|value| &**value);
            series.name == name && values.eq(labels.iter().map(|(_, value)| *value))
        };
        if self.count >= MOST_HANDLES {
            self.series.clear();
            self.count = 0;
        }
        let alike = self.series.entry(hash).or_default();
        let at = alike.iter().position(is_this).unwrap_or_else(|| {
            self.count += 1;
            let values = labels.iter().map(|(_, value)| (*value).into()).collect();
            alike.push(Series { name, values, handle: make() });
            alike.len() - 1
        });
        &alike[at].handle
    }
}

/// The labels as the registry keeps them.
fn made(labels: Labels<'_>) -> Vec<Label> {
    let value = |name: &str, value: &str| if name == MODEL { model_label(value) } else { value.to_owned() };
    labels.iter().map(|(name, of)| Label::new(*name, value(name, of))).collect()
}

/// The label for `model`: its name, or `other` once too many have been seen.
fn model_label(model: &str) -> String {
    static SEEN: LazyLock<RwLock<HashSet<String>>> = LazyLock::new(RwLock::default);
    if SEEN.read().contains(model) {
        return model.to_owned();
    }
    let mut seen = SEEN.write();
    if seen.len() < MOST_MODELS || seen.contains(model) {
        seen.insert(model.to_owned());
        return model.to_owned();
    }
    "other".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_made_once_and_told_from_others() {
        let (mut table, mut made) = (Table::<u32>::default(), 0);
        let mut get = |name: &'static str, values: [&str; 2]| {
            let labels = [("a", values[0]), ("b", values[1])];
            *table.get(name, &labels, || {
                made += 1;
                made
            })
        };
        assert_eq!([get("x", ["1", "2"]), get("x", ["1", "2"])], [1, 1]);
        assert_eq!([get("x", ["12", ""]), get("x", ["", "12"]), get("y", ["1", "2"])], [2, 3, 4]);
        assert_eq!(get("x", ["1", "2"]), 1);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut table = Table::<usize>::default();
        for number in 0..MOST_HANDLES * 2 {
            table.get("x", &[("a", &number.to_string())], || number);
        }
        assert!(table.series.len() <= MOST_HANDLES && table.count <= MOST_HANDLES);
    }

    #[test]
    fn callers_cannot_fill_the_registry_with_models() {
        let labels: HashSet<String> = (0..3 * MOST_MODELS).map(|number| model_label(&format!("m{number}"))).collect();
        // Other tests in this process may have taken some places.
        assert!(labels.len() <= MOST_MODELS + 1 && labels.contains("other"), "{}", labels.len());
    }
}
