//! What the judgement in force makes of the near entries: which one is served, what a label would be learned from, and
//! whether the hit is to be checked.

use super::Cache;
use super::entries::Kept;
use super::judgement::{
    Case, Change, Decision, MOST_COMPARED, Question, Reason, Refused, Seen, Source, WORTH_COMPARING, nearest,
};
use super::learned::{Learned, Owner};
use super::lookup::Ask;
use super::policy::Policy;
use crate::config::Judgement;
use crate::telemetry::metrics;
use crate::types::entry::{self, Entry};
use crate::types::ids::EntryId;
use crate::types::outcome::MissReason;
use std::sync::Arc;

/// A stored entry near the question, fresh and of its scope.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) kept: Arc<Kept>,
    /// Cosine of the two questions' vectors, in [-1, 1].
    pub(super) similarity: f32,
    /// Its question without the turns before it, where those are the same as the request's.
    pub(super) alone: Option<Question>,
}

/// What is to be compared with a fresh answer, and what will be learned from it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The entry with the other answer.
    pub entry: Arc<Entry>,
    /// Where the label comes from.
    pub source: Source,
    pub(super) case: Case,
}

/// What was decided about the candidates of one question.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The index of the candidate that is served.
    pub(super) serve: Option<usize>,
    /// Why none is.
    pub(super) reason: Option<MissReason>,
    /// Probability that the best candidate's answer is right, where the judgement is learned.
    pub(super) p: Option<f32>,
    /// Of a hit: for feedback on it.
    pub(super) served: Option<Case>,
    /// Of a hit: it is to be checked by a fresh answer.
    pub(super) check: Option<Comparison>,
    /// Of a miss: compare the fresh answer with these.
    pub(super) compare: Vec<Comparison>,
}

impl Cache {
    /// The learned judgement, where it decides about such requests.
    pub(super) fn learned_for(&self, policy: &Policy) -> Option<&Learned> {
        let learned = policy.semantic && policy.read && policy.judgement == Judgement::Learned;
        self.learned.as_ref().filter(|_| learned)
    }

    /// Judges `candidates`, the nearest first; `again` for a request that was counted before.
    pub(super) fn judged(&self, question: &str, candidates: &[Candidate], ask: &Ask, again: bool) -> Judged {
        let question = Question::read(question);
        let seen: Vec<Seen<'_>> = candidates.iter().map(Candidate::seen).collect();
        let policy = &ask.policy;
        match self.learned_for(policy) {
            Some(learned) => {
                let decision = learned.decide(|| ask.owner(), ask.keys.meaning, &question, &seen, policy, again);
                if !again {
                    metrics::judged(decision.reason.as_str());
                }
                judged(&decision, candidates)
            }
            None => match nearest(&question, &seen, policy.threshold, policy.veto) {
                Ok(at) => Judged { serve: Some(at), ..Judged::default() },
                Err(refused) => Judged { reason: Some(refused_for(refused)), ..Judged::default() },
            },
        }
    }

    /// Would an answer to `stored`, which is so similar, do for `question`? Counts nothing.
    pub(super) fn would_do(&self, question: &Question, stored: &str, similarity: f32, ask: &Ask) -> bool {
        let policy = &ask.policy;
        if similarity < policy.threshold {
            return false;
        }
        let stored = Question::read(stored);
        let seen = [Seen { entry: u64::MAX, question: &stored, similarity }];
        match self.learned_for(policy) {
            Some(learned) => learned.would_decide(ask.keys.meaning, question, &seen, policy).serve.is_some(),
            None => nearest(question, &seen, policy.threshold, policy.veto).is_ok(),
        }
    }

    /// Counts a request that an earlier tier answered. Those that no tier can answer by meaning are not counted: they would
    /// let the others err more.
    pub(super) fn hit_before_judgement(&self, ask: &Ask, again: bool) {
        if let Some(learned) = self.learned_for(&ask.policy) {
            learned.pass(ask.keys.meaning, &ask.policy, again);
        }
    }

