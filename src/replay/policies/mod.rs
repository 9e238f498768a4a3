//! Policies: who decides which near entry is served, and what it learns.
//!
//! - `fixed`: a static threshold, with the veto or without
//! - `vcache`: the rule of vCache, from its paper
//! - `learned`: the gateway's own learned judgement

mod fixed;
mod learned;
mod vcache;

use super::stream::Stream;
pub use crate::cache::judgement::Strictness;
use serde::Serialize;

/// A policy, as it is named on the command line and in reports.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// The exact tier alone.
    Exact,
    /// The exact and the normalised tier.
    Normalised,
    /// A semantic tier behind a fixed similarity.
    Static {
        /// The least cosine that is served.
        threshold: f64,
        /// Numbers, ids, dates and units must agree.
        veto: bool,
    },
    /// vCache's rule (arXiv 2502.03771).
    Vcache {
        /// The error bound it is given.
        delta: f64,
        /// With the exact and the normalised tier before it; the paper has neither.
        tiers: bool,
    },
    /// The learned judgement.
    Learned {
        /// Wrong hits over all requests that are allowed.
        error_budget: f64,
        /// How traps are treated.
        #[serde(serialize_with = "word")]
        strictness: Strictness,
        /// The least cosine that is looked at, whatever the judgement says; none by itself.
        threshold: Option<f64>,
    },
}

fn word<S: serde::Serializer>(strictness: &Strictness, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(strictness_word(*strictness))
}

/// Its word in the configuration and in reports.
pub(super) fn strictness_word(strictness: Strictness) -> &'static str {
    match strictness {
        Strictness::Off => "off",
        Strictness::Balanced => "balanced",
        Strictness::Strict => "strict",
    }
}

impl Kind {
    /// Its name in tables and plots.
    pub fn name(self) -> String {
        match self {
            Kind::Exact => "exact".to_owned(),
            Kind::Normalised => "exact and normalised".to_owned(),
            Kind::Static { threshold, veto } => format!("static {threshold:.2}{}", if veto { ", veto" } else { "" }),
            Kind::Vcache { delta, tiers } => format!("vCache δ {delta}{}", if tiers { ", with tiers" } else { "" }),
            Kind::Learned { error_budget, strictness, threshold } => {
                let traps = match strictness {
                    Strictness::Balanced => String::new(),
                    other => format!(", traps {}", strictness_word(other)),
                };
                let floor = threshold.map(|threshold| format!(", from {threshold:.2}")).unwrap_or_default();
                format!("learned δ {error_budget}{traps}{floor}")
            }
        }
    }

    /// What it is a setting of: one line of a plot.
    pub fn family(self) -> &'static str {
        match self {
            Kind::Exact | Kind::Normalised => "words",
            Kind::Static { veto: false, .. } => "static",
            Kind::Static { veto: true, .. } => "static, veto",
            Kind::Vcache { tiers: false, .. } => "vCache",
            Kind::Vcache { tiers: true, .. } => "vCache, with tiers",
            Kind::Learned { strictness: Strictness::Balanced, .. } => "learned",
            Kind::Learned { strictness: Strictness::Off, .. } => "learned, traps off",
            Kind::Learned { strictness: Strictness::Strict, .. } => "learned, traps strict",
        }
    }

    /// Threshold, error budget and veto, where it has them.
    pub(super) fn settings(self) -> (Option<f64>, Option<f64>, bool) {
        match self {
            Kind::Static { threshold, veto } => (Some(threshold), None, veto),
            Kind::Vcache { delta, .. } => (None, Some(delta), false),
            Kind::Learned { error_budget, threshold, .. } => (threshold, Some(error_budget), true),
            Kind::Exact | Kind::Normalised => (None, None, false),
        }
    }

    /// The tiers before the semantic one: exact, normalised.
    pub(super) fn tiers(self) -> [bool; 2] {
        match self {
            Kind::Exact => [true, false],
            Kind::Vcache { tiers: false, .. } => [false, false],
            _ => [true, true],
        }
    }

    /// Does it look at meaning?
    pub fn is_semantic(self) -> bool {
        !matches!(self, Kind::Exact | Kind::Normalised)
    }

    /// Does it need to be told what was right?
    pub fn learns(self) -> bool {
        matches!(self, Kind::Vcache { .. } | Kind::Learned { .. })
    }

    /// What to write into the configuration to get it; none where the gateway cannot do it.
    pub fn config(self) -> Option<String> {
        Some(match self {
            Kind::Exact => "cache:\n  normalised: false\n  semantic:\n    enabled: false\n".to_owned(),
            Kind::Normalised => "cache:\n  semantic:\n    enabled: false\n".to_owned(),
            Kind::Static { threshold, veto } => {
                format!("cache:\n  semantic:\n    judgement: static\n    threshold: {threshold}\n    veto: {veto}\n")
            }
            Kind::Learned { error_budget, strictness, threshold } => {
                let strictness = strictness_word(strictness);
                let floor = threshold.map(|threshold| format!("    threshold: {threshold}\n")).unwrap_or_default();
                format!(
                    "cache:\n  error_budget: {error_budget}\n  semantic:\n    judgement: learned\n    \
                     strictness: {strictness}\n{floor}"
                )
            }
            Kind::Vcache { .. } => return None,
        })
    }

    /// A fresh one; `seed` begins its dice.
    pub(super) fn build<'s>(self, stream: &'s Stream<'_>, seed: u64) -> Box<dyn Policy + 's> {
        match self {
            Kind::Exact | Kind::Normalised => Box::new(fixed::Fixed { threshold: f32::INFINITY, veto: false }),
            Kind::Static { threshold, veto } => Box::new(fixed::Fixed { threshold: threshold as f32, veto }),
            Kind::Vcache { delta, .. } => Box::new(vcache::Vcache::new(delta, seed)),
            Kind::Learned { error_budget, strictness, threshold } => {
                Box::new(learned::Learned::new(stream, error_budget, strictness, threshold, seed))
            }
        }
    }
}

