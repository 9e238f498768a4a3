//! [`ScopeKey`], and the map from a scope to its partition: in shards, so that scopes seldom wait for one another.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::IndexConfig;
use crate::partition::Partition;

/// Names a scope: 16 bytes of the hash of all that two requests must agree on to share an answer.
/// Vectors of different scopes never meet in a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeKey(pub [u8; 16]);

const SHARDS: usize = 64;

/// All partitions, by scope.
pub(crate) struct Scopes {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<ScopeKey, Arc<Partition>>>>,
}

impl Scopes {
    pub(crate) fn new() -> Scopes {
        Scopes { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    fn shard(&self, scope: ScopeKey) -> &RwLock<HashMap<ScopeKey, Arc<Partition>>> {
        &self.shards[self.hasher.hash_one(scope) as usize % SHARDS]
    }

    pub(crate) fn get(&self, scope: ScopeKey) -> Option<Arc<Partition>> {
        self.shard(scope).read().get(&scope).cloned()
    }

    pub(crate) fn get_or_create(&self, scope: ScopeKey, config: &IndexConfig) -> Arc<Partition> {
        if let Some(partition) = self.get(scope) {
            return partition;
        }
        let mut shard = self.shard(scope).write();
        Arc::clone(shard.entry(scope).or_insert_with(|| Arc::new(Partition::new(config))))
    }

    /// Takes `partition` out of the map if it is still the one of `scope` and still empty; whoever holds it sees that
    /// it is retired, and asks the map again.
    pub(crate) fn retire_empty(&self, scope: ScopeKey, partition: &Arc<Partition>) -> bool {
        let mut shard = self.shard(scope).write();
        let current = shard.get(&scope).is_some_and(|p| Arc::ptr_eq(p, partition));
        let Some(_writer) = partition.writer().filter(|_| current && partition.live() == 0) else {
            return false;
        };
        partition.retire();
        shard.remove(&scope);
        true
    }

    /// Takes all out of the map.
    pub(crate) fn retire_all(&self) -> Vec<Arc<Partition>> {
        let mut retired = Vec::new();
        for shard in &self.shards {
            retired.extend(std::mem::take(&mut *shard.write()).into_values());
        }
        retired.iter().for_each(|p| p.retire());
        retired
    }

    /// Every scope at this moment, shard by shard.
    pub(crate) fn all(&self) -> Vec<(ScopeKey, Arc<Partition>)> {
        let shards = self.shards.iter();
        shards.flat_map(|s| s.read().iter().map(|(k, p)| (*k, Arc::clone(p))).collect::<Vec<_>>()).collect()
    }
}
