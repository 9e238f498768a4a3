//! Floor 3: the cache. Exact about everything, fuzzy about one thing: the question.
//!
//! A lookup goes through tiers: the exact key, the normalised key, then meaning. What decides:
//!
//! - `policy`: whether and how the cache may be used for one request
//! - `scope`: the digests; who may share an answer at all
//! - `question`: folding of trivial differences, for the normalised tier
//! - `semantic`: embed and search; `judgement` and `verify`: which candidate may be served, if any
//! - `context`: what a follow-up is compared by; `follow_ups`: what has to hold beside the judgement
//! - `judged`, `learned`: the judgement at work in this cache, and its state; `feedback`: what callers say of answers
//! - `explain`: what would happen to a request, and why
//! - `flight`: identical misses share one upstream call; `aloft`: near ones wait for it
//! - `staleness`: how soon an answer is out of date; `revalidation`: old answers served while they are fetched anew
//! - `admission`: which answers may be stored; `quota`: how many of them a minute
//! - `entries`: the table in memory, with its byte budget and quotas; `eviction`, `order`: which of them go for room
//! - `writer`: the thread that makes changes outlive the process
//! - `lookup`: the tiers in their order; `purge`: the ways to forget; `warm_up`: answers of the operator's own

mod admission;
mod aloft;
pub mod context;
mod entries;
pub mod eviction;
mod explain;
mod feedback;
pub mod flight;
mod follow_ups;
mod judged;
pub mod judgement;
mod learned;
mod lookup;
mod opening;
mod order;
pub mod policy;
mod purge;
pub mod question;
mod quota;
mod revalidation;
pub mod scope;
mod semantic;
pub mod staleness;
pub mod verify;
mod warm_up;
mod writer;

pub use admission::Ticket;
pub use entries::Evicted;
pub use explain::{Explained, Foreseen, Near};
pub use feedback::{About, Feedback, Unknown};
pub use judged::Comparison;
pub use learned::{LearnedError, Owner, ScopeState};
pub use lookup::{Ask, Check, Hit, Lookup, Miss, Timing};
pub use opening::{CacheError, Opened, Parts};
pub use purge::{Named, Purge, PurgeError, Purged};
pub use revalidation::{Refresh, Stale};
pub use warm_up::Warm;

use crate::config;
use crate::types::caller::Tenant;
use crate::types::clock::Clock;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;
use aloft::Aloft;
use arc_swap::ArcSwap;
use askonce_models::{Asker, EmbedderStats};
use entries::Entries;
use feedback::Answered;
use flight::Flights;
use judgement::Overview;
use learned::Learned;
use quota::Buckets;
use semantic::{Semantic, cosine};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use writer::Writer;

/// The cache, shared by all requests.
pub struct Cache {
    settings: ArcSwap<config::Cache>,
    entries: Arc<Entries>,
    semantic: Option<Semantic>,
    /// The learned judgement, where there are weights for the sentence model.
    learned: Option<Learned>,
    /// Answers that were given, for feedback on them.
    answered: Answered,
    /// Entries that left because their answers were wrong.
    wrong: AtomicU64,
    flights: Arc<Flights>,
    /// Questions that are being fetched, for near ones to wait.
    aloft: Arc<Aloft>,
    writer: Writer,
    clock: Clock,
    next_id: AtomicU64,
    /// How many new answers a scope and a tenant may store.
    buckets: Buckets,
    /// Counts purges: an answer that was asked for before one is not stored after it.
    purges: AtomicU64,
}

/// What the cache holds, for `/metrics` and the admin API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Stored answers.
    pub entries: usize,
    /// Bytes they are charged with, of `cache.memory_bytes`.
    pub bytes: usize,
    /// Entries that left for room since the start.
    pub evicted: Evicted,
    /// Entries that left because they had expired.
    pub expired: u64,
    /// Entries that left because their answers were wrong.
    pub wrong: u64,
    /// Changes that could not be written to disk since the start.
    pub write_errors: u64,
    /// Vectors in the index, and the scopes they are in.
    pub vectors: usize,
    /// Scopes that hold vectors.
    pub scopes: usize,
    /// Bytes of the index in memory, about.
    pub index_bytes: usize,
    /// What the sentence model did; `None` without one.
    pub embedder: Option<EmbedderStats>,
    /// What the judgement has learned; `None` where it is static.
    pub judgement: Option<Overview>,
}

impl Cache {
    /// The settings in force.
    pub fn settings(&self) -> Arc<config::Cache> {
        self.settings.load_full()
    }

    /// Puts new settings in force. Entries keep the expiry they were stored with.
    pub fn reconfigure(&self, settings: config::Cache, embed_deadline: Duration) {
        if let Some(semantic) = &self.semantic {
            semantic.set_deadline(embed_deadline);
        }
        let budget = usize::try_from(settings.memory_bytes).unwrap_or(usize::MAX);
        let settings = match &self.learned {
            Some(learned) => {
                learned.reconfigure(&settings);
                settings
            }
            None => settings.without_learning(),
        };
        self.settings.store(Arc::new(settings));
        let evicted = self.entries.set_budget(budget);
        self.forget(&evicted);
    }

