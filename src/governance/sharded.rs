//! `Sharded`: a map that many read at a time, and of which a change stops only those who look into the same part.

use ahash::RandomState;
use parking_lot::RwLock;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Parts of the map.
const SHARDS: usize = 64;

/// A map in parts.
#[derive(Debug)]
pub(super) struct Sharded<K, V> {
    shards: Box<[RwLock<HashMap<K, V, RandomState>>]>,
    state: RandomState,
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        Sharded { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), state: RandomState::new() }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Sharded<K, V> {
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &RwLock<HashMap<K, V, RandomState>> {
        let at = self.state.hash_one(key) >> 48;
        // The number of shards is a constant, and none.
        &self.shards[at as usize % SHARDS]
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.shard(key).read().get(key).cloned()
    }

    /// What is at `key`; what `make` makes, where nothing is.
    pub(super) fn get_or_insert(&self, key: &K, make: impl FnOnce() -> V) -> V {
        if let Some(there) = self.get(key) {
            return there;
        }
        self.shard(key).write().entry(key.clone()).or_insert_with(make).clone()
    }

    pub(super) fn insert(&self, key: K, value: V) -> Option<V> {
        self.shard(&key).write().insert(key, value)
    }

    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.shard(key).write().remove(key)
    }

    /// All of them, as they are one part after the other.
    pub(super) fn values(&self) -> Vec<V> {
        self.shards.iter().flat_map(|shard| shard.read().values().cloned().collect::<Vec<V>>()).collect()
    }
}
