//! Products of 8-bit weights with halves by AVX512-VNNI: four products to a lane in one instruction.
#![allow(unsafe_code)] // Intrinsics on raw pointers; `Product::check` is called first.

use std::arch::x86_64::*;

use super::halves::Halves;
use super::matrix::{BLOCK, TILE_BYTES};
use super::product::{Input, Product};
use super::simd::avx512::Avx512;

/// Rows at once: two halves of eight rows, for one vector of columns, are sixteen sums in registers.
const TOGETHER: usize = 8;

/// A block's rows: `R` of them, 16 columns at once.
#[inline(always)]
unsafe fn rows<const R: usize>(
    high: *const u8,
    low: *const u8,
    inputs: usize,
    weights: *const u8,
    coarse: *mut i32,
    fine: *mut i32,
) {
    // SAFETY: `high` and `low` are good for `R` rows of `inputs` bytes, `weights` for a block, `coarse` and `fine` for
    // `R` rows of 32.
    unsafe {
        for tile in 0..2 {
            let mut sums = [[_mm512_setzero_si512(); 2]; R];
            for step in 0..inputs / 64 {
                for line in 0..16 {
                    let at = weights.add((step * 2 + tile) * TILE_BYTES + line * 64);
                    let weights = _mm512_loadu_si512(at.cast());
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let at = r * inputs + step * 64 + line * 4;
                        let coarse = _mm512_set1_epi32(high.add(at).cast::<i32>().read_unaligned());
                        let fine = _mm512_set1_epi32(low.add(at).cast::<i32>().read_unaligned());
                        sums[0] = _mm512_dpbusd_epi32(sums[0], coarse, weights);
                        sums[1] = _mm512_dpbusd_epi32(sums[1], fine, weights);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                _mm512_storeu_si512(coarse.add(r * BLOCK + tile * 16).cast(), sums[0]);
                _mm512_storeu_si512(fine.add(r * BLOCK + tile * 16).cast(), sums[1]);
            }
        }
    }
}

/// Multiplies halves.
///
/// # Safety
/// The processor has AVX512-VNNI, and what [`Avx512`] needs.
#[inline(always)]
pub(super) unsafe fn multiply(product: &mut Product<'_>) {
    product.check();
    let Input::Halves { high, low, steps } = product.input else { return };
    let matrix = product.matrix;
    let (mut coarse, mut fine) = ([0_i32; TOGETHER * BLOCK], [0_i32; TOGETHER * BLOCK]);
    let mut sums = [0.0; TOGETHER * BLOCK];
    for block in 0..matrix.outputs / BLOCK {
        let weights = product.weights[block * matrix.block_bytes()..].as_ptr();
        let mut row = 0;
        while row < product.rows {
            let (first, second) = (high[row * matrix.inputs..].as_ptr(), low[row * matrix.inputs..].as_ptr());
            let count = if product.rows - row >= TOGETHER { TOGETHER } else { 1 };
            let (to, and_to) = (coarse.as_mut_ptr(), fine.as_mut_ptr());
            // SAFETY: `count` rows are left, as `check` has seen; the block is whole.
            unsafe {
                match count {
                    1 => rows::<1>(first, second, matrix.inputs, weights, to, and_to),
                    _ => rows::<TOGETHER>(first, second, matrix.inputs, weights, to, and_to),
                }
                let halves = Halves { coarse: &coarse, fine: &fine, steps: &steps[row..row + count] };
                halves.join::<Avx512>(matrix, block, &mut sums);
                product.put::<Avx512>(block, row, count, &sums);
            }
            row += count;
        }
    }
}
