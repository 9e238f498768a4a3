//! Who is right: do two requests of a trace have the same answer?
//!
//! Groups say it. Where a trace has none, the answers that were recorded are compared by the judges that the gateway
//! asks, cheapest first: words, JSON and short answers, then how near their vectors are. That is an estimate, and there
//! are pairs that none of them can decide; reports say both.

use super::stream::Vectors;
use super::trace::Request;
use crate::cache::judgement::judges;
use crate::cache::question::fold;
use parking_lot::RwLock;
use std::collections::HashMap;

/// Pairs of answers whose judgement is remembered; beyond it they are compared anew.
const REMEMBERED: usize = 1 << 22;

/// How a trace is scored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// By the groups of the trace.
    Groups,
    /// By comparing recorded answers: an estimate.
    Answers,
    /// By nothing: hits can be counted, wrong ones cannot.
    None,
}

/// What is known of the answers of a trace.
pub struct Truth {
    scoring: Scoring,
    /// By request: its group; or its answer, equal ones sharing a number.
    class: Vec<u32>,
    answers: Vec<Answer>,
    /// What the judges said of two answers, the one of the lower number first.
    judged: RwLock<HashMap<(u32, u32), Option<bool>>>,
}

#[derive(Clone, Default)]
struct Answer {
    text: String,
    vector: Option<std::sync::Arc<[f32]>>,
}

impl Truth {
    /// What `trace` says. `vectors` holds those of its answers, where it has no groups.
    pub fn of(trace: &[Request], vectors: &Vectors) -> Truth {
        let scoring = scoring(trace);
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut class = |name: String| {
            let next = numbers.len() as u32;
            *numbers.entry(name).or_insert(next)
        };
        let name = |request: &Request| match scoring {
            Scoring::Groups => request.group.clone().unwrap_or_default(),
            Scoring::Answers => normal(request.answer.as_deref().unwrap_or_default()),
            Scoring::None => String::new(),
        };
        let classes: Vec<u32> = trace.iter().map(|request| class(name(request))).collect();
        let mut answers = Vec::new();
        if scoring == Scoring::Answers {
            answers = vec![Answer::default(); numbers.len()];
            for (request, &class) in trace.iter().zip(&classes) {
                let text = request.answer.clone().unwrap_or_default();
                let vector = vectors.get(text.as_str()).map(|vector| vector.values.clone());
                answers[class as usize] = Answer { text, vector };
            }
        }
        Truth { scoring, class: classes, answers, judged: RwLock::default() }
    }

    /// How the trace is scored.
    pub fn scoring(&self) -> Scoring {
        self.scoring
    }

    /// The group or answer of the request at `at`: requests of one number have the same answer.
    pub fn class(&self, at: usize) -> u32 {
        self.class[at]
    }

    /// Would the answer of the request at `other` be right for the one at `one`? What nobody can decide is taken for
    /// wrong.
    pub fn same(&self, one: usize, other: usize) -> bool {
        self.judge(one, other) == Some(true)
    }

    /// The same; `None` where two recorded answers are neither alike nor unlike enough to say.
    pub fn judge(&self, one: usize, other: usize) -> Option<bool> {
        let (one, other) = (self.class[one], self.class[other]);
        if one == other || self.scoring != Scoring::Answers {
            return Some(one == other);
        }
        let pair = (one.min(other), one.max(other));
        if let Some(said) = self.judged.read().get(&pair) {
            return *said;
        }
        let said = self.compare(pair);
        let mut judged = self.judged.write();
        if judged.len() < REMEMBERED {
            judged.insert(pair, said);
        }
        said
    }

    fn compare(&self, (one, other): (u32, u32)) -> Option<bool> {
        let (one, other) = (&self.answers[one as usize], &self.answers[other as usize]);
        judges::same_text(&one.text, &other.text).or_else(|| {
            let cosine = super::near::dot(one.vector.as_ref()?, other.vector.as_ref()?);
            judges::same_meaning(cosine)
        })
    }
}

/// How `trace` can be scored: by groups where all have one, else by answers where all have one.
pub fn scoring(trace: &[Request]) -> Scoring {
    if trace.iter().all(|request| request.group.is_some()) {
        Scoring::Groups
    } else if trace.iter().all(|request| request.answer.is_some()) {
        Scoring::Answers
    } else {
        Scoring::None
    }
}

/// An answer without what cannot matter.
fn normal(answer: &str) -> String {
    fold(answer).unwrap_or_else(|| answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::stream::Vector;

    fn request(answer: &str) -> Request {
        Request { answer: Some(answer.to_owned()), ..Request::default() }
    }

    #[test]
    fn answers_are_compared_cheapest_first() {
        let texts = [
            "Yes.",
            "yes",
            "No.",
            "{\"a\": 1, \"b\": [2]}",
            "```json\n{\"b\":[2],\"a\":1}\n```",
            "{\"a\": 2}",
            "You can return whatever you have bought here within thirty days.",
            "Returns of all that was bought in this shop are accepted for thirty days.",
            "We deliver on every day of the week, and on Sundays in the afternoon too.",
            "Parcels come on any day; what is returned is taken along by the driver.",
        ];
        let trace: Vec<Request> = texts.iter().map(|text| request(text)).collect();
        let directions = [[1.0, 0.0], [0.95, 0.312_25], [0.0, 1.0], [0.7, 0.714_14]];
        let vectors: Vectors = texts[6..]
            .iter()
            .zip(directions)
            .map(|(text, values)| (Box::from(*text), Vector { values: values.to_vec().into(), truncated: false }))
            .collect();
        let truth = Truth::of(&trace, &vectors);
        assert_eq!(truth.scoring(), Scoring::Answers);
        let table = [
            (0, 1, Some(true)),
            (3, 4, Some(true)),
            (6, 7, Some(true)),
            (8, 8, Some(true)),
            (0, 2, Some(false)),
            (3, 5, Some(false)),
            (6, 8, Some(false)),
            (6, 9, None),
            // Words alone cannot tell, and there is no vector of the short one.
            (0, 6, None),
        ];
        for (one, other, expected) in table {
            for _ in 0..2 {
                assert_eq!(truth.judge(one, other), expected, "{} | {}", texts[one], texts[other]);
                assert_eq!(truth.judge(other, one), expected, "{} | {}", texts[other], texts[one]);
            }
            assert_eq!(truth.same(one, other), expected == Some(true));
        }
    }

    #[test]
    fn groups_come_first_and_nothing_is_no_estimate() {
        let grouped = Request { group: Some("g".to_owned()), ..request("x") };
        assert_eq!(scoring(&[grouped.clone(), grouped.clone()]), Scoring::Groups);
        assert_eq!(scoring(&[grouped, request("x")]), Scoring::Answers);
        assert_eq!(scoring(&[request("x"), Request::default()]), Scoring::None);
    }
}
