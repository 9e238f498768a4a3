//! Who is right: do two requests of a trace have the same answer?
//!
//! Groups say it. Where a trace has none, the answers that were recorded are compared, cheapest first: the same text,
//! the same JSON or the same short answer, then how near their vectors are. That is an estimate, and reports say so.

use super::stream::Vectors;
use super::trace::Request;
use crate::cache::question::fold;
use std::collections::HashMap;

/// Answers at least this near by meaning count as the same, if they are no short ones. Of two answers to one question
/// MiniLM gives mostly more, of answers to different questions mostly less; neither always.
const SAME_ANSWER: f32 = 0.90;
/// Answers of at most so many words are the same only if their words are.
const SHORT_WORDS: usize = 4;

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
}

#[derive(Clone, Default)]
struct Answer {
    json: Option<serde_json::Value>,
    short: bool,
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
                let text = request.answer.as_deref().unwrap_or_default();
                answers[class as usize] = Answer {
                    json: serde_json::from_str(text).ok().filter(|json: &serde_json::Value| !json.is_string()),
                    short: text.split_whitespace().count() <= SHORT_WORDS,
                    vector: vectors.get(text).map(|vector| vector.values.clone()),
                };
            }
        }
        Truth { scoring, class: classes, answers }
    }

    /// How the trace is scored.
    pub fn scoring(&self) -> Scoring {
        self.scoring
    }

    /// The group or answer of the request at `at`: requests of one number have the same answer.
    pub fn class(&self, at: usize) -> u32 {
        self.class[at]
    }

    /// May the request at `one` be given the answer of the request at `other`? Always yes where nothing is known.
    pub fn same(&self, one: usize, other: usize) -> bool {
        let (one, other) = (self.class[one], self.class[other]);
        if one == other || self.scoring != Scoring::Answers {
            return one == other;
        }
        let (one, other) = (&self.answers[one as usize], &self.answers[other as usize]);
        match (&one.json, &other.json) {
            (Some(one), Some(other)) => return one == other,
            (None, None) => {}
            _ => return false,
        }
        if one.short || other.short {
            return false;
        }
        match (&one.vector, &other.vector) {
            (Some(one), Some(other)) => super::near::dot(one, other) >= SAME_ANSWER,
            _ => false,
        }
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
            "{\"b\":[2],\"a\":1}",
            "{\"a\": 2}",
            "You can return it within thirty days.",
            "Returns are accepted for thirty days.",
            "We deliver on every day of the week.",
        ];
        let trace: Vec<Request> = texts.iter().map(|text| request(text)).collect();
        let directions = [[1.0, 0.0], [0.95, 0.312_25], [0.0, 1.0]];
        let vectors: Vectors = texts[6..]
            .iter()
            .zip(directions)
            .map(|(text, values)| (Box::from(*text), Vector { values: values.to_vec().into(), truncated: false }))
            .collect();
        let truth = Truth::of(&trace, &vectors);
        assert_eq!(truth.scoring(), Scoring::Answers);
        let same = [(0, 1), (3, 4), (6, 7), (8, 8)];
        let different = [(0, 2), (3, 5), (3, 0), (6, 8), (7, 8), (0, 6)];
        for (one, other) in same {
            assert!(truth.same(one, other), "{} | {}", texts[one], texts[other]);
        }
        for (one, other) in different {
            assert!(!truth.same(one, other), "{} | {}", texts[one], texts[other]);
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
