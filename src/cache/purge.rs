//! Purge: the ways to forget on demand. What would go can be looked at first.

use super::Cache;
use super::semantic::scope_key;
use crate::types::caller::Tenant;
use crate::types::entry::Entry;
use crate::types::ids::{Digest, EntryId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Entries of one scope that a purge by text finds at a time.
const NEAR_IN_SCOPE: usize = 1_000;

/// What to forget.
#[derive(Clone, PartialEq, Debug)]
pub enum Purge {
    /// One entry.
    Entry(EntryId),
    /// All entries that carry this tag.
    Tag(String),
    /// All entries of a scope.
    Scope(Digest),
    /// All entries of a tenant.
    Tenant(String),
    /// All entries of a model, by the name callers use.
    Model(String),
    /// All entries whose question is like this text.
    Like {
        /// The text.
        text: String,
        /// The least cosine of the two vectors, in [-1, 1].
        similarity: f32,
        /// In this scope only.
        scope: Option<Digest>,
        /// Of this tenant only.
        tenant: Option<String>,
    },
    /// Everything.
    All,
}

impl Purge {
    /// What it goes by, for the log; not the text itself.
    pub fn by(&self) -> &'static str {
        match self {
            Purge::Entry(_) => "entry",
            Purge::Tag(_) => "tag",
            Purge::Scope(_) => "scope",
            Purge::Tenant(_) => "tenant",
            Purge::Model(_) => "model",
            Purge::Like { .. } => "like",
            Purge::All => "all",
        }
    }

    fn matches(&self, entry: &Entry) -> bool {
        match self {
            Purge::Entry(id) => entry.id == *id,
            Purge::Tag(tag) => entry.tags.contains(tag),
            Purge::Scope(scope) => entry.scope == *scope,
            Purge::Tenant(tenant) => entry.tenant.name() == *tenant,
            Purge::Model(model) => entry.model == *model,
            Purge::Like { scope, tenant, .. } => {
                scope.is_none_or(|scope| entry.scope == scope)
                    && tenant.as_ref().is_none_or(|tenant| entry.tenant.name() == *tenant)
            }
            Purge::All => true,
        }
    }
}

/// An entry that a purge names.
#[derive(Clone, Debug)]
pub struct Named {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Of a purge by text: how like its question is.
    pub similarity: Option<f32>,
}

/// What a purge did.
#[derive(Clone, Debug)]
pub struct Purged {
    /// Entries that are gone from memory.
    pub entries: usize,
    /// They are gone from the disk too; if not, a restart brings them back.
    pub on_disk: bool,
    /// Some of them, as many as were wanted; by text, the most like first.
    pub shown: Vec<Named>,
}

/// Why a purge could not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PurgeError {
    /// There is no sentence model.
    #[error("to find what is like a text takes the semantic tier, and this gateway has no sentence model")]
    NoSemantic,
    /// The text could not be embedded.
    #[error(
        "the text could not be embedded in time, or is longer than the sentence model reads; try again, or shorten it"
    )]
    NotEmbedded,
    /// The index failed.
    #[error("the index could not be searched")]
    NotSearched,
}

impl Cache {
    /// What `purge` would forget: how many, and `most` of them.
    pub async fn would_purge(self: &Arc<Cache>, purge: &Purge, most: usize) -> Result<(usize, Vec<Named>), PurgeError> {
        let mut named = self.named(purge).await?;
        let count = named.len();
        named.truncate(most);
        Ok((count, named))
    }

    /// Forgets what `purge` names, in memory and on disk, and answers to requests that are under way. Gives `most` of
    /// what went.
    pub async fn purge(self: &Arc<Cache>, purge: &Purge, most: usize) -> Result<Purged, PurgeError> {
        let errors = self.writer.errors();
        // Before the entries go, so that none comes in after them.
        self.purges.fetch_add(1, Ordering::SeqCst);
        let mut named = self.named(purge).await?;
        named.retain(|named| self.entries.remove(named.entry.id).is_some());
        let gone: Vec<Arc<Entry>> = named.iter().map(|named| named.entry.clone()).collect();
        if *purge == Purge::All && self.entries.len() == 0 {
            self.writer.clear();
            if let Some(learned) = &self.learned {
                learned.forget(gone.iter().map(|entry| entry.id.0));
            }
        } else {
            self.forget(&gone);
            self.writer.compact();
        }
        self.writer.flush().await;
        named.truncate(most);
        Ok(Purged { entries: gone.len(), on_disk: self.writer.errors() == errors, shown: named })
    }

    /// The entries that `purge` names.
    async fn named(self: &Arc<Cache>, purge: &Purge) -> Result<Vec<Named>, PurgeError> {
        let plain = |entry: Arc<Entry>| Named { entry, similarity: None };
        match purge {
            Purge::Entry(id) => Ok(self.entries.by_id(*id).into_iter().map(plain).collect()),
            Purge::Like { text, similarity, .. } => self.like(purge, text, *similarity).await,
            other => {
                let (cache, other) = (self.clone(), other.clone());
                // Looks at every entry: not on a thread that serves requests.
                let found = tokio::task::spawn_blocking(move || {
                    let mut found: Vec<Named> =
                        cache.entries.all().into_iter().filter(|entry| other.matches(entry)).map(plain).collect();
                    found.sort_unstable_by_key(|named| named.entry.id);
                    found
                });
                Ok(found.await.unwrap_or_default())
            }
        }
    }

    /// The entries of the scopes and tenants that `purge` names whose questions are like `text`, the most like first.
    async fn like(self: &Arc<Cache>, purge: &Purge, text: &str, similarity: f32) -> Result<Vec<Named>, PurgeError> {
        let semantic = self.semantic.as_ref().ok_or(PurgeError::NoSemantic)?;
        let vector = semantic.embed(text, &Tenant("admin".to_owned())).await.ok_or(PurgeError::NotEmbedded)?;
        if vector.truncated {
            return Err(PurgeError::NotEmbedded);
        }
        let (cache, purge) = (self.clone(), purge.clone());
        let found = tokio::task::spawn_blocking(move || cache.near(&purge, &vector.values, similarity));
        found.await.unwrap_or(Err(PurgeError::NotSearched))
    }

    fn near(&self, purge: &Purge, vector: &[f32], similarity: f32) -> Result<Vec<Named>, PurgeError> {
        let semantic = self.semantic.as_ref().ok_or(PurgeError::NoSemantic)?;
        let candidates: HashMap<EntryId, Arc<Entry>> = self
            .entries
            .all()
            .into_iter()
            .filter(|entry| entry.semantic && purge.matches(entry))
            .map(|entry| (entry.id, entry))
            .collect();
        let scopes: HashSet<Digest> = candidates.values().map(|entry| entry.meaning).collect();
        let mut found = Vec::new();
        for scope in scopes {
            let near = semantic.index().nearest(scope_key(scope), vector, NEAR_IN_SCOPE, similarity);
            for neighbour in near.map_err(|_| PurgeError::NotSearched)? {
                if let Some(entry) = candidates.get(&EntryId(neighbour.id)) {
                    found.push(Named { entry: entry.clone(), similarity: Some(neighbour.similarity) });
                }
            }
        }
        found.sort_unstable_by(|a, b| b.similarity.unwrap_or(0.0).total_cmp(&a.similarity.unwrap_or(0.0)));
        Ok(found)
    }
}
