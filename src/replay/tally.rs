//! Hits and errors, by tier, scope and decile of the stream.

use crate::types::outcome::Tier;
use serde::Serialize;
use std::collections::BTreeMap;

/// Parts of the trace in `by_time`.
const TIMES: usize = 48;

/// What became of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Served from an entry of its group.
    TruePositive(Tier),
    /// Served from an entry of another group.
    FalsePositive(Tier),
    /// Not served, although the nearest stored entry was of its group.
    FalseNegative,
    /// Rightly not served.
    TrueNegative,
}

impl Verdict {
    pub(super) fn is_hit(self) -> bool {
        matches!(self, Verdict::TruePositive(_) | Verdict::FalsePositive(_))
    }

    pub(super) fn is_error(self) -> bool {
        matches!(self, Verdict::FalsePositive(_))
    }
}

/// Requests, hits and wrong hits of a part of the stream.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Part {
    /// Requests; 0 for a tier, which has no requests of its own.
    pub requests: usize,
    /// Served from the cache.
    pub hits: usize,
    /// Of those, with a wrong answer.
    pub errors: usize,
}

impl Part {
    fn count(&mut self, verdict: Verdict) {
        self.requests += 1;
        self.hits += usize::from(verdict.is_hit());
        self.errors += usize::from(verdict.is_error());
    }
}

/// Parts by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) all: Part,
    pub(super) true_positives: usize,
    pub(super) false_negatives: usize,
    pub(super) by_tier: BTreeMap<&'static str, Part>,
    pub(super) by_scope: BTreeMap<String, Part>,
    pub(super) by_class: BTreeMap<&'static str, Part>,
    pub(super) by_decile: Vec<Part>,
    /// Equal parts of the trace, in order, for a plot.
    pub(super) by_time: Vec<Part>,
}

impl Tally {
    /// Counts all verdicts; `scope` and `class` name the scope and the staleness class of a request by its place.
    pub(super) fn of<'s>(
        verdicts: &[Verdict],
        scope: impl Fn(usize) -> Option<&'s str>,
        class: impl Fn(usize) -> &'static str,
    ) -> Tally {
        let mut tally = Tally {
            by_decile: vec![Part::default(); 10],
            by_time: vec![Part::default(); TIMES.min(verdicts.len())],
            ..Tally::default()
        };
        for (at, &verdict) in verdicts.iter().enumerate() {
            tally.all.count(verdict);
            tally.by_decile[at * 10 / verdicts.len()].count(verdict);
            let times = tally.by_time.len();
            tally.by_time[at * times / verdicts.len()].count(verdict);
            tally.by_class.entry(class(at)).or_default().count(verdict);
            if let Some(scope) = scope(at) {
                tally.by_scope.entry(scope.to_owned()).or_default().count(verdict);
            }
            match verdict {
                Verdict::TruePositive(tier) | Verdict::FalsePositive(tier) => {
                    let part = tally.by_tier.entry(tier.as_str()).or_default();
                    part.hits += 1;
                    part.errors += usize::from(verdict.is_error());
                    tally.true_positives += usize::from(!verdict.is_error());
                }
                Verdict::FalseNegative => tally.false_negatives += 1,
                Verdict::TrueNegative => {}
            }
        }
        tally
    }
}

/// A ratio; 0 where there is nothing to divide by.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// 95 % intervals of hit rate and error rate, from resamples of whole groups: requests of one group are no independent
/// witnesses. Deterministic.
pub(super) fn intervals(verdicts: &[Verdict], groups: &[usize], resamples: usize) -> ([f64; 2], [f64; 2]) {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let mut parts = vec![Part::default(); count];
    for (verdict, &group) in verdicts.iter().zip(groups) {
        parts[group].count(*verdict);
    }
    let mut random = StdRng::seed_from_u64(1);
    let mut rates: Vec<(f64, f64)> = (0..resamples)
        .map(|_| {
            let mut all = Part::default();
            for _ in 0..count {
                let part = parts[random.random_range(0..count)];
                all.requests += part.requests;
                all.hits += part.hits;
                all.errors += part.errors;
            }
            (ratio(all.hits, all.requests), ratio(all.errors, all.requests))
        })
        .collect();
    let mut bounds = |of: fn(&(f64, f64)) -> f64| {
        rates.sort_by(|one, other| of(one).total_cmp(&of(other)));
        let at = |share: f64| rates.get((share * (rates.len() - 1) as f64).round() as usize).map_or(0.0, of);
        [at(0.025), at(0.975)]
    };
    (bounds(|rates| rates.0), bounds(|rates| rates.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let verdicts = [
            Verdict::TrueNegative,
            Verdict::TruePositive(Tier::Exact),
            Verdict::FalsePositive(Tier::Semantic),
            Verdict::FalseNegative,
        ];
        let scopes = ["a", "a", "b", "b"];
        let classes = ["hours", "static", "static", "never"];
        let tally = Tally::of(&verdicts, |at| Some(scopes[at]), |at| classes[at]);
        assert_eq!(tally.all, Part { requests: 4, hits: 2, errors: 1 });
        assert_eq!((tally.true_positives, tally.false_negatives), (1, 1));
        assert_eq!(tally.by_scope["b"], Part { requests: 2, hits: 1, errors: 1 });
        assert_eq!(tally.by_class["static"], Part { requests: 2, hits: 2, errors: 1 });
        assert_eq!(tally.by_tier["semantic"], Part { requests: 0, hits: 1, errors: 1 });
        assert_eq!(tally.by_decile.iter().map(|part| part.requests).sum::<usize>(), 4);
        let (hits, errors) = intervals(&verdicts, &[0, 0, 1, 1], 200);
        assert!(hits[0] <= 0.5 && hits[1] >= 0.5 && errors[0] <= 0.25 && errors[1] >= 0.25);
    }
}
