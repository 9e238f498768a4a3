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

/// The signs of a stored row's coarse bytes, those beyond the width too.
pub(crate) fn of_row(high: &[u8], bits: &mut [u64]) {
    for (word, part) in bits.iter_mut().zip(high.as_chunks::<64>().0) {
        *word = gather(part);
    }
}

/// The signs of a query's coarse bytes: the same as of the row that equals it.
pub(crate) fn of_query(high: &[i8], bits: &mut [u64]) {
    for (word, part) in bits.iter_mut().zip(high.as_chunks::<64>().0) {
        *word = gather(&part.map(|byte| byte as u8 ^ ZERO));
    }
}

/// The highest bit of each byte.
fn gather(bytes: &[u8; 64]) -> u64 {
    // Of eight bytes at a time, multiplication brings the bits together in the highest byte.
    let of_eight = |eight: &[u8; 8]| {
        ((u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    bytes.as_chunks::<8>().0.iter().rev().fold(0, |word, eight| word << 8 | of_eight(eight))
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
    fn rows_and_queries_have_the_same_signs() {
        let high: Vec<u8> = (0..128).map(|i| (i * 89 % 251) as u8).collect();
        let signed: Vec<i8> = high.iter().map(|byte| (byte ^ ZERO) as i8).collect();
        let (mut of_stored, mut of_asked) = ([0; 2], [0; 2]);
        of_row(&high, &mut of_stored);
        of_query(&signed, &mut of_asked);
        assert_eq!(of_stored, of_asked);
        for (i, byte) in high.iter().enumerate() {
            assert_eq!(of_stored[i / 64] >> (i % 64) & 1 == 1, *byte >= ZERO, "{i}");
        }
    }

    #[test]
    fn a_cut_is_wide_where_vectors_may_be_far_apart() {
        assert_eq!(cut(384, -1.0), 384);
        assert_eq!(cut(8, 0.5), 8);
        assert!((110..140).contains(&cut(384, 0.8)), "{}", cut(384, 0.8));
        assert!(cut(384, 1.0) < 10);
    }
}
