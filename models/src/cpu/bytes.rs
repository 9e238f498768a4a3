//! Sums over 8-bit activations and weights, brought to what they stand for.
#![allow(unsafe_code)] // Raw pointers in the inner loop; the lengths are checked first.

use super::matrix::{BLOCK, Matrix};
use super::simd::Simd;

/// What a row's bytes of one group of inputs stand for: `(byte - zero) · step`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Mark {
    /// What a byte counts.
    pub step: f32,
    /// The byte of 0; integral.
    pub zero: f32,
}

/// Integer sums of a block over one group of inputs: rows of 32.
pub(super) struct GroupSums<'a> {
    /// The sums; more than belong to the rows are not read.
    pub sums: &'a [i32],
    /// Which block of outputs.
    pub block: usize,
    /// Which group.
    pub group: usize,
    /// The rows' marks: those of all groups, row after row.
    pub marks: &'a [Mark],
}

impl GroupSums<'_> {
    /// `totals += (sums - zero · Σ weights) · step · scale`, for each row; the first group's begin from 0. The integers
    /// stay below 2²⁴, so that all but the last two factors are exact.
    ///
    /// # Safety
    /// As for [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(&self, matrix: &Matrix, totals: &mut [f32]) {
        let (groups, column) = (matrix.groups(), (self.block * matrix.groups() + self.group) * BLOCK);
        let rows = self.marks.len() / groups;
        assert!(self.sums.len() >= rows * BLOCK && totals.len() >= rows * BLOCK && self.group < groups);
        let scales = matrix.scales[column..column + BLOCK].as_ptr();
        let weights = matrix.sums[column..column + BLOCK].as_ptr();
        for row in 0..rows {
            let Mark { step, zero } = self.marks[row * groups + self.group];
            for column in (0..BLOCK).step_by(S::LANES) {
                let at = row * BLOCK + column;
                // SAFETY: `at` and `column` begin a vector within the slices.
                unsafe {
                    let sum = S::load_i32(self.sums.as_ptr().add(at));
                    let whole = S::fma(S::splat(-zero), S::load(weights.add(column)), sum);
                    let scale = S::mul(S::splat(step), S::load(scales.add(column)));
                    let to = totals.as_mut_ptr().add(at);
                    let before = if self.group == 0 { S::splat(0.0) } else { S::load(to) };
                    S::store(to, S::fma(whole, scale, before));
                }
            }
        }
    }
}
