//! Training: labelled pairs and streams → `Weights`. Pure and deterministic: the same data gives the same bytes.

use super::boost::{Growth, Rows, grow};
use super::case::Terms;
use super::logistic::{self, Prior, Sample};
use super::pair;
use super::question::Question;
use super::usual::Usual;
use super::weights::{Idf, Weights, stream_terms};
use std::collections::HashMap;

/// Words whose rarity is kept.
const WORDS: usize = 8_000;

/// Two questions of which it is known whether one answer does for both.
#[derive(Clone, Debug)]
pub struct LabelledPair {
    /// One.
    pub one: Question,
    /// The other.
    pub other: Question,
    /// Cosine of their vectors.
    pub similarity: f32,
    /// One answer does.
    pub same: bool,
    /// How much it counts.
    pub weight: f32,
}

/// The most probable candidate of one request of a stream, and whether its answer was right.
#[derive(Clone, Copy, Debug)]
pub struct LabelledCase {
    /// Whose scope it was.
    pub scope: u32,
    /// Cosine of the questions' vectors.
    pub similarity: f32,
    /// Terms of its probability.
    pub terms: Terms,
    /// It was right.
    pub right: bool,
}

impl LabelledPair {
    /// Do they differ in a number, id, date or unit?
    pub fn is_vetoed(&self) -> bool {
        self.one.facts != self.other.facts
    }

    /// Has each a name that the other lacks?
    pub fn is_renamed(&self) -> bool {
        pair::renames(&self.one, &self.other) && pair::renames(&self.other, &self.one)
    }
}

impl Weights {
    /// Learns how rare words are.
    pub fn train_idf<'a>(&mut self, questions: impl Iterator<Item = &'a Question>) {
        let mut seen: HashMap<u32, u32> = HashMap::new();
        let mut all = 0.0f32;
        for question in questions {
            all += 1.0;
            for word in &question.content {
                *seen.entry(word.hash).or_default() += 1;
            }
        }
        let mut words: Vec<(u32, u32)> = seen.into_iter().filter(|(_, count)| *count >= 3).collect();
        words.sort_unstable_by_key(|(hash, count)| (std::cmp::Reverse(*count), *hash));
        words.truncate(WORDS);
        let least = words.last().map_or(1, |(_, count)| *count) as f32;
        words.sort_unstable();
        let idf = |count: f32| (all.max(1.0) / count).ln();
        self.idf = Idf {
            hashes: words.iter().map(|(hash, _)| *hash).collect(),
            values: words
                .iter()
                .map(|(_, count)| (idf(*count as f32) * 16.0).round().clamp(0.0, 255.0) as u8)
                .collect(),
            rarest: idf(least) + 1.0,
        };
    }

    /// Learns the trap score. Pairs that the veto stops, and those that no probability would ever serve, teach nothing.
    pub fn train_trap<'a>(&mut self, pairs: impl Iterator<Item = &'a LabelledPair>, growth: &Growth) {
        let mut rows = Rows::default();
        for pair in pairs.filter(|pair| pair.similarity > 0.5 && !pair.is_vetoed()) {
            rows.features.push(pair::features(&pair.one, &pair.other, pair.similarity, &self.idf).to_vec());
            rows.positive.push(!pair.same);
            rows.weights.push(pair.weight);
        }
        self.trap = grow(&rows, growth);
    }

    /// The trap score of a pair: the probability that it is a trap.
    pub fn trap(&self, pair: &LabelledPair) -> f32 {
        self.trap.predict(&pair::features(&pair.one, &pair.other, pair.similarity, &self.idf))
    }

    /// Learns the stream score. Every scope counts as much as the root of its cases.
    pub fn train_stream(&mut self, cases: &[LabelledCase]) {
        let weight = weights_of_scopes(cases);
        let samples: Vec<Sample<4>> = cases
            .iter()
            .map(|case| Sample { terms: stream_terms(case.similarity), right: case.right, weight: weight[&case.scope] })
            .collect();
        let prior = Prior { mean: [-8.0, 4.0, 4.0, -0.5], variance: [50.0; 4] };
        self.stream = logistic::fit(&samples, &prior, prior.mean);
        if self.stream[3] > 0.0 {
            // Nearest of all are traps that differ in one word. That is the trap score's to say: a nearer question is never
            // less probable.
            let prior = Prior { mean: [-8.0, 4.0, 4.0, 0.0], variance: [50.0, 50.0, 50.0, 1e-9] };
            self.stream = logistic::fit(&samples, &prior, prior.mean);
        }
    }

    /// Learns what traffic is usually like: for each request of streams its scope, and 1 − p of its best candidate, if it
    /// reached the judgement and had one.
    pub fn train_usual(&mut self, risks: &[(u32, Option<f32>)]) {
        self.usual = std::sync::Arc::new(Usual::fit(risks));
    }

    /// Learns the means of the calibration's prior: the mean of what scopes find for themselves from there. The
    /// variances stay.
    pub fn train_prior(&mut self, cases: &[LabelledCase]) {
        let mut scopes: Vec<u32> = cases.iter().map(|case| case.scope).collect();
        scopes.sort_unstable();
        scopes.dedup();
        for _ in 0..4 {
            let mut sum = [0.0; super::case::TERMS];
            let mut all = 0.0;
            for scope in &scopes {
                let samples: Vec<Sample> = cases
                    .iter()
                    .filter(|case| case.scope == *scope)
                    .map(|case| Sample { terms: case.terms, right: case.right, weight: 1.0 })
                    .collect();
                let right = samples.iter().filter(|sample| sample.right).count();
                // A scope without repeats tells little of what makes an answer right.
                let weight = (right as f64).sqrt().min(20.0);
                let found = logistic::fit(&samples, &self.prior, self.prior.mean);
                sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += weight * found);
                all += weight;
            }
            if all > 0.0 {
                // What a trap costs is a matter of policy: streams know too few of them to say.
                let trap = self.prior.mean[super::case::TERMS - 1];
                self.prior.mean = sum.map(|sum| sum / all);
                self.prior.mean[super::case::TERMS - 1] = trap;
            }
        }
    }
}

fn weights_of_scopes(cases: &[LabelledCase]) -> HashMap<u32, f32> {
    let mut counts: HashMap<u32, f32> = HashMap::new();
    for case in cases {
        *counts.entry(case.scope).or_default() += 1.0;
    }
    counts.into_iter().map(|(scope, count)| (scope, 1.0 / count.sqrt())).collect()
}
