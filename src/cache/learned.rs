//! `Learned`: the learned judgement of this cache, shared by all requests, and its state on the disk.
//!
//! The learner is pure and has one lock, which is held for one decision or one label at a time: some tens of
//! microseconds, and never across an await.

use super::judgement::{
    Asked, Case, Change, Decision, Learner, Memory, Overview, Question, Sampling, ScopeReport, Seen, Settings, Source,
    StateError, Strictness, Weights,
};
use super::opening::Opened;
use super::policy::Policy;
use super::semantic::scope_key;
use crate::config;
use crate::store::state_file;
use crate::types::caller::Tenant;
use crate::types::ids::Digest;
use askonce_models::EmbedderSpec;
use parking_lot::Mutex;
use rand::Rng;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Larger than any state.
const MOST_STATE_BYTES: u64 = 1 << 30;
/// Scopes whose owners are remembered; more than the learner knows at a time, so that it is rarely looked up which those are.
const MOST_OWNERS: usize = 16_384;
/// Stands at the beginning of the file, before the vectors that the state is about.
const MARK: &str = "askonce judgement of ";

/// The learned judgement of one cache.
pub(super) struct Learned {
    learner: Mutex<Learner>,
    /// Whose the scopes are that were asked about since the start.
    owners: Mutex<HashMap<u128, Owner>>,
    file: Option<StateFile>,
    /// Something was learned since the state was written.
    changed: AtomicBool,
    /// Held while the state is written: the sweep and the end of the process may come together.
    writing: Mutex<()>,
}

/// Whose a scope is.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The scope, whole.
    pub scope: Digest,
    /// Its tenant.
    pub tenant: Tenant,
    /// The model, as callers name it.
    pub model: String,
}

/// A scope and what the judgement knows of it.
#[derive(Clone, Debug)]
pub struct ScopeState {
    /// Whose it is; unknown until it is asked about after a restart.
    pub owner: Option<Owner>,
    /// The beginning of the scope's digest.
    pub key: u128,
    /// What is known.
    pub report: ScopeReport,
}

