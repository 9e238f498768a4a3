//! Training of a `Forest`: gradient boosting of full trees of one depth, on binned features, by the second-order gain of
//! the logistic loss (Chen and Guestrin, "XGBoost", 2016). Deterministic: no rows or features are sampled.

use super::logistic::sigmoid;
use super::trees::Forest;

/// Cuts of one feature, at most.
const BINS: usize = 64;

/// How a forest is grown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Growth {
    /// Trees.
    pub trees: usize,
    /// Levels of each.
    pub depth: usize,
    /// Share of each tree's opinion that is taken.
    pub rate: f64,
    /// Weight of the leaves' squares in the loss.
    pub ridge: f64,
    /// Least sum of second derivatives on either side of a cut: about four times that many undecided rows.
    pub least: f64,
}

impl Default for Growth {
    fn default() -> Growth {
        Growth { trees: 150, depth: 5, rate: 0.1, ridge: 8.0, least: 4.0 }
    }
}

/// Rows to learn from.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Features of each row, all of one length.
    pub features: Vec<Vec<f32>>,
    /// The class that is predicted.
    pub positive: Vec<bool>,
    /// How many rows each stands for.
    pub weights: Vec<f32>,
}

/// Grows a forest. With no rows it is empty.
pub fn grow(rows: &Rows, growth: &Growth) -> Forest {
    let Some(width) = rows.features.first().map(Vec::len) else {
        return Forest::default();
    };
    let cuts: Vec<Vec<f32>> = (0..width).map(|feature| cuts(rows, feature)).collect();
    let binned: Vec<Vec<u8>> = (0..width).map(|feature| bins(rows, feature, &cuts[feature])).collect();
    let weight: f64 = rows.weights.iter().map(|weight| f64::from(*weight)).sum();
    let positive: f64 = rows
        .weights
        .iter()
        .zip(&rows.positive)
        .map(|(weight, yes)| f64::from(*weight) * f64::from(u8::from(*yes)))
        .sum();
    let base = ((positive + 1.0) / (weight - positive + 1.0)).ln();
    let mut forest = Forest { depth: growth.depth, base: base as f32, ..Forest::default() };
    let mut scores = vec![base; rows.features.len()];
    for _ in 0..growth.trees {
        let slopes: Vec<(f64, f64)> = (0..scores.len())
            .map(|row| {
                let (p, weight) = (sigmoid(scores[row]), f64::from(rows.weights[row]));
                (weight * (p - f64::from(u8::from(rows.positive[row]))), weight * (p * (1.0 - p)).max(1e-6))
            })
            .collect();
        let tree = Tree::grow(&binned, &cuts, &slopes, growth);
        for (row, leaf) in tree.leaf_of.iter().enumerate() {
            scores[row] += f64::from(tree.leaves[*leaf]);
        }
        forest.features.extend(tree.features);
        forest.cuts.extend(tree.cuts);
        forest.leaves.extend(tree.leaves);
    }
    forest
}

/// Values between which a feature may be cut: quantiles, each once.
fn cuts(rows: &Rows, feature: usize) -> Vec<f32> {
    let mut values: Vec<f32> = rows.features.iter().map(|row| row[feature]).collect();
    values.sort_unstable_by(f32::total_cmp);
    let mut cuts: Vec<f32> = (1..BINS).map(|at| values[(at * values.len() / BINS).min(values.len() - 1)]).collect();
    // What is rarer than a quantile, a flag that is seldom set, can be cut off too.
    cuts.push(values[0]);
    cuts.sort_unstable_by(f32::total_cmp);
    cuts.dedup();
    cuts.truncate(BINS - 1);
    cuts
}

/// For every row how many cuts its value is above.
fn bins(rows: &Rows, feature: usize, cuts: &[f32]) -> Vec<u8> {
    rows.features.iter().map(|row| cuts.partition_point(|cut| *cut < row[feature]) as u8).collect()
}

/// One tree while it grows.
struct Tree {
    features: Vec<u8>,
    cuts: Vec<f32>,
    leaves: Vec<f32>,
    leaf_of: Vec<usize>,
}

