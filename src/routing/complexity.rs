//! `Complexity`: how probable it is that a question needs the stronger model, by logistic regression over its embedding and a few
//! features of its text. The model is a file, which `askonce complexity train` writes.
//!
//! - `features`: what is counted in a text; `logistic`: the fit; `training`: labelled questions → model, threshold and report

mod features;
mod logistic;
mod training;

pub use training::{Measured, Row, Settings, measured, train};

use serde::{Deserialize, Serialize};

/// What a file says it is.
const FORMAT: &str = "askonce complexity 1";
/// A file may be this large; one for the widest sentence model has a tenth of it.
pub const MOST_FILE_BYTES: u64 = 1 << 20;
/// Wider sentence models than there are.
const MOST_WIDTH: usize = 16_384;

/// What was learned of labelled questions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complexity {
    format: String,
    /// The sentence model whose vectors it reads.
    model: String,
    width: usize,
    /// Names of the features of a text, in the order of their weights.
    features: Vec<String>,
    /// Those of a vector's components, then those of the features.
    weights: Vec<f64>,
    bias: f64,
    /// From this probability on a question is hard.
    threshold: f64,
    report: Report,
}

/// What a model was trained on, and how well it does on questions that it was not trained on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Labelled questions.
    pub rows: usize,
    /// Those of them that are hard.
    pub hard: usize,
    /// Folds that each were held out once.
    pub folds: usize,
    /// What decided about folds of equal questions.
    pub seed: u64,
    /// The weight of the penalty on large weights, of those tried the one with the least loss on held-out folds.
    pub penalty: f64,
    /// The share of hard questions among those sent to the cheap model that was allowed.
    pub max_loss: f64,
    /// What came out on held-out folds, with a threshold that was learned on the other ones.
    pub held_out: Measured,
}

impl Complexity {
    /// Reads a file's content. The error says what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Complexity, String> {
        if bytes.len() as u64 > MOST_FILE_BYTES {
            return Err(format!("it is larger than {MOST_FILE_BYTES} bytes, which no such file is"));
        }
        let read: Complexity = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no file of `askonce complexity train`: {error}"))?;
        read.checked()
    }

    fn checked(self) -> Result<Complexity, String> {
        if self.format != FORMAT {
            return Err(format!("its format is `{}`, and this version reads `{FORMAT}`", self.format));
        }
        if self.features != features::NAMES {
            return Err("its features of a text are those of another version; train it again".to_owned());
        }
        let weights = self.width.saturating_add(features::NAMES.len());
        if self.width == 0 || self.width > MOST_WIDTH || self.weights.len() != weights {
            let (width, found) = (self.width, self.weights.len());
            return Err(format!("it has {found} weights, which do not fit vectors of {width} components"));
        }
        if !self.weights.iter().chain([&self.bias]).all(|weight| weight.is_finite()) {
            return Err("one of its weights is no finite number".to_owned());
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(format!("its threshold is {}, expected one from 0 to 1", self.threshold));
        }
        Ok(self)
    }

    /// An error where it was learned from the vectors of another sentence model than `model`, whose have `width` components.
    pub fn fits(&self, model: &str, width: usize) -> Result<(), String> {
        if self.model == model && self.width == width {
            return Ok(());
        }
        Err(format!(
            "it was trained on {} with {} components, and the sentence model is {model} with {width}; train it again with \
             `askonce complexity train --model {model}`",
            self.model, self.width
        ))
    }

    /// As a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The probability that the question `text` with this vector needs the stronger model. `None`: it cannot be compared.
    pub fn of(&self, vector: &[f32], text: &str) -> Option<f64> {
        if vector.len() != self.width {
            return None;
        }
        let inputs = vector.iter().map(|component| f64::from(*component)).chain(features::of(text));
        let sum: f64 = inputs.zip(&self.weights).map(|(input, weight)| input * weight).sum();
        Some(logistic::sigmoid(sum + self.bias)).filter(|p| p.is_finite())
    }

    /// Is a question of this probability hard?
    pub fn is_hard(&self, complexity: f64) -> bool {
        complexity >= self.threshold
    }

    /// From this probability on a question is hard.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The sentence model that it reads the vectors of.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What it was trained on, and how well it does.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

#[cfg(test)]
mod tests;