/// A stored entry near the question, fresh and best first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// The entry's number.
    pub(super) entry: u32,
    /// Its question.
    pub(super) node: u32,
    pub(super) similarity: f32,
}

/// What a policy says to one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// Index of the candidate to serve.
    pub(super) serve: Option<usize>,
    /// The hit is to be checked by a fresh answer, off the request path.
    pub(super) shadow: bool,
    /// On a miss: compare the fresh answer with these candidates'.
    pub(super) compare: Vec<usize>,
    /// Probability that the served answer is right, where the policy has one.
    pub(super) p: Option<f32>,
}

/// What is to be done after a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Take the entry out.
    Evict(u32),
    /// Store the question as another wording of the entry's answer.
    Alias(u32),
}

/// Decides and learns. One pass, in order.
pub(super) trait Policy {
    /// How many candidates it looks at.
    fn candidates(&self) -> usize;

    /// A request that an earlier tier answered, or that cannot be answered by meaning.
    fn pass(&mut self, _scope: u128, _hit: bool) {}

    /// Chooses among `near`. `node` is the question, `scope` its scope.
    fn choose(&mut self, stream: &Stream<'_>, scope: u128, node: u32, near: &[Candidate]) -> Choice;

    /// On a miss: is the fresh answer stored, now that it proved the `same` as one that was compared, or not?
    fn stores(&self, _same: bool) -> bool {
        true
    }

    /// The comparison of the fresh answer with the candidate at `at` came out as `same`. `stored` holds the fresh answer.
    fn learn(&mut self, _near: &[Candidate], _at: usize, _same: bool, _stored: Option<u32>) -> Vec<Change> {
        Vec::new()
    }

    /// The question was stored as the alias `entry` of `other`.
    fn aliased(&mut self, _entry: u32, _other: u32) {}

    /// An entry left the cache.
    fn forget(&mut self, _entry: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_to_write_name_what_was_replayed() {
        let learned = |threshold| Kind::Learned { error_budget: 0.02, strictness: Strictness::Strict, threshold };
        let head = "cache:\n  error_budget: 0.02\n  semantic:\n    judgement: learned\n    strictness: strict\n";
        let table = [
            (learned(None), Some(head.to_owned())),
            (learned(Some(0.8)), Some(format!("{head}    threshold: 0.8\n"))),
            (
                Kind::Static { threshold: 0.95, veto: true },
                Some("cache:\n  semantic:\n    judgement: static\n    threshold: 0.95\n    veto: true\n".to_owned()),
            ),
            (Kind::Vcache { delta: 0.01, tiers: true }, None),
        ];
        for (kind, expected) in table {
            assert_eq!(kind.config(), expected, "{}", kind.name());
        }
        assert_eq!(learned(Some(0.8)).name(), "learned δ 0.02, traps strict, from 0.80");
    }
}
