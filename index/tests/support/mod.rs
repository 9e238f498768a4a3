//! Vectors for tests and benchmarks that lie as sentence vectors do: topics, subjects within them, and wordings of
//! one subject close together, with most of the variation in a few directions. Random vectors would have no neighbours at all.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use askonce_index::ScopeKey;

/// A small generator of random numbers (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// About normal, mean 0, variance 1.
    pub fn normal(&mut self) -> f32 {
        let sum: u64 = (0..4).map(|_| self.next() >> 40).sum();
        (sum as f32 / (1 << 24) as f32 - 2.0) * 3.0_f32.sqrt()
    }

    pub fn direction(&mut self, width: usize) -> Vec<f32> {
        unit((0..width).map(|_| self.normal()).collect())
    }
}

pub fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    vector
}

pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>() as f32
}

/// Makes sentence-like vectors.
pub struct Sentences {
    width: usize,
    dice: Dice,
    /// The directions in which sentences differ, the stronger first.
    basis: Vec<Vec<f32>>,
    topics: Vec<Vec<f32>>,
    /// Share of the topic in a sentence, and of what is its own.
    shares: (f32, f32),
    decay: bool,
}

impl Sentences {
    /// Two thousand topics, some much more common than others, among which no border runs.
    pub fn new(width: usize, seed: u64) -> Sentences {
        let mut dice = Dice(seed);
        let basis = (0..(width / 3).max(4)).map(|_| dice.direction(width)).collect();
        let mut sentences = Sentences { width, dice, basis, topics: Vec::new(), shares: (0.7, 0.3), decay: true };
        sentences.topics = (0..2000).map(|_| unit(sentences.mix(vec![0.0; width], 1.0))).collect();
        sentences
    }

    /// The topics of `new`, and other sentences on them for every `draw`.
    pub fn again(width: usize, seed: u64, draw: u64) -> Sentences {
        Sentences { dice: Dice(draw.wrapping_mul(0x5851_F42D_4C95_7F2D)), ..Sentences::new(width, seed) }
    }

    /// Sixty topics far apart: separate crowds, which are hard on a graph.
    pub fn crowded(width: usize, seed: u64) -> Sentences {
        let mut dice = Dice(seed);
        let topics = (0..60).map(|_| dice.direction(width)).collect();
        let basis: Vec<Vec<f32>> = (0..(width / 8).max(4)).map(|_| dice.direction(width)).collect();
        let own = 0.8 / (basis.len() as f32).sqrt();
        Sentences { width, dice, basis, topics, shares: (0.55, own), decay: false }
    }

    /// A sentence on one of the topics.
    pub fn sentence(&mut self) -> Vec<f32> {
        let topic = self.dice.below(self.topics.len());
        // The product of two draws makes low numbers common.
        let topic = if self.decay { topic * self.dice.below(self.topics.len()) / self.topics.len() } else { topic };
        let vector = self.topics[topic].iter().map(|x| x * self.shares.0).collect();
        let vector = self.mix(vector, self.shares.1);
        self.jitter(vector, 0.2)
    }

    /// The same thing in other words: cosine about .80 to .99 to `sentence`.
    pub fn paraphrase(&mut self, sentence: &[f32]) -> Vec<f32> {
        let amount = 0.15 + 0.55 * (self.dice.below(1000) as f32 / 1000.0);
        self.jitter(sentence.to_vec(), amount)
    }

    /// Adds some of each direction.
    fn mix(&mut self, mut vector: Vec<f32>, share: f32) -> Vec<f32> {
        for (i, direction) in self.basis.iter().enumerate() {
            let weight = if self.decay { 1.0 / (1.0 + i as f32).sqrt() } else { 1.0 };
            let amount = self.dice.normal() * share * weight;
            vector.iter_mut().zip(direction).for_each(|(x, d)| *x += d * amount);
        }
        vector
    }

    fn jitter(&mut self, mut vector: Vec<f32>, amount: f32) -> Vec<f32> {
        let scale = amount / (self.width as f32).sqrt();
        vector.iter_mut().for_each(|x| *x += self.dice.normal() * scale);
        unit(vector)
    }
}

pub fn scope(number: u64) -> ScopeKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_le_bytes());
    ScopeKey(key)
}
