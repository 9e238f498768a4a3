//! Opening: a cache built from its settings, its model and what the last run left on disk.

use super::entries::{Entries, House};
use super::feedback::Answered;
use super::learned::{Learned, LearnedError};
use super::quota::Buckets;
use super::revalidation::kept_past_expiry_ms;
use super::semantic::{Semantic, asker, scope_key};
use super::writer::{Targets, Writer};
use super::{Cache, flight::Flights};
use crate::config;
use crate::store::entry_log::EntryLog;
use crate::types::clock::Clock;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;
use arc_swap::ArcSwap;
use askonce_index::{GraphKind, Index, IndexConfig};
use askonce_models::Embedder;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What a cache is built from.
pub struct Parts {
    /// Its settings.
    pub settings: config::Cache,
    /// How vectors are indexed.
    pub index: config::Index,
    /// The sentence model; without it there is no semantic tier.
    pub embedder: Option<Embedder>,
    /// How long one question may take to embed.
    pub embed_deadline: Duration,
    /// Where entries and vectors are kept; `None` keeps them in memory only.
    pub dir: Option<PathBuf>,
    /// The time.
    pub clock: Clock,
}

/// What opening found.
#[derive(Debug, Default)]
pub struct Opened {
    /// Entries from the last run.
    pub entries: usize,
    /// Of those, how many are being embedded again because their vector is missing or another model's.
    pub unindexed: usize,
    /// What was damaged and set aside, in words.
    pub notes: Vec<String>,
    /// Why nothing is learned although the settings say so, in words.
    pub static_because: Option<String>,
}

/// Why a cache cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The entry log or its folder.
    #[error("the cache in {}: {source}", dir.display())]
    Store {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The index.
    #[error("the cache's index: {0}")]
    Index(#[from] askonce_index::IndexError),
    /// The learned judgement.
    #[error(transparent)]
    Judgement(#[from] LearnedError),
    /// The writer's thread.
    #[error("the cache's writer thread: {0}")]
    Thread(std::io::Error),
}

impl Cache {
    /// Opens a cache. Must be called within the async runtime: entries without a vector are embedded in the background.
    pub fn open(mut parts: Parts) -> Result<(Arc<Cache>, Opened), CacheError> {
        let mut opened = Opened::default();
        let (log, stored) = match &parts.dir {
            Some(dir) => {
                let (log, recovery) =
                    EntryLog::open(dir).map_err(|source| CacheError::Store { dir: dir.clone(), source })?;
                opened.notes.extend(recovery.notes);
                (Some(log), recovery.entries)
            }
            None => (None, Vec::new()),
        };
        let learned = match &parts.embedder {
            // Where it is static today, it may be learned after a reload.
            Some(embedder) => Learned::open(&parts.settings, embedder.spec(), parts.dir.as_deref(), &mut opened)?,
            None => None,
        };
        if learned.is_none() {
            parts.settings = parts.settings.without_learning();
        }
        let index = parts.embedder.as_ref().map(|embedder| open_index(embedder, &parts, &mut opened)).transpose()?;
        let vector_bytes = parts.embedder.as_ref().map_or(0, |embedder| embedder.spec().width * size_of::<f32>());
        let budget = usize::try_from(parts.settings.memory_bytes).unwrap_or(usize::MAX);
        let settings = &parts.settings;
        let entries = Arc::new(Entries::new(House {
            budget,
            vector_bytes,
            eviction: settings.eviction,
            wait_usd_per_hour: settings.wait_usd_per_hour,
            quota: settings.quota,
        }));
        let next_id = stored.iter().map(|entry| entry.id.0).max().unwrap_or(0) + 1;
        // As with the sweep: what may still stand in for a failing provider stays.
        let grace_ms = kept_past_expiry_ms(&parts.settings);
        let now_ms = parts.clock.now_ms();
        let mut gone = Vec::new();
        for entry in stored {
            if entry.expires_ms.saturating_add(grace_ms) > now_ms {
                gone.extend(entries.insert(Arc::new(entry)))
            } else {
                gone.push(Arc::new(entry))
            }
        }
        if let Some(learned) = &learned {
            learned.retain(|entry| entries.holds(EntryId(entry)));
        }
        let unindexed = index.as_ref().map_or_else(Vec::new, |index| reconcile(&entries, index));
        opened.entries = entries.len();
        opened.unindexed = unindexed.len();
        let (live, held) = (entries.clone(), entries.clone());
        let writer = Writer::start(Targets {
            index: index.clone(),
            log,
            sync_interval: parts.settings.sync.interval,
            live: Box::new(move || live.all()),
            holds: Box::new(move |id| held.holds(id)),
        })
        .map_err(CacheError::Thread)?;
        let semantic =
            parts.embedder.zip(index).map(|(embedder, index)| Semantic::new(embedder, index, parts.embed_deadline));
        let cache = Arc::new(Cache {
            buckets: Buckets::new(parts.settings.quota),
            learned,
            answered: Answered::new(parts.settings.feedback_answers),
            wrong: AtomicU64::new(0),
            settings: ArcSwap::from_pointee(parts.settings),
            entries,
            semantic,
            flights: Arc::new(Flights::default()),
            aloft: Arc::default(),
            writer,
            clock: parts.clock,
            next_id: AtomicU64::new(next_id),
            purges: AtomicU64::new(0),
        });
        cache.forget(&gone);
        cache.embed_missing(unindexed);
        Ok((cache, opened))
    }

    /// Embeds entries one after the other, so that requests come first.
    fn embed_missing(&self, missing: Vec<Arc<Entry>>) {
        let Some(semantic) = self.semantic.as_ref().filter(|_| !missing.is_empty()) else {
            return;
        };
        let (embedder, writer) = (semantic.embedder().clone(), self.writer.handle());
        tokio::spawn(async move {
            for entry in missing {
                let Some(question) = entry.question.as_deref() else {
                    continue;
                };
                match embedder.embed(question, asker(&entry.tenant)).await {
                    Ok(embedding) if !embedding.truncated => writer.index(entry, embedding.vector),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, entry = %entry.id, "not indexed: only its own words will find it")
                    }
                }
            }
        });
    }
}

