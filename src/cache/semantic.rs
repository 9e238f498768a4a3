//! The semantic tier's two steps: embed the question, search its scope. A failure of either is just a miss.

use crate::types::caller::Tenant;
use crate::types::ids::Digest;
use askonce_index::{Index, Neighbor, ScopeKey};
use askonce_models::{Asker, Embedder};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The sentence model and the index of one cache.
pub(super) struct Semantic {
    embedder: Embedder,
    index: Arc<Index>,
    deadline_us: AtomicU64,
    /// Vectors known before their questions are asked: replay embeds a whole trace in large batches.
    preloaded: RwLock<HashMap<Box<str>, Vector>>,
}

/// A question's vector.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    pub(super) values: Arc<[f32]>,
    pub(super) embed: Duration,
    /// The question is longer than the model reads.
    pub(super) truncated: bool,
}

impl Semantic {
    pub(super) fn new(embedder: Embedder, index: Arc<Index>, deadline: Duration) -> Semantic {
        Semantic { embedder, index, deadline_us: AtomicU64::new(micros(deadline)), preloaded: RwLock::default() }
    }

    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// How long one question may take from now on.
    pub(super) fn set_deadline(&self, deadline: Duration) {
        self.deadline_us.store(micros(deadline), Ordering::Relaxed);
    }

    pub(super) fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// The question's vector, or `None` when the model cannot say within the deadline.
    pub(super) async fn embed(&self, question: &str, tenant: &Tenant) -> Option<Vector> {
        let started = Instant::now();
        if let Some(vector) = self.preloaded.read().get(question) {
            return Some(vector.clone());
        }
        let deadline = Duration::from_micros(self.deadline_us.load(Ordering::Relaxed));
        match tokio::time::timeout(deadline, self.embedder.embed(question, asker(tenant))).await {
            Ok(Ok(embedding)) => {
                Some(Vector { values: embedding.vector, embed: started.elapsed(), truncated: embedding.truncated })
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the question was not embedded; going on without the semantic tier");
                None
            }
            Err(_) => {
                tracing::warn!(
                    deadline_ms = deadline.as_millis() as u64,
                    "the question was not embedded in time; going on without the semantic tier"
                );
                None
            }
        }
    }

    /// A text's vector for work that no caller waits for. `None` when there is no room in the queue. Of a text that is
    /// longer than the model reads, its beginning counts.
    pub(super) async fn embed_patiently(&self, text: &str, tenant: &Tenant) -> Option<Arc<[f32]>> {
        self.embedder.embed(text, asker(tenant)).await.ok().map(|embedding| embedding.vector)
    }

    /// Keeps vectors that are known already: text, components, and whether the text is longer than the model reads.
    pub(super) fn preload(&self, known: impl Iterator<Item = (Box<str>, Arc<[f32]>, bool)>) {
        let kept = known.map(|(text, values, truncated)| (text, Vector { values, embed: Duration::ZERO, truncated }));
        self.preloaded.write().extend(kept);
    }

    /// The nearest stored questions of `scope`, best first.
    pub(super) fn nearest(&self, scope: Digest, vector: &[f32], k: usize, floor: f32) -> Option<Vec<Neighbor>> {
        match self.index.nearest(scope_key(scope), vector, k, floor) {
            Ok(neighbours) => Some(neighbours),
            Err(error) => {
                tracing::warn!(%error, "the index could not search; going on without the semantic tier");
                None
            }
        }
    }
}

/// Whose turn it is at the embedder: the tenant's, however many questions, scopes and keys it has.
pub(super) fn asker(tenant: &Tenant) -> Asker {
    Asker::new(tenant.tag())
}

/// Cosine of two unit vectors.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The index's partition of a scope: half of the digest. The full one is compared on a hit.
pub(super) fn scope_key(scope: Digest) -> ScopeKey {
    let mut key = [0; 16];
    key.copy_from_slice(&scope.0[..16]);
    ScopeKey(key)
}
