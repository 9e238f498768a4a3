//! `Entries`: the table in memory, with its byte budget and its quotas.
//!
//! Readers take one shard's read lock for the time of one map access, and a use writes a few numbers. Changes take the
//! lock of the order of leaving for O(log n) at a time, never for a walk over the table: see `eviction` and `order`.

use super::eviction::{Ranking, Standing, worth};
use super::judgement::Question;
use super::order::{Order, Spot};
use super::quota::{Holder, holders};
use crate::config;
use crate::types::entry::Entry;
use crate::types::ids::{Digest, EntryId};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

const SHARDS: usize = 64;
/// Entries used since they were ranked that are ranked anew before one leaves all the same: what a single insertion may
/// have to do for the hits of others.
const RERANKED: usize = 256;
/// Expired entries that are looked up at a time.
const EXPIRED: usize = 256;

/// An entry in the table.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) entry: Arc<Entry>,
    pub(super) bytes: usize,
    /// Where it stands in the order; changed under the order's lock only.
    pub(super) spot: Mutex<Spot>,
    standing: Standing,
    /// Those whose quotas it counts for.
    holders: [Option<Holder>; 2],
    /// When a fresh answer was last asked for in its place, in milliseconds since the Unix epoch.
    revalidated_ms: AtomicU64,
    /// Its question as the judgement reads it, once it was near another.
    read: OnceLock<Question>,
}

impl Kept {
    /// Its question as the judgement reads it.
    pub(super) fn question(&self) -> &Question {
        self.read.get_or_init(|| Question::read(self.entry.question.as_deref().unwrap_or_default()))
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = Holder> {
        self.holders.into_iter().flatten()
    }
}

/// How a table keeps house.
#[derive(Clone, Copy, Debug)]
pub(super) struct House {
    /// Bytes of all entries.
    pub(super) budget: usize,
    /// Bytes that an entry with a vector takes in the index.
    pub(super) vector_bytes: usize,
    pub(super) eviction: config::Eviction,
    pub(super) wait_usd_per_hour: f64,
    pub(super) quota: config::Quota,
}

/// Entries that left for room since the start, by what there was no room in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evicted {
    /// In `cache.memory_bytes`.
    pub memory: u64,
    /// In `cache.quota.scope`.
    pub scope: u64,
    /// In `cache.quota.tenant`.
    pub tenant: u64,
}

pub(super) struct Entries {
    by_key: Vec<RwLock<HashMap<Digest, Arc<Kept>>>>,
    by_id: Vec<RwLock<HashMap<EntryId, Arc<Kept>>>>,
    order: Mutex<Order>,
    ranking: Ranking,
    house: House,
    budget: AtomicUsize,
    bytes: AtomicUsize,
    count: AtomicUsize,
    /// By memory, scope, tenant.
    evicted: [AtomicU64; 3],
    expired: AtomicU64,
}

impl Entries {
    pub(super) fn new(house: House) -> Entries {
        Entries {
            by_key: (0..SHARDS).map(|_| RwLock::default()).collect(),
            by_id: (0..SHARDS).map(|_| RwLock::default()).collect(),
            order: Mutex::default(),
            ranking: Ranking::new(house.eviction),
            house,
            budget: AtomicUsize::new(house.budget),
            bytes: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            evicted: Default::default(),
            expired: AtomicU64::new(0),
        }
    }

    fn key_shard(&self, key: &Digest) -> &RwLock<HashMap<Digest, Arc<Kept>>> {
        &self.by_key[usize::from(key.0[31]) % SHARDS]
    }

    fn id_shard(&self, id: EntryId) -> &RwLock<HashMap<EntryId, Arc<Kept>>> {
        &self.by_id[id.0 as usize % SHARDS]
    }

    /// The entry of a key. To look is no use yet: see `used`.
    pub(super) fn by_key(&self, key: &Digest) -> Option<Arc<Entry>> {
        self.key_shard(key).read().get(key).map(|kept| kept.entry.clone())
    }

