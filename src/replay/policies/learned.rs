//! The learned judgement (`cache::judgement::Learner`), used as the gateway uses it.

use super::super::stream::Stream;
use super::{Candidate, Change, Choice, Policy};
use crate::cache::judgement::{
    self, Asked, Case, Learner, MOST_COMPARED, Question, Seen, Settings, Source, Strictness, WORTH_COMPARING,
};

pub(super) struct Learned<'s> {
    learner: Learner,
    questions: &'s [Question],
    /// What is less alike is not looked at.
    floor: f32,
    /// The cases of the last request, by candidate, and where a label on them comes from.
    cases: Vec<(usize, Case)>,
    source: Source,
}

impl<'s> Learned<'s> {
    pub(super) fn new(
        stream: &'s Stream<'_>,
        error_budget: f64,
        strictness: Strictness,
        threshold: Option<f64>,
        seed: u64,
    ) -> Learned<'s> {
        let settings = Settings { error_budget, strictness, ..Settings::default() };
        let learner = Learner::new(settings, seed);
        let floor = threshold.map_or(-1.0, |threshold| threshold as f32);
        Learned { learner, questions: &stream.questions, floor, cases: Vec::new(), source: Source::Miss }
    }
}

impl Policy for Learned<'_> {
    fn candidates(&self) -> usize {
        16
    }

    fn pass(&mut self, scope: u128, hit: bool) {
        self.learner.pass(scope, hit, &Asked::default());
    }

    fn choose(&mut self, _: &Stream<'_>, scope: u128, node: u32, near: &[Candidate]) -> Choice {
        let seen: Vec<Seen<'_>> = near
            .iter()
            .take_while(|candidate| candidate.similarity >= self.floor)
            .map(|candidate| Seen {
                entry: u64::from(candidate.entry),
                question: &self.questions[candidate.node as usize],
                similarity: candidate.similarity,
            })
            .collect();
        let question = &self.questions[node as usize];
        let decision = self.learner.decide(scope, question, &seen, &Asked::default());
        let place = |case: Case| {
            let at = near.iter().position(|candidate| u64::from(candidate.entry) == case.entry)?;
            Some((at, case))
        };
        let (cases, source) = match decision.serve {
            Some(_) => (decision.shadow.into_iter().collect(), Source::Shadow),
            None => (decision.cases(WORTH_COMPARING, MOST_COMPARED), Source::Miss),
        };
        self.cases = cases.into_iter().filter_map(place).collect();
        self.source = source;
        let compare: Vec<usize> = self.cases.iter().map(|(at, _)| *at).collect();
        Choice {
            serve: decision.serve,
            shadow: decision.serve.is_some() && !compare.is_empty(),
            compare,
            p: decision.serve.and_then(|at| decision.weighed.get(at)).map(|one| one.p),
        }
    }

    fn learn(&mut self, _: &[Candidate], at: usize, same: bool, stored: Option<u32>) -> Vec<Change> {
        let Some((_, case)) = self.cases.iter().find(|(place, _)| *place == at) else { return Vec::new() };
        let changes = self.learner.learn(case, same, self.source, stored.map(u64::from));
        let change = |change| match change {
            judgement::Change::Evict(entry) => Change::Evict(entry as u32),
            judgement::Change::Alias(entry) => Change::Alias(entry as u32),
        };
        changes.into_iter().map(change).collect()
    }

    fn aliased(&mut self, entry: u32, other: u32) {
        self.learner.alias(u64::from(entry), u64::from(other));
    }

    fn forget(&mut self, entry: u32) {
        self.learner.forget(u64::from(entry));
    }
}
