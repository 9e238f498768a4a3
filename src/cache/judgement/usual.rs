//! `Usual`: what traffic is usually like, believed until a cache has seen its own: how improbable the best candidates of
//! requests are. Fitted to streams, ships with the weights.

use super::budget::bin_of;
use super::bytes::{In, Out, StateError};

/// Bins of the risk 1 − p, even in its square root.
pub(super) const USUAL_BINS: usize = 128;

/// Shares of all requests whose best candidate has a risk in each bin. The rest of the requests have no candidate, or were
/// answered before the judgement.
#[derive(Clone, PartialEq, Debug)]
pub struct Usual([f32; USUAL_BINS]);

impl Default for Usual {
    /// Nothing is believed.
    fn default() -> Usual {
        Usual([0.0; USUAL_BINS])
    }
}

impl Usual {
    /// The mean over scopes: each counts as much as the root of its requests. A risk is that of the best candidate of a
    /// request that reached the judgement.
    pub(super) fn fit(risks: &[(u32, Option<f32>)]) -> Usual {
        let mut scopes: std::collections::BTreeMap<u32, ([f64; USUAL_BINS], f64)> = Default::default();
        for (scope, risk) in risks {
            let (bins, all) = scopes.entry(*scope).or_insert(([0.0; USUAL_BINS], 0.0));
            *all += 1.0;
            if let Some(risk) = risk {
                bins[bin_of(*risk, USUAL_BINS)] += 1.0;
            }
        }
        let mut sum = [0.0; USUAL_BINS];
        let weights: f64 = scopes.values().map(|(_, all)| all.sqrt()).sum();
        for (bins, all) in scopes.values() {
            sum.iter_mut().zip(bins).for_each(|(sum, bin)| *sum += bin / all.sqrt() / weights);
        }
        Usual(sum.map(|share| share as f32))
    }

    /// Is anything believed?
    pub(super) fn is_known(&self) -> bool {
        self.0.iter().any(|share| *share > 0.0)
    }

    /// The share of requests in bin `at` of `bins`, which are as many or more, and even in the same way.
    pub(super) fn share(&self, at: usize, bins: usize) -> f64 {
        let share = self.0.get(at * USUAL_BINS / bins).copied().unwrap_or(0.0);
        f64::from(share) * USUAL_BINS as f64 / bins as f64
    }

    /// The share of requests whose risk is at most `risk`, or in the same bin.
    pub(super) fn up_to(&self, risk: f32) -> f64 {
        self.0.iter().take(bin_of(risk, USUAL_BINS) + 1).map(|share| f64::from(*share)).sum()
    }

    pub(super) fn write(&self, out: &mut Out) {
        self.0.iter().for_each(|share| out.f32(*share));
    }

    /// Refuses shares that are below 0 or more than all requests together.
    pub(super) fn read(input: &mut In<'_>) -> Result<Usual, StateError> {
        let mut usual = Usual::default();
        for share in &mut usual.0 {
            *share = input.f32()?;
        }
        let sum: f32 = usual.0.iter().sum();
        if usual.0.iter().any(|share| *share < 0.0) || sum > 1.001 {
            return Err(StateError(format!(
                "its shares of requests add up to {sum}, expected 0 to 1 and none below 0"
            )));
        }
        Ok(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_requests_and_scopes_are_evened_out() {
        let one = (0..900).map(|at| (0, (at % 3 == 0).then_some(0.5)));
        let other = (0..100).map(|_| (1, Some(0.01)));
        let usual = Usual::fit(&one.chain(other).collect::<Vec<_>>());
        assert!(usual.is_known() && !Usual::default().is_known());
        let sum = |from: usize, to: usize| (from..to).map(|at| usual.share(at, 1024)).sum::<f64>();
        // 30 parts of a scope of which a third has candidates, 10 parts of one of which all have.
        assert!((sum(0, 1024) - 0.5).abs() < 1e-6 && (sum(0, 512) - 0.25).abs() < 1e-6);
    }
}
