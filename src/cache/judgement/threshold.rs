//! The static judgement: the nearest entry above a fixed similarity that the veto lets pass. Nothing is learned.

use super::question::Question;
use super::settings::Seen;

/// Why no candidate is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is none of that similarity.
    BelowThreshold,
    /// All of that similarity differ in a number, id, date or unit.
    Vetoed,
}

/// The index of the first of `seen`, which are sorted by similarity, best first, that is at least `threshold` near and
/// that the veto lets pass, if there is a veto.
pub fn nearest(question: &Question, seen: &[Seen<'_>], threshold: f32, veto: bool) -> Result<usize, Refused> {
    let mut refused = Refused::BelowThreshold;
    for (at, one) in seen.iter().enumerate().take_while(|(_, one)| one.similarity >= threshold) {
        if !veto || question.facts == one.question.facts {
            return Ok(at);
        }
        refused = Refused::Vetoed;
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_the_nearest_that_may_be_served() {
        let questions = ["pay 20 dollars", "pay 30 dollars", "pay twenty dollars", "pay"].map(Question::read);
        let seen: Vec<Seen<'_>> = questions[1..]
            .iter()
            .zip([0.99, 0.95, 0.9])
            .map(|(question, similarity)| Seen { entry: 0, question, similarity })
            .collect();
        let table = [
            (0.92, true, Ok(1)),
            (0.92, false, Ok(0)),
            (0.97, true, Err(Refused::Vetoed)),
            (1.0, true, Err(Refused::BelowThreshold)),
        ];
        for (threshold, veto, expected) in table {
            assert_eq!(nearest(&questions[0], &seen, threshold, veto), expected, "{threshold} {veto}");
        }
    }
}
