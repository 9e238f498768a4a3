//! [`Neighbor`], and [`Top`]: the k best neighbours seen so far.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

/// A stored vector near the one asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbor {
    /// The id it was inserted under.
    pub id: u64,
    /// Cosine similarity of the two unit vectors, in [-1, 1].
    pub similarity: f32,
}

/// Up to this many kept neighbours, looking at each is cheaper than a set of their ids.
const FEW: usize = 64;

/// Keeps the `k` best neighbours offered, of those with at least `min_similarity`. An id is kept once: a second offer of it is dropped.
pub(crate) struct Top {
    k: usize,
    min_similarity: f32,
    // The worst on top, so that a better one knows whom to replace.
    kept: BinaryHeap<Ranked>,
    /// The ids kept, when `k` is more than a few.
    ids: Option<HashSet<u64>>,
    /// Ids that are not to be kept, in order.
    barred: Vec<u64>,
}

impl Top {
    /// `k` may be more than there will ever be.
    pub(crate) fn new(k: usize, min_similarity: f32) -> Top {
        let kept = BinaryHeap::with_capacity(k.min(FEW));
        Top { k, min_similarity, kept, ids: (k > FEW).then(HashSet::new), barred: Vec::new() }
    }

    /// How many are asked for.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// The bound that was asked for.
    pub(crate) fn min_similarity(&self) -> f32 {
        self.min_similarity
    }

    /// How many are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether `k` are kept: from now on a better one replaces the worst.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= self.k
    }

    /// What has a smaller similarity than this need not be offered. It only rises.
    pub(crate) fn bound(&self) -> f32 {
        match self.kept.peek() {
            Some(worst) if self.is_full() => worst.0.similarity.max(self.min_similarity),
            _ => self.min_similarity,
        }
    }

    /// From now on offers of `ids`, which are in order, are dropped.
    pub(crate) fn bar(&mut self, ids: Vec<u64>) {
        self.barred = ids;
    }

    pub(crate) fn offer(&mut self, id: u64, similarity: f32) {
        if similarity < self.min_similarity || self.k == 0 {
            return;
        }
        let offered = Ranked(Neighbor { id, similarity });
        if self.is_full() && self.kept.peek().is_some_and(|worst| offered >= *worst) {
            return;
        }
        if self.barred.binary_search(&id).is_ok() || self.keeps(id) {
            return;
        }
        if let Some(ids) = &mut self.ids {
            ids.insert(id);
        }
        if self.is_full()
            && let Some(mut worst) = self.kept.peek_mut()
        {
            if let Some(ids) = &mut self.ids {
                ids.remove(&worst.0.id);
            }
            *worst = offered;
        } else {
            self.kept.push(offered);
        }
    }

    fn keeps(&self, id: u64) -> bool {
        match &self.ids {
            Some(ids) => ids.contains(&id),
            None => self.kept.iter().any(|ranked| ranked.0.id == id),
        }
    }

    /// Best first; equals by id.
    pub(crate) fn into_sorted(self) -> Vec<Neighbor> {
        self.kept.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

/// Orders neighbours from best to worst: by similarity, then the smaller id.
struct Ranked(Neighbor);

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        other.0.similarity.total_cmp(&self.0.similarity).then(self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_best_and_breaks_ties_by_id() {
        let mut top = Top::new(3, 0.2);
        for (id, similarity) in [(9, 0.5), (1, 0.1), (4, 0.5), (7, 0.9), (2, 0.5), (3, 0.3)] {
            top.offer(id, similarity);
        }
        let ids: Vec<u64> = top.into_sorted().iter().map(|n| n.id).collect();
        assert_eq!(ids, [7, 2, 4]);
    }

    #[test]
    fn keeps_none_when_none_are_asked_for() {
        let mut top = Top::new(0, -1.0);
        top.offer(1, 1.0);
        assert!(top.into_sorted().is_empty());
    }

    #[test]
    fn keeps_an_id_once_and_none_that_is_barred() {
        for k in [2, 5, FEW + 1, usize::MAX] {
            let mut top = Top::new(k, -1.0);
            top.offer(8, 0.1);
            top.bar(vec![3, 6, 8]);
            for (id, similarity) in [(1, 0.5), (2, 0.6), (1, 0.5), (3, 0.9), (2, 0.6), (4, 0.7), (1, 0.5), (6, 1.0)] {
                top.offer(id, similarity);
            }
            let ids: Vec<u64> = top.into_sorted().iter().map(|n| n.id).collect();
            assert_eq!(ids, [4, 2, 1, 8][..k.min(4)], "k {k}");
        }
    }

    #[test]
    fn the_bound_rises_once_enough_are_kept() {
        let mut top = Top::new(2, 0.2);
        assert_eq!((top.bound(), top.is_full()), (0.2, false));
        top.offer(1, 0.9);
        assert_eq!(top.bound(), 0.2);
        top.offer(2, 0.5);
        assert_eq!((top.bound(), top.is_full(), top.len(), top.k()), (0.5, true, 2, 2));
        top.offer(3, 0.7);
        assert_eq!((top.bound(), top.min_similarity()), (0.7, 0.2));
    }
}
