//! What counts as a vector (the right width, finite, of length 1), and its fingerprint.

use crate::IndexError;

/// How far from 1 the length of a vector may be.
const NORM_TOLERANCE: f64 = 1e-3;

/// Refuses a vector of another width, with a NaN or an infinity, of zero length or not of length 1 (within 0.001).
pub(crate) fn check(vector: &[f32], width: usize) -> Result<(), IndexError> {
    if vector.len() != width {
        return Err(IndexError::Width { expected: width, got: vector.len() });
    }
    // One pass: a NaN or an infinity anywhere makes the sum not finite. In f64 no finite f32 squared overflows.
    let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
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

/// A fingerprint of the exact bits of a vector. Equal vectors have equal fingerprints; others rarely do.
pub(crate) fn print(vector: &[f32]) -> u32 {
    // Four independent lanes, so that one multiplication need not wait for the one before.
    let mut lanes = [0x9E37_79B9_u32, 0x85EB_CA6B, 0xC2B2_AE35, 0x27D4_EB2F];
    for quad in vector.chunks(4) {
        for (lane, x) in lanes.iter_mut().zip(quad) {
            *lane = (lane.rotate_left(5) ^ x.to_bits()).wrapping_mul(0x9E37_79B1);
        }
    }
    let [a, b, c, d] = lanes;
    (a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d.rotate_left(24)).wrapping_mul(0x85EB_CA77)
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

    #[test]
    fn a_fingerprint_tells_vectors_apart() {
        let vector: Vec<f32> = (0..384).map(|i| i as f32 / 4000.0).collect();
        let mut seen = std::collections::HashSet::from([print(&vector)]);
        for i in 0..384 {
            let mut other = vector.clone();
            other[i] = f32::from_bits(other[i].to_bits() ^ 1);
            assert!(seen.insert(print(&other)), "position {i}");
        }
        assert_eq!(print(&vector), print(&vector.clone()));
    }
}
