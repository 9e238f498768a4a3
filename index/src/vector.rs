//! What counts as a vector: the right width, finite, of length 1.

use crate::IndexError;

/// How far from 1 the length of a vector may be.
const NORM_TOLERANCE: f64 = 1e-3;

/// Refuses a vector of another width, with a NaN or an infinity, of zero length or not of length 1 (within 0.001).
pub(crate) fn check(vector: &[f32], width: usize) -> Result<(), IndexError> {
    if vector.len() != width {
        return Err(IndexError::Width { expected: width, got: vector.len() });
    }
    // One pass: a NaN or an infinity anywhere makes the sum not finite. In f64 no finite f32 squared overflows.
    let norm = squares(vector).sqrt();
    if !norm.is_finite() {
        let (position, value) =
            vector.iter().copied().enumerate().find(|(_, x)| !x.is_finite()).unwrap_or((0, f32::NAN));
        return Err(IndexError::NotFinite { position, value });
    }
    if norm == 0.0 {
        return Err(IndexError::Zero);
    }
    if (norm - 1.0).abs() > NORM_TOLERANCE {
        return Err(IndexError::NotUnit { norm });
    }
    Ok(())
}

/// The sum of the squares. In lanes, so that one addition need not wait for the one before.
fn squares(vector: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let (lanes, rest) = vector.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for lane in lanes {
        for (sum, x) in sums.iter_mut().zip(lane) {
            *sum += square(*x);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| square(*x)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_each_kind_of_wrong_vector() {
        let say = |v: &[f32]| check(v, 4).unwrap_err().to_string();
        check(&[0.5, -0.5, 0.5, -0.5], 4).unwrap();
        check(&[1.0009, 0.0, 0.0, 0.0], 4).unwrap();
        assert!(say(&[1.0]).contains("4 numbers, got 1"));
        assert!(say(&[]).contains("got 0"));
        assert!(say(&[0.0, f32::NAN, 0.0, 0.0]).contains("NaN at position 1"));
        assert!(say(&[0.0, 0.0, f32::NEG_INFINITY, 0.0]).contains("-inf at position 2"));
        assert!(say(&[0.0; 4]).contains("zero vector"));
        assert!(say(&[1.1, 0.0, 0.0, 0.0]).contains("length 1.1"));
        assert!(say(&[f32::MAX; 4]).contains("normalise"));
        assert!(say(&[f32::MIN_POSITIVE / 4.0; 4]).contains("length"));
    }
}