    /// Learns whether the fresh answer of a comparison said the same as the entry's. `stored` is the entry that holds the
    /// fresh answer. Gives whether the question is now proven to be another wording of the entry's.
    pub fn learn(&self, comparison: &Comparison, right: bool, stored: Option<EntryId>) -> bool {
        let Some(learned) = &self.learned else { return false };
        let stored = stored.filter(|id| self.entries.holds(*id)).map(|id| id.0);
        let changes = learned.learn(&comparison.case, right, comparison.source, stored);
        self.make(&changes);
        changes.contains(&Change::Alias(comparison.entry.id.0))
    }

    /// Both entries hold one answer.
    pub fn joined(&self, one: EntryId, other: EntryId) {
        if let Some(learned) = self.learned.as_ref().filter(|_| self.entries.holds(one) && self.entries.holds(other)) {
            learned.alias(one.0, other.0);
        }
    }

    /// Takes out what the judgement wants out. Gives how many entries went.
    pub(super) fn make(&self, changes: &[Change]) -> usize {
        // What the operator has brought stays until the operator, or somebody who was given it, says otherwise.
        let own = |id: EntryId| self.entries.by_id(id).is_some_and(|entry| entry.source == entry::Source::WarmUp);
        let wrong = changes.iter().filter_map(|change| match change {
            Change::Evict(entry) if own(EntryId(*entry)) => None,
            Change::Evict(entry) => self.entries.remove(EntryId(*entry)),
            Change::Alias(_) => None,
        });
        let gone: Vec<Arc<Entry>> = wrong.collect();
        self.evicted_as_wrong(&gone);
        gone.len()
    }

    /// Entries left because they were wrong.
    pub(super) fn evicted_as_wrong(&self, gone: &[Arc<Entry>]) {
        self.wrong.fetch_add(gone.len() as u64, std::sync::atomic::Ordering::Relaxed);
        self.forget(gone);
    }
}

impl Candidate {
    pub(super) fn seen(&self) -> Seen<'_> {
        let question = self.alone.as_ref().unwrap_or_else(|| self.kept.question());
        Seen { entry: self.kept.entry.id.0, question, similarity: self.similarity }
    }
}

impl Ask {
    fn owner(&self) -> Owner {
        Owner { scope: self.keys.meaning, tenant: self.tenant.clone(), model: self.model.clone() }
    }
}

fn judged(decision: &Decision, candidates: &[Candidate]) -> Judged {
    let of = |entry: u64| candidates.iter().find(|candidate| candidate.kept.entry.id.0 == entry);
    let comparison = |case: &Case, source: Source| {
        of(case.entry).map(|candidate| Comparison { entry: candidate.kept.entry.clone(), source, case: *case })
    };
    let compare = match decision.serve {
        Some(_) => Vec::new(),
        None => decision
            .cases(WORTH_COMPARING, MOST_COMPARED)
            .iter()
            .filter_map(|case| comparison(case, Source::Miss))
            .collect(),
    };
    Judged {
        serve: decision.serve,
        reason: decision.serve.is_none().then(|| reason(decision.reason)),
        p: decision.best.map(|_| decision.p),
        served: decision.served(),
        // What the operator has brought is not for a provider to prove wrong.
        check: decision
            .shadow
            .as_ref()
            .and_then(|case| comparison(case, Source::Shadow))
            .filter(|one| one.entry.source != entry::Source::WarmUp),
        compare,
    }
}

pub(super) fn refused_for(refused: Refused) -> MissReason {
    match refused {
        Refused::BelowThreshold => MissReason::BelowThreshold,
        Refused::Vetoed => MissReason::Vetoed,
    }
}

pub(super) fn reason(reason: Reason) -> MissReason {
    match reason {
        Reason::Served | Reason::Nothing => MissReason::BelowThreshold,
        Reason::Vetoed => MissReason::Vetoed,
        Reason::Trap => MissReason::Trap,
        Reason::Budget => MissReason::OverBudget,
        Reason::Fallback => MissReason::Fallback,
    }
}
