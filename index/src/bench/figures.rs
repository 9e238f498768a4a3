//! What is reckoned from measurements: quantiles of times, how much is found, what memory the process has.

use std::time::Duration;

use super::exact::{Best, dot};
use super::vectors::Vectors;
use crate::{Index, IndexError, ScopeKey};

/// Times of single calls.
#[derive(Debug, Clone, Default)]
pub struct Times {
    sorted: Vec<Duration>,
}

impl Times {
    /// The time below which this share of the calls stayed, in microseconds; 0 of none.
    pub fn us(&self, share: f64) -> f64 {
        let at = (self.sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        self.sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Times {
        let mut sorted: Vec<Duration> = times.into_iter().collect();
        sorted.sort_unstable();
        Times { sorted }
    }
}

/// How much of what is there is found. A query is right when what came first is as near as the true nearest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recall {
    /// Queries asked.
    pub queries: usize,
    /// Of them, those that were right.
    pub right: usize,
    /// Queries whose true nearest has at least the least similarity of a hit.
    pub hits: usize,
    /// Of them, those that were right, asked with that bound.
    pub right_hits: usize,
}

impl Recall {
    /// Share of all queries that were right; 1 of none.
    pub fn at_1(&self) -> f64 {
        share(self.right, self.queries)
    }

    /// Share of the hits that were right; 1 of none.
    pub fn of_hits(&self) -> f64 {
        share(self.right_hits, self.hits)
    }

    /// Takes one query into account: its true nearest, and how near what was found is in truth, without a bound and
    /// with `hit` as the bound.
    pub fn count(&mut self, truth: Best, hit: f32, found: Option<f32>, found_with_bound: Option<f32>) {
        // Two vectors may be equally near but for rounding.
        let right = |found: Option<f32>| found.is_some_and(|found| found >= truth.similarity - 1e-6);
        self.queries += 1;
        self.right += usize::from(right(found));
        if truth.similarity >= hit {
            self.hits += 1;
            self.right_hits += usize::from(right(found_with_bound));
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Asks every query in the scope of its true nearest, once without a bound and once with `hit`. The index holds `stored` under
/// their numbers.
///
/// # Errors
/// A query that the index refuses.
pub fn recall(
    index: &Index,
    scope_of: &dyn Fn(usize) -> ScopeKey,
    (stored, queries, truth): (&Vectors, &Vectors, &[Best]),
    (k, hit): (usize, f32),
) -> Result<Recall, IndexError> {
    let mut recall = Recall::default();
    for (query, truth) in queries.iter().zip(truth) {
        let first = |bound: f32| -> Result<Option<f32>, IndexError> {
            let found = index.nearest(scope_of(truth.id), query, k, bound)?;
            Ok(found.first().map(|best| dot(query, stored.get(best.id as usize))))
        };
        recall.count(*truth, hit, first(-1.0)?, first(hit)?);
    }
    Ok(recall)
}

/// Resident memory of this process; `None` where the system does not say (it does on Linux).
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_shares() {
        let times: Times = (1..=101).rev().map(Duration::from_micros).collect();
        assert_eq!((times.us(0.5).round(), times.us(0.99).round(), Times::default().us(0.5)), (51.0, 100.0, 0.0));
        let mut recall = Recall::default();
        assert_eq!(recall.of_hits(), 1.0);
        let best = |similarity| Best { id: 0, similarity };
        recall.count(best(0.9), 0.8, Some(0.9), None);
        recall.count(best(0.5), 0.8, Some(0.4), None);
        assert_eq!(recall, Recall { queries: 2, right: 1, hits: 1, right_hits: 0 });
    }
}
