//! `Entries`: the table in memory, with its byte budget.
//!
//! Readers take one shard's read lock for the time of one map access. Room is made by CLOCK: entries stand in a queue in
//! the order they came; the front one goes, unless it was used since it last stood there, in which case it goes to the
//! back. That is near to LRU, and a hit writes nothing but one flag.

use crate::types::entry::Entry;
use crate::types::ids::{Digest, EntryId};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 64;

/// An entry in the table.
#[derive(Debug)]
struct Kept {
    entry: Arc<Entry>,
    bytes: usize,
    used: AtomicBool,
}

pub(super) struct Entries {
    by_key: Vec<RwLock<HashMap<Digest, Arc<Kept>>>>,
    by_id: Vec<RwLock<HashMap<EntryId, Arc<Kept>>>>,
    /// All entries, oldest or least lately used first. Ids of removed ones are skipped when met.
    queue: Mutex<VecDeque<EntryId>>,
    budget: AtomicUsize,
    bytes: AtomicUsize,
    count: AtomicUsize,
    evicted: AtomicU64,
    expired: AtomicU64,
    /// Bytes that an entry with a vector takes in the index.
    vector_bytes: usize,
}

impl Entries {
    pub(super) fn new(budget: usize, vector_bytes: usize) -> Entries {
        Entries {
            by_key: (0..SHARDS).map(|_| RwLock::default()).collect(),
            by_id: (0..SHARDS).map(|_| RwLock::default()).collect(),
            queue: Mutex::default(),
            budget: AtomicUsize::new(budget),
            bytes: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            vector_bytes,
        }
    }

    fn key_shard(&self, key: &Digest) -> &RwLock<HashMap<Digest, Arc<Kept>>> {
        &self.by_key[usize::from(key.0[31]) % SHARDS]
    }

    fn id_shard(&self, id: EntryId) -> &RwLock<HashMap<EntryId, Arc<Kept>>> {
        &self.by_id[id.0 as usize % SHARDS]
    }

    pub(super) fn by_key(&self, key: &Digest) -> Option<Arc<Entry>> {
        self.key_shard(key).read().get(key).map(touch)
    }

    pub(super) fn by_id(&self, id: EntryId) -> Option<Arc<Entry>> {
        self.id_shard(id).read().get(&id).map(touch)
    }

    /// Is `id` there? Does not count as use.
    pub(super) fn holds(&self, id: EntryId) -> bool {
        self.id_shard(id).read().contains_key(&id)
    }

    /// Puts `entry` in, in place of one with the same exact key. Gives those that had to go: the replaced one, and
    /// those that made room.
    pub(super) fn insert(&self, entry: Arc<Entry>) -> Vec<Arc<Entry>> {
        let vector = if entry.semantic { self.vector_bytes } else { 0 };
        let bytes = entry.bytes() + vector;
        let kept = Arc::new(Kept { entry: entry.clone(), bytes, used: AtomicBool::new(false) });
        self.id_shard(entry.id).write().insert(entry.id, kept.clone());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        let replaced = self.key_shard(&entry.exact).write().insert(entry.exact, kept.clone());
        if let Some(key) = entry.normalised {
            self.key_shard(&key).write().insert(key, kept);
        }
        self.queue.lock().push_back(entry.id);
        let mut gone = Vec::new();
        gone.extend(replaced.filter(|old| old.entry.id != entry.id).and_then(|old| self.remove(old.entry.id)));
        gone.extend(self.make_room());
        gone
    }

