//! A small memory of texts and their vectors, bounded in bytes: the same question again costs a look, not a pass.
//!
//! An asker finds only what it asked itself: from the time an answer takes, nobody can tell what others asked. A text
//! is compared in full, so a collision of hashes is a miss and never another text's vector; the hash is keyed anew in
//! each process, so that nobody can make texts collide. Two equal texts at one time are computed twice: to make one
//! wait for the other would cost more than it saves, since the gateway merges equal requests before they come here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::asker::Asker;
use crate::embedder::Embedding;
use crate::stats::MemoStats;

/// Parts with a lock of their own, so that callers on several threads seldom wait for each other.
const SHARDS: usize = 8;

/// What an entry costs beside its text and its vector: the slot, its place in the table, two allocations.
const OVERHEAD: usize = size_of::<Slot>() + 3 * size_of::<(u64, usize)>() + 64;

/// A text may take at most this part of its shard: one megabyte must not push out a thousand questions.
const LARGEST_PART: usize = 8;

/// Texts and their vectors.
pub(crate) struct Memo {
    hasher: RandomState,
    /// Empty when the memo is off.
    shards: Box<[Mutex<Shard>]>,
    /// Bytes that each shard may hold.
    budget: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Slots in a ring: the hand goes round and takes out what was not asked for since it last came by (CLOCK). As good as
/// least-recently-used here, and a hit only sets a flag.
#[derive(Default)]
struct Shard {
    places: HashMap<u64, usize>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
}

struct Slot {
    hash: u64,
    asker: Asker,
    text: Box<str>,
    embedding: Embedding,
    asked_again: bool,
}

impl Slot {
    fn bytes(&self) -> usize {
        cost(&self.text, &self.embedding)
    }
}

fn cost(text: &str, embedding: &Embedding) -> usize {
    OVERHEAD + text.len() + size_of_val(&*embedding.vector)
}

impl Memo {
    /// A memo of at most `bytes`; 0 is none.
    pub(crate) fn new(bytes: usize) -> Memo {
        let shards = if bytes == 0 { 0 } else { SHARDS };
        Memo {
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            budget: bytes / SHARDS,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The vector of a text that this asker asked for before.
    pub(crate) fn get(&self, asker: Asker, text: &str) -> Option<Embedding> {
        let hash = self.hasher.hash_one((asker, text));
        let found = self.shard(hash)?.lock().get(hash, asker, text);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Remembers a text's vector.
    pub(crate) fn put(&self, asker: Asker, text: &str, embedding: &Embedding) {
        let hash = self.hasher.hash_one((asker, text));
        if cost(text, embedding) > self.budget / LARGEST_PART {
            return;
        }
        let Some(shard) = self.shard(hash) else { return };
        let slot = Slot { hash, asker, text: text.into(), embedding: embedding.clone(), asked_again: false };
        shard.lock().put(slot, self.budget);
    }

    /// What it holds, and how often it knew a text.
    pub(crate) fn stats(&self) -> MemoStats {
        let mut stats = MemoStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            ..MemoStats::default()
        };
        for shard in &self.shards {
            let shard = shard.lock();
            stats.entries += shard.places.len();
            stats.bytes += shard.bytes;
        }
        stats
    }

    fn shard(&self, hash: u64) -> Option<&Mutex<Shard>> {
        // The table inside a shard uses the low bits.
        self.shards.get((hash >> 32) as usize % self.shards.len().max(1))
    }
}

impl Shard {
    fn get(&mut self, hash: u64, asker: Asker, text: &str) -> Option<Embedding> {
        let place = *self.places.get(&hash)?;
        let slot = self.slots.get_mut(place)?.as_mut()?;
        let same = slot.asker == asker && *slot.text == *text;
        slot.asked_again |= same;
        same.then(|| slot.embedding.clone())
    }

    fn put(&mut self, slot: Slot, budget: usize) {
        if let Some(place) = self.places.remove(&slot.hash) {
            self.empty(place);
        }
        let bytes = slot.bytes();
        while self.bytes + bytes > budget && !self.places.is_empty() {
            self.turn();
        }
        let place = self.free.pop().unwrap_or(self.slots.len());
        self.bytes += bytes;
        self.places.insert(slot.hash, place);
        match self.slots.get_mut(place) {
            Some(empty) => *empty = Some(slot),
            None => self.slots.push(Some(slot)),
        }
    }

    /// Moves the hand by one slot.
    fn turn(&mut self) {
        let place = self.hand;
        self.hand = (self.hand + 1) % self.slots.len().max(1);
        match self.slots.get_mut(place) {
            Some(Some(slot)) if slot.asked_again => slot.asked_again = false,
            Some(Some(slot)) => {
                self.places.remove(&slot.hash);
                self.empty(place);
            }
            _ => {}
        }
    }

    fn empty(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place).and_then(Option::take) {
            self.bytes -= slot.bytes();
            self.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: Asker = Asker::new(1);

    fn embedding(value: usize) -> Embedding {
        Embedding { vector: vec![value as f32; 384].into(), tokens: value, windows: 1, truncated: false }
    }

    fn fill(memo: &Memo, numbers: std::ops::Range<usize>) {
        numbers.for_each(|number| memo.put(ONE, &format!("question {number}"), &embedding(number)));
    }

    #[test]
    fn what_was_put_is_found_by_its_own_asker_alone() {
        let memo = Memo::new(1 << 20);
        fill(&memo, 0..50);
        for number in 0..50 {
            assert_eq!(memo.get(ONE, &format!("question {number}")), Some(embedding(number)));
        }
        assert_eq!(memo.get(Asker::new(2), "question 1"), None);
        assert_eq!(memo.get(ONE, "question 50"), None);
        let stats = memo.stats();
        assert_eq!((stats.hits, stats.misses, stats.entries), (50, 2, 50));
        assert!(stats.bytes > 50 * (384 * 4 + 10) && stats.bytes < 50 * 2048, "{stats:?}");
    }

    #[test]
    fn a_collision_of_hashes_is_a_miss() {
        let mut shard = Shard::default();
        let slot = |text: &str, number| Slot {
            hash: 7,
            asker: ONE,
            text: text.into(),
            embedding: embedding(number),
            asked_again: false,
        };
        shard.put(slot("a", 1), 1 << 20);
        assert_eq!(shard.get(7, ONE, "b"), None);
        assert_eq!(shard.get(7, Asker::new(9), "a"), None);
        shard.put(slot("b", 2), 1 << 20);
        assert_eq!((shard.get(7, ONE, "a"), shard.get(7, ONE, "b")), (None, Some(embedding(2))));
        assert_eq!((shard.bytes, shard.places.len()), (cost("b", &embedding(2)), 1));
    }

    #[test]
    fn what_is_asked_again_outlives_what_is_not() {
        let memo = Memo::new(256 << 10);
        fill(&memo, 0..10);
        for round in 1..200 {
            fill(&memo, round * 10..round * 10 + 10);
            (0..10).for_each(|number| assert!(memo.get(ONE, &format!("question {number}")).is_some(), "{round}"));
        }
        assert_eq!(memo.get(ONE, "question 500"), None);
    }

    #[test]
    fn none_is_none_and_a_huge_text_is_not_kept() {
        let memo = Memo::new(0);
        fill(&memo, 0..10);
        assert_eq!((memo.get(ONE, "question 1"), memo.stats()), (None, MemoStats::default()));
        let memo = Memo::new(1 << 20);
        memo.put(ONE, &"x".repeat(1 << 15), &embedding(1));
        assert_eq!(memo.stats().entries, 0);
    }

    proptest! {
        #[test]
        fn bytes_stay_within_the_budget_and_add_up(
            steps in proptest::collection::vec((0usize..3000, 0usize..40, any::<bool>()), 0..300),
            budget in 1usize..200_000,
        ) {
            let memo = Memo::new(budget);
            for (length, number, put) in steps {
                let text = format!("{number} {}", "x".repeat(length));
                if put {
                    memo.put(Asker::default(), &text, &embedding(number));
                } else if let Some(found) = memo.get(Asker::default(), &text) {
                    prop_assert_eq!(found, embedding(number));
                }
                prop_assert!(memo.stats().bytes <= budget);
            }
            for shard in &memo.shards {
                let shard = shard.lock();
                let held: Vec<&Slot> = shard.slots.iter().flatten().collect();
                prop_assert_eq!(held.iter().map(|slot| slot.bytes()).sum::<usize>(), shard.bytes);
                prop_assert_eq!(held.len(), shard.places.len());
                prop_assert_eq!(held.len() + shard.free.len(), shard.slots.len());
            }
        }
    }
}
