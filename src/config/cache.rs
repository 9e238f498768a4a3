//! What is cached, and how an answer is found again.

use std::time::Duration;

use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::harmless;
use super::judgement::{self, DEFAULT_THRESHOLD};
use super::keeping;
use super::kinds::quoted;
use super::limits::MAX_MS;
use super::name;
use super::resolved::{Cache, CacheOverride, CacheSync, Eviction, FollowUps, Judgement, OnHangUp, Strictness};
use super::size;

/// Ten years.
pub(super) const MAX_S: u64 = 315_360_000;

const KEYS: &[&str] = &[
    "enabled",
    "ttl_s",
    "memory_bytes",
    "max_answer_bytes",
    "normalised",
    "semantic",
    "error_budget",
    "judge",
    "hit_cost_percent",
    "feedback_answers",
    "overrides",
    "harmless_fields",
    "flight_wait_ms",
    "share_across_surfaces",
    "on_hang_up",
    "stale_if_error_s",
    "stale_while_revalidate_s",
    "revalidations",
    "staleness",
    "eviction",
    "wait_usd_per_hour",
    "quota",
    "refusal_phrases",
    "sync",
];

const OVERRIDE_KEYS: [&str; 10] = [
    "tenant",
    "model",
    "enabled",
    "semantic",
    "judgement",
    "error_budget",
    "strictness",
    "threshold",
    "follow_ups",
    "ttl_s",
];

/// Reads `cache`.
pub(super) fn cache(root: &Fields<'_>, env: &Env<'_>) -> Result<Cache, ConfigError> {
    let fields = root.child("cache", KEYS)?;
    let memory_bytes = fields.bytes("memory_bytes", 1 << 30, 1 << 20..=1 << 50)?;
    Ok(Cache {
        enabled: fields.bool("enabled", true)?,
        ttl: fields.seconds("ttl_s", 86_400, 1..=MAX_S)?,
        memory_bytes,
        max_answer_bytes: max_answer_bytes(&fields, memory_bytes)?,
        normalised: fields.bool("normalised", true)?,
        semantic: judgement::semantic(&fields, env)?,
        error_budget: fields.get("error_budget").map_or(Ok(0.01), |item| judgement::error_budget(&item))?,
        judge: judgement::judge(&fields)?,
        hit_cost_percent: fields.get("hit_cost_percent").map_or(Ok(0), |item| item.integer(0..=100))?,
        feedback_answers: fields.count("feedback_answers", 65_536, 0..=10_000_000)?,
        overrides: overrides(&fields)?,
        harmless_fields: harmless::fields(&fields)?,
        flight_wait: fields.millis("flight_wait_ms", 30_000, 0..=MAX_MS)?,
        share_across_surfaces: fields.bool("share_across_surfaces", false)?,
        on_hang_up: fields.word("on_hang_up", OnHangUp::Finish)?,
        stale_if_error: fields.seconds("stale_if_error_s", 0, 0..=MAX_S)?,
        stale_while_revalidate: fields.seconds("stale_while_revalidate_s", 0, 0..=MAX_S)?,
        revalidations: fields.count("revalidations", 16, 0..=100_000)?,
        staleness: keeping::staleness(&fields)?,
        eviction: fields.word("eviction", Eviction::Cost)?,
        wait_usd_per_hour: fields.get("wait_usd_per_hour").map_or(Ok(1.0), |item| item.float(0.0..=1_000_000.0))?,
        quota: keeping::quota(&fields)?,
        refusal_phrases: keeping::refusal_phrases(&fields)?,
        sync: sync(&fields)?,
    })
}

/// The default is 4 MiB, or all there is where that is less.
fn max_answer_bytes(fields: &Fields<'_>, memory_bytes: u64) -> Result<u64, ConfigError> {
    let Some(item) = fields.get("max_answer_bytes") else {
        return Ok((4 << 20).min(memory_bytes));
    };
    let bytes = item.bytes(1..=1 << 50)?;
    if bytes <= memory_bytes {
        return Ok(bytes);
    }
    let (bytes, memory) = (size::format(bytes), size::format(memory_bytes));
    let error = item.error(format!("one answer of {bytes} would not fit into `memory_bytes` ({memory})"));
    Err(error.with_suggestion("raise `memory_bytes`, or lower this"))
}

fn sync(cache: &Fields<'_>) -> Result<CacheSync, ConfigError> {
    let fields = cache.child("sync", &["interval_ms"])?;
    Ok(CacheSync { interval: fields.millis("interval_ms", 1_000, 0..=600_000)? })
}

