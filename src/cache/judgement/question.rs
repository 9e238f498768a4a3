//! `Question`: what is read out of a question's text, once, and kept beside it: facts for the veto, and hashed words for
//! the trap score. Holds no text.

use super::words;
use crate::cache::verify::Facts;

/// Words that are read of one question; what comes behind is not compared by words.
const MAX_WORDS: usize = 192;

/// A question, read for comparing. A few hundred bytes.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Numbers, ids, dates and units.
    pub(super) facts: Facts,
    /// Every word, in order, hashed.
    pub(super) words: Vec<u32>,
    /// The words that carry meaning, sorted, each once: hash and beginning.
    pub(super) content: Vec<Word>,
    /// Capitalised words behind the first one, sorted, hashed.
    pub(super) names: Vec<u32>,
    /// Hashes of words that would say the opposite of a word of this question, sorted.
    pub(super) opposites: Vec<u32>,
    /// Negations: "not", "never", "without".
    pub(super) negations: u8,
    /// Bit set of the question words in it.
    pub(super) asks: u8,
}

/// A word that carries meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Word {
    /// Hash of the word.
    pub(super) hash: u32,
    /// Hash of its first letters: "refund" and "refunded" share it.
    pub(super) stem: u32,
}

impl Question {
    /// Reads `text`. A few microseconds for a sentence.
    pub fn read(text: &str) -> Question {
        let mut question = Question { facts: Facts::read(text), ..Question::default() };
        let mut begins = true;
        for (raw, ends) in words::split(text).take(MAX_WORDS) {
            question.add(raw, begins);
            begins = ends;
        }
        question.content.sort_unstable();
        question.content.dedup();
        for list in [&mut question.names, &mut question.opposites] {
            list.sort_unstable();
            list.dedup();
        }
        question
    }

    /// Bytes it takes in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Question>()
            + self.facts.bytes()
            + self.words.capacity() * 4
            + self.content.capacity() * size_of::<Word>()
            + (self.names.capacity() + self.opposites.capacity()) * 4
    }

    fn add(&mut self, raw: &str, begins: bool) {
        let lower = raw.to_lowercase();
        let word = lower.strip_suffix("'s").or_else(|| lower.strip_suffix("’s")).unwrap_or(&lower);
        if words::negates(word) {
            self.negations = self.negations.saturating_add(1);
        }
        let hash = words::hash(words::singular(word));
        self.words.push(hash);
        self.asks |= words::asks(word);
        if words::is_filler(word) {
            return;
        }
        self.content.push(Word { hash, stem: words::hash(words::beginning(words::singular(word))) });
        self.opposites.extend(words::opposites(word));
        if !begins && raw.starts_with(char::is_uppercase) {
            self.names.push(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_names_and_negations() {
        let question = Question::read("How can't I export my files from Salesforce? Do Orders count?");
        assert_eq!((question.negations, question.names.len()), (1, 2));
        assert_eq!(question.words.len(), 11);
        let other = Question::read("how can i exporting file");
        let shared = |one: &Question, other: &Question, of: fn(&Word) -> u32| {
            one.content.iter().filter(|word| other.content.iter().any(|two| of(two) == of(word))).count()
        };
        assert_eq!(shared(&question, &other, |word| word.hash), 1, "file and files are one word");
        assert_eq!(shared(&question, &other, |word| word.stem), 2, "export and exporting begin alike");
    }

    #[test]
    fn is_bounded() {
        let question = Question::read(&"word1 Other ".repeat(10_000));
        assert!(question.words.len() <= MAX_WORDS && question.names.len() <= 2);
        assert_eq!(Question::read("").words.len(), 0);
    }
}
