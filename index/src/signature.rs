//! One bit for each number of a vector: its sign. How many bits differ bounds how similar two vectors can well be, so a
//! scan counts bits first, and computes few similarities.
//!
//! For vectors at an angle θ in random position, each sign differs with probability θ / π (Goemans & Williamson, 1995; Charikar, 2002).
//! Sentence vectors are not in random position, so [`cut`] leaves six standard deviations of room.

use crate::quantize::ZERO;

/// Standard deviations of room in [`cut`].
const ROOM: f32 = 6.0;

/// 64-bit words of a signature: whole cache lines are not needed, whole words are.
pub(crate) fn words(width: usize) -> usize {
    width.div_ceil(64)
}

/// The signs of a vector's numbers; a rounded vector has the same, but for numbers that round to zero.
pub(crate) fn of_vector(vector: &[f32], bits: &mut [u64]) {
    bits.fill(0);
    for (i, x) in vector.iter().enumerate() {
        bits[i / 64] |= u64::from(*x >= 0.0) << (i % 64);
    }
}

/// The signs of a stored row's coarse plane.
pub(crate) fn of_row(high: &[u8], width: usize, bits: &mut [u64]) {
    bits.fill(0);
    for (i, x) in high.iter().take(width).enumerate() {
        bits[i / 64] |= u64::from(*x >= ZERO) << (i % 64);
    }
}

/// How many bits may differ between vectors that are at least `min_similarity` alike: `width` when that says nothing.
pub(crate) fn cut(width: usize, min_similarity: f32) -> u32 {
    let share = min_similarity.clamp(-1.0, 1.0).acos() / std::f32::consts::PI;
    let width_f = width as f32;
    let expected = width_f * share;
    let deviation = (width_f * share * (1.0 - share)).sqrt().max(1.0);
    ((expected + ROOM * deviation).ceil() as u32).min(width as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_wide_where_vectors_may_be_far_apart() {
        assert_eq!(cut(384, -1.0), 384);
        assert_eq!(cut(8, 0.5), 8);
        assert!((110..140).contains(&cut(384, 0.8)), "{}", cut(384, 0.8));
        assert!(cut(384, 1.0) < 10);
    }
}
