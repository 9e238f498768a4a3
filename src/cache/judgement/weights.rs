//! `Weights`: what was learned before the first request, as numbers: the stream score, the priors of the calibration, the
//! trap score and how rare words are. A small versioned file that is part of the program.

use super::bytes::{In, Out, StateError};
use super::logistic::{self, Prior, sigmoid};
use super::trees::Forest;
use super::usual::Usual;
use std::sync::{Arc, OnceLock};

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
    /// The sentence model whose cosines all of it was fitted to.
    pub(super) model: String,
    /// Weights of 1, s, s² and ln(1 − s).
    pub(super) stream: [f64; 4],
    /// Of the calibration of a scope.
    pub(super) prior: Prior,
    /// The probability that two questions are a trap for each other.
    pub(super) trap: Forest,
    /// Above this a candidate is a trap: balanced, strict.
    pub(super) trap_cuts: [f32; 2],
    pub(super) idf: Idf,
    /// What traffic is usually like.
    pub(super) usual: Arc<Usual>,
}

impl Weights {
    /// The stream score: probability, from the cosine alone, that two questions share an answer.
    pub(super) fn stream(&self, similarity: f32) -> f32 {
        (sigmoid(logistic::dot(&self.stream, &stream_terms(similarity))) as f32).clamp(0.01, 0.985)
    }
}

/// 1, s, s² and ln(1 − s).
pub(super) fn stream_terms(similarity: f32) -> [f32; 4] {
    let s = similarity.clamp(-1.0, 1.0);
    [1.0, s, s * s, (1.0 - s).max(1e-3).ln()]
}

/// Mark and version of the weights file.
const MARK: &[u8; 16] = b"askonce-weights ";
const VERSION: u32 = 3;

/// Bytes of a model's name at most.
pub(super) const MODEL_MOST: usize = 256;

/// The weights that ship with the program: made by `askonce judge train`, see `weights/README.md` beside them.
static SHIPPED: &[u8] = include_bytes!("weights/weights.bin");

impl Weights {
    /// The weights that ship with the program.
    pub fn shipped() -> Arc<Weights> {
        static READ: OnceLock<Arc<Weights>> = OnceLock::new();
        // The file is part of the program and read by a test: what is not readable is never built.
        READ.get_or_init(|| Arc::new(Weights::from_bytes(SHIPPED).unwrap_or_default())).clone()
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out::new(MARK, VERSION);
        out.text(&self.model);
        self.stream.iter().chain(&self.prior.mean).chain(&self.prior.variance).for_each(|number| out.f64(*number));
        self.trap_cuts.iter().for_each(|cut| out.f32(*cut));
        out.f32(self.idf.rarest);
        out.u32(self.idf.hashes.len() as u32);
        self.idf.hashes.iter().for_each(|hash| out.u32(*hash));
        self.idf.values.iter().for_each(|value| out.u8(*value));
        self.trap.write(&mut out);
        self.usual.write(&mut out);
        out.end()
    }

    /// From bytes. Refuses what is damaged, of another version, or would not be safe to compute with.
    pub fn from_bytes(bytes: &[u8]) -> Result<Weights, StateError> {
        let again = |error: StateError| StateError(format!("{error}; `askonce judge train` makes such a file"));
        let mut input = In::new(bytes, MARK, VERSION).map_err(again)?;
        let mut weights = Weights { model: input.text(MODEL_MOST)?, ..Weights::default() };
        for number in weights.stream.iter_mut().chain(&mut weights.prior.mean) {
            *number = input.f64()?;
        }
        for variance in &mut weights.prior.variance {
            *variance = input.positive()?.max(1e-6);
        }
        for cut in &mut weights.trap_cuts {
            *cut = input.f32()?.clamp(0.001, 0.999);
        }
        weights.idf.rarest = input.f32()?;
        let words = input.count(5)?;
        weights.idf.hashes = (0..words).map(|_| input.u32()).collect::<Result<_, _>>()?;
        weights.idf.values = (0..words).map(|_| input.u8()).collect::<Result<_, _>>()?;
        if !weights.idf.hashes.is_sorted() {
            return Err(StateError("its words are not in order".to_owned()));
        }
        weights.trap = Forest::read(&mut input)?;
        weights.usual = Arc::new(Usual::read(&mut input)?);
        input.end()?;
        Ok(weights)
    }

    /// What is more of a trap than this may not be served: balanced, strict.
    pub fn set_trap_cuts(&mut self, cuts: [f32; 2]) {
        self.trap_cuts = cuts;
    }

    /// The sentence model whose cosines they were fitted to, by its name: "all-MiniLM-L6-v2". With another one the
    /// probabilities are not right, until labels have calibrated them.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Says which sentence model they are fitted to. What is longer than 256 bytes is cut.
    pub fn set_model(&mut self, name: &str) {
        self.model = name[..name.floor_char_boundary(MODEL_MOST)].to_owned();
    }

    /// Weights of 1, s, s² and ln(1 − s) in the stream score.
    pub fn stream_weights(&self) -> [f64; 4] {
        self.stream
    }

    /// The prior of the calibrations.
    pub fn prior(&self) -> &Prior {
        &self.prior
    }

    /// What is believed of usual traffic: the share of requests whose best candidate has 1 − p up to `risk`.
    pub fn usual_up_to(&self, risk: f32) -> f64 {
        self.usual.up_to(risk)
    }

    /// Trees of the trap score, and words whose rarity is known.
    pub fn sizes(&self) -> (usize, usize) {
        (self.trap.len(), self.idf.hashes.len())
    }
}

impl Default for Weights {
    /// What is used to begin a training with: no trap score, and words all alike.
    fn default() -> Weights {
        Weights {
            model: String::new(),
            stream: [-8.8, 10.0, 4.3, 0.74],
            prior: Prior { mean: [-1.4, 1.05, 0.95, 0.75, -0.4, 3.0], variance: [4.0, 0.25, 0.1, 0.1, 0.1, 1.0] },
            trap: Forest::default(),
            trap_cuts: [0.3, 0.1],
            idf: Idf { rarest: 9.0, ..Idf::default() },
            usual: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_can_be_read_and_written_back() {
        let weights = Weights::from_bytes(SHIPPED).unwrap();
        assert!(weights.trap.len() >= 100 && weights.idf.hashes.len() > 1000);
        assert_eq!(weights.to_bytes(), SHIPPED);
        assert_eq!(*Weights::shipped(), weights);
        assert_eq!(weights.model(), "all-MiniLM-L6-v2");
        assert!(weights.usual.is_known());
    }

    #[test]
    fn an_older_file_is_refused_with_what_to_do() {
        let mut bytes = SHIPPED.to_vec();
        bytes[16] = 1;
        let error = Weights::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("version 1") && error.contains("askonce judge train"), "{error}");
    }

    #[test]
    fn the_stream_score_rises_with_similarity() {
        let weights = Weights::shipped();
        let scores: Vec<f32> = (50..100).map(|s| weights.stream(s as f32 / 100.0)).collect();
        assert!(scores.is_sorted(), "{scores:?}");
    }

    #[test]
    fn refuses_damage() {
        assert!(Weights::from_bytes(b"").is_err());
        for at in [0, 17, 40, SHIPPED.len() / 2, SHIPPED.len() - 1] {
            let mut bytes = SHIPPED.to_vec();
            bytes[at] ^= 1;
            assert!(Weights::from_bytes(&bytes).is_err(), "byte {at}");
            assert!(Weights::from_bytes(&SHIPPED[..at]).is_err(), "cut at {at}");
        }
    }
}
