//! `Forest`: gradient-boosted trees over a pair's features, as flat arrays.

use super::logistic::sigmoid;

/// A forest of full binary trees of one depth. A prediction walks every tree: `depth` comparisons each.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Forest {
    /// Levels of every tree.
    pub(super) depth: usize,
    /// What is added before any tree speaks.
    pub(super) base: f32,
    /// Inner nodes, level by level, tree after tree: 2^depth − 1 each.
    pub(super) features: Vec<u8>,
    pub(super) cuts: Vec<f32>,
    /// Leaves: 2^depth each.
    pub(super) leaves: Vec<f32>,
}

impl Forest {
    /// Trees in it.
    pub fn len(&self) -> usize {
        self.leaves.len() >> self.depth
    }

    /// Is there no tree?
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Probability of the positive class, in (0, 1).
    pub(super) fn predict(&self, features: &[f32]) -> f32 {
        let inner = (1 << self.depth) - 1;
        let mut sum = self.base;
        let nodes = self.features.chunks_exact(inner.max(1)).zip(self.cuts.chunks_exact(inner.max(1)));
        for ((names, cuts), leaves) in nodes.zip(self.leaves.chunks_exact(1 << self.depth)) {
            let mut at = 0;
            for _ in 0..self.depth {
                let right = features.get(usize::from(names[at])).is_some_and(|value| *value > cuts[at]);
                at = 2 * at + 1 + usize::from(right);
            }
            sum += leaves[at - inner];
        }
        sigmoid(f64::from(sum)) as f32
    }
}
