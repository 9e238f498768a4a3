//! One bit for each number of a vector: its sign. How many bits differ bounds how similar two vectors can well be, so a
//! scan counts bits first, and computes few similarities.
//!
//! For vectors at an angle θ in random position, each sign differs with probability θ / π (Goemans & Williamson, 1995; Charikar, 2002).
//! Sentence vectors are not in random position, so [`cut`] leaves six standard deviations of room.

use crate::quantize::ZERO;

/// Standard deviations of room in [`cut`].
const ROOM: f32 = 6.0;

/// See [`tells`].
const LEAST_SPREAD: f32 = 0.6;

/// 64-bit words of a signature: whole cache lines are not needed, whole words are.
pub(crate) fn words(width: usize) -> usize {
    width.div_ceil(64)
}

/// The signs of a stored row's coarse bytes.
pub(crate) fn of_row(high: &[u8], width: usize, bits: &mut [u64]) {
    gather(high, width, bits, |byte| *byte >= ZERO);
}

/// The signs of a query's coarse bytes: the same as of the row that equals it.
pub(crate) fn of_query(high: &[i8], width: usize, bits: &mut [u64]) {
    gather(high, width, bits, |byte| *byte >= 0);
}

/// Bit `i` says whether the `i`-th of the first `width` items is positive.
fn gather<T>(items: &[T], width: usize, bits: &mut [u64], positive: impl Fn(&T) -> bool) {
    for (word, items) in bits.iter_mut().zip(items[..width].chunks(64)) {
        *word = items.iter().enumerate().fold(0, |word, (i, item)| word | u64::from(positive(item)) << i);
    }
}

/// Whether the signs of these coarse bytes tell with whom the vector is alike: the mean of the magnitudes is then not far
/// below their root mean square (0.8 of it where they are spread as a normal distribution is). Where a few numbers are large
/// and the others nearly zero, the signs of the others are noise.
pub(crate) fn tells(high: &[i8], width: usize) -> bool {
    let (mut sum, mut squares) = (0_i32, 0_i32);
    for x in high {
        sum += i32::from(*x).abs();
        squares += i32::from(*x) * i32::from(*x);
    }
    (sum as f32).powi(2) >= LEAST_SPREAD * LEAST_SPREAD * width as f32 * squares as f32
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
