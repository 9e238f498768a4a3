//! Who is near: for every request the nearest questions of its scope that were asked before it.
//!
//! Computed once, in parallel, and shared by every policy of a sweep. A policy sees those of them that its cache holds.

use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Neighbours kept for each request. Where fewer of them are stored than a policy looks at, all stored ones are compared.
const KEPT: usize = 128;

/// A question near a request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Neighbour {
    /// The question's number within the stream.
    pub(super) node: u32,
    /// Cosine of the vectors.
    pub(super) similarity: f32,
}

/// The neighbours of every request, best first.
#[derive(Default)]
pub(super) struct Near {
    lists: Vec<Box<[Neighbour]>>,
}

/// One distinct question of a scope.
#[derive(Clone)]
pub(super) struct Node {
    /// Its vector; none where the model cannot read it whole.
    pub(super) vector: Option<Arc<[f32]>>,
    /// The scope, by number.
    pub(super) scope: u32,
    /// The request that asked it first.
    pub(super) first: u32,
}

impl Near {
    /// The neighbours of each of `asked`, its node by request.
    pub(super) fn of(asked: &[Option<u32>], nodes: &[Node], progress: &(dyn Fn(usize) + Sync)) -> Near {
        let scopes = nodes.iter().map(|node| node.scope as usize + 1).max().unwrap_or(0);
        // Nodes are numbered as they were first asked, so each list is in that order.
        let mut by_scope: Vec<Vec<u32>> = vec![Vec::new(); scopes];
        for (at, node) in nodes.iter().enumerate() {
            if node.vector.is_some() {
                by_scope[node.scope as usize].push(at as u32);
            }
        }
        let done = AtomicUsize::new(0);
        let list = |(request, node): (usize, &Option<u32>)| {
            let list = node.map(|node| nearest(request, node, nodes, &by_scope)).unwrap_or_default();
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            list
        };
        Near { lists: asked.par_iter().enumerate().map(list).collect() }
    }

    /// The neighbours of the request at `at`, best first, and whether these are all that there are.
    pub(super) fn list(&self, at: usize) -> (&[Neighbour], bool) {
        let list = &self.lists[at];
        (list, list.len() < KEPT)
    }
}

fn nearest(request: usize, node: u32, nodes: &[Node], by_scope: &[Vec<u32>]) -> Box<[Neighbour]> {
    let node = &nodes[node as usize];
    let Some(vector) = &node.vector else { return Box::default() };
    let scope = &by_scope[node.scope as usize];
    let before = scope.partition_point(|other| (nodes[*other as usize].first as usize) < request);
    let mut all: Vec<Neighbour> = scope[..before]
        .iter()
        .filter_map(|&other| {
            let similarity = dot(vector, nodes[other as usize].vector.as_ref()?);
            Some(Neighbour { node: other, similarity })
        })
        .collect();
    if all.len() > KEPT {
        all.select_nth_unstable_by(KEPT - 1, order);
        all.truncate(KEPT);
    }
    all.sort_unstable_by(order);
    all.into_boxed_slice()
}

/// Best first; of equals the one that was asked first, as the index does it.
pub(super) fn order(one: &Neighbour, other: &Neighbour) -> std::cmp::Ordering {
    other.similarity.total_cmp(&one.similarity).then(one.node.cmp(&other.node))
}

/// The dot product of two vectors of one length.
pub(super) fn dot(one: &[f32], other: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest: f32 = ones.remainder().iter().zip(others.remainder()).map(|(one, other)| one * other).sum();
    for (one, other) in ones.zip(others) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Lists hold the best of what was asked before in the scope, and nothing else.
        #[test]
        fn lists_are_what_a_plain_search_gives(
            questions in proptest::collection::vec((0u32..3, -1.0f32..1.0, -1.0f32..1.0), 1..40),
        ) {
            let nodes: Vec<Node> = questions
                .iter()
                .enumerate()
                .map(|(at, (scope, x, y))| {
                    let length = (x * x + y * y).sqrt().max(1e-3);
                    let vector: Arc<[f32]> = vec![x / length, y / length].into();
                    Node { vector: Some(vector), scope: *scope, first: at as u32 }
                })
                .collect();
            let asked: Vec<Option<u32>> = (0..nodes.len() as u32).map(Some).collect();
            let near = Near::of(&asked, &nodes, &|_| ());
            for (at, node) in nodes.iter().enumerate() {
                let mut plain: Vec<Neighbour> = (0..at)
                    .filter(|other| nodes[*other].scope == node.scope)
                    .map(|other| Neighbour {
                        node: other as u32,
                        similarity: dot(node.vector.as_ref().unwrap(), nodes[other].vector.as_ref().unwrap()),
                    })
                    .collect();
                plain.sort_by(order);
                prop_assert_eq!(near.list(at), (&plain[..], true));
            }
        }
    }
}
