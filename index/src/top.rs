//! [`Neighbor`], and [`Top`]: the k best neighbours seen so far.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A stored vector near the one asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbor {
    /// The id it was inserted under.
    pub id: u64,
    /// Cosine similarity (dot product of the two unit vectors in f32), in [-1, 1].
    pub similarity: f32,
}

/// Keeps the `k` best neighbours offered, of those with at least `min_similarity`.
pub(crate) struct Top {
    k: usize,
    min_similarity: f32,
    // The worst on top, so that a better one knows whom to replace.
    kept: BinaryHeap<Ranked>,
}

impl Top {
    pub(crate) fn new(k: usize, min_similarity: f32) -> Top {
        Top { k, min_similarity, kept: BinaryHeap::new() }
    }

    /// How many are kept at most.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// What is less similar than this is not kept.
    pub(crate) fn bound(&self) -> f32 {
        match self.kept.peek() {
            Some(worst) if self.kept.len() >= self.k => worst.0.similarity.max(self.min_similarity),
            _ => self.min_similarity,
        }
    }

    pub(crate) fn offer(&mut self, id: u64, similarity: f32) {
        if similarity < self.min_similarity || self.k == 0 {
            return;
        }
        let offered = Ranked(Neighbor { id, similarity });
        if self.kept.len() < self.k {
            self.kept.push(offered);
        } else if let Some(mut worst) = self.kept.peek_mut()
            && offered < *worst
        {
            *worst = offered;
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
}