/// Why there is no learned judgement.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// The weights cannot be used.
    #[error("{}: {why}; make weights with `askonce judge train`, or leave `cache.semantic.weights` out", path.display())]
    Weights {
        /// Their file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The state cannot be read, for want of a right or for a broken disk.
    #[error("the judgement's state {}: {source}", path.display())]
    State {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Where the state is kept, and which vectors it is about.
struct StateFile {
    path: PathBuf,
    variant: String,
}

impl Learned {
    /// The judgement for vectors of `spec`, going on where that of `dir` ended. `None` where the weights are for another
    /// sentence model: cosines of two models are not alike. What was damaged or is missing is told in `opened`.
    pub(super) fn open(
        settings: &config::Cache,
        spec: &EmbedderSpec,
        dir: Option<&Path>,
        opened: &mut Opened,
    ) -> Result<Option<Learned>, LearnedError> {
        let weights = match &settings.semantic.weights {
            Some(path) => own_weights(path, spec)?,
            None => Weights::shipped(),
        };
        if weights.model() != spec.name {
            let note = format!(
                "hits by meaning are judged by a static threshold: the weights that ship are for {}, and not for {}. \
                 `askonce judge train` makes weights for another model, `cache.semantic.weights` names them, and \
                 `cache.semantic.judgement: static` ends this note.",
                weights.model(),
                spec.name
            );
            opened.static_because = Some(note).filter(|_| settings.learns());
            return Ok(None);
        }
        let file = dir.map(|dir| StateFile { path: dir.join("judgement.state"), variant: spec.variant.clone() });
        let wanted = wanted(settings);
        let learner = match &file {
            Some(file) => file.read(wanted, &weights, &mut opened.notes)?,
            None => None,
        };
        let learner = learner.unwrap_or_else(|| Learner::with_weights(wanted, weights, rand::rng().random()));
        Ok(Some(Learned {
            learner: Mutex::new(learner),
            owners: Mutex::default(),
            file,
            changed: AtomicBool::new(false),
            writing: Mutex::default(),
        }))
    }

    pub(super) fn reconfigure(&self, settings: &config::Cache) {
        self.learner.lock().reconfigure(wanted(settings));
    }

    /// Decides about a question that no earlier tier answered, and counts it; `again` for one that was counted before.
    pub(super) fn decide(
        &self,
        owner: impl FnOnce() -> Owner,
        scope: Digest,
        question: &Question,
        seen: &[Seen<'_>],
        policy: &Policy,
        again: bool,
    ) -> Decision {
        let key = name(scope);
        let known = {
            let mut owners = self.owners.lock();
            owners.entry(key).or_insert_with(owner);
            owners.len()
        };
        if known > MOST_OWNERS {
            self.forget_owners();
        }
        self.changed.store(true, Ordering::Relaxed);
        self.learner.lock().decide(key, question, seen, &Asked { again, ..asked(policy) })
    }

    /// What it would decide. Counts nothing.
    pub(super) fn would_decide(
        &self,
        scope: Digest,
        question: &Question,
        seen: &[Seen<'_>],
        policy: &Policy,
    ) -> Decision {
        self.learner.lock().decide(name(scope), question, seen, &Asked { dry: true, ..asked(policy) })
    }

    /// Counts a request that an earlier tier answered; `again` for one that was counted before.
    pub(super) fn pass(&self, scope: Digest, policy: &Policy, again: bool) {
        self.learner.lock().pass(name(scope), true, &Asked { again, ..asked(policy) });
    }

    /// Learns a label; gives what is to be done.
    pub(super) fn learn(&self, case: &Case, right: bool, source: Source, stored: Option<u64>) -> Vec<Change> {
        self.changed.store(true, Ordering::Relaxed);
        self.learner.lock().learn(case, right, source, stored)
    }

    /// `entry` holds the same answer as `other`.
    pub(super) fn alias(&self, entry: u64, other: u64) {
        self.learner.lock().alias(entry, other);
    }

    /// Entries have left the cache.
    pub(super) fn forget(&self, gone: impl Iterator<Item = u64>) {
        let mut learner = self.learner.lock();
        gone.for_each(|entry| learner.forget(entry));
    }

    /// Forgets what is not there any more.
    pub(super) fn retain(&self, holds: impl Fn(u64) -> bool) {
        self.learner.lock().retain(holds);
    }

    /// What is remembered of an entry.
    pub(super) fn memory(&self, entry: u64) -> Option<Memory> {
        self.learner.lock().memory(entry)
    }

    /// What the trap score looks at in two questions, by name.
    pub(super) fn features(&self, one: &Question, other: &Question, similarity: f32) -> Vec<(&'static str, f32)> {
        self.learner.lock().features(one, other, similarity)
    }

    /// All of it in a few numbers.
    pub(super) fn overview(&self) -> Overview {
        self.learner.lock().overview()
    }

    /// Error budgets, and the λ of each.
    pub(super) fn lambdas(&self) -> Vec<(f64, f32)> {
        self.learner.lock().lambdas()
    }

    /// What is known of `scope`.
    pub(super) fn report(&self, scope: Digest) -> Option<ScopeReport> {
        self.learner.lock().report(name(scope))
    }

    /// All scopes.
    pub(super) fn scopes(&self) -> Vec<ScopeState> {
        let reports = self.learner.lock().reports();
        let owners = self.owners.lock();
        reports.into_iter().map(|(key, report)| ScopeState { owner: owners.get(&key).cloned(), key, report }).collect()
    }

    /// Forgets whose the scopes are that the learner has dropped.
    fn forget_owners(&self) {
        let known: HashSet<u128> = self.learner.lock().reports().into_iter().map(|(key, _)| key).collect();
        self.owners.lock().retain(|key, _| known.contains(key));
    }

    /// Writes the state, if it has changed since it was last written.
    pub(super) fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let _writing = self.writing.lock();
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let state = self.learner.lock().snapshot();
        let mut bytes = format!("{MARK}{}\n", file.variant).into_bytes();
        bytes.extend(state.to_bytes());
        state_file::write(&file.path, &bytes).inspect_err(|_| self.changed.store(true, Ordering::Relaxed))
    }
}

impl StateFile {
    /// The learner of the file. `None` where there is none, or one that is of no use: then it is set aside.
    fn read(
        &self,
        settings: Settings,
        weights: &Arc<Weights>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Learner>, LearnedError> {
        let failed = |source| LearnedError::State { path: self.path.clone(), source };
        let Some(bytes) = state_file::read(&self.path, MOST_STATE_BYTES).map_err(failed)? else { return Ok(None) };
        match self.learner(&bytes, settings, weights) {
            Ok(Some(learner)) => Ok(Some(learner)),
            Ok(None) => {
                let aside = state_file::set_aside(&self.path).map_err(failed)?;
                let aside = aside.display();
                notes.push(format!(
                    "the judgement begins anew: what it had learned is about other vectors, and now at {aside}"
                ));
                Ok(None)
            }
            Err(why) => {
                let aside = state_file::set_aside(&self.path).map_err(failed)?;
                notes.push(format!(
                    "the judgement begins anew: its state is damaged ({why}), and now at {}",
                    aside.display()
                ));
                Ok(None)
            }
        }
    }

    fn learner(&self, bytes: &[u8], settings: Settings, weights: &Arc<Weights>) -> Result<Option<Learner>, StateError> {
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes, |end| &bytes[..end]);
        let variant = line.strip_prefix(MARK.as_bytes());
        if variant.is_some_and(|variant| variant != self.variant.as_bytes()) {
            return Ok(None);
        }
        // Without its first line it is damaged, which the learner says.
        let rest = variant.map_or(bytes, |_| bytes.get(line.len() + 1..).unwrap_or_default());
        Learner::load_with_weights(rest, settings, weights.clone()).map(Some)
    }
}

/// Weights of the operator's own.
fn own_weights(path: &Path, spec: &EmbedderSpec) -> Result<Arc<Weights>, LearnedError> {
    let wrong = |why: String| LearnedError::Weights { path: path.to_owned(), why };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let weights = Weights::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
    if weights.model() != spec.name {
        return Err(wrong(format!(
            "these weights are for {}, and the sentence model is {}",
            weights.model(),
            spec.name
        )));
    }
    Ok(Arc::new(weights))
}

/// The settings as the learner knows them.
fn wanted(settings: &config::Cache) -> Settings {
    Settings {
        error_budget: settings.error_budget,
        strictness: strictness(settings.semantic.strictness),
        veto: settings.semantic.veto,
        sampling: Sampling { budget: settings.semantic.shadow_calls, ..Sampling::default() },
        ..Settings::default()
    }
}

fn asked(policy: &Policy) -> Asked {
    Asked {
        error_budget: Some(policy.error_budget),
        strictness: Some(strictness(policy.strictness)),
        veto: Some(policy.veto),
        unchecked: !policy.write || policy.only_if_cached,
        ..Asked::default()
    }
}

fn strictness(word: config::Strictness) -> Strictness {
    match word {
        config::Strictness::Off => Strictness::Off,
        config::Strictness::Balanced => Strictness::Balanced,
        config::Strictness::Strict => Strictness::Strict,
    }
}

/// The learner's name of a scope: as in the index.
fn name(scope: Digest) -> u128 {
    u128::from_be_bytes(scope_key(scope).0)
}
