//! [`Row`]: a vector as it is stored, in two planes of bytes; and [`Query`], one as it is asked for.
//!
//! A component is `scale · (high + low / 254)`: a coarse byte, which the walk through a graph reads, and a fine one, with
//! which the similarity is as good as exact (the two together leave an error of about `scale / 508`, measured as 5·10⁻⁶ of a
//! cosine at 384 numbers). Both are stored with 128 added, since the processors' dot products multiply unsigned bytes with
//! signed ones: the sum over a query's bytes, times 128, is subtracted once.

use crate::kernels::Kernels;
use crate::signature;

/// What is added to a signed byte to store it.
pub(crate) const ZERO: u8 = 128;

/// Fine steps in a coarse one.
const FINE: f32 = 254.0;

/// Scales are stored as multiples of this, in 16 bits: the largest that a unit vector needs is 1 / 127.
const SCALE_UNIT: f32 = 1.0 / (1 << 22) as f32;

/// Bytes of a plane's row in memory: `width` rounded up to whole cache lines, which the kernels need.
pub(crate) fn stride(width: usize) -> usize {
    width.next_multiple_of(64)
}

/// Bytes of a row in a file: the scale, then `width` bytes of each plane.
pub(crate) fn packed_len(width: usize) -> usize {
    2 + 2 * width
}

/// A stored vector, lent. Both planes have `stride(width)` bytes, those beyond the width [`ZERO`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowRef<'a> {
    /// See [`scale`].
    pub(crate) scale: u16,
    /// The coarse bytes.
    pub(crate) high: &'a [u8],
    /// The fine bytes.
    pub(crate) low: &'a [u8],
}

/// A stored vector, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    scale: u16,
    /// Both planes, one after the other.
    planes: Box<[u8]>,
}

/// What a stored scale means.
pub(crate) fn scale(stored: u16) -> f32 {
    f32::from(stored) * SCALE_UNIT
}

impl Row {
    /// Rounds a vector of finite numbers, none beyond 1.9 (a checked one is not).
    pub(crate) fn new(vector: &[f32]) -> Row {
        let stride = stride(vector.len());
        let mut signed = vec![0; 2 * stride];
        let (high, low) = signed.split_at_mut(stride);
        let scale = split(vector, high, low);
        Row { scale, planes: signed.into_iter().map(|byte| byte as u8 ^ ZERO).collect() }
    }

    /// A copy of a lent row.
    pub(crate) fn copy(row: RowRef<'_>) -> Row {
        Row { scale: row.scale, planes: row.high.iter().chain(row.low).copied().collect() }
    }

    pub(crate) fn view(&self) -> RowRef<'_> {
        let (high, low) = self.planes.split_at(self.planes.len() / 2);
        RowRef { scale: self.scale, high, low }
    }

    /// Reads a row out of `packed_len(width)` bytes of a file; `None` when there are not as many.
    pub(crate) fn unpack(bytes: &[u8], width: usize) -> Option<Row> {
        if bytes.len() != packed_len(width) {
            return None;
        }
        let (scale, bytes) = bytes.split_first_chunk::<2>()?;
        let (high, low) = bytes.split_at(width);
        Some(Row::from_planes(u16::from_le_bytes(*scale), high, low))
    }

    /// A row of a stored scale and of `width` bytes of each plane.
    pub(crate) fn from_planes(scale: u16, high: &[u8], low: &[u8]) -> Row {
        let (width, stride) = (high.len(), stride(high.len()));
        let mut planes = vec![ZERO; 2 * stride].into_boxed_slice();
        planes[..width].copy_from_slice(high);
        planes[stride..stride + width].copy_from_slice(low);
        Row { scale, planes }
    }
}

impl RowRef<'_> {
    /// A copy.
    pub(crate) fn to_row(self) -> Row {
        Row { scale: self.scale, planes: [self.high, self.low].concat().into_boxed_slice() }
    }

    /// Appends the row to `bytes` as a file has it.
    pub(crate) fn pack(&self, width: usize, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.scale.to_le_bytes());
        bytes.extend_from_slice(&self.high[..width]);
        bytes.extend_from_slice(&self.low[..width]);
    }

    /// The vector again, within rounding.
    pub(crate) fn unround(&self, width: usize) -> Vec<f32> {
        let scale = scale(self.scale);
        let signed = |byte: u8| f32::from(byte) - f32::from(ZERO);
        self.high.iter().zip(self.low).take(width).map(|(h, l)| scale * (signed(*h) + signed(*l) / FINE)).collect()
    }
}

