//! Alerts: somebody has used as much of a budget as they wanted to be told of, or all of it.

use super::ledger::At;
use crate::config::{Measure, Per};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Alerts that wait to be told; more are counted, and lost.
const WAITING: usize = 1024;
/// That nothing is left is told no oftener of one budget, in milliseconds.
const PAUSE_MS: u64 = 60_000;

/// Why somebody is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AlertKind {
    /// The soft limit of a budget is reached.
    Soft,
    /// A request was refused, for too little is left.
    Exceeded,
}

impl AlertKind {
    /// In webhooks, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertKind::Soft => "budget.soft_limit",
            AlertKind::Exceeded => "budget.exceeded",
        }
    }
}

/// One alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// Why.
    pub kind: AlertKind,
    /// Whose budget: ``team `lab` ``.
    pub what: String,
    /// Of what time.
    pub per: Per,
    /// The hard limit, in micro-dollars.
    pub most: u64,
    /// The soft one.
    pub soft: Option<u64>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

#[derive(Clone, Debug)]
struct Budget {
    what: String,
    per: Per,
    most: u64,
    soft: Option<u64>,
}

/// What there is to tell of budgets.
#[derive(Debug)]
pub struct Alerts {
    sender: mpsc::Sender<Alert>,
    receiver: Mutex<Option<mpsc::Receiver<Alert>>>,
    budgets: Mutex<HashMap<At, Budget>>,
    told_at_ms: Mutex<HashMap<At, u64>>,
}

impl Default for Alerts {
    fn default() -> Alerts {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Mutex::new(Some(receiver));
        Alerts { sender, receiver, budgets: Mutex::default(), told_at_ms: Mutex::default() }
    }
}

impl Alerts {
    /// The end that they come out of; there is one.
    pub fn receiver(&self) -> Option<mpsc::Receiver<Alert>> {
        self.receiver.lock().take()
    }

    /// The meter at `at` is the budget of `what`.
    pub(super) fn know(&self, at: At, what: &str, allowance: &crate::config::Allowance) {
        if allowance.measure == Measure::Usd {
            let (per, most, soft) = (allowance.per, allowance.most, allowance.soft);
            self.budgets.lock().insert(at, Budget { what: what.to_owned(), per, most, soft });
        }
    }

    /// The soft limit of the meter at `at` is reached.
    pub(super) fn soft(&self, at: At, now_ms: u64) {
        self.tell(AlertKind::Soft, at, now_ms);
    }

    /// A request was refused for the meter at `at`.
    pub(super) fn exceeded(&self, at: At, now_ms: u64) {
        {
            let mut told = self.told_at_ms.lock();
            let last = told.entry(at).or_default();
            if *last != 0 && now_ms < last.saturating_add(PAUSE_MS) {
                return;
            }
            *last = now_ms;
        }
        self.tell(AlertKind::Exceeded, at, now_ms);
    }

    fn tell(&self, kind: AlertKind, at: At, now_ms: u64) {
        let Some(Budget { what, per, most, soft }) = self.budgets.lock().get(&at).cloned() else { return };
        let alert = Alert { kind, what, per, most, soft, at_ms: now_ms };
        if self.sender.try_send(alert).is_err() {
            tracing::warn!(kind = kind.as_str(), "an alert is lost: too many wait to be told");
        }
    }
}
