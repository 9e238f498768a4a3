//! Two sets of vectors of the same sentences → how far apart they are.

use serde::Serialize;

/// From here on a pair is near: what lies below is decided by no threshold.
const NEAR: f32 = 0.7;

/// How far the vectors are from the oracle's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Of a sentence's two vectors.
    pub cosine_mean: f64,
    pub cosine_min: f64,
    /// Errors of the cosine of two sentences: of all pairs.
    pub pairs: Errors,
    /// Of the pairs whose cosine is at least .7 by the oracle.
    pub near_pairs: Errors,
    /// Of each sentence and the one that is nearest by the oracle: what a lookup compares with its threshold.
    pub nearest: Errors,
}

/// Absolute errors of cosines.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Errors {
    pub count: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// The mean of the signed errors: whether cosines come out too high or too low.
    pub bias: f64,
}

/// Compares vectors of length one, `width` components each.
pub fn compare(oracle: &[f32], other: &[f32], width: usize) -> Figures {
    let rows = |vectors| <[f32]>::chunks_exact(vectors, width).collect::<Vec<_>>();
    let (oracle, other) = (rows(oracle), rows(other));
    let cosines: Vec<f64> = oracle.iter().zip(&other).map(|(a, b)| f64::from(dot(a, b))).collect();
    let (mut pairs, mut near_pairs) = (Vec::new(), Vec::new());
    // By sentence: the cosine with its nearest, and that pair's error.
    let mut nearest = vec![(f32::NEG_INFINITY, 0.0); oracle.len()];
    for a in 0..oracle.len() {
        for b in 0..a {
            let cosine = dot(oracle[a], oracle[b]);
            let error = dot(other[a], other[b]) - cosine;
            pairs.push(error);
            if cosine >= NEAR {
                near_pairs.push(error);
            }
            for sentence in [a, b] {
                if cosine > nearest[sentence].0 {
                    nearest[sentence] = (cosine, error);
                }
            }
        }
    }
    Figures {
        cosine_mean: cosines.iter().sum::<f64>() / cosines.len().max(1) as f64,
        cosine_min: cosines.iter().copied().fold(f64::INFINITY, f64::min),
        pairs: errors(pairs),
        near_pairs: errors(near_pairs),
        nearest: errors(nearest.into_iter().map(|(_, error)| error).collect()),
    }
}

fn errors(mut signed: Vec<f32>) -> Errors {
    let count = signed.len();
    let bias = signed.iter().map(|&error| f64::from(error)).sum::<f64>() / count.max(1) as f64;
    signed.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let at = |share: f64| {
        let last = count.saturating_sub(1);
        signed.get((last as f64 * share).round() as usize).map_or(0.0, |error| f64::from(error.abs()))
    };
    Errors { count, p50: at(0.5), p99: at(0.99), max: at(1.0), bias }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}
