//! `Weights`: what was learned before the first request, as numbers: the stream score, the priors of the calibration, the
//! trap score and how rare words are. A small versioned file that is part of the program.

use super::logistic::{Prior, sigmoid};
use super::trees::Forest;

/// How rare words are: inverse document frequency by hash.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Idf {
    /// Sorted hashes of the known words, and their idf in sixteenths.
    pub(super) hashes: Vec<u32>,
    pub(super) values: Vec<u8>,
    /// Of a word that is not known.
    pub(super) rarest: f32,
}

impl Idf {
    /// The idf of a word, in nats.
    pub(super) fn of(&self, hash: u32) -> f32 {
        self.hashes
            .binary_search(&hash)
            .ok()
            .and_then(|at| self.values.get(at))
            .map_or(self.rarest, |value| f32::from(*value) / 16.0)
    }
}

/// All of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Weights {
    /// Weights of 1, s, s² and ln(1 − s).
    pub(super) stream: [f64; 4],
    /// Of the calibration of a scope.
    pub(super) prior: Prior,
    /// The probability that two questions are a trap for each other.
    pub(super) trap: Forest,
    /// Above this a candidate is a trap: balanced, strict.
    pub(super) trap_cuts: [f32; 2],
    pub(super) idf: Idf,
}

impl Weights {
    /// The stream score: probability, from the cosine alone, that two questions share an answer.
    pub(super) fn stream(&self, similarity: f32) -> f32 {
        let s = f64::from(similarity.clamp(-1.0, 1.0));
        let far = (1.0 - s).max(1e-3).ln();
        let [bias, first, second, log] = self.stream;
        (sigmoid(bias + first * s + second * s * s + log * far) as f32).clamp(0.01, 0.985)
    }
}

impl Default for Weights {
    fn default() -> Weights {
        Weights {
            stream: [-12.0, 8.0, 4.0, -0.8],
            prior: Prior { mean: [-1.7, 0.8, 0.5, 4.0, -0.1], variance: [4.0, 0.25, 0.1, 0.1, 0.1] },
            trap: Forest::default(),
            trap_cuts: [0.5, 0.2],
            idf: Idf { rarest: 9.0, ..Idf::default() },
        }
    }
}