    /// The flights of this cache.
    pub fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// Milliseconds since the Unix epoch, by the cache's clock.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The entry `id`, if it is stored.
    pub fn entry(&self, id: EntryId) -> Option<Arc<Entry>> {
        self.entries.by_id(id)
    }

    /// How often the entry `id` was used since the start, its making included.
    pub fn uses(&self, id: EntryId) -> u64 {
        self.entries.uses(id)
    }

    /// May an expired entry stand in for an answer that nobody can give now?
    fn may_serve_stale(&self, entry: &Entry, policy: &policy::Policy) -> bool {
        let grace_ms = u64::try_from(self.settings.load().stale_if_error.as_millis()).unwrap_or(u64::MAX);
        self.clock.now_ms() < policy.fresh_until_ms(entry.created_ms, entry.expires_ms).saturating_add(grace_ms)
    }

    /// Drops entries that can never be served again. Gives how many.
    pub fn sweep(&self) -> usize {
        let keep_ms = revalidation::kept_past_expiry_ms(&self.settings.load());
        let gone = self.entries.remove_expired(self.clock.now_ms().saturating_sub(keep_ms));
        self.forget(&gone);
        gone.len()
    }

    /// What the cache holds.
    pub fn stats(&self) -> Stats {
        let index = self.semantic.as_ref().map(|semantic| semantic.index().stats());
        Stats {
            entries: self.entries.len(),
            bytes: self.entries.bytes(),
            evicted: self.entries.evicted(),
            expired: self.entries.expired(),
            wrong: self.wrong.load(Ordering::Relaxed),
            write_errors: self.writer.errors(),
            vectors: index.as_ref().map_or(0, |stats| stats.live),
            scopes: index.as_ref().map_or(0, |stats| stats.scopes),
            index_bytes: index.as_ref().map_or(0, |stats| stats.bytes as usize),
            embedder: self.semantic.as_ref().map(|semantic| semantic.embedder().stats()),
            judgement: self.learned.as_ref().map(Learned::overview),
        }
    }

    /// Writes everything that is waiting, and syncs it to the disk. For an orderly end.
    pub async fn flush(&self) {
        self.writer.flush().await;
        self.save_judgement();
    }

    /// Writes what the judgement has learned to the disk, if there is anything new. Waits for the disk.
    pub fn save_judgement(&self) {
        if let Some(Err(error)) = self.learned.as_ref().map(Learned::save) {
            tracing::error!(%error, "what the judgement has learned was not written; it is tried again");
        }
    }

    /// The scopes that the judgement knows; none where it is static.
    pub fn scopes(&self) -> Vec<ScopeState> {
        self.learned.as_ref().map_or_else(Vec::new, Learned::scopes)
    }

    /// Error budgets in use, and the λ of each.
    pub fn lambdas(&self) -> Vec<(f64, f32)> {
        self.learned.as_ref().map_or_else(Vec::new, Learned::lambdas)
    }

    /// Waits until the index has done its background work. For replay and tests.
    pub fn settle(&self) {
        if let Some(semantic) = &self.semantic {
            semantic.index().settle();
        }
    }

    /// Is there a semantic tier?
    pub fn has_semantic(&self) -> bool {
        self.semantic.is_some()
    }

    /// Takes vectors that are known already, so that looking their texts up takes no time: text, components, and whether
    /// the text is longer than the model reads. For replay.
    pub fn preload(&self, known: impl Iterator<Item = (Box<str>, Arc<[f32]>, bool)>) {
        if let Some(semantic) = &self.semantic {
            semantic.preload(known);
        }
    }

    /// How long each of `texts` takes to embed, one at a time. For replay.
    pub async fn time_embedding(&self, texts: &[&str]) -> Vec<Duration> {
        let Some(semantic) = &self.semantic else {
            return Vec::new();
        };
        let mut took = Vec::with_capacity(texts.len());
        for text in texts {
            let started = Instant::now();
            if semantic.embedder().embed(text, Asker::default()).await.is_ok() {
                took.push(started.elapsed());
            }
        }
        took
    }

    /// Cosine of the vectors of two texts, for comparing answers. `None` without a sentence model, or when it is busy.
    pub async fn likeness(&self, one: &str, other: &str, tenant: &Tenant) -> Option<f32> {
        let semantic = self.semantic.as_ref()?;
        let one = semantic.embed_patiently(one, tenant).await?;
        let other = semantic.embed_patiently(other, tenant).await?;
        Some(cosine(&one, &other))
    }

    /// Takes entries that left the table out of the index, the log and the judgement's memory.
    fn forget(&self, gone: &[Arc<Entry>]) {
        if gone.is_empty() {
            return;
        }
        self.writer.remove(gone);
        if let Some(learned) = &self.learned {
            learned.forget(gone.iter().map(|entry| entry.id.0));
        }
    }

    fn new_id(&self) -> EntryId {
        EntryId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}
