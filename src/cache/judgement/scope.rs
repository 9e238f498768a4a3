//! What the learner knows of one scope: its labels, its calibration, and how wrong its hits are.

use super::logistic::{self, Prior, Sample, Weights};
use std::collections::VecDeque;

/// One scope.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) samples: VecDeque<Sample>,
    pub(super) weights: Weights,
    pub(super) requests: u64,
    pub(super) hits: u64,
    /// Requests at the last calibration, and whether a label came since.
    pub(super) fitted_at: u64,
    pub(super) fresh_labels: bool,
    pub(super) checks: Checks,
    pub(super) fallback: bool,
    /// The learner's clock when it was last asked.
    pub(super) used_at: u64,
    /// The error budget that it was last asked with.
    pub(super) budget: f32,
}

/// Running sums over checked hits, fading, from which the error of all hits is estimated.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Checks {
    pub(super) requests: f64,
    pub(super) hits: f64,
    /// Σ weight, Σ weight², Σ weight of wrong ones.
    pub(super) weight: f64,
    pub(super) squares: f64,
    pub(super) wrong: f64,
}

/// About as many requests are remembered: 1 / (1 − fading).
const FADING: f64 = 0.9998;

/// Standard errors for an upper bound of 95 %, one-sided; and for a fall-back, as it is looked at after every label.
const UPPER: f64 = 1.645;
const SURE: f64 = 3.3;

impl Checks {
    pub(super) fn request(&mut self, hit: bool) {
        for sum in [&mut self.requests, &mut self.hits, &mut self.weight, &mut self.squares, &mut self.wrong] {
            *sum *= FADING;
        }
        self.requests += 1.0;
        self.hits += f64::from(u8::from(hit));
    }

    /// A request that was counted before was served after all.
    pub(super) fn hit(&mut self) {
        self.hits += 1.0;
    }

    pub(super) fn check(&mut self, wrong: bool, weight: f64) {
        self.weight += weight;
        self.squares += weight * weight;
        self.wrong += if wrong { weight } else { 0.0 };
    }

    /// Wrong hits over requests.
    pub(super) fn error(&self) -> f64 {
        self.of_requests(if self.weight > 0.0 { self.wrong / self.weight } else { 0.0 })
    }

    /// Lower and upper bound of it, `z` standard errors away (Wilson's score interval, on the effective number of checks).
    fn bounds(&self, z: f64) -> (f64, f64) {
        let checks = if self.squares > 0.0 { self.weight * self.weight / self.squares } else { 0.0 };
        let rate = if self.weight > 0.0 { self.wrong / self.weight } else { 0.0 };
        let z2 = z * z;
        let centre = (checks * rate + z2 / 2.0) / (checks + z2);
        let half = z / (checks + z2) * (checks * rate * (1.0 - rate) + z2 / 4.0).sqrt();
        (self.of_requests((centre - half).max(0.0)), self.of_requests((centre + half).min(1.0)))
    }

    /// Upper bound of it, 95 % one-sided.
    pub(super) fn upper(&self) -> f64 {
        self.bounds(UPPER).1
    }

    fn of_requests(&self, of_hits: f64) -> f64 {
        if self.requests > 0.0 { of_hits * self.hits / self.requests } else { 0.0 }
    }
}

impl Scope {
    pub(super) fn new(prior: &Prior, used_at: u64, budget: f32) -> Scope {
        Scope {
            samples: VecDeque::new(),
            weights: prior.mean,
            requests: 0,
            hits: 0,
            fitted_at: 0,
            fresh_labels: false,
            checks: Checks::default(),
            fallback: false,
            used_at,
            budget,
        }
    }

    /// Keeps a label, at most `most` of them. Gives whether there is one more than before.
    pub(super) fn label(&mut self, sample: Sample, most: usize) -> bool {
        let full = self.samples.len() >= most.max(1);
        if full {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.fresh_labels = true;
        !full
    }

    /// Serves by words only from where its error is surely beyond `tolerance` times the budget, until what it would have
    /// served is again within.
    pub(super) fn fall_back(&mut self, delta: f64, tolerance: f64) {
        let limit = delta * tolerance;
        let (surely, _) = self.checks.bounds(SURE);
        if !self.fallback && surely > limit {
            self.fallback = true;
            self.checks = Checks::default();
        } else if self.fallback && self.checks.weight >= 50.0 && self.checks.error() <= limit / 2.0 {
            self.fallback = false;
            self.checks = Checks::default();
        }
    }

    /// Calibrates anew, if it is time.
    pub(super) fn refit(&mut self, prior: &Prior, every: u64) {
        // A new scope does not wait for its first two hundred requests.
        let wait = every.min(self.fitted_at / 2 + 10);
        if self.fresh_labels && self.requests >= self.fitted_at + wait {
            self.weights = logistic::fit(self.samples.make_contiguous(), prior, self.weights);
            self.fitted_at = self.requests;
            self.fresh_labels = false;
        }
    }
}
