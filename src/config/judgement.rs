//! What decides about a near entry, and who compares answers: parts of `cache`.

use std::path::PathBuf;
use std::time::Duration;

use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::limits::MAX_MS;
use super::paths;
use super::resolved::{Cache, FollowUps, Judgement, Semantic, Strictness};

/// The least cosine similarity that is served where nothing is learned, and the configuration names none.
pub const DEFAULT_THRESHOLD: f64 = 0.92;

/// A model that says whether two answers say the same: `cache.judge`.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// The model, as callers name it: with its route, its retries and its price.
    pub model: String,
    /// How often it may be asked.
    pub calls_per_minute: u64,
    /// What it may cost from midnight to midnight UTC, in US dollars, where its price is known. Zero: no limit.
    pub usd_per_day: f64,
    /// How long one answer of it may take.
    pub timeout: Duration,
}

impl Cache {
    /// May any request be judged by what is learned?
    pub fn learns(&self) -> bool {
        let learned = |one: Judgement| one == Judgement::Learned;
        learned(self.semantic.judgement) || self.overrides.iter().any(|one| one.judgement.is_some_and(learned))
    }

    /// The same settings where nothing can be learned: every request is judged by a threshold.
    pub fn without_learning(mut self) -> Cache {
        self.semantic.judgement = Judgement::Static;
        self.overrides.iter_mut().for_each(|one| one.judgement = None);
        self
    }
}

/// Reads `cache.semantic`.
pub(super) fn semantic(cache: &Fields<'_>, env: &Env<'_>) -> Result<Semantic, ConfigError> {
    let keys = [
        "enabled",
        "judgement",
        "threshold",
        "veto",
        "strictness",
        "shadow_calls",
        "weights",
        "candidates",
        "flight_wait_ms",
        "follow_ups",
    ];
    let fields = cache.child("semantic", &keys)?;
    Ok(Semantic {
        enabled: fields.bool("enabled", true)?,
        judgement: fields.word("judgement", Judgement::Learned)?,
        threshold: fields.get("threshold").map(|item| threshold(&item)).transpose()?,
        veto: fields.bool("veto", true)?,
        strictness: fields.word("strictness", Strictness::Balanced)?,
        shadow_calls: fields.get("shadow_calls").map_or(Ok(0.06), |item| item.float(0.0..=0.5))?,
        weights: weights(&fields, env)?,
        candidates: fields.count("candidates", 16, 1..=256)?,
        flight_wait: fields.millis("flight_wait_ms", 2_000, 0..=MAX_MS)?,
        follow_ups: fields.word("follow_ups", FollowUps::Scope)?,
    })
}

/// Below one half, everything is like everything.
pub(super) fn threshold(item: &Item<'_>) -> Result<f64, ConfigError> {
    item.float(0.5..=1.0)
}

/// No budget at all is `semantic: {enabled: false}`; a fifth of all answers wrong is nobody's wish.
pub(super) fn error_budget(item: &Item<'_>) -> Result<f64, ConfigError> {
    item.float(0.0001..=0.2)
}

fn weights(fields: &Fields<'_>, env: &Env<'_>) -> Result<Option<PathBuf>, ConfigError> {
    match (fields.text("weights")?, fields.get("weights")) {
        (Some(text), Some(item)) => paths::folder(&text, env).map(Some).map_err(|message| item.error(message)),
        _ => Ok(None),
    }
}

/// Reads `cache.judge`, if it is there.
pub(super) fn judge(cache: &Fields<'_>) -> Result<Option<Judge>, ConfigError> {
    let Some(item) = cache.get("judge") else { return Ok(None) };
    let fields = item.fields(&["model", "calls_per_minute", "usd_per_day", "timeout_ms"])?;
    let model = fields.text("model")?.filter(|model| !model.trim().is_empty());
    let Some(model) = model else {
        let error = fields.error("a judge wants `model`: the model that is asked whether two answers say the same");
        return Err(error.with_suggestion("name a small one, or leave `judge` out"));
    };
    Ok(Some(Judge {
        model,
        calls_per_minute: fields.integer("calls_per_minute", 30, 1..=1_000_000)?,
        usd_per_day: fields.get("usd_per_day").map_or(Ok(1.0), |item| item.float(0.0..=1_000_000.0))?,
        timeout: fields.millis("timeout_ms", 30_000, 1..=MAX_MS)?,
    }))
}
