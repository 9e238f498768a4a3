//! Products of 8-bit weights with 8-bit activations by AVX512-VNNI: four products to a lane in one instruction.
#![allow(unsafe_code)] // Intrinsics on raw pointers; `Product::check` is called first.

use std::arch::x86_64::*;

use super::ahead::{Ahead, STEP_LINES};
use super::bytes::GroupSums;
use super::matrix::{BLOCK, TILE_BYTES};
use super::product::{Input, Product};
use super::simd::avx512::Avx512;

/// Rows at once, at most: eight of them and two vectors of columns are sixteen sums in registers, enough to keep both
/// multipliers busy.
const TOGETHER: usize = 8;

/// A block's rows over some steps: `R` rows, all 32 columns.
#[inline(always)]
unsafe fn rows<const R: usize>(
    input: *const u8,
    inputs: usize,
    weights: *const u8,
    steps: usize,
    sums: *mut i32,
    (ahead, lines): (&mut Ahead, usize),
) {
    // SAFETY: `input` is good for `R` rows of `inputs` bytes and the steps' from there on, `weights` for the steps'
    // tiles, `sums` for `R` rows of 32.
    unsafe {
        let mut totals = [[_mm512_setzero_si512(); 2]; R];
        for step in 0..steps {
            for line in 0..16 {
                // A few at a time: many at once would keep the loads below waiting.
                ahead.ask(lines);
                let at = weights.add(step * 2 * TILE_BYTES + line * 64);
                let (left, right) = (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(TILE_BYTES).cast()));
                for (r, totals) in totals.iter_mut().enumerate() {
                    let four = input.add(r * inputs + step * 64 + line * 4).cast::<i32>().read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    totals[0] = _mm512_dpbusd_epi32(totals[0], four, left);
                    totals[1] = _mm512_dpbusd_epi32(totals[1], four, right);
                }
            }
        }
        for (r, totals) in totals.iter().enumerate() {
            _mm512_storeu_si512(sums.add(r * BLOCK).cast(), totals[0]);
            _mm512_storeu_si512(sums.add(r * BLOCK + 16).cast(), totals[1]);
        }
    }
}

/// Multiplies bytes.
///
/// # Safety
/// The processor has AVX512-VNNI, and what [`Avx512`] needs.
#[inline(always)]
pub(super) unsafe fn multiply(product: &mut Product<'_>) {
    product.check();
    let mut totals = [0.0; TOGETHER * BLOCK];
    for block in 0..product.matrix.outputs / BLOCK {
        for row in (0..product.rows).step_by(TOGETHER) {
            // SAFETY: the caller's.
            unsafe {
                let count = block_rows(product, block, row, &mut totals);
                product.put::<Avx512>(block, row, count, &totals);
            }
        }
    }
}

/// The totals of a block for the rows from `row` on, at most [`TOGETHER`]; returns how many those are.
#[inline(always)]
unsafe fn block_rows(product: &Product<'_>, block: usize, row: usize, totals: &mut [f32]) -> usize {
    let (matrix, count) = (product.matrix, (product.rows - row).min(TOGETHER));
    let Input::Bytes { bytes, marks } = product.input else { return 0 };
    let (inputs, groups, steps) = (matrix.inputs, matrix.groups(), matrix.group / 64);
    let marks = &marks[row * groups..(row + count) * groups];
    let weights = product.weights[block * matrix.block_bytes()..].as_ptr();
    // The last two rounds of rows ask for half of the next block each, so that memory has their whole time for it; a
    // lone one asks for all that it needs.
    let (left, lone) = (product.rows - row - count, product.rows == count);
    let (distance, lines) = match (lone, left) {
        (true, _) => (0, STEP_LINES / 16),
        (false, 0) => (matrix.block_bytes() * 3 / 2, STEP_LINES / 32),
        (false, _) => (matrix.block_bytes(), STEP_LINES / 32),
    };
    let mut ahead = Ahead::of(left <= TOGETHER, lone, weights, distance);
    let mut sums = [0_i32; TOGETHER * BLOCK];
    for group in 0..groups {
        let (from, to) = (bytes[row * inputs + group * matrix.group..].as_ptr(), sums.as_mut_ptr());
        // SAFETY: `count` rows are left, as `check` has seen; the block is whole, and so is the group.
        unsafe {
            let weights = weights.add(group * steps * 2 * TILE_BYTES);
            match count {
                1 => rows::<1>(from, inputs, weights, steps, to, (&mut ahead, lines)),
                2 => rows::<2>(from, inputs, weights, steps, to, (&mut ahead, lines)),
                3 => rows::<3>(from, inputs, weights, steps, to, (&mut ahead, lines)),
                4 => rows::<4>(from, inputs, weights, steps, to, (&mut ahead, lines)),
                5 => rows::<5>(from, inputs, weights, steps, to, (&mut ahead, lines)),
                6 => rows::<6>(from, inputs, weights, steps, to, (&mut ahead, lines)),
                7 => rows::<7>(from, inputs, weights, steps, to, (&mut ahead, lines)),
                _ => rows::<TOGETHER>(from, inputs, weights, steps, to, (&mut ahead, lines)),
            }
            GroupSums { sums: &sums, block, group, marks }.add::<Avx512>(matrix, totals);
        }
    }
    count
}
