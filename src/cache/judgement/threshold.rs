//! The static judgement: the nearest entry above a fixed similarity that the veto lets pass.

use crate::cache::policy::Policy;
use crate::cache::verify;
use crate::types::entry::Entry;
use crate::types::outcome::MissReason;
use std::sync::Arc;

/// A stored entry near the question.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Cosine of the two questions' vectors, in [-1, 1].
    pub similarity: f32,
}

/// What the judgement says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Serve the candidate at this index.
    Serve(usize),
    /// Serve none.
    Refuse(MissReason),
}

/// Chooses among candidates.
pub trait Judgement: Send + Sync {
    /// The least similarity worth fetching candidates for.
    fn floor(&self, policy: &Policy) -> f32;

    /// Chooses among `candidates`, which are fresh, of the question's own scope, and sorted by similarity, best first.
    fn judge(&self, question: &str, candidates: &[Candidate], policy: &Policy) -> Verdict;
}

/// Serves the nearest entry above a fixed similarity that the veto lets pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticThreshold;

impl Judgement for StaticThreshold {
    fn floor(&self, policy: &Policy) -> f32 {
        policy.threshold
    }

    fn judge(&self, question: &str, candidates: &[Candidate], policy: &Policy) -> Verdict {
        let mut vetoed = false;
        for (at, candidate) in candidates.iter().enumerate() {
            if candidate.similarity < policy.threshold {
                break;
            }
            let stored = candidate.entry.question.as_deref().unwrap_or_default();
            if policy.veto && verify::differs(question, stored) {
                vetoed = true;
                continue;
            }
            return Verdict::Serve(at);
        }
        Verdict::Refuse(if vetoed { MissReason::Vetoed } else { MissReason::BelowThreshold })
    }
}