fn open_index(embedder: &Embedder, parts: &Parts, opened: &mut Opened) -> Result<Arc<Index>, CacheError> {
    let spec = embedder.spec();
    let config = IndexConfig {
        graph: match parts.index.graph {
            config::GraphKind::Packed => GraphKind::Packed,
            config::GraphKind::HnswRs => GraphKind::HnswRs,
        },
        ef_search: parts.index.ef_search,
        threads: parts.index.threads,
        sync_window: parts.settings.sync.interval,
        ..IndexConfig::new(spec.width, spec.variant.clone())
    };
    let Some(dir) = &parts.dir else {
        return Ok(Arc::new(Index::in_memory(config)?));
    };
    let (index, recovery) = Index::open(&dir.join("index"), config)?;
    opened.notes.extend(recovery.notes);
    Ok(Arc::new(index))
}

/// Makes index and entries agree: vectors of entries that are gone go too. Gives the entries that lack a vector.
fn reconcile(entries: &Entries, index: &Index) -> Vec<Arc<Entry>> {
    let indexed: HashSet<_> = index.ids().into_iter().collect();
    for (scope, id) in &indexed {
        let kept =
            entries.by_id(EntryId(*id)).is_some_and(|entry| entry.semantic && scope_key(entry.meaning) == *scope);
        if !kept && let Err(error) = index.remove(*scope, *id) {
            tracing::warn!(%error, "a vector without an entry stays in the index's file");
        }
    }
    let lacks = |entry: &Arc<Entry>| entry.semantic && !indexed.contains(&(scope_key(entry.meaning), entry.id.0));
    entries.all().into_iter().filter(lacks).collect()
}
