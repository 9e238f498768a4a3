//! `Entry`: a stored answer with all that decides who may have it.

use super::answer::Answer;
use super::caller::Tenant;
use super::ids::{Digest, EntryId};
use super::money::MicroUsd;
use super::surface::Surface;

/// A stored answer. Never changed once made; a newer answer is a newer entry.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Its name in headers, logs and purges.
    pub id: EntryId,
    /// Whose it is. Also part of `scope`; kept readable for statistics and overrides.
    pub tenant: Tenant,
    /// The surface it was asked through.
    pub surface: Surface,
    /// The model, as the caller named it.
    pub model: String,
    /// The provider that gave the answer.
    pub provider: String,
    /// Everything of the request but the question.
    pub scope: Digest,
    /// What it is compared within by meaning; `scope`, but for condensed follow-ups.
    pub meaning: Digest,
    /// Scope and question, exactly.
    pub exact: Digest,
    /// Scope and folded question, where folding applies.
    pub normalised: Option<Digest>,
    /// The text of the last user turn, of a condensed follow-up with short turns before it; `None` when there is none to
    /// compare by meaning.
    pub question: Option<String>,
    /// May be served to another question of near meaning.
    pub semantic: bool,
    /// The answer.
    pub answer: Answer,
    /// What the answer cost, when a price is known.
    pub cost: Option<MicroUsd>,
    /// How long its caller waited for it, in milliseconds.
    pub latency_ms: u64,
    /// Where the answer came from.
    pub source: Source,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// From when it is stale, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// Labels for a purge.
    pub tags: Vec<String>,
}

/// Where an entry's answer came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Source {
    /// A provider gave it.
    #[default]
    Fetched,
    /// The operator gave it, in a file of questions and answers.
    WarmUp,
}

impl Source {
    /// The word for the entry log and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Fetched => "fetched",
            Source::WarmUp => "warm_up",
        }
    }
}

impl Entry {
    /// Bytes it takes in memory, about; the vector of its question is the index's.
    pub fn bytes(&self) -> usize {
        let strings = self.tenant.0.len() + self.model.len() + self.provider.len();
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum();
        let lost = self.answer.lost.bytes();
        Entry::bytes_of(self.answer.body.len() + self.question.as_ref().map_or(0, String::len) + strings + tags + lost)
    }

    /// Bytes of memory that an entry takes, about, whose texts have so many.
    pub fn bytes_of(texts: usize) -> usize {
        // Two keys and an id in hash maps at their usual fill, places in the orders of leaving and of expiry, what counts
        // its uses, and its reference counts.
        let tables = 464;
        size_of::<Entry>() + tables + texts
    }

    /// Age in whole seconds at `now_ms`.
    pub fn age_s(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.created_ms) / 1000
    }
}
