//! `Shelf`: what a cache of a given size and lifetime would hold, entry by entry.
//!
//! It keeps the table's rules (`src/cache/entries.rs`) and none of its bytes: one entry for each exact key, the newest
//! holding the normalised one, and the least rank leaving when there is no room. Ranks are the table's own
//! (`cache::eviction`).

use super::near::Node;
use crate::cache::eviction::{Place, Ranking, Standing};
use crate::config;
use std::collections::BTreeSet;

/// Which entries go when there is no room; the least rank leaves first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Eviction {
    /// Uses × root of the saved cost / bytes, with ageing (after GreedyDual-Size-Frequency, HP Labs HPL-98-69).
    #[default]
    Cost,
    /// Uses, with ageing.
    Lfu,
    /// Least recently used.
    Lru,
}

impl Eviction {
    /// All of them.
    pub const ALL: [Eviction; 3] = [Eviction::Cost, Eviction::Lfu, Eviction::Lru];

    /// Its word in the configuration and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Eviction::Cost => "cost",
            Eviction::Lfu => "lfu",
            Eviction::Lru => "lru",
        }
    }
}

impl From<Eviction> for config::Eviction {
    fn from(eviction: Eviction) -> config::Eviction {
        match eviction {
            Eviction::Cost => config::Eviction::Cost,
            Eviction::Lfu => config::Eviction::Lfu,
            Eviction::Lru => config::Eviction::Lru,
        }
    }
}

/// Size and lifetime of a shelf.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Room {
    /// Bytes that entries may take; no bound where there is none.
    pub bytes: Option<u64>,
    /// Milliseconds that an entry is served at most; none where the cache's settings alone say it.
    pub ttl_ms: Option<u64>,
    /// Who leaves.
    pub eviction: Eviction,
}

/// A stored answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The request whose question it is.
    pub(super) request: u32,
    /// The request whose answer it holds: another one for an alias.
    pub(super) answer: u32,
    pub(super) key: u32,
    pub(super) normalised: Option<u32>,
    pub(super) node: Option<u32>,
    /// Milliseconds that it keeps, by its question's class and the settings.
    pub(super) keeps_ms: u64,
    /// When it was stored and when it expires, in milliseconds; the shelf sets them.
    pub(super) created_ms: u64,
    pub(super) expires_ms: u64,
    pub(super) bytes: u64,
    /// What a use counts for each byte.
    pub(super) worth: f64,
}

impl Entry {
    pub(super) fn new(request: u32, answer: u32, bytes: u64, worth: f64) -> Entry {
        Entry {
            request,
            answer,
            key: 0,
            normalised: None,
            node: None,
            keeps_ms: u64::MAX,
            created_ms: 0,
            expires_ms: u64::MAX,
            bytes,
            worth,
        }
    }
}

/// An entry, what its uses amount to, and where it stands in the order of leaving.
struct Held {
    entry: Entry,
    standing: Standing,
    place: Option<Place>,
}

pub(super) struct Shelf {
    room: Room,
    /// By number; those that left stay as holes.
    entries: Vec<Option<Held>>,
    by_key: Vec<Option<u32>>,
    by_node: Vec<Option<u32>>,
    /// Stored nodes of each scope, and where in its list each stands.
    by_scope: Vec<Vec<u32>>,
    place: Vec<u32>,
    /// Kept where there is a bound. Like the table's it may be late: see `cache::eviction`.
    order: BTreeSet<Place>,
    ranking: Ranking,
    pub(super) bytes: u64,
    pub(super) count: usize,
    pub(super) evicted: usize,
}

impl Shelf {
    pub(super) fn new(room: Room, keys: usize, nodes: &[Node]) -> Shelf {
        let scopes = nodes.iter().map(|node| node.scope as usize + 1).max().unwrap_or(0);
        Shelf {
            room,
            entries: Vec::new(),
            by_key: vec![None; keys],
            by_node: vec![None; nodes.len()],
            by_scope: vec![Vec::new(); scopes],
            place: vec![0; nodes.len()],
            order: BTreeSet::new(),
            ranking: Ranking::new(room.eviction.into()),
            bytes: 0,
            count: 0,
            evicted: 0,
        }
    }

