//! Warm-up: answers that the operator brings, stored as if a provider had given them.

use super::Cache;
use super::lookup::Ask;
use crate::types::answer::Answer;
use crate::types::entry::{Entry, Source};
use crate::types::money::MicroUsd;
use crate::types::outcome::NotStored;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One question with its answer.
#[derive(Clone, Debug)]
pub struct Warm {
    /// The question, as the request of a caller would put it.
    pub ask: Ask,
    /// Its answer.
    pub answer: Answer,
    /// The provider that it stands for.
    pub provider: String,
    /// What it would cost there, when a price is known.
    pub cost: Option<MicroUsd>,
}

impl Cache {
    /// Stores `answers`, whose questions are embedded together. Gives, in their order, the entries or why there is none.
    pub async fn warm_up(self: &Arc<Cache>, answers: Vec<Warm>) -> Vec<Result<Arc<Entry>, NotStored>> {
        let vectors = self.vectors(&answers).await;
        let mut stored = Vec::with_capacity(answers.len());
        for warm in answers {
            let mut ticket = self.ticket(&warm.ask, self.purges.load(Ordering::SeqCst), Source::WarmUp);
            if let Some((vector, truncated)) = warm.ask.question.as_deref().and_then(|text| vectors.get(text)) {
                ticket.truncated = *truncated;
                ticket.vector = (!truncated).then(|| vector.clone());
            }
            stored.push(self.admit(&ticket, &warm.answer, &warm.provider, warm.cost).await);
        }
        stored
    }

    /// The vectors of the questions, by text. Without them the entries are embedded one by one when they are stored.
    async fn vectors(self: &Arc<Cache>, answers: &[Warm]) -> HashMap<String, (Arc<[f32]>, bool)> {
        let compared = |warm: &&Warm| warm.ask.policy.semantic && !warm.answer.tool_calls;
        let texts = answers.iter().filter(compared).filter_map(|warm| warm.ask.question.clone());
        let mut texts: Vec<String> = texts.filter(|text| !text.trim().is_empty()).collect();
        texts.sort_unstable();
        texts.dedup();
        let cache = self.clone();
        let embedded = tokio::task::spawn_blocking(move || {
            let semantic = cache.semantic.as_ref()?;
            let parts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let vectors = semantic.embedder().embed_batch(&parts, &|_| {});
            match vectors {
                Ok(vectors) => Some(texts.into_iter().zip(vectors).collect::<Vec<_>>()),
                Err(error) => {
                    tracing::warn!(%error, "questions of a warm-up were not embedded together; they are one by one");
                    None
                }
            }
        });
        let embedded = embedded.await.ok().flatten().unwrap_or_default();
        embedded.into_iter().map(|(text, embedding)| (text, (embedding.vector, embedding.truncated))).collect()
    }
}
