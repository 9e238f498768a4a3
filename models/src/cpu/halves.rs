//! Sums over the two halves of 16-bit activations, put together again.
#![allow(unsafe_code)] // Raw pointers in the inner loop; the lengths are checked first.

use super::matrix::{BLOCK, Matrix};
use super::simd::Simd;

/// Integer sums of a block: rows of 32.
pub(super) struct Halves<'a> {
    /// Over the high bytes.
    pub coarse: &'a [i32],
    /// Over the low bytes.
    pub fine: &'a [i32],
    /// Each row's step.
    pub steps: &'a [f32],
}

impl Halves<'_> {
    /// `sums = (256 · (coarse - 128 · Σ weights) + fine) · step · scale`, for each row of `steps`.
    ///
    /// # Safety
    /// As for [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn join<S: Simd>(&self, matrix: &Matrix, block: usize, sums: &mut [f32]) {
        let needed = self.steps.len() * BLOCK;
        assert!(self.coarse.len() >= needed && self.fine.len() >= needed && sums.len() >= needed);
        let columns = block * BLOCK..(block + 1) * BLOCK;
        let (scales, offsets) = (&matrix.scales[columns.clone()], &matrix.offsets[columns]);
        for (row, step) in self.steps.iter().enumerate() {
            for column in (0..BLOCK).step_by(S::LANES) {
                let at = row * BLOCK + column;
                // SAFETY: `at` and `column` begin a vector within the slices.
                unsafe {
                    // In integers: both are large, and their difference is not.
                    let coarse = S::load_i32_less(self.coarse.as_ptr().add(at), offsets.as_ptr().add(column));
                    let whole = S::fma(coarse, S::splat(256.0), S::load_i32(self.fine.as_ptr().add(at)));
                    let scale = S::mul(S::load(scales.as_ptr().add(column)), S::splat(*step));
                    S::store(sums.as_mut_ptr().add(at), S::mul(whole, scale));
                }
            }
        }
    }
}
