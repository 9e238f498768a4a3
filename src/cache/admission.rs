//! Admission: which answers may be stored, and storing them.

use super::Cache;
use super::policy::Policy;
use super::quota::holders;
use super::scope::Keys;
use super::semantic::asker;
use crate::types::answer::{Answer, Ending};
use crate::types::caller::Tenant;
use crate::types::entry::{Entry, Source};
use crate::types::money::MicroUsd;
use crate::types::outcome::NotStored;
use crate::types::surface::Surface;
use crate::wire::answer;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Words of an answer that are compared with `cache.refusal_phrases`.
const REFUSAL_WORDS: usize = 32;

/// What a miss carries along until its answer comes.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(super) keys: Keys,
    pub(super) policy: Policy,
    pub(super) question: Option<String>,
    pub(super) vector: Option<Arc<[f32]>>,
    /// The question is longer than the sentence model reads: it cannot be compared by meaning.
    pub(super) truncated: bool,
    pub(super) tenant: Tenant,
    pub(super) surface: Surface,
    pub(super) model: String,
    pub(super) tags: Vec<String>,
    /// Purges before the answer was asked for.
    pub(super) purges: u64,
    /// When the answer was asked for.
    pub(super) asked_ms: u64,
    /// Where the answer comes from.
    pub(super) source: Source,
}

impl Ticket {
    /// Was a stored answer looked for?
    pub fn is_read(&self) -> bool {
        self.policy.read
    }

    /// The question, as it is stored.
    pub fn question(&self) -> Option<&str> {
        self.question.as_deref()
    }

    /// The vector of the question, where the lookup made one.
    pub fn vector(&self) -> Option<&Arc<[f32]>> {
        self.vector.as_ref()
    }

    /// Is the answer to be stored, if it can be?
    pub fn is_stored(&self) -> bool {
        self.policy.write
    }
}

/// May this answer be stored? A pure choice.
fn may_store(policy: &Policy, answer: &Answer, max_bytes: u64, refusals: &[String]) -> Result<(), NotStored> {
    if !policy.write {
        return Err(NotStored::NotAsked);
    }
    match answer.ending {
        Ending::Whole => {}
        Ending::Length => return Err(NotStored::Truncated),
        Ending::Filtered => return Err(NotStored::Filtered),
        Ending::Unfinished => return Err(NotStored::Incomplete),
    }
    if answer.body.len() as u64 > max_bytes {
        return Err(NotStored::TooLarge);
    }
    if !refusals.is_empty() && begins_with_refusal(answer, refusals) {
        return Err(NotStored::Refused);
    }
    Ok(())
}

/// Do the words of any choice begin with one of these phrases? Only where the operator has named some: words alone do
/// not tell a refusal from an answer that speaks of one.
fn begins_with_refusal(answer: &Answer, refusals: &[String]) -> bool {
    let texts = answer::texts(answer.surface, &answer.body);
    texts.iter().any(|text| {
        let words: Vec<String> = text.split_whitespace().take(REFUSAL_WORDS).map(str::to_lowercase).collect();
        let beginning = words.join(" ").replace('’', "'");
        refusals.iter().any(|phrase| beginning.starts_with(phrase.as_str()))
    })
}

