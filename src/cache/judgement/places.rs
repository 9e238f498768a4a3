//! What stands in place of what: words that the other question lacks, by the words beside them and by the preposition
//! before them. So a changed name, product or place shows, however it is written, and where it stands.

use super::pair::{has_stem, holds};
use super::question::{Question, Word};
use super::weights::Idf;
use super::words;

/// Words of one question that the other lacks, and values of prepositions, that are looked at.
const MOST: usize = 12;

/// How two questions differ in their places. Rarities are idf, in nats.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Places {
    /// Two words with the same word before them, or behind them: the rarity of the commoner of the two, at most.
    pub(super) beside: f32,
    /// The same for words with the same word before them and behind them.
    pub(super) between: f32,
    /// Two words that one preposition stands before: the rarity of the commoner of the two, at most.
    pub(super) valued: f32,
    /// A preposition has another value, and one of the two values is in both questions.
    pub(super) moved: bool,
    /// A preposition has another value, and both values are in both questions: "from A to B", "from B to A".
    pub(super) swapped: bool,
    /// The rarest word that the other question has no word of the same beginning for: in one, in the other.
    pub(super) rarest: [f32; 2],
    /// Rarity of all such words.
    pub(super) loose: [f32; 2],
    /// Names among them, and the rarest one.
    pub(super) names: [f32; 2],
    pub(super) rarest_name: [f32; 2],
}

impl Places {
    /// Compares. Symmetric, but for the order of the sides.
    pub(super) fn of(one: &Question, other: &Question, idf: &Idf) -> Places {
        let mut places = Places::default();
        let loose = [loose(one, other, idf), loose(other, one, idf)];
        for (side, words) in loose.iter().enumerate() {
            for word in words {
                places.loose[side] += word.idf;
                places.rarest[side] = places.rarest[side].max(word.idf);
                if word.is_name {
                    places.names[side] += 1.0;
                    places.rarest_name[side] = places.rarest_name[side].max(word.idf);
                }
            }
        }
        for a in &loose[0] {
            for b in &loose[1] {
                let common = a.idf.min(b.idf);
                let before = a.before == b.before;
                let behind = a.behind == b.behind;
                if before && behind {
                    places.between = places.between.max(common);
                }
                if (before && a.before.is_some()) || (behind && a.behind.is_some()) {
                    places.beside = places.beside.max(common);
                }
            }
        }
        places.compare_values(one, other, idf);
        places
    }

    fn compare_values(&mut self, one: &Question, other: &Question, idf: &Idf) {
        let sides = [values(one), values(other)];
        let directs = |role| words::roles()[..words::DIRECTIONS].contains(&role);
        let lacks = |side: &[Value], value: &Value| {
            !side.iter().any(|two| two.role == value.role && two.word.stem == value.word.stem)
        };
        for a in sides[0].iter().filter(|value| lacks(&sides[1], value)) {
            let theirs = sides[1].iter().filter(|value| value.role == a.role && lacks(&sides[0], value));
            for b in theirs {
                match (has_stem(other, a.word.stem), has_stem(one, b.word.stem)) {
                    (true, true) => self.swapped |= directs(a.role),
                    (false, false) => self.valued = self.valued.max(idf.of(a.word.hash).min(idf.of(b.word.hash))),
                    _ => self.moved |= directs(a.role),
                }
            }
        }
    }
}

/// A word that the other question has no word of the same beginning for.
struct Loose {
    idf: f32,
    is_name: bool,
    before: Option<u32>,
    behind: Option<u32>,
}

fn loose(one: &Question, other: &Question, idf: &Idf) -> Vec<Loose> {
    let articles = words::articles();
    let mut found: Vec<Loose> = Vec::new();
    let mut before = None;
    for (at, hash) in one.words.iter().enumerate() {
        if let Some(word) = content(one, *hash)
            && !holds(&other.content, *hash)
            && !has_stem(other, word.stem)
        {
            let behind = one.words.get(at + 1).copied();
            let is_name = one.names.binary_search(hash).is_ok();
            found.push(Loose { idf: idf.of(*hash), is_name, before, behind });
            if found.len() == MOST {
                break;
            }
        }
        if !articles.contains(hash) {
            before = Some(*hash);
        }
    }
    found
}

/// A word that a preposition stands before.
struct Value {
    role: u32,
    word: Word,
}

/// The first word of meaning behind each preposition, at most two words away.
fn values(question: &Question) -> Vec<Value> {
    let roles = words::roles();
    let mut found = Vec::new();
    for (at, role) in question.words.iter().enumerate().filter(|(_, word)| roles.contains(word)) {
        let behind = question.words[at + 1..].iter().take(3).take_while(|word| !roles.contains(word));
        if let Some(word) = behind.filter_map(|word| content(question, *word)).next() {
            found.push(Value { role: *role, word });
            if found.len() == MOST {
                break;
            }
        }
    }
    found
}

fn content(question: &Question, hash: u32) -> Option<Word> {
    let at = question.content.binary_search_by_key(&hash, |word| word.hash).ok()?;
    question.content.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(one: &str, other: &str) -> Places {
        let idf = Idf { rarest: 9.0, ..Idf::default() };
        Places::of(&Question::read(one), &Question::read(other), &idf)
    }

    #[test]
    fn sees_what_was_replaced() {
        // One, other, beside, between, valued.
        let table = [
            ("best thai food", "best greek food", true, true, false),
            ("is there a stop in Nashville on the way", "with a stop in the Boise area", true, false, true),
            ("the cheapest plan", "which plan is cheapest", false, false, false),
            ("lessons with Ms. Harper", "with Ms. Okafor are there lessons", true, false, false),
            ("how do I pay", "how do I pay", false, false, false),
        ];
        for (one, other, beside, between, valued) in table {
            for found in [places(one, other), places(other, one)] {
                let found = (found.beside > 0.0, found.between > 0.0, found.valued > 0.0);
                assert_eq!(found, (beside, between, valued), "{one} / {other}");
            }
        }
    }

    #[test]
    fn sees_values_that_change_places() {
        // One, other, moved, swapped.
        let table = [
            ("fly from Rome to Oslo", "fly from Oslo to Rome", false, true),
            ("fly from Rome to Oslo", "to Oslo, a flight from Rome", false, false),
            ("fly from Rome to Oslo", "fly from Oslo to Oslo", true, false),
            ("turn a picture into a table", "turn a table into a picture", false, true),
        ];
        for (one, other, moved, swapped) in table {
            for found in [places(one, other), places(other, one)] {
                assert_eq!((found.moved, found.swapped), (moved, swapped), "{one} / {other}");
            }
        }
    }

    #[test]
    fn counts_names_wherever_they_stand() {
        let found = places("Is Prof. Okafor in today?", "Is Prof. Lindqvist in today?");
        assert_eq!(found.names, [1.0, 1.0], "what stands behind an abbreviation begins no sentence");
        let found = places("NATO members", "OPEC members");
        assert_eq!(found.names, [1.0, 1.0], "capitals are a name at the beginning, too");
        let found = places("Members? List them.", "Fees? Show them.");
        assert_eq!(found.names, [0.0, 0.0]);
    }
}