impl Tree {
    fn grow(binned: &[Vec<u8>], cuts: &[Vec<f32>], slopes: &[(f64, f64)], growth: &Growth) -> Tree {
        let inner = (1 << growth.depth) - 1;
        let mut tree = Tree {
            features: vec![0; inner],
            cuts: vec![f32::INFINITY; inner],
            leaves: Vec::new(),
            leaf_of: vec![0; slopes.len()],
        };
        for level in 0..growth.depth {
            let nodes = 1 << level;
            let splits = best_splits(binned, slopes, &tree.leaf_of, nodes, growth);
            for (node, split) in splits.iter().enumerate() {
                if let Some((feature, bin)) = split {
                    tree.features[nodes - 1 + node] = *feature as u8;
                    tree.cuts[nodes - 1 + node] = cuts[*feature][*bin];
                }
            }
            for (row, node) in tree.leaf_of.iter_mut().enumerate() {
                let right = splits[*node].is_some_and(|(feature, bin)| usize::from(binned[feature][row]) > bin);
                *node = 2 * *node + usize::from(right);
            }
        }
        let mut sums = vec![(0.0, 0.0); 1 << growth.depth];
        for (leaf, (slope, curve)) in tree.leaf_of.iter().zip(slopes) {
            sums[*leaf].0 += slope;
            sums[*leaf].1 += curve;
        }
        tree.leaves =
            sums.iter().map(|(slope, curve)| (-growth.rate * slope / (curve + growth.ridge)) as f32).collect();
        tree
    }
}

/// The best cut of each node of a level, if one gains anything.
fn best_splits(
    binned: &[Vec<u8>],
    slopes: &[(f64, f64)],
    node_of: &[usize],
    nodes: usize,
    growth: &Growth,
) -> Vec<Option<(usize, usize)>> {
    let worth = |slope: f64, curve: f64| slope * slope / (curve + growth.ridge);
    let mut best = vec![(1e-6, None); nodes];
    for (feature, bins) in binned.iter().enumerate() {
        let mut sums = vec![(0.0f64, 0.0f64); nodes * BINS];
        for ((bin, node), (slope, curve)) in bins.iter().zip(node_of).zip(slopes) {
            let sum = &mut sums[node * BINS + usize::from(*bin)];
            sum.0 += slope;
            sum.1 += curve;
        }
        for (node, sums) in sums.chunks_exact(BINS).enumerate() {
            let (slope, curve) = sums.iter().fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
            let (mut left_slope, mut left_curve) = (0.0, 0.0);
            for (bin, sum) in sums.iter().enumerate().take(BINS - 1) {
                left_slope += sum.0;
                left_curve += sum.1;
                if left_curve < growth.least || curve - left_curve < growth.least {
                    continue;
                }
                let gain =
                    worth(left_slope, left_curve) + worth(slope - left_slope, curve - left_curve) - worth(slope, curve);
                if gain > best[node].0 {
                    best[node] = (gain, Some((feature, bin)));
                }
            }
        }
    }
    best.into_iter().map(|(_, split)| split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_what_no_single_feature_tells() {
        // Positive where exactly one of two features is large: an exclusive or, with a third feature of noise.
        let rows: Vec<[f32; 3]> = (0..2000u32)
            .map(|i| {
                let part = |shift: u32| f32::from((i.wrapping_mul(2_654_435_761) >> shift) as u8) / 255.0;
                [part(3), part(11), part(19)]
            })
            .collect();
        let positive: Vec<bool> = rows.iter().map(|row| (row[0] > 0.5) != (row[1] > 0.3)).collect();
        let rows = Rows {
            features: rows.iter().map(|row| row.to_vec()).collect(),
            weights: vec![1.0; positive.len()],
            positive,
        };
        let growth = Growth { trees: 60, depth: 3, least: 1.0, ridge: 1.0, ..Growth::default() };
        let forest = grow(&rows, &growth);
        assert_eq!(forest.len(), 60);
        let right = rows.features.iter().zip(&rows.positive).filter(|(row, yes)| (forest.predict(row) > 0.5) == **yes);
        assert!(right.count() > 1950);
        assert_eq!(forest, grow(&rows, &growth), "the same rows give the same forest");
    }

    #[test]
    fn survives_no_rows_and_one_class() {
        assert!(grow(&Rows::default(), &Growth::default()).is_empty());
        let one = Rows { features: vec![vec![1.0]; 9], positive: vec![true; 9], weights: vec![1.0; 9] };
        assert!(grow(&one, &Growth::default()).predict(&[1.0]) > 0.8);
    }
}