/// A vector to be compared with rows.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) width: usize,
    /// Signed bytes, both planes one after the other, zeros beyond the width.
    planes: Box<[i8]>,
    scale: f32,
    /// 128 times the sum of each plane.
    offsets: (i32, i32),
    /// The signs, for [`signature`].
    pub(crate) signature: Box<[u64]>,
    /// Whether signs say something about this vector: not when a few of its numbers are large and the rest mere noise.
    pub(crate) signs_tell: bool,
}

impl Query {
    /// Prepares a vector of finite numbers.
    pub(crate) fn new(vector: &[f32]) -> Query {
        let stride = stride(vector.len());
        let mut planes = vec![0_i8; 2 * stride].into_boxed_slice();
        let (high, low) = planes.split_at_mut(stride);
        let stored = split(vector, high, low);
        Query::from_planes(vector.len(), planes, scale(stored))
    }

    /// The query that asks for a stored row.
    #[cfg(test)]
    pub(crate) fn of_row(row: RowRef<'_>, width: usize) -> Query {
        let planes = row.high.iter().chain(row.low).map(|byte| (byte ^ ZERO) as i8).collect();
        Query::from_planes(width, planes, scale(row.scale))
    }

    fn from_planes(width: usize, planes: Box<[i8]>, scale: f32) -> Query {
        let sum = |plane: &[i8]| i32::from(ZERO) * plane.iter().map(|&x| i32::from(x)).sum::<i32>();
        let (high, low) = planes.split_at(planes.len() / 2);
        let offsets = (sum(high), sum(low));
        // Of the rounded numbers, not the given ones: a row that equals the query then has the same signature.
        let mut signature = vec![0; signature::words(width)].into_boxed_slice();
        signature::of_query(high, &mut signature);
        let signs_tell = signature::tells(high, width);
        Query { width, planes, scale, offsets, signature, signs_tell }
    }

    /// The vector again, within rounding.
    pub(crate) fn unround(&self) -> Vec<f32> {
        let parts = self.high().iter().zip(self.low()).take(self.width);
        parts.map(|(h, l)| self.scale * (f32::from(*h) + f32::from(*l) / FINE)).collect()
    }

    /// The row that equals this, but for its scale.
    pub(crate) fn stored(&self) -> Row {
        Row { scale: 0, planes: self.planes.iter().map(|byte| *byte as u8 ^ ZERO).collect() }
    }

    /// The coarse bytes, what 128 times their sum is, and the scale: what a walk compares with.
    pub(crate) fn coarse_parts(&self) -> (&[i8], i32, f32) {
        (self.high(), self.offsets.0, self.scale)
    }

    /// The coarse bytes.
    pub(crate) fn high(&self) -> &[i8] {
        &self.planes[..self.planes.len() / 2]
    }

    fn low(&self) -> &[i8] {
        &self.planes[self.planes.len() / 2..]
    }

    /// Turns a raw sum over a row's coarse bytes (as [`Kernels::dots`] gives it) into a similarity.
    pub(crate) fn coarse(&self, raw: i32, stored_scale: u16) -> f32 {
        (raw.wrapping_sub(self.offsets.0)) as f32 * (self.scale * scale(stored_scale))
    }

    /// Whether the similarity with a row can be `bound` or more, by the coarse bytes alone: never false where it is.
    pub(crate) fn may_reach(&self, row: RowRef<'_>, bound: f32, kernels: &Kernels) -> bool {
        // A fine part is at most half a coarse step in each component, so that what both leave out has at most this length
        // (Cauchy & Schwarz; the rounded vectors themselves are a little longer than 1 at most).
        let slack = 0.51 * (self.width as f32).sqrt() * (self.scale + scale(row.scale));
        self.coarse(kernels.dot(self.high(), row.high), row.scale) + slack >= bound
    }

