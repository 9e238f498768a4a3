//! `Policy`: whether and how the cache may be used for one request. A pure choice.

use super::staleness;
use crate::config;
use crate::types::directives::Directives;
use crate::types::outcome::BypassReason;
use crate::types::staleness::Staleness;
use std::time::Duration;

/// What the cache may do for one request: the operator's rules, tightened by the caller's directives.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// A stored answer may be served.
    pub read: bool,
    /// A fresh answer may be stored, and shared with whoever waits for it.
    pub write: bool,
    /// Serve a stored answer or none at all.
    pub only_if_cached: bool,
    /// Hits by meaning are allowed.
    pub semantic: bool,
    /// What decides about a hit by meaning.
    pub judgement: config::Judgement,
    /// Wrong hits over all requests that the learned judgement may cost.
    pub error_budget: f64,
    /// How sure it must be of no trap.
    pub strictness: config::Strictness,
    /// The least similarity of a semantic hit.
    pub threshold: f32,
    /// A differing number, id, date or unit forbids a semantic hit.
    pub veto: bool,
    /// The turns before the question are compared by meaning too, where they are short.
    pub condensed: bool,
    /// Near entries to look at.
    pub candidates: usize,
    /// The normalised tier is on.
    pub normalised: bool,
    /// How long a fresh answer may be served.
    pub ttl: Duration,
    /// Nothing older than this.
    pub max_age: Option<Duration>,
    /// Nothing older than answers to such a question keep, whatever the entry's own class.
    pub keeps: Option<Duration>,
}

impl Policy {
    /// The operator's rules for `tenant` and `model`, and the caller's directives on top: those only ever tighten.
    pub fn decide(
        settings: &config::Cache,
        tenant: &str,
        model: &str,
        asked: &Directives,
    ) -> Result<Policy, BypassReason> {
        let rules = settings.rules_for(tenant, model);
        if !rules.enabled {
            return Err(BypassReason::Disabled);
        }
        if asked.no_cache && asked.no_store {
            return Err(BypassReason::NoCache);
        }
        let threshold = rules.threshold as f32;
        Ok(Policy {
            read: !asked.no_cache,
            write: !asked.no_store,
            only_if_cached: asked.only_if_cached,
            semantic: rules.semantic && !asked.exact_only,
            judgement: rules.judgement,
            error_budget: rules.error_budget,
            strictness: rules.strictness,
            threshold: asked.threshold.map_or(threshold, |wanted| wanted.max(threshold)),
            veto: settings.semantic.veto,
            condensed: rules.follow_ups == config::FollowUps::Condensed,
            candidates: settings.semantic.candidates,
            normalised: settings.normalised && !asked.exact_only,
            ttl: asked.ttl.map_or(rules.ttl, |wanted| wanted.min(rules.ttl)),
            max_age: asked.max_age,
            keeps: None,
        })
    }

    /// The same for a request of the staleness class `class`: the shorter time to live counts.
    pub fn of_class(self, class: Staleness, settings: &config::Staleness) -> Result<Policy, BypassReason> {
        if class == Staleness::Never {
            return Err(BypassReason::Volatile);
        }
        let keeps = staleness::keeps(settings, class);
        Ok(Policy { ttl: keeps.map_or(self.ttl, |keeps| keeps.min(self.ttl)), keeps, ..self })
    }

    /// Until when an entry is fresh for this request, in milliseconds since the Unix epoch.
    pub fn fresh_until_ms(&self, created_ms: u64, expires_ms: u64) -> u64 {
        let keeps_ms = self.keeps.map_or(u64::MAX, |keeps| u64::try_from(keeps.as_millis()).unwrap_or(u64::MAX));
        expires_ms.min(created_ms.saturating_add(keeps_ms))
    }

    /// May an entry stored at `created_ms` and fresh until `expires_ms` be served at `now_ms`?
    pub fn is_fresh(&self, created_ms: u64, expires_ms: u64, now_ms: u64) -> bool {
        let young =
            self.max_age.is_none_or(|max_age| u128::from(now_ms.saturating_sub(created_ms)) <= max_age.as_millis());
        young && now_ms < self.fresh_until_ms(created_ms, expires_ms)
    }
}
