//! `Fault`: why a request of the load generator failed, and the counts of all of them.

use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No connection.
    Connect,
    /// No byte for `--timeout-ms`.
    Timeout,
    /// The connection broke off.
    Broken,
    /// Not HTTP, or a body cut short.
    Garbled,
    /// A status other than 200.
    Status,
    /// Served by another cache outcome or tier than the scenario is about.
    WrongOutcome,
    /// The answer belongs to another question.
    WrongAnswer,
    /// Still waiting for a free connection when the phase was long over.
    Unsent,
}

/// One failed request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// The particulars.
    pub detail: String,
}

impl Fault {
    /// A fault with its particulars.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Fault {
        Fault { kind, detail: detail.into() }
    }

    /// The fault for an I/O error: a timeout, or else `kind`.
    pub fn from_io(kind: FaultKind, error: &io::Error) -> Fault {
        match error.kind() {
            // Linux reports an elapsed socket timeout as WouldBlock.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                Fault::new(FaultKind::Timeout, "no byte within --timeout-ms")
            }
            _ => Fault::new(kind, error.to_string()),
        }
    }
}

/// Faults by kind, with the first one of each as an example.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Faults(BTreeMap<FaultKind, FaultCount>);

/// How often, and one example.
#[derive(Clone, Debug, Serialize)]
struct FaultCount {
    count: u64,
    example: String,
}

impl Faults {
    /// Counts `fault`.
    pub fn add(&mut self, fault: Fault) {
        let entry = self.0.entry(fault.kind).or_insert_with(|| FaultCount { count: 0, example: fault.detail });
        entry.count += 1;
    }

    /// Counts all of `others`.
    pub fn merge(&mut self, others: &Faults) {
        for (&kind, other) in &others.0 {
            let entry = self.0.entry(kind).or_insert_with(|| FaultCount { count: 0, example: other.example.clone() });
            entry.count += other.count;
        }
    }

    /// All faults together.
    pub fn total(&self) -> u64 {
        self.0.values().map(|entry| entry.count).sum()
    }

    /// How often `kind` occurred.
    #[cfg(test)]
    pub fn count(&self, kind: FaultKind) -> u64 {
        self.0.get(&kind).map_or(0, |entry| entry.count)
    }

    /// One line for each kind.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(kind, entry)| {
            let name = serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned));
            format!("{} × {}: {}", entry.count, name.unwrap_or_default(), entry.example)
        })
    }
}
