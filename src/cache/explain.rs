//! What would happen to a request, and why: every near entry with all that is known of it. Nothing is counted, sent or
//! stored.

use super::Cache;
use super::judged::{Candidate, reason, refused_for};
use super::judgement::{Memory, Question, Reason, ScopeReport, Seen, Weighed, nearest};
use super::lookup::Ask;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;
use crate::types::outcome::{MissReason, Tier};
use std::sync::Arc;

/// What would happen.
#[derive(Clone, Debug)]
pub enum Foreseen {
    /// A stored answer would be served.
    Hit(Arc<Entry>, Tier),
    /// An answer past its time would be served, and fetched anew.
    Stale(Arc<Entry>),
    /// The request would be sent on.
    Miss(MissReason),
}

/// What would happen to a request, and why.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What would happen.
    pub foreseen: Foreseen,
    /// What the judgement by meaning would say, were there no earlier tier: the word of its reason.
    pub judgement: &'static str,
    /// Numbers, ids, dates and units of the question.
    pub facts: Vec<String>,
    /// The nearest entries of the scope, the nearest first.
    pub near: Vec<Near>,
    /// Where the judgement is learned: a candidate is served if 1 − p is at most this.
    pub lambda: Option<f32>,
    /// What the judgement knows of the scope.
    pub scope: Option<ScopeReport>,
}

/// An entry near the question.
#[derive(Clone, Debug)]
pub struct Near {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Cosine of the two questions' vectors.
    pub similarity: f32,
    /// Why it is not looked at, if it is not.
    pub left_out: Option<&'static str>,
    /// It would be served by meaning.
    pub served: bool,
    /// It differs in a number, id, date or unit.
    pub facts_differ: bool,
    /// Numbers, ids, dates and units of its question.
    pub facts: Vec<String>,
    /// What the learned judgement makes of it.
    pub weighed: Option<Weighed>,
    /// What is remembered of it.
    pub memory: Option<Memory>,
    /// What the trap score looks at, by name.
    pub features: Vec<(&'static str, f32)>,
}

impl Cache {
    /// What would happen to a request, and why.
    pub async fn explain(&self, ask: &Ask) -> Explained {
        let mut expired = None;
        let by_words = self.exact(ask, &mut expired).map(|hit| Foreseen::Hit(hit.entry, hit.tier));
        let stale = || self.stale_for(ask, expired.as_ref()).map(Foreseen::Stale);
        let by_words = by_words.or_else(stale);
        let mut explained = self.explain_meaning(ask).await;
        explained.foreseen = match (by_words, explained.foreseen) {
            (Some(by_words), _) => by_words,
            (None, Foreseen::Miss(MissReason::Absent | MissReason::BelowThreshold)) if expired.is_some() => {
                Foreseen::Miss(MissReason::Expired)
            }
            (None, by_meaning) => by_meaning,
        };
        explained
    }

    async fn explain_meaning(&self, ask: &Ask) -> Explained {
        let question = ask.compared.as_deref().or(ask.question.as_deref()).filter(|text| !text.trim().is_empty());
        let read = question.map(Question::read).unwrap_or_default();
        let mut explained = Explained {
            foreseen: Foreseen::Miss(MissReason::Absent),
            judgement: "not_asked",
            facts: read.facts(),
            near: Vec::new(),
            lambda: None,
            scope: self.learned_for(&ask.policy).and_then(|learned| learned.report(ask.keys.meaning)),
        };
        let policy = &ask.policy;
        let (Some(semantic), Some(question), true) = (&self.semantic, question, policy.semantic && policy.read) else {
            return explained;
        };
        let Some(vector) = semantic.embed(question, &ask.tenant).await else {
            return Explained { foreseen: Foreseen::Miss(MissReason::Unavailable), ..explained };
        };
        if vector.truncated {
            return Explained { foreseen: Foreseen::Miss(MissReason::TooLong), ..explained };
        }
        let Some(near) = semantic.nearest(ask.keys.meaning, &vector.values, policy.candidates, -1.0) else {
            return Explained { foreseen: Foreseen::Miss(MissReason::Unavailable), ..explained };
        };
        let (judged, candidates) = self.of_one_conversation(ask, self.candidates(&near, ask)).await;
        for neighbour in &near {
            if let Some(entry) = self.entries.by_id(EntryId(neighbour.id)) {
                explained.near.push(self.told(&read, entry, neighbour.similarity, ask));
            }
        }
        self.foresee(&Question::read(judged), &candidates, ask, &mut explained);
        explained
    }

    /// Decides as the lookup would, and notes down what was weighed.
    fn foresee(&self, question: &Question, candidates: &[Candidate], ask: &Ask, explained: &mut Explained) {
        let seen: Vec<Seen<'_>> = candidates.iter().map(Candidate::seen).collect();
        let policy = &ask.policy;
        let (serve, why, word) = match self.learned_for(policy) {
            Some(learned) => {
                let decision = learned.would_decide(ask.keys.meaning, question, &seen, policy);
                explained.lambda = Some(decision.lambda);
                for near in &mut explained.near {
                    near.weighed = decision.weighed.iter().find(|one| one.entry == near.entry.id.0).copied();
                }
                let nothing = decision.reason == Reason::Nothing && explained.near.is_empty();
                let why = if nothing { MissReason::Absent } else { reason(decision.reason) };
                (decision.serve, why, decision.reason.as_str())
            }
            None => match nearest(question, &seen, policy.threshold, policy.veto) {
                Ok(at) => (Some(at), MissReason::Absent, "served"),
                Err(_) if explained.near.is_empty() => (None, MissReason::Absent, "nothing"),
                Err(refused) => (None, refused_for(refused), refused_for(refused).as_str()),
            },
        };
        explained.judgement = word;
        let served = serve.and_then(|at| candidates.get(at)).map(|candidate| candidate.kept.entry.clone());
        for near in &mut explained.near {
            near.served = served.as_ref().is_some_and(|entry| entry.id == near.entry.id);
        }
        explained.foreseen = match served {
            Some(entry) => Foreseen::Hit(entry, Tier::Semantic),
            None => Foreseen::Miss(why),
        };
    }

    fn told(&self, question: &Question, entry: Arc<Entry>, similarity: f32, ask: &Ask) -> Near {
        let stored = Question::read(entry.question.as_deref().unwrap_or_default());
        let policy = &ask.policy;
        let left_out = if similarity < policy.threshold {
            Some("below_threshold")
        } else if entry.meaning != ask.keys.meaning || !entry.semantic {
            Some("another_scope")
        } else if !policy.is_fresh(entry.created_ms, entry.expires_ms, self.clock.now_ms()) {
            Some("expired")
        } else if !ask.is_met_by(&entry.answer) {
            Some("without_usage")
        } else {
            None
        };
        let learned = self.learned_for(policy);
        Near {
            similarity,
            left_out,
            served: false,
            facts_differ: question.facts() != stored.facts(),
            facts: stored.facts(),
            weighed: None,
            memory: learned.and_then(|learned| learned.memory(entry.id.0)),
            features: learned.map_or_else(Vec::new, |learned| learned.features(question, &stored, similarity)),
            entry,
        }
    }
}
