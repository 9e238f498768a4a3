//! [`exact`]: the truth that an index is held against, by comparing each query with every vector.

use rayon::prelude::*;

use super::vectors::Vectors;

/// Vectors that stay in a core's cache while all queries look at them.
const TOGETHER: usize = 256;

/// The true nearest of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// Its number; `usize::MAX` when there was none to compare with.
    pub id: usize,
    /// Its cosine.
    pub similarity: f32,
}

const NONE: Best = Best { id: usize::MAX, similarity: f32::NEG_INFINITY };

/// The true nearest of each query, in f32, on all cores of the global thread pool. Of equals, the first.
pub fn exact(stored: &Vectors, queries: &Vectors) -> Vec<Best> {
    exact_among(stored, queries, &|_| true)
}

/// As [`exact`], among those that `alive` says.
pub fn exact_among(stored: &Vectors, queries: &Vectors, alive: &(dyn Fn(usize) -> bool + Sync)) -> Vec<Best> {
    let width = stored.width();
    let chunks = stored.numbers().par_chunks(TOGETHER * width).enumerate();
    let none = || vec![NONE; queries.len()];
    let found = chunks.fold(none, |mut best, (chunk, rows)| {
        let rows: Vec<(usize, &[f32])> =
            (chunk * TOGETHER..).zip(rows.chunks_exact(width)).filter(|(id, _)| alive(*id)).collect();
        for (best, query) in best.iter_mut().zip(queries.iter()) {
            for &(id, row) in &rows {
                *best = better(*best, Best { id, similarity: dot(query, row) });
            }
        }
        best
    });
    found.reduce(none, |a, b| a.into_iter().zip(b).map(|(a, b)| better(a, b)).collect())
}

fn better(a: Best, b: Best) -> Best {
    if (b.similarity, a.id) > (a.similarity, b.id) { b } else { a }
}

/// The `k` true nearest of one query, best first.
pub fn nearest_exact(stored: &Vectors, query: &[f32], k: usize) -> Vec<Best> {
    let mut all: Vec<Best> =
        stored.iter().enumerate().map(|(id, row)| Best { id, similarity: dot(query, row) }).collect();
    let order = |a: &Best, b: &Best| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id));
    if k < all.len() {
        all.select_nth_unstable_by(k, order);
        all.truncate(k);
    }
    all.sort_unstable_by(order);
    all
}

/// Dot product in f32, by the widest instructions of the processor.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    crate::distance::dot(a, b)
}

#[cfg(test)]
mod tests {
    use super::super::{Dice, enlarge};
    use super::*;

    #[test]
    fn agrees_with_one_by_one() {
        let (mut dice, mut stored) = (Dice(5), Vectors::new(20));
        let draw = |dice: &mut Dice| (0..20).map(|_| dice.normal()).collect::<Vec<f32>>();
        for _ in 0..40 {
            stored.push(&draw(&mut dice));
        }
        enlarge(&mut stored, 1000, 1);
        let mut queries = Vectors::new(20);
        for _ in 0..30 {
            queries.push(&draw(&mut dice));
        }
        let (all, odd) = (exact(&stored, &queries), exact_among(&stored, &queries, &|id| id % 2 == 1));
        for (number, query) in queries.iter().enumerate() {
            let sorted = nearest_exact(&stored, query, 1000);
            assert_eq!(all[number], sorted[0]);
            assert_eq!(odd[number], *sorted.iter().find(|best| best.id % 2 == 1).unwrap());
            assert_eq!(nearest_exact(&stored, query, 3), sorted[..3]);
        }
        assert_eq!(exact_among(&stored, &queries, &|_| false)[0], NONE);
    }
}
