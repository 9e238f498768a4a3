//! λ: how improbable an answer may be and still be served, so that the wrong ones stay within the error budget.
//!
//! λ is the largest value whose expected wrong hits over the last requests, times what was observed over what was
//! predicted, stay under a share of the budget (CACHE.md, "Serve iff 1 − p ≤ λ").

use super::bytes::{In, Out, StateError};
use super::usual::Usual;
use std::collections::VecDeque;
use std::sync::Arc;

/// Steps of λ. They are finer near 0, where it matters.
const BINS: usize = 1024;

/// The controller of one error budget.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// Wrong hits over requests that the operator allows.
    pub(super) delta: f64,
    /// For each of the last requests the bin of 1 − p of its best candidate; `NONE` where there is none.
    window: VecDeque<u16>,
    counts: Vec<u32>,
    /// Believed of requests until they are seen.
    usual: Arc<Usual>,
    /// Wrong answers observed and predicted where labels tell, both fading.
    pub(super) observed: f64,
    pub(super) predicted: f64,
    lambda: f32,
    since: u32,
    /// The learner's clock when it was last asked for.
    pub(super) used_at: u64,
}

const NONE: u16 = u16::MAX;

/// How the controller behaves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Control {
    /// Requests that are looked back on.
    pub window: usize,
    /// Requests of usual traffic that the look back begins with; those that come push them out.
    pub believed: usize,
    /// Share of the budget that is aimed at. The rest is for what calibrations cannot know.
    pub aim: f64,
    /// How many times its budget a single scope may err before it serves by words only: λ is one for all scopes.
    pub tolerance: f64,
    /// Wrong answers, observed and predicted, that it begins with.
    pub belief: f64,
    /// What a label's part in observed and predicted is multiplied with at each later label.
    pub fading: f64,
    /// λ is never above this.
    pub most: f32,
    /// No answer is surer than 1 less this: labels err, and so do calibrations.
    pub doubt: f32,
    /// Labels of cases up to so many times λ tell what was observed.
    pub near: f32,
    /// A label weighs no more than this in a calibration.
    pub heavy: f32,
}

impl Default for Control {
    fn default() -> Control {
        Control {
            window: 3000,
            believed: 1000,
            aim: 0.9,
            tolerance: 3.0,
            belief: 4.0,
            fading: 0.9995,
            most: 0.5,
            doubt: 0.005,
            near: 2.0,
            heavy: 1.0,
        }
    }
}

impl Budget {
    pub(super) fn new(delta: f32, control: &Control, usual: &Arc<Usual>) -> Budget {
        let mut budget = Budget {
            delta: f64::from(delta),
            window: VecDeque::with_capacity(control.window),
            counts: vec![0; BINS],
            usual: usual.clone(),
            observed: 0.0,
            predicted: 0.0,
            lambda: 0.0,
            since: 0,
            used_at: 0,
        };
        budget.steer(control);
        budget
    }

    /// The present λ.
    pub(super) fn lambda(&self) -> f32 {
        self.lambda
    }

    /// Counts a request; `risk` is 1 − p of the candidate that could be served.
    pub(super) fn count(&mut self, risk: Option<f32>, control: &Control) {
        let bin = risk.map_or(NONE, bin);
        self.window.push_back(bin);
        if let Some(count) = self.counts.get_mut(usize::from(bin)) {
            *count += 1;
        }
        if self.window.len() > control.window {
            let old = self.window.pop_front().unwrap_or(NONE);
            if let Some(count) = self.counts.get_mut(usize::from(old)) {
                *count -= 1;
            }
        }
        self.since += 1;
        if self.since >= 20 {
            self.steer(control);
        }
    }

    /// Learns what came of a case that was predicted wrong with probability `risk`. Cases far beyond λ teach nothing.
    pub(super) fn learn(&mut self, risk: f32, wrong: bool, weight: f32, control: &Control) {
        if risk <= control.near * self.lambda {
            self.observed = self.observed * control.fading + f64::from(weight) * f64::from(u8::from(wrong));
            self.predicted = self.predicted * control.fading + f64::from(weight * risk);
        }
    }

    /// Observed over predicted, believed to be 1 until labels say otherwise.
    pub(super) fn ratio(&self, control: &Control) -> f64 {
        (self.observed + control.belief) / (self.predicted + control.belief)
    }

