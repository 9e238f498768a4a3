//! Logistic regression with a normal prior on its weights (maximum a posteriori), by damped Newton steps.

use super::case::TERMS;

/// Weights of the terms.
pub(super) type Weights = [f64; TERMS];

/// One labelled case.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sample<const N: usize = TERMS> {
    pub(super) terms: [f32; N],
    /// The answer was right.
    pub(super) right: bool,
    /// How many cases it stands for.
    pub(super) weight: f32,
}

/// What the weights are before anything is seen: a normal distribution for each.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Prior<const N: usize = TERMS> {
    /// Its means.
    pub mean: [f64; N],
    /// Its variances.
    pub variance: [f64; N],
}

/// Newton steps at most; five are usual.
const STEPS: usize = 25;

/// 1 / (1 + e^−x).
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// ln(p / (1 − p)).
pub(super) fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

pub(super) fn dot<const N: usize>(weights: &[f64; N], terms: &[f32; N]) -> f64 {
    weights.iter().zip(terms).map(|(weight, term)| weight * f64::from(*term)).sum()
}

/// The most probable weights, given the prior and what was seen. Begins at `start`.
pub(super) fn fit<const N: usize>(samples: &[Sample<N>], prior: &Prior<N>, start: [f64; N]) -> [f64; N] {
    let mut weights = start;
    let mut at = loss(samples, prior, &weights);
    for _ in 0..STEPS {
        let Some(step) = newton(samples, prior, &weights) else { break };
        // An undamped step diverges where few labels with large weights lie far out.
        let mut share = 1.0;
        let better = loop {
            let next: [f64; N] = std::array::from_fn(|i| weights[i] - share * step[i]);
            let there = loss(samples, prior, &next);
            if there < at {
                break Some((next, there));
            }
            share /= 2.0;
            if share < 1e-4 {
                break None;
            }
        };
        let Some((next, there)) = better else { break };
        let gained = at - there;
        (weights, at) = (next, there);
        if gained < 1e-7 * (1.0 + at.abs()) {
            break;
        }
    }
    weights
}

/// Negative logarithm of the posterior, but for a constant.
fn loss<const N: usize>(samples: &[Sample<N>], prior: &Prior<N>, weights: &[f64; N]) -> f64 {
    let seen: f64 = samples
        .iter()
        .map(|sample| {
            let z = dot(weights, &sample.terms);
            let against = if sample.right { -z } else { z };
            f64::from(sample.weight) * (against.max(0.0) + (-against.abs()).exp().ln_1p())
        })
        .sum();
    let before: f64 = (0..N).map(|i| (weights[i] - prior.mean[i]).powi(2) / (2.0 * prior.variance[i])).sum();
    seen + before
}

/// The Newton step: Hessian⁻¹ · gradient.
fn newton<const N: usize>(samples: &[Sample<N>], prior: &Prior<N>, weights: &[f64; N]) -> Option<[f64; N]> {
    let mut gradient: [f64; N] = std::array::from_fn(|i| (weights[i] - prior.mean[i]) / prior.variance[i]);
    let mut hessian = [[0.0; N]; N];
    for (i, row) in hessian.iter_mut().enumerate() {
        row[i] = 1.0 / prior.variance[i];
    }
    for sample in samples {
        let p = sigmoid(dot(weights, &sample.terms));
        let weight = f64::from(sample.weight);
        let error = weight * (p - f64::from(u8::from(sample.right)));
        let curve = weight * (p * (1.0 - p)).max(1e-9);
        for i in 0..N {
            let x = f64::from(sample.terms[i]);
            gradient[i] += error * x;
            for (sum, other) in hessian[i].iter_mut().zip(sample.terms).take(i + 1) {
                *sum += curve * x * f64::from(other);
            }
        }
    }
    solve(hessian, gradient)
}

/// Solves H·x = g by Cholesky, for a symmetric H of which the lower half is given.
fn solve<const N: usize>(mut h: [[f64; N]; N], g: [f64; N]) -> Option<[f64; N]> {
    for i in 0..N {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| h[i][k] * h[j][k]).sum();
            if i == j {
                let rest = h[i][i] - sum;
                if !(rest > 0.0 && rest.is_finite()) {
                    return None;
                }
                h[i][i] = rest.sqrt();
            } else {
                h[i][j] = (h[i][j] - sum) / h[j][j];
            }
        }
    }
    let mut x = g;
    for i in 0..N {
        let sum: f64 = (0..i).map(|k| h[i][k] * x[k]).sum();
        x[i] = (x[i] - sum) / h[i][i];
    }
    for i in (0..N).rev() {
        let sum: f64 = (i + 1..N).map(|k| h[k][i] * x[k]).sum();
        x[i] = (x[i] - sum) / h[i][i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { mean: [0.0; TERMS], variance: [100.0; TERMS] };

    #[test]
    fn finds_the_weights_that_made_the_labels() {
        let truth = [-1.0, 1.5, 0.5, 0.0, -0.5, 1.0];
        let mut random = 7u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 40) as f32 / (1 << 24) as f32
        };
        let samples: Vec<Sample> = (0..20_000)
            .map(|_| {
                let terms = std::array::from_fn(|i| if i == 0 { 1.0 } else { next() * 4.0 - 2.0 });
                Sample { terms, right: f64::from(next()) < sigmoid(dot(&truth, &terms)), weight: 1.0 }
            })
            .collect();
        let found = fit(&samples, &PRIOR, [0.0; TERMS]);
        for (found, truth) in found.iter().zip(truth) {
            assert!((found - truth).abs() < 0.1, "{found} for {truth}");
        }
    }

    #[test]
    fn keeps_to_the_prior_without_labels_and_stays_finite_with_wild_ones() {
        let prior = Prior { mean: [-1.7, 0.8, 0.5, 4.0, -0.1, 4.0], variance: [4.0, 0.25, 0.1, 0.1, 0.1, 1.0] };
        assert_eq!(fit(&[], &prior, prior.mean), prior.mean);
        let wild: Vec<Sample> = (0..20)
            .map(|i| Sample { terms: [1.0, 9.0, 8.0, 3.0, 1.0, 0.0], right: i % 7 == 0, weight: 50.0 })
            .collect();
        assert!(fit(&wild, &prior, [30.0; TERMS]).iter().all(|weight| weight.is_finite()));
    }
}