impl Cache {
    /// Stores a complete answer under the ticket's keys. When this returns, the next lookup finds it, and a killed
    /// process does not lose it.
    pub async fn admit(
        &self,
        ticket: &Ticket,
        answer: &Answer,
        provider: &str,
        cost: Option<MicroUsd>,
    ) -> Result<Arc<Entry>, NotStored> {
        let settings = self.settings.load_full();
        may_store(&ticket.policy, answer, settings.max_answer_bytes, &settings.refusal_phrases)?;
        let now_ms = self.clock.now_ms();
        let ttl_ms = u64::try_from(ticket.policy.ttl.as_millis()).unwrap_or(u64::MAX);
        let by_meaning = self.semantic.is_some()
            && ticket.policy.semantic
            && !ticket.truncated
            // Arguments of tool calls are drawn from the very words of a question.
            && !answer.tool_calls
            && ticket.question.as_deref().is_some_and(|question| !question.trim().is_empty());
        let entry = Arc::new(Entry {
            id: self.new_id(),
            tenant: ticket.tenant.clone(),
            surface: ticket.surface,
            model: ticket.model.clone(),
            provider: provider.to_owned(),
            scope: ticket.keys.scope,
            meaning: ticket.keys.meaning,
            exact: ticket.keys.exact,
            normalised: ticket.keys.normalised.filter(|_| ticket.policy.normalised),
            question: ticket.question.clone(),
            semantic: by_meaning,
            answer: Answer {
                // A copy of its own: a slice would keep the connection's whole read buffer in memory.
                body: Bytes::copy_from_slice(&answer.body),
                ..answer.clone()
            },
            cost,
            latency_ms: now_ms.saturating_sub(ticket.asked_ms),
            source: ticket.source,
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(ttl_ms),
            tags: ticket.tags.clone(),
        });
        if !self.entries.fits_quota(&entry) {
            return Err(NotStored::Quota);
        }
        // What the operator stores is not what a quota is against.
        let limited = ticket.source != Source::WarmUp;
        if limited && !self.buckets.take(&holders(entry.scope, &entry.tenant), now_ms) {
            return Err(NotStored::InsertRate);
        }
        let gone = self.entries.insert(entry.clone());
        // A purge that came while the answer was on its way means this answer too.
        if self.purges.load(Ordering::SeqCst) != ticket.purges {
            self.entries.remove(entry.id);
            self.forget(&gone);
            return Err(NotStored::Purged);
        }
        let stored = self.writer.store(entry.clone(), ticket.vector.clone());
        self.forget(&gone);
        stored.acknowledged().await;
        if by_meaning && ticket.vector.is_none() {
            self.index_later(entry.clone());
        }
        Ok(entry)
    }

    /// Embeds and indexes an entry whose vector is not known yet, without making anyone wait.
    pub(super) fn index_later(&self, entry: Arc<Entry>) {
        let Some(semantic) = &self.semantic else { return };
        let (embedder, writer) = (semantic.embedder().clone(), self.writer.handle());
        tokio::spawn(async move {
            let Some(question) = entry.question.as_deref() else {
                return;
            };
            match embedder.embed(question, asker(&entry.tenant)).await {
                Ok(embedding) if embedding.truncated => {}
                Ok(embedding) => writer.index(entry, embedding.vector),
                Err(error) => tracing::warn!(%error, entry = %entry.id, "not indexed: only its own words will find it"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::types::directives::Directives;

    #[test]
    fn only_whole_answers_are_stored() {
        let overrides = config::Overrides { data_dir: Some("unused".into()), ..config::Overrides::default() };
        let settings = config::parse("", "test", &overrides, &|_| None).unwrap().cache;
        let policy = Policy::decide(&settings, "t", "m", &Directives::default()).unwrap();
        let no_store = Policy { write: false, ..policy.clone() };
        let answer = |ending| Answer {
            surface: Surface::ChatCompletions,
            body: vec![b'x'; 10].into(),
            id_span: None,
            created_span: None,
            usage: None,
            usage_unasked: false,
            ending,
            tool_calls: false,
            lost: Default::default(),
        };
        let table = [
            (&policy, Ending::Whole, 10, Ok(())),
            (&policy, Ending::Whole, 9, Err(NotStored::TooLarge)),
            (&policy, Ending::Length, 10, Err(NotStored::Truncated)),
            (&policy, Ending::Filtered, 10, Err(NotStored::Filtered)),
            (&policy, Ending::Unfinished, 10, Err(NotStored::Incomplete)),
            (&no_store, Ending::Whole, 10, Err(NotStored::NotAsked)),
        ];
        for (policy, ending, max_bytes, expected) in table {
            assert_eq!(may_store(policy, &answer(ending), max_bytes, &[]), expected, "{ending:?}");
        }
        let phrases = ["i'm sorry, but i can't".to_owned()];
        let said = |text: &str| {
            let body = serde_json::json!({"choices": [{"message": {"content": text}}]}).to_string();
            may_store(&policy, &Answer { body: body.into(), ..answer(Ending::Whole) }, 1000, &phrases)
        };
        assert_eq!(said("I’m sorry,  but I can't help with that."), Err(NotStored::Refused));
        assert_eq!(said("She said: I'm sorry, but I can't."), Ok(()));
        assert_eq!(said(""), Ok(()));
    }
}