    /// The entry of that name. To look is no use yet.
    pub(super) fn by_id(&self, id: EntryId) -> Option<Arc<Entry>> {
        self.id_shard(id).read().get(&id).map(|kept| kept.entry.clone())
    }

    /// The entry of that name with what is kept beside it.
    pub(super) fn kept(&self, id: EntryId) -> Option<Arc<Kept>> {
        self.id_shard(id).read().get(&id).cloned()
    }

    /// Counts that the entry `id` was served.
    pub(super) fn used(&self, id: EntryId) {
        if let Some(kept) = self.id_shard(id).read().get(&id) {
            self.ranking.used(&kept.standing);
        }
    }

    /// How often the entry `id` was used, its making included.
    pub(super) fn uses(&self, id: EntryId) -> u64 {
        self.id_shard(id).read().get(&id).map_or(0, |kept| kept.standing.uses())
    }

    /// Is `id` there?
    pub(super) fn holds(&self, id: EntryId) -> bool {
        self.id_shard(id).read().contains_key(&id)
    }

    /// May whoever asks fetch a fresh answer in place of `id`? Of all who ask within `pause_ms`, one may.
    pub(super) fn claim_revalidation(&self, id: EntryId, now_ms: u64, pause_ms: u64) -> bool {
        let shard = self.id_shard(id).read();
        let Some(kept) = shard.get(&id) else { return false };
        let last = kept.revalidated_ms.load(Ordering::Relaxed);
        let due = last == 0 || now_ms >= last.saturating_add(pause_ms);
        due && kept.revalidated_ms.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Bytes that `entry` is charged with.
    pub(super) fn charge(&self, entry: &Entry) -> usize {
        let read = || Question::expected_bytes(entry.question.as_ref().map_or(0, String::len));
        entry.bytes() + if entry.semantic { self.house.vector_bytes + read() } else { 0 }
    }

    /// Could `entry` stay if it were the only one of its scope and tenant?
    pub(super) fn fits_quota(&self, entry: &Entry) -> bool {
        let bytes = self.charge(entry) as u64;
        holders(entry.scope, &entry.tenant).into_iter().all(|holder| {
            let share = holder.share(&self.house.quota);
            share.bytes == 0 || bytes <= share.bytes
        })
    }

    /// Puts `entry` in, in place of one with the same exact key. Gives those that had to go: the replaced one, and
    /// those that made room.
    pub(super) fn insert(&self, entry: Arc<Entry>) -> Vec<Arc<Entry>> {
        let bytes = self.charge(&entry);
        // It is asked for as often as what it takes the place of.
        let before = self.key_shard(&entry.exact).read().get(&entry.exact).map_or(0, |old| old.standing.uses());
        let counted = |holder: Holder| {
            let share = holder.share(&self.house.quota);
            (share.entries > 0 || share.bytes > 0).then_some(holder)
        };
        let kept = Arc::new(Kept {
            bytes,
            spot: Mutex::default(),
            standing: self.ranking.begin(worth(&entry, bytes, self.house.wait_usd_per_hour), before),
            holders: holders(entry.scope, &entry.tenant).map(counted),
            revalidated_ms: AtomicU64::new(0),
            read: OnceLock::new(),
            entry: entry.clone(),
        });
        self.id_shard(entry.id).write().insert(entry.id, kept.clone());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        let replaced = self.key_shard(&entry.exact).write().insert(entry.exact, kept.clone());
        if let Some(key) = entry.normalised {
            self.key_shard(&key).write().insert(key, kept.clone());
        }
        let mut gone = Vec::new();
        gone.extend(replaced.filter(|old| old.entry.id != entry.id).and_then(|old| self.remove(old.entry.id)));
        // Room is made before it stands in the order, so that it is not itself what goes.
        for holder in kept.holders() {
            self.make_room_for(holder, 1, bytes, &mut gone);
        }
        self.make_room(&mut gone);
        self.order.lock().add(&kept, self.ranking.place(&kept.standing, entry.id.0));
        // Others may have come in meanwhile; and it may be too large for the table by itself.
        for holder in kept.holders() {
            self.make_room_for(holder, 0, 0, &mut gone);
        }
        self.make_room(&mut gone);
        gone
    }

    /// Takes `id` out.
    pub(super) fn remove(&self, id: EntryId) -> Option<Arc<Entry>> {
        let kept = self.id_shard(id).write().remove(&id)?;
        self.order.lock().take(&kept);
        let entry = &kept.entry;
        for key in [Some(entry.exact), entry.normalised].into_iter().flatten() {
            let mut shard = self.key_shard(&key).write();
            // A newer entry may have taken the key over.
            if shard.get(&key).is_some_and(|holder| holder.entry.id == id) {
                shard.remove(&key);
            }
        }
        self.bytes.fetch_sub(kept.bytes, Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(kept.entry.clone())
    }

    /// Takes out all entries that had expired before `before_ms`.
    pub(super) fn remove_expired(&self, before_ms: u64) -> Vec<Arc<Entry>> {
        let mut gone = Vec::new();
        loop {
            let due = self.order.lock().expired(before_ms, EXPIRED);
            let removed = gone.len();
            gone.extend(due.into_iter().filter_map(|id| self.remove(id)));
            // None is left, or others take them out at this moment.
            if gone.len() == removed {
                break;
            }
        }
        self.expired.fetch_add(gone.len() as u64, Ordering::Relaxed);
        gone
    }

    /// All entries, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.by_id {
            all.extend(shard.read().values().map(|kept| kept.entry.clone()));
        }
        all
    }