    /// The cosine similarity with a row, as good as exact.
    pub(crate) fn similarity(&self, row: RowRef<'_>, kernels: &Kernels) -> f32 {
        let [hh, hl, lh, ll] = kernels.four(row.high, row.low, self.high(), self.low());
        let (on_high, on_low) = self.offsets;
        // Sums of signed products: what is left once the stored 128s are gone.
        let (hh, lh) = (hh.wrapping_sub(on_high) as f32, lh.wrapping_sub(on_high) as f32);
        let (hl, ll) = (hl.wrapping_sub(on_low) as f32, ll.wrapping_sub(on_low) as f32);
        let sum = hh + (hl + lh + ll * (1.0 / FINE)) * (1.0 / FINE);
        (sum * (self.scale * scale(row.scale))).clamp(-1.0, 1.0)
    }
}

/// Rounds `vector` into signed bytes, and gives the stored scale back.
fn split(vector: &[f32], high: &mut [i8], low: &mut [i8]) -> u16 {
    // Rounded up, so that the largest component is at most 127 coarse steps.
    let stored = (largest(vector) / (127.0 * SCALE_UNIT)).ceil().clamp(1.0, f32::from(u16::MAX)) as u16;
    let steps = 1.0 / scale(stored);
    for ((x, high), low) in vector.iter().zip(high).zip(low) {
        let coarse = (x * steps).clamp(-127.0, 127.0) + SHIFT;
        let fine = ((x * steps - (coarse - SHIFT)) * FINE).clamp(-127.0, 127.0) + SHIFT;
        *high = coarse.to_bits() as i8;
        *low = fine.to_bits() as i8;
    }
    stored
}

/// Adding this to a number below 2²² leaves no room for a fraction: the sum is rounded, and the last byte of its bits is that of the
/// integer. A conversion would check what cannot be, and keep the loop from being vectorised.
const SHIFT: f32 = 12_582_912.0;

/// The largest magnitude. In lanes, so that one comparison need not wait for the one before.
fn largest(vector: &[f32]) -> f32 {
    let (lanes, rest) = vector.as_chunks::<16>();
    let mut largest = [0.0_f32; 16];
    for lane in lanes {
        for (largest, x) in largest.iter_mut().zip(lane) {
            *largest = if x.abs() > *largest { x.abs() } else { *largest };
        }
    }
    largest.iter().chain(rest).fold(0.0, |largest, x| largest.max(x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(width: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
        let mut vector: Vec<f32> = (0..width)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        vector
    }

    #[test]
    fn a_similarity_is_that_of_the_floats() {
        let kernels = Kernels::get();
        for width in [1, 2, 3, 63, 64, 65, 384, 1000] {
            for seed in 0..40 {
                let (a, b) = (vector(width, seed), vector(width, seed + 1));
                let exact: f32 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>() as f32;
                let row = Row::new(&a);
                let found = Query::new(&b).similarity(row.view(), kernels);
                // Fewer numbers are larger ones, and so are their steps.
                let bound = if width < 64 { 4e-5 } else { 1e-5 };
                assert!((found - exact).abs() < bound, "width {width}: {found}, not {exact}");
                let of_row = Query::of_row(Row::new(&b).view(), width).similarity(row.view(), kernels);
                assert_eq!(found, of_row);
                let query = Query::new(&b);
                assert!(query.may_reach(row.view(), found, kernels));
                assert!(width == 1 || !query.may_reach(row.view(), found + 0.1, kernels), "width {width}: {found}");
            }
        }
    }

    #[test]
    fn a_row_survives_its_bytes() {
        for width in [1, 5, 64, 384] {
            let row = Row::new(&vector(width, 7));
            let mut bytes = Vec::new();
            row.view().pack(width, &mut bytes);
            assert_eq!(bytes.len(), packed_len(width));
            assert_eq!(Row::unpack(&bytes, width), Some(row.clone()));
            assert_eq!(Row::unpack(&bytes[1..], width), None);
            let again = Row::new(&row.view().unround(width));
            assert!((Query::new(&vector(width, 7)).similarity(again.view(), Kernels::get()) - 1.0).abs() < 4e-5);
        }
    }
}