fn overrides(cache: &Fields<'_>) -> Result<Vec<CacheOverride>, ConfigError> {
    let mut overrides: Vec<CacheOverride> = Vec::new();
    for item in cache.list("overrides")? {
        let one = one_override(&item)?;
        if overrides.iter().any(|other| other.tenant == one.tenant && other.model == one.model) {
            let error = item.error("another override is for the same tenant and model");
            return Err(error.with_suggestion("put them into one"));
        }
        overrides.push(one);
    }
    Ok(overrides)
}

fn one_override(item: &Item<'_>) -> Result<CacheOverride, ConfigError> {
    let fields = item.fields(&OVERRIDE_KEYS)?;
    let one = CacheOverride {
        tenant: fields.get("tenant").map(|item| name::read(&item)).transpose()?,
        model: fields.get("model").map(|item| item.text()).transpose()?,
        enabled: fields.get("enabled").map(|item| item.bool()).transpose()?,
        semantic: fields.get("semantic").map(|item| item.bool()).transpose()?,
        judgement: fields.get("judgement").map(|item| item.word()).transpose()?,
        error_budget: fields.get("error_budget").map(|item| judgement::error_budget(&item)).transpose()?,
        strictness: fields.get("strictness").map(|item| item.word()).transpose()?,
        threshold: fields.get("threshold").map(|item| judgement::threshold(&item)).transpose()?,
        follow_ups: fields.get("follow_ups").map(|item| item.word()).transpose()?,
        ttl: fields.get("ttl_s").map(|item| item.integer(1..=MAX_S)).transpose()?.map(Duration::from_secs),
    };
    if one.tenant.is_none() && one.model.is_none() {
        let error = fields.error("an override is for a tenant, a model or both, and this one names neither");
        return Err(error.with_suggestion("add `tenant` or `model`, or change `cache` itself"));
    }
    if OVERRIDE_KEYS[2..].iter().all(|key| fields.get(key).is_none()) {
        let error = fields.error("this override changes nothing");
        return Err(error.with_suggestion(format!("add one of {}", quoted(&OVERRIDE_KEYS[2..]))));
    }
    Ok(one)
}

/// What the cache does for one tenant and model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CacheRules {
    /// Whether anything is cached.
    pub enabled: bool,
    /// Whether the semantic tier is on.
    pub semantic: bool,
    /// What decides about a near entry.
    pub judgement: Judgement,
    /// Wrong hits over all requests that the learned judgement may cost.
    pub error_budget: f64,
    /// How sure it must be of no trap.
    pub strictness: Strictness,
    /// The least cosine similarity that is served.
    pub threshold: f64,
    /// How the turns before the question count.
    pub follow_ups: FollowUps,
    /// How long an entry may be served.
    pub ttl: Duration,
}

impl Cache {
    /// The rules for `model` when asked for by `tenant`: the settings with every fitting override applied in the order
    /// written, so that a later one wins. Where the cache as a whole is off, no override turns it on.
    pub fn rules_for(&self, tenant: &str, model: &str) -> CacheRules {
        let semantic = &self.semantic;
        let mut threshold = semantic.threshold;
        let mut rules = CacheRules {
            enabled: self.enabled,
            semantic: semantic.enabled,
            judgement: semantic.judgement,
            error_budget: self.error_budget,
            strictness: semantic.strictness,
            threshold: 0.0,
            follow_ups: semantic.follow_ups,
            ttl: self.ttl,
        };
        let fits = |one: &&CacheOverride| {
            one.tenant.as_deref().is_none_or(|other| other == tenant)
                && one.model.as_deref().is_none_or(|other| other == model)
        };
        for one in self.overrides.iter().filter(fits) {
            rules.enabled = self.enabled && one.enabled.unwrap_or(rules.enabled);
            rules.semantic = one.semantic.unwrap_or(rules.semantic);
            rules.judgement = one.judgement.unwrap_or(rules.judgement);
            rules.error_budget = one.error_budget.unwrap_or(rules.error_budget);
            rules.strictness = one.strictness.unwrap_or(rules.strictness);
            threshold = one.threshold.or(threshold);
            rules.follow_ups = one.follow_ups.unwrap_or(rules.follow_ups);
            rules.ttl = one.ttl.unwrap_or(rules.ttl);
        }
        rules.threshold = threshold.unwrap_or(match rules.judgement {
            Judgement::Static => DEFAULT_THRESHOLD,
            Judgement::Learned => 0.0,
        });
        rules
    }
}