    fn steer(&mut self, control: &Control) {
        self.since = 0;
        let believed = self.believed(control);
        let requests = self.window.len() as f64 + believed;
        let allowed = control.aim * self.delta * requests / self.ratio(control);
        let mut expected = 0.0;
        self.lambda = 0.0;
        for (bin, &count) in self.counts.iter().enumerate() {
            expected += (f64::from(count) + believed * self.usual.share(bin, BINS)) * middle(bin);
            let edge = edge(bin + 1);
            // There must be room for the next one, too: who has seen little serves only what is sure.
            if expected + middle(bin) > allowed || edge > control.most {
                break;
            }
            self.lambda = edge;
        }
    }

    /// Requests of usual traffic that are looked back on beside the seen ones.
    fn believed(&self, control: &Control) -> f64 {
        let room = control.window.saturating_sub(self.window.len());
        if self.usual.is_known() { room.min(control.believed) as f64 } else { 0.0 }
    }

    /// Writes what it has seen.
    pub(super) fn write(&self, out: &mut Out) {
        out.f64(self.delta);
        out.u64(self.used_at);
        out.f64(self.observed);
        out.f64(self.predicted);
        out.u32(self.window.len() as u32);
        self.window.iter().for_each(|bin| out.u16(*bin));
    }

    /// Reads what another one wrote.
    pub(super) fn read(input: &mut In<'_>, control: &Control, usual: &Arc<Usual>) -> Result<Budget, StateError> {
        let mut budget = Budget::new(input.share()? as f32, control, usual);
        budget.used_at = input.u64()?;
        (budget.observed, budget.predicted) = (input.positive()?, input.positive()?);
        for _ in 0..input.count(2)? {
            let bin = input.u16()?;
            budget.count((usize::from(bin) < BINS).then(|| middle(usize::from(bin)) as f32), control);
        }
        budget.steer(control);
        Ok(budget)
    }
}

/// Bins are even in the square root of the risk.
fn bin(risk: f32) -> u16 {
    bin_of(risk, BINS) as u16
}

/// The bin of a risk, where there are `bins`.
pub(super) fn bin_of(risk: f32, bins: usize) -> usize {
    ((risk.clamp(0.0, 1.0).sqrt() * bins as f32) as usize).min(bins - 1)
}

fn edge(bin: usize) -> f32 {
    (bin as f32 / BINS as f32).powi(2)
}

fn middle(bin: usize) -> f64 {
    ((bin as f64 + 0.5) / BINS as f64).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_keeps_expected_errors_within_the_budget() {
        let control = Control { aim: 1.0, ..Control::default() };
        let mut budget = Budget::new(0.01, &control, &Arc::default());
        // Every second request has a candidate; its risk is anything from 0 to 1.
        for i in 0..6000u32 {
            let risk = (i % 2 == 0).then(|| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32);
            budget.count(risk, &control);
        }
        // Half of the requests, risk even: expected errors below λ are λ² / 4 of all.
        assert!((budget.lambda() - 0.2).abs() < 0.01, "{}", budget.lambda());
        let before = budget.lambda();
        (0..2000).for_each(|_| budget.learn(0.1, true, 1.0, &control));
        (0..100).for_each(|_| budget.count(None, &control));
        assert!(budget.lambda() < before / 2.0, "ten times as many wrong as predicted");
    }

    #[test]
    fn nothing_is_served_before_anything_was_seen_or_is_believed() {
        assert_eq!(Budget::new(0.01, &Control::default(), &Arc::default()).lambda(), edge(0));
    }

    #[test]
    fn what_is_believed_counts_until_real_requests_push_it_out() {
        let control = Control { aim: 1.0, window: 1000, believed: 300, ..Control::default() };
        // Believed: every second request has a candidate, its risk is anything from 0 to 1.
        let risks: Vec<(u32, Option<f32>)> =
            (0..20_000).map(|at| (0, (at % 2 == 0).then_some(at as f32 / 20_000.0))).collect();
        let usual = Arc::new(Usual::fit(&risks));
        let mut budget = Budget::new(0.01, &control, &usual);
        assert!((budget.lambda() - 0.2).abs() < 0.02, "{}", budget.lambda());
        let mut lambdas = Vec::new();
        for _ in 0..10 {
            // Half of the real ones are much of a muchness: risky.
            (0..100).for_each(|at| budget.count((at % 2 == 0).then_some(0.1), &control));
            lambdas.push(budget.lambda());
        }
        assert!(lambdas.is_sorted_by(|one, other| one >= other) && lambdas[9] < 0.1, "{lambdas:?}");
        let mut alone = Budget::new(0.01, &control, &Arc::default());
        (0..1000).for_each(|at| alone.count((at % 2 == 0).then_some(0.1), &control));
        assert_eq!(budget.lambda(), alone.lambda());
    }
}
