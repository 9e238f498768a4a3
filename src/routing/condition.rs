//! Which lanes of a route take part in a request: those of targets whose condition is true of it. Conditions that take an embedding
//! of the question to tell are *late*: they are told when a request is to be sent, and not for what the cache answers.

use super::route::{Route, Target};
use crate::config::{Condition, Facts, Uses};
use crate::telemetry::metrics;
use crate::types::error::{Error, ErrorKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The condition of one target.
#[derive(Debug)]
pub struct When {
    condition: Condition,
    /// For logs and metrics: the configured name of the model, and the target's provider.
    model: String,
    provider: String,
    /// It was told once that the condition could not be.
    logged: AtomicBool,
}

impl When {
    /// The condition of a target of `model` at `provider`.
    pub fn new(condition: &Condition, model: &str, provider: &str) -> When {
        let (model, provider) = (model.to_owned(), provider.to_owned());
        When { condition: condition.clone(), model, provider, logged: AtomicBool::new(false) }
    }

    /// Is it the same condition?
    pub fn says(&self, other: &When) -> bool {
        self.condition == other.condition
    }

    /// Is it true? What cannot be told counts as false.
    fn holds(&self, facts: &Facts) -> bool {
        self.condition.holds(facts).unwrap_or_else(|why| {
            metrics::condition_failed(&self.model, &self.provider);
            if !self.logged.swap(true, Ordering::Relaxed) {
                let (model, provider, when) = (&self.model, &self.provider, self.condition.as_str());
                tracing::debug!(model, provider, when, why, "a condition cannot be told, and counts as false");
            }
            false
        })
    }
}

impl Route {
    /// What its conditions ask about, but for late ones. `None`: it has none.
    pub fn asks(&self) -> Option<Uses> {
        self.asks_those(|when| !when.condition.is_late())
    }

    /// What its late conditions ask about. `None`: it has none.
    pub fn asks_late(&self) -> Option<Uses> {
        self.asks_those(|when| when.condition.is_late())
    }

    fn asks_those(&self, are: impl Fn(&When) -> bool) -> Option<Uses> {
        let whens = self.legs.iter().filter_map(|leg| leg.when.as_ref()).filter(|when| are(when));
        whens.map(|when| when.condition.uses()).reduce(Uses::and)
    }

    /// The places of those lanes that take no part in the request that `facts` are known of, whatever late conditions say. Each
    /// condition is evaluated once.
    pub fn left_out(&self, facts: &Facts) -> Vec<usize> {
        self.not_true(facts, |when| !when.condition.is_late())
    }

    /// The places of those lanes whose late conditions are not true of the request that `facts` are known of.
    pub fn left_out_late(&self, facts: &Facts) -> Vec<usize> {
        self.not_true(facts, |when| when.condition.is_late())
    }

    fn not_true(&self, facts: &Facts, are: impl Fn(&When) -> bool) -> Vec<usize> {
        let mut told: Vec<(&Arc<When>, bool)> = Vec::new();
        let mut out = Vec::new();
        for (at, leg) in self.legs.iter().enumerate() {
            let Some(when) = leg.when.as_ref().filter(|when| are(when)) else { continue };
            let known = told.iter().find(|(one, _)| Arc::ptr_eq(one, when)).map(|(_, holds)| *holds);
            let holds = known.unwrap_or_else(|| {
                let holds = when.holds(facts);
                told.push((when, holds));
                holds
            });
            if !holds {
                out.push(at);
            }
        }
        out
    }

    /// Its targets without those whose lanes are all in `out`, and without one on trial, in their order.
    pub fn targets_left(&self, out: &[usize]) -> Vec<&Target> {
        if out.is_empty() && self.canary().is_none() {
            return self.targets.iter().collect();
        }
        let left = self.legs.iter().enumerate().filter(|(at, leg)| !out.contains(at) && !self.is_on_trial(leg));
        let left: BTreeSet<usize> = left.map(|(_, leg)| leg.target).collect();
        left.into_iter().filter_map(|at| self.targets.get(at)).collect()
    }

    /// An error where nobody is left to be asked first without those in `out`. `model` is what the caller asked for.
    pub fn some_are_left(&self, out: &[usize], model: &str) -> Result<(), Error> {
        let asked_first = |(at, leg): (usize, &super::Leg)| {
            leg.after == super::Seen::default() && !out.contains(&at) && !self.is_on_trial(leg)
        };
        if out.is_empty() || self.legs.iter().enumerate().any(asked_first) {
            return Ok(());
        }
        Err(no_target(model))
    }
}

/// Nobody takes part in a request for `model`.
pub fn no_target(model: &str) -> Error {
    let shown: String = model.chars().take(100).collect();
    let message =
        format!("The model `{shown}` has no target for this request: no condition (`when`) of one is true of it.");
    let error = Error::new(ErrorKind::NotFound, message).with_code("no_target_for_request");
    Error { param: Some("model".into()), ..error }
}
