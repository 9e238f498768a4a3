//! Labelled data → weights.

use super::data::{Data, Pair};
use super::stream::{Outcome, Pass, World, pass};
use super::vectors::Vectors;
use crate::cache::judgement::{Control, Growth, LabelledCase, LabelledPair, Question, Settings, Strictness, Weights};
use std::sync::Arc;

/// Above these a candidate is a trap: balanced, strict. Chosen on folds that were not trained on (`judge eval`): the first
/// as high as changed names allow, the second as high as traps of every kind do.
pub(super) const TRAP_CUTS: [f32; 2] = [0.22, 0.08];
/// Candidates of each request of the stream that become pairs, and the least cosine.
const OF_A_REQUEST: (usize, f32) = (2, 0.6);
/// Passes from which calibration is learned: seeds, and error budgets.
const PASSES: (u64, [f64; 2]) = (3, [0.005, 0.02]);
/// Share of the budget that they aim at: their own, so that what is learned does not move with a knob of the cache.
const PASSES_AIM: f64 = 0.85;

/// How much a pair of a set counts. Small sets of hard traps more, large sets with noisy labels less.
fn weight(set: &str) -> f32 {
    match set {
        "fow" => 6.0,
        "mrpc" => 0.3,
        "qqp" => 0.25,
        _ => 1.0,
    }
}

/// Are there many wrong labels among those of this set?
fn is_noisy(set: &str) -> bool {
    matches!(set, "mrpc" | "qqp")
}

/// Labels of such sets that call two questions the same although each has a name of its own count so much less: of
/// fifty looked at, more than half were wrong.
const RENAMED: f32 = 0.1;

/// The stream's pairs count so much.
const STREAM_WEIGHT: f32 = 0.6;

/// What training may look at.
pub(super) struct Material<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) vectors: &'a Vectors,
}

impl Material<'_> {
    /// A pair of a set, read.
    pub(super) fn pair(&self, pair: &Pair) -> LabelledPair {
        let [one, other] = pair.texts;
        let mut read = self.labelled(one, other, pair.same, weight(&pair.set));
        if pair.same && is_noisy(&pair.set) && read.is_renamed() {
            read.weight *= RENAMED;
        }
        read
    }

    fn labelled(&self, one: usize, other: usize, same: bool, weight: f32) -> LabelledPair {
        let questions = self.world.questions;
        let similarity = self.vectors.similarity(one, other);
        LabelledPair { one: questions[one].clone(), other: questions[other].clone(), similarity, same, weight }
    }

    /// Pairs of each request with its nearest earlier ones, but for scopes that `skip` names.
    pub(super) fn stream_pairs(&self, skip: &dyn Fn(&str) -> bool) -> Vec<LabelledPair> {
        let data = self.world.data;
        let mut pairs = Vec::new();
        for (at, request) in data.stream.iter().enumerate() {
            if skip(&data.scopes[request.scope as usize]) {
                continue;
            }
            let earlier = self.world.near[at].iter().filter(|(similarity, other)| {
                let other = &data.stream[*other as usize];
                *similarity > OF_A_REQUEST.1 && (other.folded.is_none() || other.folded != request.folded)
            });
            for (_, other) in earlier.filter(|(_, other)| (*other as usize) < at).take(OF_A_REQUEST.0) {
                let other = &data.stream[*other as usize];
                pairs.push(self.labelled(request.text, other.text, request.group == other.group, STREAM_WEIGHT));
            }
        }
        pairs
    }

    /// Weights with the rarity of words and a trap score grown from `pairs`.
    pub(super) fn trap(&self, pairs: &[LabelledPair]) -> Weights {
        let mut weights = Weights::default();
        weights.set_trap_cuts(TRAP_CUTS);
        weights.train_idf(self.world.questions.iter());
        weights.train_trap(pairs.iter(), &Growth::default());
        weights
    }

    /// All weights. `skip` names scopes of the stream, and sets of pairs, that must not be looked at.
    pub(super) fn all(&self, skip: &dyn Fn(&str) -> bool) -> Weights {
        let data = self.world.data;
        let pairs = data.pairs.iter().filter(|pair| !skip(&pair.set)).map(|pair| self.pair(pair));
        let pairs: Vec<LabelledPair> = pairs.chain(self.stream_pairs(skip)).collect();
        let mut weights = self.trap(&pairs);
        if data.stream.is_empty() {
            return weights;
        }
        // The stream score decides what is served, and so which cases there are: once more with the new one.
        let cases = self.cases(&weights, skip);
        weights.train_stream(&cases);
        let cases = self.cases(&weights, skip);
        weights.train_prior(&cases);
        weights.train_usual(&self.risks(&weights, skip));
        weights
    }

    fn cases(&self, weights: &Weights, skip: &dyn Fn(&str) -> bool) -> Vec<LabelledCase> {
        let mut cases: Vec<LabelledCase> = self.passes(weights).into_iter().flat_map(|one| one.cases).collect();
        cases.retain(|case| !skip(&self.world.data.scopes[case.scope as usize]));
        cases
    }

    /// Scope and risk of every request.
    fn risks(&self, weights: &Weights, skip: &dyn Fn(&str) -> bool) -> Vec<(u32, Option<f32>)> {
        let mut risks: Vec<_> = self.passes(weights).into_iter().flat_map(|one| one.risks).collect();
        risks.retain(|(scope, _)| !skip(&self.world.data.scopes[*scope as usize]));
        risks
    }

    fn passes(&self, weights: &Weights) -> Vec<Outcome> {
        let weights = Arc::new(weights.clone());
        let mut outcomes = Vec::new();
        for seed in 0..PASSES.0 {
            for error_budget in PASSES.1 {
                let control = Control { aim: PASSES_AIM, ..Control::default() };
                let settings =
                    Settings { error_budget, strictness: Strictness::Balanced, control, ..Settings::default() };
                let how = Pass { seed, noise: 0.0, shuffled: seed > 0 };
                outcomes.push(pass(self.world, &weights, settings, &how));
            }
        }
        outcomes
    }
}

/// Every text, read.
pub(super) fn questions(data: &Data) -> Vec<Question> {
    data.texts.iter().map(|text| Question::read(text)).collect()
}

/// Share of pairs of one that is right and one that is not which the score puts in order: the area under the ROC curve.
pub(super) fn auc(scores: &[(f32, bool)]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let right = sorted.iter().filter(|(_, right)| *right).count() as f64;
    let wrong = sorted.len() as f64 - right;
    let (mut ranks, mut below) = (0.0, 0);
    for equal in sorted.chunk_by(|one, other| one.0 == other.0) {
        let rank = below as f64 + (equal.len() as f64 + 1.0) / 2.0;
        ranks += rank * equal.iter().filter(|(_, right)| *right).count() as f64;
        below += equal.len();
    }
    if right * wrong > 0.0 { (ranks - right * (right + 1.0) / 2.0) / (right * wrong) } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_of_known_orders() {
        let table: [(&[(f32, bool)], f64); 3] = [
            (&[(0.1, false), (0.2, true), (0.3, true)], 1.0),
            (&[(0.1, true), (0.2, false)], 0.0),
            (&[(0.5, true), (0.5, false), (0.5, true)], 0.5),
        ];
        for (scores, expected) in table {
            assert!((auc(scores) - expected).abs() < 1e-9, "{scores:?}");
        }
    }
}
