//! The dot product of two vectors: the cosine, when both have length 1. The only file that imports `simsimd`.

use simsimd::SpatialSimilarity;

/// Dot product of two slices of the same length, by the widest instructions of the processor.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    match f32::dot(a, b) {
        Some(sum) => sum as f32,
        // simsimd only declines slices of different lengths, which no caller passes.
        None => a.iter().zip(b).map(|(x, y)| x * y).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_sum_in_f64() {
        for width in [1, 2, 3, 7, 16, 31, 384, 1000] {
            let a: Vec<f32> = (0..width).map(|i| ((i * 37 % 101) as f32 - 50.0) / 400.0).collect();
            let b: Vec<f32> = (0..width).map(|i| ((i * 53 % 97) as f32 - 48.0) / 400.0).collect();
            let exact: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-5, "width {width}");
        }
    }
}
