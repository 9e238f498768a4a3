//! `Secrets`: what is kept of each reference. A round reads all of them; one that fails leaves what was known, and says so.

use super::local;
use super::stores::{Read, Stores};
use crate::config::{Draft, Resolved};
use crate::telemetry::metrics;
use crate::types::reference::Reference;
use crate::types::secret::Secret;
use parking_lot::Mutex;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A round after one that failed comes no later than this.
const SOON: Duration = Duration::from_secs(30);
/// Rounds that were not due come no more often than this, whatever a provider refuses.
const EARLY: Duration = Duration::from_secs(30);
/// So many bytes of a hash are shown.
const SHOWN: usize = 4;

/// Why settings cannot be had with what they refer to.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets that cannot be read, and of which nothing is known from before.
    #[error("{}", .0.join("\n"))]
    Unread(Vec<String>),
    /// The settings are not right with what was read.
    #[error(transparent)]
    Settings(#[from] crate::config::ConfigError),
}

/// What is kept of one reference, without its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The reference.
    pub reference: Reference,
    /// How long ago it was read; `None`: never.
    pub age: Option<Duration>,
    /// Why the last try failed; `None`: it did not.
    pub error: Option<String>,
    /// A few digits by which one sees that the value changed. They tell nothing to who does not know this process's own key.
    pub fingerprint: Option<String>,
}

#[derive(Default)]
struct Slot {
    value: Option<Secret>,
    read: Option<Instant>,
    error: Option<String>,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<Reference, Slot>,
    stores: Option<Arc<Stores>>,
    /// When the last round began.
    round: Option<Instant>,
    /// When the last round that was not due began.
    early: Option<Instant>,
}

/// The secrets of one gateway.
pub struct Secrets {
    state: Mutex<State>,
    /// What fingerprints are made with.
    key: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("references", &self.state.lock().slots.len()).finish_non_exhaustive()
    }
}

impl Default for Secrets {
    fn default() -> Secrets {
        Secrets { state: Mutex::default(), key: rand::rng().random() }
    }
}

impl Secrets {
    /// The settings of `draft` with what they refer to, all of it read now. What cannot be read is as it was known before; where
    /// nothing is known, the error names each reference and its store.
    pub async fn resolve(&self, draft: &Draft) -> Result<Resolved, SecretsError> {
        let settings = self.read(draft).await?;
        self.keep_only(draft);
        Ok(settings)
    }

    /// Forgets what `draft` does not refer to.
    pub fn keep_only(&self, draft: &Draft) {
        let wanted = references(draft);
        self.state.lock().slots.retain(|reference, _| wanted.contains(reference));
    }

    /// As [`Secrets::resolve`], of a draft that may never be in force: what others refer to is still kept.
    pub async fn read(&self, draft: &Draft) -> Result<Resolved, SecretsError> {
        let wanted = references(draft);
        if wanted.is_empty() {
            return Ok(draft.settings().clone());
        }
        self.round(draft, &wanted, true).await?;
        let unread = self.unread(draft);
        if !unread.is_empty() {
            return Err(SecretsError::Unread(unread));
        }
        Ok(draft.filled(&self.values())?)
    }

    /// Reads again what `draft` refers to, where it is due: files that changed at once, everything when its time has come, or when
    /// `refused` says that a provider refused a key. True where a value is another than before.
    pub async fn refresh(&self, draft: &Draft, refused: bool) -> bool {
        let wanted = references(draft);
        if wanted.is_empty() {
            return false;
        }
        // What a reload that was refused asked for is nobody's.
        self.state.lock().slots.retain(|reference, _| wanted.contains(reference));
        let changed = self.keep(self.local(draft, &wanted), true);
        let stores = self.state.lock().stores.clone();
        if let Some(stores) = &stores {
            stores.tend().await;
        }
        // What changed here may open a store.
        if !changed && !self.is_due(draft.settings().secrets.refresh, refused) {
            return false;
        }
        match self.round(draft, &wanted, false).await {
            Ok(more) => changed || more,
            Err(error) => {
                tracing::error!("secrets are not read again: {error}");
                changed
            }
        }
    }

    /// The settings of `draft` with what is known of its references.
    pub fn fill(&self, draft: &Draft) -> Result<Resolved, SecretsError> {
        Ok(draft.filled(&self.values())?)
    }