    /// Takes `id` out.
    pub(super) fn remove(&self, id: EntryId) -> Option<Arc<Entry>> {
        let kept = self.id_shard(id).write().remove(&id)?;
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

    /// Takes out all entries that `matches`.
    pub(super) fn remove_where(&self, matches: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let found: Vec<EntryId> = self.all().iter().filter(|entry| matches(entry)).map(|entry| entry.id).collect();
        found.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Takes out all entries that had expired before `before_ms`.
    pub(super) fn remove_expired(&self, before_ms: u64) -> Vec<Arc<Entry>> {
        let gone = self.remove_where(|entry| entry.expires_ms <= before_ms);
        self.expired.fetch_add(gone.len() as u64, Ordering::Relaxed);
        self.queue.lock().retain(|id| self.id_shard(*id).read().contains_key(id));
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
        self.make_room()
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(super) fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    fn make_room(&self) -> Vec<Arc<Entry>> {
        let mut gone = Vec::new();
        while self.bytes() > self.budget.load(Ordering::Relaxed) {
            let Some(id) = self.queue.lock().pop_front() else { break };
            let used = self.id_shard(id).read().get(&id).map(|kept| kept.used.swap(false, Ordering::Relaxed));
            match used {
                None => {}
                Some(true) => self.queue.lock().push_back(id),
                Some(false) => gone.extend(self.remove(id)),
            }
        }
        self.evicted.fetch_add(gone.len() as u64, Ordering::Relaxed);
        gone
    }
}

fn touch(kept: &Arc<Kept>) -> Arc<Entry> {
    // Written only when it changes, so that readers of one hot entry do not fight for its cache line.
    if !kept.used.load(Ordering::Relaxed) {
        kept.used.store(true, Ordering::Relaxed);
    }
    kept.entry.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::answer::{Answer, Ending};
    use crate::types::caller::Tenant;
    use crate::types::surface::Surface;
    use proptest::prelude::*;

    fn entry(id: u64, key: u8, expires_ms: u64) -> Arc<Entry> {
        Arc::new(Entry {
            id: EntryId(id),
            tenant: Tenant("t".to_owned()),
            surface: Surface::ChatCompletions,
            model: "m".to_owned(),
            provider: "p".to_owned(),
            scope: Digest([0; 32]),
            exact: Digest([key; 32]),
            normalised: Some(Digest([key / 2 + 128; 32])),
            question: None,
            semantic: false,
            answer: Answer {
                body: vec![b'x'; 1000].into(),
                id_span: None,
                created_span: None,
                usage: None,
                usage_unasked: false,
                ending: Ending::Whole,
                tool_calls: false,
            },
            cost: None,
            created_ms: 0,
            expires_ms,
            tags: Vec::new(),
        })
    }

    #[test]
    fn used_entries_outlive_unused_ones() {
        let size = entry(0, 0, 0).bytes();
        let entries = Entries::new(size * 3, 0);
        (1..=3).for_each(|id| assert!(entries.insert(entry(id, id as u8, 9)).is_empty()));
        assert!(entries.by_key(&Digest([1; 32])).is_some());
        let gone: Vec<u64> = entries.insert(entry(4, 4, 9)).iter().map(|entry| entry.id.0).collect();
        assert_eq!(gone, [2]);
        assert!(entries.by_id(EntryId(1)).is_some() && entries.by_id(EntryId(2)).is_none());
        assert_eq!((entries.len(), entries.bytes(), entries.evicted()), (3, size * 3, 1));
    }

    proptest! {
        /// Bytes and counts always agree with what is there, and keys never lead to what is gone.
        #[test]
        fn books_balance(steps in proptest::collection::vec((0u8..3, 0u8..6, 0u64..4), 1..120)) {
            let size = entry(0, 0, 0).bytes();
            let entries = Entries::new(size * 5, 0);
            let mut next = 0;
            for (step, key, number) in steps {
                match step {
                    0 => { next += 1; entries.insert(entry(next, key, number)); }
                    1 => { entries.remove(EntryId(next.saturating_sub(number))); }
                    _ => { entries.remove_expired(number); }
                }
                let all = entries.all();
                prop_assert_eq!(entries.len(), all.len());
                prop_assert_eq!(entries.bytes(), all.len() * size);
                prop_assert!(all.len() <= 5);
                for key in 0u8..=255 {
                    if let Some(found) = entries.by_key(&Digest([key; 32])) {
                        prop_assert!(entries.by_id(found.id).is_some());
                    }
                }
                for entry in all {
                    prop_assert_eq!(entries.by_key(&entry.exact).map(|found| found.id), Some(entry.id));
                }
            }
        }
    }
}