    pub(super) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)?.as_ref().map(|held| &held.entry)
    }

    /// The entry under `key`, if it is fresh for a question whose answers keep `keeps_ms`. To look is no use yet.
    pub(super) fn by_key(&self, key: u32, now_ms: u64, keeps_ms: u64) -> Option<u32> {
        let id = self.by_key[key as usize]?;
        self.is_fresh(id, now_ms, keeps_ms).then_some(id)
    }

    /// The entry of a node, fresh or not.
    pub(super) fn by_node(&self, node: u32) -> Option<u32> {
        self.by_node[node as usize]
    }

    /// All stored nodes of a scope.
    pub(super) fn stored(&self, scope: u32) -> Vec<u32> {
        self.by_scope.get(scope as usize).cloned().unwrap_or_default()
    }

    /// May `id` be served to a question whose answers keep `keeps_ms`?
    pub(super) fn is_fresh(&self, id: u32, now_ms: u64, keeps_ms: u64) -> bool {
        let until = |entry: &Entry| entry.expires_ms.min(entry.created_ms.saturating_add(keeps_ms));
        self.entry(id).is_some_and(|entry| now_ms < until(entry))
    }

    /// Counts that `id` was served.
    pub(super) fn used(&self, id: u32) {
        if let Some(held) = self.entries.get(id as usize).and_then(Option::as_ref) {
            self.ranking.used(&held.standing);
        }
    }

    /// Stores `entry` at `now_ms`. Gives its number, and the numbers of those that had to go.
    pub(super) fn store(&mut self, mut entry: Entry, nodes: &[Node], now_ms: u64) -> (u32, Vec<u32>) {
        let keeps_ms = entry.keeps_ms.min(self.room.ttl_ms.unwrap_or(u64::MAX));
        (entry.created_ms, entry.expires_ms) = (now_ms, now_ms.saturating_add(keeps_ms));
        let id = self.entries.len() as u32;
        let mut gone: Vec<u32> = Vec::new();
        let replaced =
            self.by_key[entry.key as usize].filter(|old| self.entry(*old).is_some_and(|old| old.key == entry.key));
        // It is asked for as often as what it takes the place of.
        let standing_of = |old: u32| self.entries[old as usize].as_ref().map_or(0, |held| held.standing.uses());
        let before = replaced.map_or(0, standing_of);
        let standing = self.ranking.begin(entry.worth, before);
        if let Some(old) = replaced {
            self.remove(old, nodes);
            gone.push(old);
        }
        self.by_key[entry.key as usize] = Some(id);
        if let Some(key) = entry.normalised {
            self.by_key[key as usize] = Some(id);
        }
        if let Some(node) = entry.node {
            self.by_node[node as usize] = Some(id);
            let scope = &mut self.by_scope[nodes[node as usize].scope as usize];
            self.place[node as usize] = scope.len() as u32;
            scope.push(node);
        }
        self.bytes += entry.bytes;
        self.count += 1;
        self.entries.push(Some(Held { entry, standing, place: None }));
        // Room is made before it stands in the order, so that it is not itself what goes.
        self.make_room(nodes, &mut gone);
        if let (Some(held), Some(_)) = (self.entries[id as usize].as_mut(), self.room.bytes) {
            let place = self.ranking.place(&held.standing, u64::from(id));
            held.place = Some(place);
            self.order.insert(place);
        }
        // It may be too large by itself.
        self.make_room(nodes, &mut gone);
        (id, gone)
    }

    fn make_room(&mut self, nodes: &[Node], gone: &mut Vec<u32>) {
        while self.room.bytes.is_some_and(|most| self.bytes > most) {
            let Some(place) = self.order.first().copied() else { break };
            let id = place.id() as u32;
            let Some(held) = self.entries[id as usize].as_mut() else { break };
            let now = self.ranking.place(&held.standing, place.id());
            if now > place {
                held.place = Some(now);
                self.order.remove(&place);
                self.order.insert(now);
                continue;
            }
            self.ranking.raise_floor(place);
            self.evicted += 1;
            self.remove(id, nodes);
            gone.push(id);
        }
    }

    /// Takes `id` out.
    pub(super) fn remove(&mut self, id: u32, nodes: &[Node]) {
        let Some(Held { entry, place, .. }) = self.entries.get_mut(id as usize).and_then(Option::take) else { return };
        if let Some(place) = place {
            self.order.remove(&place);
        }
        for key in [Some(entry.key), entry.normalised].into_iter().flatten() {
            // A newer entry may have taken the key over.
            if self.by_key[key as usize] == Some(id) {
                self.by_key[key as usize] = None;
            }
        }
        if let Some(node) = entry.node.filter(|node| self.by_node[*node as usize] == Some(id)) {
            self.by_node[node as usize] = None;
            let scope = &mut self.by_scope[nodes[node as usize].scope as usize];
            let at = self.place[node as usize] as usize;
            scope.swap_remove(at);
            if let Some(moved) = scope.get(at) {
                self.place[*moved as usize] = at as u32;
            }
        }
        self.bytes -= entry.bytes;
        self.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(key: u32, bytes: u64, worth: f64) -> Entry {
        Entry { key, ..Entry::new(key, key, bytes, worth) }
    }

    fn kept(room: Room, steps: &[(char, u32)]) -> Vec<u32> {
        let mut shelf = Shelf::new(room, 16, &[]);
        for (step, key) in steps {
            match step {
                's' => drop(shelf.store(entry(*key, 10, f64::from(*key)), &[], 0)),
                _ => shelf.by_key(*key, 0, u64::MAX).into_iter().for_each(|id| shelf.used(id)),
            }
        }
        (0..16).filter(|key| shelf.by_key[*key as usize].is_some()).collect()
    }

    #[test]
    fn who_leaves_depends_on_the_rule() {
        let steps = [('s', 9), ('s', 2), ('s', 1), ('u', 1), ('u', 1), ('u', 9), ('u', 2), ('s', 5)];
        let room = |eviction| Room { bytes: Some(30), ttl_ms: None, eviction };
        // Least recently used: 1. Least often: 9 and 2, of which 9 was used longer ago. Least worth: 1, three times 1.
        assert_eq!(kept(room(Eviction::Lru), &steps), [2, 5, 9]);
        assert_eq!(kept(room(Eviction::Lfu), &steps), [1, 2, 5]);
        assert_eq!(kept(room(Eviction::Cost), &steps), [2, 5, 9]);
        assert_eq!(kept(Room::default(), &steps), [1, 2, 5, 9]);
    }

    #[test]
    fn entries_end() {
        let mut shelf = Shelf::new(Room { ttl_ms: Some(100), ..Room::default() }, 4, &[]);
        shelf.store(entry(1, 1, 1.0), &[], 50);
        assert!(shelf.by_key(1, 149, u64::MAX).is_some() && shelf.by_key(1, 150, u64::MAX).is_none());
        let (_, gone) = shelf.store(entry(1, 1, 1.0), &[], 150);
        assert_eq!((gone.len(), shelf.count), (1, 1));
        assert!(shelf.by_key(1, 249, u64::MAX).is_some());
        // The asker's own question may not keep as long as the stored one.
        assert!(shelf.by_key(1, 199, 50).is_some() && shelf.by_key(1, 200, 50).is_none());
        shelf.store(Entry { keeps_ms: 10, ..entry(2, 1, 1.0) }, &[], 200);
        assert!(shelf.by_key(2, 209, u64::MAX).is_some() && shelf.by_key(2, 210, u64::MAX).is_none());
    }

    proptest! {
        /// Bytes, counts and lists agree with what is there, whatever happens.
        #[test]
        fn books_balance(steps in proptest::collection::vec((0u8..3, 0u32..6, 1u64..9), 1..120), rule in 0usize..3) {
            let nodes: Vec<Node> = (0..6).map(|at| Node { vector: None, scope: at % 2, first: 0 }).collect();
            let room = Room { bytes: Some(30), ttl_ms: Some(20), eviction: Eviction::ALL[rule] };
            let mut shelf = Shelf::new(room, 6, &nodes);
            for (now, (step, key, bytes)) in steps.into_iter().enumerate() {
                match step {
                    0 => drop(shelf.store(Entry { node: Some(key), ..entry(key, bytes, 1.0) }, &nodes, now as u64)),
                    1 => shelf.by_key(key, now as u64, u64::MAX).into_iter().for_each(|id| shelf.used(id)),
                    _ => if let Some(id) = shelf.by_node(key) { shelf.remove(id, &nodes) },
                }
                let there: Vec<&Entry> = shelf.entries.iter().flatten().map(|held| &held.entry).collect();
                prop_assert_eq!(shelf.count, there.len());
                prop_assert_eq!(shelf.bytes, there.iter().map(|entry| entry.bytes).sum::<u64>());
                prop_assert!(shelf.bytes <= 30);
                prop_assert_eq!(shelf.order.len(), there.len());
                prop_assert_eq!(shelf.by_scope.iter().map(Vec::len).sum::<usize>(), there.len());
                for key in 0..6 {
                    prop_assert_eq!(shelf.by_key[key].is_some(), shelf.by_node[key].is_some());
                }
            }
        }
    }
}