    /// Is it time for a round? If so, it begins now.
    fn is_due(&self, refresh: Duration, refused: bool) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let since = |when: Option<Instant>| when.map_or(Duration::MAX, |when| now.saturating_duration_since(when));
        let failing = state.slots.values().any(|slot| slot.error.is_some());
        let every = if failing { refresh.min(SOON) } else { refresh };
        if since(state.round) >= every {
            return true;
        }
        let early = refused && since(state.early) >= EARLY && since(state.round) >= Duration::from_secs(1);
        if early {
            state.early = Some(now);
        }
        early
    }

    /// One round: this machine's stores, then with their help the others.
    async fn round(&self, draft: &Draft, wanted: &BTreeSet<Reference>, patient: bool) -> Result<bool, SecretsError> {
        self.state.lock().round = Some(Instant::now());
        let mut changed = self.keep(self.local(draft, wanted), false);
        // What opens the stores is known now.
        let settings = draft.filled(&self.values())?.secrets;
        let stores = self.stores(draft, &settings, wanted);
        let read = stores.read(wanted.iter().filter(|one| !one.store.is_local()), patient).await;
        changed |= self.keep(read, false);
        Ok(changed)
    }

    /// The stores for these settings: those that are open, if they serve.
    fn stores(&self, draft: &Draft, settings: &crate::config::Secrets, wanted: &BTreeSet<Reference>) -> Arc<Stores> {
        let open = self.state.lock().stores.clone();
        if let Some(open) = open.filter(|open| open.serve_for(settings, wanted)) {
            return open;
        }
        let opened = Arc::new(Stores::new(settings, wanted, &|name| draft.variable(name)));
        self.state.lock().stores = Some(opened.clone());
        opened
    }

    fn local(&self, draft: &Draft, wanted: &BTreeSet<Reference>) -> Read {
        let variable = |name: &str| draft.variable(name);
        let local = wanted.iter().filter(|one| one.store.is_local());
        local.map(|one| (one.clone(), local::read(one, &variable))).collect()
    }

    /// Keeps what was read. True where something known is another than before. A `quiet` look counts only what it finds changed.
    fn keep(&self, read: Read, quiet: bool) -> bool {
        let (mut changed, now) = (false, Instant::now());
        let mut state = self.state.lock();
        for (reference, result) in read {
            let store = reference.store.as_str();
            let slot = state.slots.entry(reference.clone()).or_default();
            let outcome = match result {
                Ok(value) => {
                    let same = slot.value.as_ref() == Some(&value);
                    let other = slot.value.is_some() && !same;
                    let outcome = if other { "changed" } else { "read" };
                    if other {
                        tracing::info!(store, reference = reference.as_str(), "a secret has changed");
                        changed = true;
                    }
                    if slot.error.take().is_some() {
                        tracing::info!(store, reference = reference.as_str(), "a secret can be read again");
                    }
                    (slot.value, slot.read) = (Some(value), Some(now));
                    outcome
                }
                Err(failure) => {
                    if slot.error.as_ref() != Some(&failure.why) && slot.value.is_some() {
                        let (reference, why) = (reference.as_str(), failure.why.as_str());
                        tracing::warn!(store, reference, why, "a secret cannot be read; the last known value stays");
                    }
                    slot.error = Some(failure.why);
                    "failed"
                }
            };
            if !quiet || outcome == "changed" {
                metrics::secret_refreshed(store, outcome);
            }
        }
        changed
    }

    /// What is said of each reference of `draft` of which no value is known.
    fn unread(&self, draft: &Draft) -> Vec<String> {
        let state = self.state.lock();
        let mut said = BTreeSet::new();
        let mut unread = Vec::new();
        for one in &draft.settings().secrets.references {
            let slot = state.slots.get(&one.reference).filter(|slot| slot.value.is_none());
            if let Some(slot) = slot.filter(|_| said.insert(&one.reference)) {
                let why = slot.error.as_deref().unwrap_or("it was not asked for");
                let store = one.reference.store.as_str();
                unread.push(format!("{}: the secret `{}` of the store `{store}`: {why}", one.key, one.reference));
            }
        }
        unread
    }

    /// The key paths of the references of `draft` of which no value is known.
    pub fn lacking(&self, draft: &Draft) -> Vec<String> {
        let state = self.state.lock();
        let known = |one: &Reference| state.slots.get(one).is_some_and(|slot| slot.value.is_some());
        let lacking = draft.settings().secrets.references.iter().filter(|one| !known(&one.reference));
        lacking.map(|one| one.key.clone()).collect()
    }

    /// What is known, by the texts of the references.
    fn values(&self) -> HashMap<String, Secret> {
        let state = self.state.lock();
        let known = |(reference, slot): (&Reference, &Slot)| Some((reference.as_str().to_owned(), slot.value.clone()?));
        state.slots.iter().filter_map(known).collect()
    }

    /// All values, to keep them out of what is written down.
    pub fn all(&self) -> Vec<Secret> {
        self.values().into_values().collect()
    }

    /// What is kept of each reference, in order.
    pub fn kept(&self) -> Vec<Kept> {
        let fingerprint = |value: &Secret| {
            let hash = blake3::keyed_hash(&self.key, value.expose().as_bytes());
            hash.as_bytes().iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect()
        };
        let kept = |(reference, slot): (&Reference, &Slot)| Kept {
            reference: reference.clone(),
            age: slot.read.map(|read| read.elapsed()),
            error: slot.error.clone(),
            fingerprint: slot.value.as_ref().map(fingerprint),
        };
        self.state.lock().slots.iter().map(kept).collect()
    }
}

fn references(draft: &Draft) -> BTreeSet<Reference> {
    draft.settings().secrets.references.iter().map(|one| one.reference.clone()).collect()
}
