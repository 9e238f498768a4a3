//! vCache's rule, from the paper alone (Schroeder et al., "vCache: Verified Semantic Prompt Caching", arXiv 2502.03771).
//!
//! Every entry keeps what was observed of it: how near a question was, and whether the entry's answer was right for it.
//! A sigmoid of similarity is fitted to that by maximum likelihood, and its threshold moved up by its own uncertainty.
//! With the pessimistic probability of being right that this gives, the entry explores, that is asks the model after
//! all, with the least probability τ that keeps the share of wrong answers within δ:
//!
//! τ = min over ε of 1 − δ / (1 − (1 − ε) · L(s; t′(ε), γ))
//!
//! Only the nearest entry is looked at. An answer is stored when it proved other than the nearest entry's.

use super::super::stream::Stream;
use super::{Candidate, Change, Choice, Policy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;

/// The steepest sigmoid that is fitted: observations that one threshold parts would make it infinite.
const STEEPEST: f64 = 400.0;
/// Weights of the prior that keeps a fit finite, so weak that it hardly moves one: of the slope, of the level.
const PRIOR: (f64, f64) = (1e-7, 5e-4);
const STEPS: usize = 30;
/// Levels of confidence that are tried, and the quantiles of the normal distribution that belong to them.
const LEVELS: [(f64, f64); 9] = [
    (0.001, 3.090),
    (0.0025, 2.807),
    (0.005, 2.576),
    (0.01, 2.326),
    (0.02, 2.054),
    (0.05, 1.645),
    (0.1, 1.282),
    (0.2, 0.842),
    (0.4, 0.253),
];

pub(super) struct Vcache {
    delta: f64,
    dice: StdRng,
    entries: HashMap<u32, Observed>,
}

/// What is known of one entry.
#[derive(Default)]
struct Observed {
    /// Similarity, and whether the entry's answer was right.
    seen: Vec<(f64, bool)>,
    fit: Option<Fit>,
}

/// A fitted sigmoid: P(right) = 1 / (1 + exp(−γ(s − t))).
#[derive(Clone, Copy, Debug)]
struct Fit {
    t: f64,
    gamma: f64,
    /// Standard error of `t`.
    error: f64,
}

impl Vcache {
    pub(super) fn new(delta: f64, seed: u64) -> Vcache {
        Vcache { delta, dice: StdRng::seed_from_u64(seed), entries: HashMap::new() }
    }

    /// The least probability of exploring at similarity `s`.
    fn explore(&self, entry: u32, s: f64) -> f64 {
        let Some(fit) = self.entries.get(&entry).and_then(|observed| observed.fit) else { return 1.0 };
        let tau = |(epsilon, z): &(f64, f64)| {
            let right = (1.0 - epsilon) * sigmoid(fit.gamma * (s - fit.t - z * fit.error));
            1.0 - self.delta / (1.0 - right).max(1e-12)
        };
        LEVELS.iter().map(tau).fold(1.0, f64::min).clamp(0.0, 1.0)
    }
}

impl Policy for Vcache {
    fn candidates(&self) -> usize {
        1
    }

    fn choose(&mut self, _: &Stream<'_>, _: u128, _: u32, near: &[Candidate]) -> Choice {
        let Some(nearest) = near.first() else { return Choice::default() };
        let tau = self.explore(nearest.entry, f64::from(nearest.similarity));
        if self.dice.random::<f64>() < tau {
            return Choice { compare: vec![0], ..Choice::default() };
        }
        Choice { serve: Some(0), p: Some((1.0 - tau) as f32), ..Choice::default() }
    }

    fn stores(&self, same: bool) -> bool {
        !same
    }

    fn learn(&mut self, near: &[Candidate], at: usize, same: bool, _: Option<u32>) -> Vec<Change> {
        let Some(candidate) = near.get(at) else { return Vec::new() };
        let observed = self.entries.entry(candidate.entry).or_default();
        observed.seen.push((f64::from(candidate.similarity), same));
        observed.fit = fit(&observed.seen);
        Vec::new()
    }

    fn forget(&mut self, entry: u32) {
        self.entries.remove(&entry);
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The likeliest sigmoid, by damped Newton steps on a + b·s with a weak prior; none while nothing observed was right.
fn fit(seen: &[(f64, bool)]) -> Option<Fit> {
    if seen.iter().all(|(_, right)| !right) {
        return None;
    }
    // In units around the middle of the range, where the two coefficients are nearly independent.
    const MIDDLE: f64 = 0.85;
    let (mut a, mut b) = (0.0, 20.0);
    let (mut h_aa, mut h_ab, mut h_bb) = (0.0, 0.0, 0.0);
    for _ in 0..STEPS {
        let (mut g_a, mut g_b) = (-PRIOR.1 * a, -PRIOR.0 * (b - 20.0));
        (h_aa, h_ab, h_bb) = (PRIOR.1, 0.0, PRIOR.0);
        for (s, right) in seen {
            let x = s - MIDDLE;
            let p = sigmoid(a + b * x);
            let (left, weight) = (f64::from(u8::from(*right)) - p, (p * (1.0 - p)).max(1e-9));
            g_a += left;
            g_b += left * x;
            h_aa += weight;
            h_ab += weight * x;
            h_bb += weight * x * x;
        }
        let det = h_aa * h_bb - h_ab * h_ab;
        if det <= 1e-18 {
            return None;
        }
        let (step_a, step_b) = ((h_bb * g_a - h_ab * g_b) / det, (h_aa * g_b - h_ab * g_a) / det);
        let damp = (20.0 / step_b.abs().max(20.0)).min(4.0 / step_a.abs().max(4.0));
        a += step_a * damp;
        b = (b + step_b * damp).clamp(1.0, STEEPEST);
        if step_a.abs() < 1e-6 && step_b.abs() < 1e-4 {
            break;
        }
    }
    // t = −a/b; its variance by the delta method.
    let det = (h_aa * h_bb - h_ab * h_ab).max(1e-18);
    let (da, db) = (-1.0 / b, a / (b * b));
    let variance = (da * da * h_bb - 2.0 * da * db * h_ab + db * db * h_aa) / det;
    Some(Fit { t: MIDDLE - a / b, gamma: b, error: variance.max(0.0).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_finds_the_threshold_that_parts() {
        let seen: Vec<(f64, bool)> = (0..40).map(|at| (0.7 + f64::from(at) * 0.0075, at >= 24)).collect();
        let found = fit(&seen).unwrap();
        assert!((found.t - 0.876).abs() < 0.01, "{found:?}");
        assert!(found.gamma > 50.0 && found.error < 0.03, "{found:?}");
        assert!(fit(&[(0.9, false), (0.95, false)]).is_none());
        assert!(fit(&[]).is_none());
    }

    #[test]
    fn exploring_falls_with_similarity_and_with_what_was_seen() {
        let mut policy = Vcache::new(0.02, 1);
        assert_eq!(policy.explore(0, 0.99), 1.0);
        let mut after = Vec::new();
        for round in 0..30 {
            let s = 0.7 + 0.29 * f64::from(round) / 30.0;
            let near = [Candidate { entry: 0, node: 0, similarity: s as f32 }];
            policy.learn(&near, 0, s > 0.85, None);
            after.push(policy.explore(0, 0.98));
        }
        assert_eq!(policy.explore(0, 0.6), 1.0 - 0.02 / (1.0 - 0.0f64).max(1e-12).max(1.0), "far off, it explores");
        assert!(policy.explore(0, 0.98) < 0.5, "{after:?}");
        assert!(policy.explore(0, 0.98) <= policy.explore(0, 0.9));
    }
}
