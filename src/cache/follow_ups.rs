//! Follow-ups by meaning: what of them is judged, and what has to hold besides before one conversation's answer is served
//! to another.

use super::judged::Candidate;
use super::judgement::Question;
use super::lookup::Ask;
use super::semantic::{Semantic, cosine};
use super::{Cache, context};
use crate::config::{DEFAULT_THRESHOLD, Judgement};

/// Candidates that are looked at, the nearest first: each may cost an embedding.
const MOST: usize = 4;

impl Cache {
    /// What of `ask` is judged, and by which of `candidates`. A request that was not condensed: its question, by all.
    ///
    /// Where some have the same turns before the question, their questions alone are compared, as within a scope. Else those
    /// remain whose turns agree by words and whose questions are by themselves as alike as the threshold asks: together
    /// with what they share, questions look more alike than they are.
    pub(super) async fn of_one_conversation<'a>(
        &self,
        ask: &'a Ask,
        candidates: Vec<Candidate>,
    ) -> (&'a str, Vec<Candidate>) {
        let (Some(asked), Some(semantic)) = (ask.compared.as_deref(), &self.semantic) else {
            return (ask.question.as_deref().unwrap_or_default(), candidates);
        };
        let (mut same, mut told_anew) = (Vec::new(), Vec::new());
        for candidate in candidates.into_iter().take(MOST) {
            let stored = candidate.kept.entry.question.as_deref().unwrap_or_default();
            if context::same_turns(asked, stored) {
                let Some(similarity) = of_questions(semantic, ask, asked, stored).await else { continue };
                let alone = Some(Question::read(context::question(stored)));
                same.push(Candidate { alone, similarity, ..candidate });
            } else if same.is_empty()
                && context::agrees(asked, stored, candidate.similarity)
                && of_questions(semantic, ask, asked, stored).await.is_some_and(|cosine| cosine >= bar(ask))
            {
                told_anew.push(candidate);
            }
        }
        if same.is_empty() {
            return (asked, told_anew);
        }
        same.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        (context::question(asked), same)
    }
}

/// How alike questions have to be by themselves.
fn bar(ask: &Ask) -> f32 {
    match ask.policy.judgement {
        Judgement::Static => ask.policy.threshold,
        // Without a threshold of the operator's, as near as where nothing is learned.
        Judgement::Learned => ask.policy.threshold.max(DEFAULT_THRESHOLD as f32),
    }
}

/// Cosine of the two questions alone; `None` where the model cannot say in time.
async fn of_questions(semantic: &Semantic, ask: &Ask, asked: &str, stored: &str) -> Option<f32> {
    if context::ask_the_same(asked, stored) {
        return Some(1.0);
    }
    let one = semantic.embed(context::question(asked), &ask.tenant).await?;
    let other = semantic.embed(context::question(stored), &ask.tenant).await?;
    Some(cosine(&one.values, &other.values))
}
