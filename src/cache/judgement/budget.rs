//! λ: how improbable an answer may be and still be served, so that the wrong ones stay within the error budget.
//!
//! λ is the largest value whose expected wrong hits over the last requests, times what was observed over what was
//! predicted, stay under a share of the budget (CACHE.md, "Serve iff 1 − p ≤ λ").

use std::collections::VecDeque;

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
    /// Wrong answers observed and predicted where labels tell, both fading.
    pub(super) observed: f64,
    pub(super) predicted: f64,
    lambda: f32,
    since: u32,
}

const NONE: u16 = u16::MAX;

/// How the controller behaves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Control {
    /// Requests that are looked back on.
    pub window: usize,
    /// Share of the budget that is aimed at.
    pub aim: f64,
    /// Requests that a cold controller pretends to have seen, which hold no candidate and so no risk; they let it serve
    /// the surest of the first ones.
    pub cold: f64,
    /// Wrong answers, observed and predicted, that it begins with.
    pub belief: f64,
    /// What a label's part in observed and predicted is multiplied with at each later label.
    pub fading: f64,
    /// λ is never above this.
    pub most: f32,
}

impl Default for Control {
    fn default() -> Control {
        Control { window: 3000, aim: 0.85, cold: 0.0, belief: 4.0, fading: 0.998, most: 0.5 }
    }
}

impl Budget {
    pub(super) fn new(delta: f64, control: &Control) -> Budget {
        let mut budget = Budget {
            delta,
            window: VecDeque::with_capacity(control.window),
            counts: vec![0; BINS],
            observed: 0.0,
            predicted: 0.0,
            lambda: 0.0,
            since: 0,
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

    /// Learns what came of a case that was predicted wrong with probability `risk`.
    pub(super) fn learn(&mut self, risk: f32, wrong: bool, weight: f32, control: &Control) {
        self.observed = self.observed * control.fading + f64::from(weight) * f64::from(u8::from(wrong));
        self.predicted = self.predicted * control.fading + f64::from(weight * risk);
    }

    /// Observed over predicted, believed to be 1 until labels say otherwise.
    pub(super) fn ratio(&self, control: &Control) -> f64 {
        (self.observed + control.belief) / (self.predicted + control.belief)
    }

    fn steer(&mut self, control: &Control) {
        self.since = 0;
        let requests = self.window.len() as f64 + control.cold;
        let allowed = control.aim * self.delta * requests / self.ratio(control);
        let mut expected = 0.0;
        self.lambda = 0.0;
        for (bin, &count) in self.counts.iter().enumerate() {
            expected += f64::from(count) * middle(bin);
            let edge = edge(bin + 1);
            if expected > allowed || edge > control.most {
                break;
            }
            self.lambda = edge;
        }
    }

    /// For the state file.
    pub(super) fn window(&self) -> impl Iterator<Item = u16> {
        self.window.iter().copied()
    }

    /// Of the state file.
    pub(super) fn restore(&mut self, window: impl Iterator<Item = u16>, control: &Control) {
        for bin in window.filter(|bin| *bin == NONE || usize::from(*bin) < BINS) {
            self.count((bin != NONE).then(|| middle(usize::from(bin)) as f32), control);
        }
        self.steer(control);
    }
}

/// Bins are even in the square root of the risk.
fn bin(risk: f32) -> u16 {
    ((risk.clamp(0.0, 1.0).sqrt() * BINS as f32) as usize).min(BINS - 1) as u16
}

fn edge(bin: usize) -> f32 {
    (bin as f32 / BINS as f32).powi(2)
}

fn middle(bin: usize) -> f64 {
    ((bin as f64 + 0.5) / BINS as f64).powi(2)
}
