//! What a learner tells of itself: scopes, budgets, all of it in a few numbers, and what it remembers of one entry.

use super::budget::Budget;
use super::case::TERMS;
use super::learner::Learner;
use super::pair::{self, FEATURE_NAMES};
use super::question::Question;
use super::scope::Scope;

/// What is known of one scope.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScopeReport {
    /// Requests, and hits by meaning among them.
    pub requests: u64,
    /// Hits by meaning.
    pub hits: u64,
    /// Labels kept.
    pub labels: usize,
    /// Estimated wrong hits over requests; labels count as many times as they stand for.
    pub error: f64,
    /// Upper bound of it, 95 % one-sided.
    pub error_upper: f64,
    /// The error budget that it was last asked with.
    pub error_budget: f64,
    /// The λ in force for that budget.
    pub lambda: f32,
    /// It serves by words only, for now.
    pub fallback: bool,
    /// Weights of its calibration.
    pub weights: [f64; TERMS],
}

/// A learner in a few numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Overview {
    /// Scopes that are remembered.
    pub scopes: usize,
    /// Those of them that serve by words only, for now.
    pub fallback_scopes: usize,
    /// Labels that all scopes keep together.
    pub labels: usize,
    /// Entries of which something is remembered.
    pub entries: usize,
    /// Answer clusters that they are in.
    pub clusters: usize,
    /// Requests counted, of all scopes that ever were.
    pub requests: u64,
    /// Hits by meaning among them.
    pub hits: u64,
    /// Estimated wrong hits over requests: the mean over scopes, weighted by their requests.
    pub error: f64,
    /// Upper bound of it, 95 % one-sided: the scopes' own ones, their distances added as independent errors are.
    pub error_upper: f64,
    /// Shadow calls over hits of all tiers, lately.
    pub shadow_share: f64,
}

/// What is remembered of one entry.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Memory {
    /// Its answer cluster.
    pub cluster: u32,
    /// Other entries of that cluster.
    pub fellows: usize,
    /// Labels that said right when it was served.
    pub right: u16,
    /// Labels that said wrong when it was served.
    pub wrong: u16,
    /// The highest cosine at which its answer proved wrong, served or not.
    pub worst_similarity: Option<f32>,
}

impl Learner {
    /// What the trap score looks at in two questions, by name.
    pub fn features(&self, one: &Question, other: &Question, similarity: f32) -> Vec<(&'static str, f32)> {
        let values = pair::features(one, other, similarity, &self.weights.idf);
        FEATURE_NAMES.into_iter().zip(values).collect()
    }

    /// What is known of `scope`.
    pub fn report(&self, scope: u128) -> Option<ScopeReport> {
        self.scopes.get(&scope).map(|known| self.report_of(known))
    }

    /// What is known of every scope, in the order of their names.
    pub fn reports(&self) -> Vec<(u128, ScopeReport)> {
        let mut reports: Vec<(u128, ScopeReport)> =
            self.scopes.iter().map(|(name, known)| (*name, self.report_of(known))).collect();
        reports.sort_unstable_by_key(|(name, _)| *name);
        reports
    }

    fn report_of(&self, known: &Scope) -> ScopeReport {
        let asked = self.budgets.get(f64::from(known.budget)).unwrap_or(self.budgets.default());
        ScopeReport {
            requests: known.requests,
            hits: known.hits,
            labels: known.samples.len(),
            error: known.checks.error(),
            error_upper: known.checks.upper(),
            error_budget: shown(asked),
            lambda: asked.lambda(),
            fallback: known.fallback,
            weights: known.weights,
        }
    }

    /// Every error budget that is asked for, the default one first, with its λ.
    pub fn lambdas(&self) -> Vec<(f64, f32)> {
        self.budgets.iter().map(|budget| (shown(budget), budget.lambda())).collect()
    }

    /// All of it in a few numbers. Looks at every scope.
    pub fn overview(&self) -> Overview {
        let (mut requests, mut error, mut above) = (0.0, 0.0, 0.0);
        for known in self.scopes.values() {
            let (weight, estimate) = (known.requests as f64, known.checks.error());
            requests += weight;
            error += weight * estimate;
            above += (weight * (known.checks.upper() - estimate)).powi(2);
        }
        let all = f64::max(requests, 1.0);
        Overview {
            scopes: self.scopes.len(),
            fallback_scopes: self.scopes.values().filter(|known| known.fallback).count(),
            labels: self.labels,
            entries: self.clusters.rows.len(),
            clusters: self.clusters.count(),
            requests: self.requests,
            hits: self.hits,
            error: error / all,
            error_upper: (error + above.sqrt()) / all,
            shadow_share: if self.shadow.hits > 0.0 { self.shadow.calls / self.shadow.hits } else { 0.0 },
        }
    }

    /// What is remembered of `entry`.
    pub fn memory(&self, entry: u64) -> Option<Memory> {
        let row = self.clusters.rows.get(entry)?;
        Some(Memory {
            cluster: row.cluster,
            fellows: self.clusters.size(row.cluster).saturating_sub(1),
            right: row.right,
            wrong: row.wrong,
            worst_similarity: (row.worst > -1.0).then_some(row.worst),
        })
    }
}

/// The budget as it was asked for: 0.01, and not the nearest `f32`.
fn shown(budget: &Budget) -> f64 {
    (budget.delta * 1e7).round() / 1e7
}
