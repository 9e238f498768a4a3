//! `Question`: what is read out of a question's text, once, and kept beside it: facts for the veto, and hashed words for
//! the trap score. Holds no text.

use super::words;
use crate::cache::verify::Facts;

/// Words that are read of one question; what comes behind is not compared by words.
const MAX_WORDS: usize = 192;

/// What a byte of text takes in memory, in tenths of a byte: of its first part, of which words are read, and behind that,
/// where only facts are. Means over the requests of a mixed stream (3.0 to 3.4, and 0.3 to 0.7).
const FIRST_PART: usize = 2048;
const TENTHS: [usize; 2] = [33, 5];

/// A question, read for comparing. A few hundred bytes.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Numbers, ids, dates and units.
    pub(super) facts: Facts,
    /// Every word, in order, hashed.
    pub(super) words: Vec<u32>,
    /// The words that carry meaning, sorted, each once: hash and beginning.
    pub(super) content: Vec<Word>,
    /// Words with a capital that no beginning of a sentence explains, sorted, hashed.
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
        // Where all is in capitals they tell nothing.
        let capitals_tell = text.chars().any(char::is_lowercase);
        for (raw, ends) in words::split(text).take(MAX_WORDS) {
            question.add(raw, begins, capitals_tell);
            begins = ends && !words::abbreviates(raw);
        }
        question.content.sort_unstable();
        question.content.dedup();
        for list in [&mut question.names, &mut question.opposites] {
            list.sort_unstable();
            list.dedup();
        }
        question
    }

    /// Its numbers, ids, dates and units, in words.
    pub fn facts(&self) -> Vec<String> {
        self.facts.words()
    }

    /// Do the two differ in a number, id, date or unit?
    pub fn is_vetoed(&self, other: &Question) -> bool {
        self.facts != other.facts
    }

    /// Bytes it takes in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Question>()
            + self.facts.bytes()
            + self.words.capacity() * 4
            + self.content.capacity() * size_of::<Word>()
            + (self.names.capacity() + self.opposites.capacity()) * 4
    }

    /// About what `bytes` will say of a text of so many bytes, before it is read.
    pub fn expected_bytes(text_len: usize) -> usize {
        let first = text_len.min(FIRST_PART);
        size_of::<Question>() + (first * TENTHS[0] + (text_len - first) * TENTHS[1]) / 10
    }

    fn add(&mut self, raw: &str, begins: bool, capitals_tell: bool) {
        let lower = raw.to_lowercase();
        let word = lower.strip_suffix("'s").or_else(|| lower.strip_suffix("’s")).unwrap_or(&lower);
        if words::negates(word) {
            self.negations = self.negations.saturating_add(1);
        }
        let hash = words::hash(words::singular(word));
        self.words.push(hash);
        self.asks |= words::asks(word);
        let capitals = if capitals_tell { raw.chars().filter(|c| c.is_uppercase()).count() } else { 0 };
        if words::is_filler(word) {
            return;
        }
        self.content.push(Word { hash, stem: words::hash(words::beginning(words::singular(word))) });
        self.opposites.extend(words::opposites(word));
        // A capital is expected where a sentence begins; a second one, in an acronym or inside a word, is not.
        if capitals > usize::from(begins) {
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
    fn expected_bytes_are_about_right() {
        let sentence = "How do I get my money back for the Tuesday class that was cancelled by Ms. Harper? ";
        for times in [1, 4, 20] {
            let text = sentence.repeat(times);
            let (expected, is) = (Question::expected_bytes(text.len()), Question::read(&text).bytes());
            assert!(is < expected * 2 && expected < is * 3, "{} bytes of text: {expected} expected, {is}", text.len());
        }
    }

    #[test]
    fn is_bounded() {
        let question = Question::read(&"word1 Other ".repeat(10_000));
        assert!(question.words.len() <= MAX_WORDS && question.names.len() <= 2);
        assert_eq!(Question::read("").words.len(), 0);
    }
}
