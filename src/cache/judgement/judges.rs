//! The cheap judges: do two answers say the same? Each says yes, no, or that it cannot tell; the cheapest is asked first.

use crate::cache::question::fold;
use crate::cache::verify::Facts;
use serde_json::Value;

/// Answers of at most so many characters are taken word for word: where they differ, they differ in what they say.
const SHORT: usize = 48;

/// Cosines of the answers' vectors from which they are the same, and up to which they are not; between, nobody knows.
/// Two wordings of one answer by a language model mostly lie above .85, answers to unlike questions below .6.
const ALIKE: (f32, f32) = (0.85, 0.6);

/// Where `same_meaning` cannot tell, and nobody else can be asked: from here on it is likelier that they are the same.
/// Of single statements (all-MiniLM-L6-v2) 97 in 100 plain rewordings lie above it and 76 in 100 loose ones, which is about
/// where those and look-alikes drawn from the same news are parted best: 40 in 100 look-alikes lie above, too. No set of
/// labelled answers was at hand, so for answers it is a guess, and an LLM judge is better.
const LIKELIER: f32 = 0.78;

/// Do the texts of two answers say the same? `None` where that takes more than a look at them.
pub fn same_text(one: &str, other: &str) -> Option<bool> {
    if one.trim() == other.trim() {
        return Some(true);
    }
    if let (Some(one), Some(other)) = (json(one), json(other)) {
        return Some(one == other);
    }
    let folded = |text: &str| fold(text).unwrap_or_else(|| text.trim().to_owned());
    let (folded_one, folded_other) = (folded(one), folded(other));
    if folded_one == folded_other {
        return Some(true);
    }
    // Other numbers, ids or dates are other answers, however alike the words are; so long as both give some.
    let facts = [one, other].map(Facts::read);
    if facts.iter().all(|facts| !facts.is_empty()) && facts[0] != facts[1] && is_short(one) && is_short(other) {
        return Some(false);
    }
    (is_short(&folded_one) && is_short(&folded_other)).then_some(false)
}

/// Do two longer answers say the same, by the cosine of their vectors? `None` where it is neither high nor low.
pub fn same_meaning(cosine: f32) -> Option<bool> {
    if cosine >= ALIKE.0 { Some(true) } else { (cosine <= ALIKE.1).then_some(false) }
}

/// Is it likelier than not that two longer answers say the same, by the cosine of their vectors? For who has nobody to
/// ask where `same_meaning` cannot tell.
pub fn likelier(cosine: f32) -> bool {
    cosine >= LIKELIER
}

fn is_short(text: &str) -> bool {
    text.chars().take(SHORT + 1).count() <= SHORT
}

/// The object or array that a text is, within a code fence or not.
fn json(text: &str) -> Option<Value> {
    let text = text.trim();
    let inner =
        text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).and_then(|text| text.strip_suffix("```"));
    let value: Value = serde_json::from_str(inner.unwrap_or(text).trim()).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_yes_no_or_nothing() {
        let long =
            "You can change your plan at any time under Settings, then Billing, and the new price holds from then on.";
        let other = "Plans are changed under Settings, in the part named Billing; from the next month on you pay the new price.";
        let table = [
            ("Paris", "paris.", Some(true)),
            ("Paris", "London", Some(false)),
            ("42", "42 ", Some(true)),
            ("It costs $20.", "It costs $30.", Some(false)),
            ("{\"a\": 1, \"b\": [2]}", "```json\n{\"b\":[2],\"a\":1}\n```", Some(true)),
            ("{\"a\": 1}", "{\"a\": 2}", Some(false)),
            (long, long, Some(true)),
            (long, other, None),
        ];
        for (one, other, expected) in table {
            assert_eq!(same_text(one, other), expected, "{one} / {other}");
            assert_eq!(same_text(other, one), expected, "{other} / {one}");
        }
        assert_eq!([0.9, 0.7, 0.3].map(same_meaning), [Some(true), None, Some(false)]);
        for cosine in (0..=100).map(|cosine| cosine as f32 / 100.0) {
            assert!(same_meaning(cosine).is_none_or(|same| same == likelier(cosine)), "they agree at {cosine}");
        }
        assert!(likelier(0.84) && !likelier(0.61), "it parts what the other leaves open");
    }
}
