//! `Forest`: gradient-boosted trees over a pair's features, as flat arrays.

use super::bytes::{In, Out, StateError};
use super::logistic::sigmoid;
use super::pair::FEATURES;

/// Deeper trees, and more of them, are not read.
const MOST: (usize, usize) = (8, 2000);

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

    pub(super) fn write(&self, out: &mut Out) {
        out.u8(self.depth as u8);
        out.f32(self.base);
        out.u32(self.len() as u32);
        self.features.iter().for_each(|feature| out.u8(*feature));
        // A node that cuts nothing off has no cut to speak of.
        self.cuts.iter().for_each(|cut| out.f32(if cut.is_finite() { *cut } else { f32::MAX }));
        self.leaves.iter().for_each(|leaf| out.f32(*leaf));
    }

    pub(super) fn read(input: &mut In<'_>) -> Result<Forest, StateError> {
        let (depth, base) = (usize::from(input.u8()?), input.f32()?);
        let trees = input.count(1)?;
        if depth > MOST.0 || trees > MOST.1 || (depth == 0 && trees > 0) {
            return Err(StateError(format!("it holds {trees} trees of depth {depth}")));
        }
        let inner = trees * ((1 << depth) - 1);
        let features = (0..inner).map(|_| input.u8()).collect::<Result<Vec<u8>, _>>()?;
        if let Some(feature) = features.iter().find(|feature| usize::from(**feature) >= FEATURES) {
            return Err(StateError(format!("a tree asks for feature {feature}, and there are {FEATURES}")));
        }
        let cuts = (0..inner).map(|_| input.f32()).collect::<Result<_, _>>()?;
        let leaves = (0..trees << depth).map(|_| input.f32()).collect::<Result<_, _>>()?;
        Ok(Forest { depth, base, features, cuts, leaves })
    }
}
