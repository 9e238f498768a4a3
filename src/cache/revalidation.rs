//! `stale-while-revalidate` (RFC 5861, section 3): an answer past its time is served at once, and one of those who ask
//! for it fetches a fresh one in the background, through the flight that all misses of it share.

use super::Cache;
use super::admission::Ticket;
use super::flight::{Joined, Lead};
use super::lookup::{Ask, Expired, Hit};
use crate::config;
use crate::types::entry::{Entry, Source};
use crate::types::outcome::Tier;
use std::sync::Arc;

/// The least time between two tries to fetch the same entry anew, in milliseconds: a provider that fails is not asked
/// again by every request that could be served without it.
const PAUSE_MS: u64 = 1_000;

/// An answer past its time, and who is to fetch a fresh one.
#[derive(Debug)]
pub struct Stale {
    /// The answer.
    pub hit: Hit,
    /// The duty to fetch a fresh one, if it is this request's.
    pub refresh: Option<Refresh>,
}

/// The duty to fetch a fresh answer in the background.
#[derive(Debug)]
pub struct Refresh {
    /// For storing it.
    pub ticket: Ticket,
    /// For those who come meanwhile and may not have the old one.
    pub lead: Lead,
}

/// How long past its expiry an entry may be of use.
pub(super) fn kept_past_expiry_ms(settings: &config::Cache) -> u64 {
    millis(settings.stale_if_error.max(settings.stale_while_revalidate))
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Cache {
    /// The expired find of a lookup, if it may be served while a fresh answer is fetched. `purges` are those before the
    /// lookup.
    pub(super) fn while_revalidate(&self, ask: &Ask, expired: Option<&Expired>, purges: u64) -> Option<Stale> {
        let (entry, tier) = self.stale_find(ask, expired)?;
        self.entries.used(entry.id);
        let hit = Hit::by_words(entry.clone(), *tier);
        Some(Stale { hit, refresh: self.refresh(ask, entry, purges) })
    }

    /// The expired find that may be served while a fresh answer is fetched.
    pub(super) fn stale_for(&self, ask: &Ask, expired: Option<&Expired>) -> Option<Arc<Entry>> {
        self.stale_find(ask, expired).map(|(entry, _)| entry.clone())
    }

    fn stale_find<'e>(&self, ask: &Ask, expired: Option<&'e Expired>) -> Option<&'e (Arc<Entry>, Tier)> {
        expired?.found.as_ref().filter(|(entry, _)| self.is_in_window(ask, entry))
    }

    /// Is `entry` past its time by no more than the settings allow, and by no more than it was fresh?
    fn is_in_window(&self, ask: &Ask, entry: &Entry) -> bool {
        let most_ms = millis(self.settings.load().stale_while_revalidate);
        let until_ms = ask.policy.fresh_until_ms(entry.created_ms, entry.expires_ms);
        let window_ms = most_ms.min(until_ms.saturating_sub(entry.created_ms));
        self.clock.now_ms() < until_ms.saturating_add(window_ms)
    }

    fn refresh(&self, ask: &Ask, entry: &Entry, purges: u64) -> Option<Refresh> {
        let policy = &ask.policy;
        if !policy.write || policy.only_if_cached {
            return None;
        }
        if !self.entries.claim_revalidation(entry.id, self.clock.now_ms(), PAUSE_MS) {
            return None;
        }
        match self.flights.join(ask.flight_key()) {
            // Somebody who may not have the old one is fetching it already.
            Joined::Follow(_) => None,
            Joined::Lead(lead) => Some(Refresh { ticket: self.ticket(ask, purges, Source::Fetched), lead }),
        }
    }
}