    /// Sets the byte budget; gives the entries that had to go for it.
    pub(super) fn set_budget(&self, bytes: usize) -> Vec<Arc<Entry>> {
        self.budget.store(bytes, Ordering::Relaxed);
        let mut gone = Vec::new();
        self.make_room(&mut gone);
        gone
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn evicted(&self) -> Evicted {
        let [memory, scope, tenant] = [0, 1, 2].map(|at: usize| self.evicted[at].load(Ordering::Relaxed));
        Evicted { memory, scope, tenant }
    }

    pub(super) fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    fn make_room(&self, gone: &mut Vec<Arc<Entry>>) {
        while self.bytes() > self.budget.load(Ordering::Relaxed) {
            let Some(entry) = self.evict(None) else { break };
            self.evicted[0].fetch_add(1, Ordering::Relaxed);
            gone.push(entry);
        }
    }

    /// Makes room for so much more of a holder's within its quota.
    fn make_room_for(&self, holder: Holder, entries: usize, bytes: usize, gone: &mut Vec<Arc<Entry>>) {
        let share = holder.share(&self.house.quota);
        let over = |most: u64, there: usize| most > 0 && there as u64 > most;
        loop {
            let held = self.order.lock().held_by(holder);
            if !(over(share.entries, held.0 + entries) || over(share.bytes, held.1 + bytes)) {
                break;
            }
            let Some(entry) = self.evict(Some(holder)) else { break };
            let reason = if matches!(holder, Holder::Scope(_)) { 1 } else { 2 };
            self.evicted[reason].fetch_add(1, Ordering::Relaxed);
            gone.push(entry);
        }
    }

    /// Takes out whoever leaves first, of all or of one holder's. The lock is let go between one step and the next.
    fn evict(&self, of: Option<Holder>) -> Option<Arc<Entry>> {
        let mut reranked = 0;
        loop {
            let mut order = self.order.lock();
            let (place, kept) = order.front(of)?;
            let now = self.ranking.place(&kept.standing, place.id());
            if now > place && reranked < RERANKED {
                order.shift(&kept, place, now);
                reranked += 1;
                continue;
            }
            order.take(&kept);
            drop(order);
            // Only what left for want of room as a whole ages all others.
            if of.is_none() {
                self.ranking.raise_floor(place);
            }
            if let Some(entry) = self.remove(kept.entry.id) {
                return Some(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests;
