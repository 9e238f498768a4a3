//! `Lengths`: how long answers usually are, by model, so that less may be reserved than the longest answer would cost.
//!
//! Answers are counted in classes, each a quarter of an octave wide (2^(1/4), some 19 %). The usual length is the upper end of the class
//! that 95 of 100 answers are in or below. Old answers weigh less: when a model has 4,096, all its counts are halved.

use parking_lot::Mutex;
use std::collections::HashMap;

/// Classes of an octave.
const PER_OCTAVE: f64 = 4.0;
/// Answers of 2^24 tokens and more are of the last class.
const CLASSES: usize = 97;
/// Of so few answers nobody can tell what is usual.
const LEAST: u32 = 50;
/// From here on old answers weigh less.
const MOST: u32 = 4_096;
/// Models that are told apart; of more nothing is learned.
const MODELS: usize = 4_096;
/// So many of a hundred answers are no longer than the usual length.
const SHARE: f64 = 0.95;

/// How long answers were.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    models: Mutex<HashMap<String, Counts>>,
}

#[derive(Debug)]
struct Counts {
    classes: [u32; CLASSES],
    all: u32,
}

impl Lengths {
    /// An answer of `model` had so many tokens.
    pub(super) fn learn(&self, model: &str, tokens: u64) {
        let mut models = self.models.lock();
        if !models.contains_key(model) {
            if models.len() >= MODELS {
                return;
            }
            models.insert(model.to_owned(), Counts { classes: [0; CLASSES], all: 0 });
        }
        let Some(counts) = models.get_mut(model) else { return };
        if counts.all >= MOST {
            counts.classes.iter_mut().for_each(|count| *count /= 2);
            counts.all = counts.classes.iter().sum();
        }
        if let Some(count) = counts.classes.get_mut(class(tokens)) {
            *count += 1;
            counts.all += 1;
        }
    }

    /// How many tokens an answer of `model` usually has at most; `None`: nobody knows yet.
    pub(super) fn usual(&self, model: &str) -> Option<u64> {
        let models = self.models.lock();
        let counts = models.get(model).filter(|counts| counts.all >= LEAST)?;
        let enough = f64::from(counts.all) * SHARE;
        let mut below = 0u32;
        let at = counts.classes.iter().position(|count| {
            below += count;
            f64::from(below) >= enough
        })?;
        Some(end(at))
    }
}

/// The class of an answer of so many tokens.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a class is small"
)]
fn class(tokens: u64) -> usize {
    let octaves = (tokens as f64 + 1.0).log2();
    ((octaves * PER_OCTAVE) as usize).min(CLASSES - 1)
}

/// The longest answer of a class.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "2^24 at most")]
fn end(class: usize) -> u64 {
    ((class as f64 + 1.0) / PER_OCTAVE).exp2().ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_usual_of_few_answers() {
        let lengths = Lengths::default();
        (1..LEAST).for_each(|_| lengths.learn("m", 100));
        assert_eq!(lengths.usual("m"), None);
        lengths.learn("m", 100);
        let usual = lengths.usual("m").unwrap();
        assert!((100..=120).contains(&usual), "{usual}");
        assert_eq!(lengths.usual("n"), None);
    }

    #[test]
    fn what_changes_is_learned_again() {
        let lengths = Lengths::default();
        (0..10_000).for_each(|_| lengths.learn("m", 2_000));
        (0..20_000).for_each(|_| lengths.learn("m", 50));
        assert!(lengths.usual("m").unwrap() < 100, "{:?}", lengths.usual("m"));
    }

    #[test]
    fn models_are_bounded() {
        let lengths = Lengths::default();
        (0..2 * MODELS).for_each(|number| lengths.learn(&number.to_string(), 1));
        assert_eq!(lengths.models.lock().len(), MODELS);
    }

    proptest! {
        /// Of a hundred answers no more than five are longer than what is usual, and it is not much more than it has to be.
        #[test]
        fn few_are_longer(mut answers in prop::collection::vec(0u64..200_000, 60..400)) {
            let lengths = Lengths::default();
            answers.iter().for_each(|tokens| lengths.learn("m", *tokens));
            let usual = lengths.usual("m").unwrap();
            let longer = answers.iter().filter(|tokens| **tokens > usual).count();
            prop_assert!(longer * 20 <= answers.len(), "{longer} of {}", answers.len());
            answers.sort_unstable();
            let needed = answers[(answers.len() * 95).div_ceil(100) - 1];
            prop_assert!(usual as f64 <= needed as f64 * 1.2 + 2.0, "{usual} where {needed} would do");
        }

        #[test]
        fn an_answer_is_within_its_class(tokens in 0u64..16_000_000) {
            prop_assert!(tokens <= end(class(tokens)));
        }
    }
}
