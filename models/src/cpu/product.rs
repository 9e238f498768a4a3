//! Token rows times packed weights: what all kernels are given, and the one that is written in [`Simd`] alone.
//!
//! That one multiplies 32-bit floats: it takes bfloat16 and 8-bit weights apart on the way, so that memory is read in
//! their size, and rounds no activation.
#![allow(unsafe_code)] // Raw pointers in the inner loops; `Product::check` is called first.

use super::bytes::Mark;
use super::matrix::{BLOCK, Form, Matrix, TILE_BYTES};
use super::ops::{Finish, Sums, finish};
use super::simd::Simd;

/// Rows that are computed at once, at most: one AMX tile's.
pub(super) const ROWS: usize = 16;

/// Token rows in the form that a kernel multiplies.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// Floats, row after row.
    F32(&'a [f32]),
    /// bfloat16, row after row; with room up to a multiple of 16 rows.
    Bf16(&'a [u16]),
    /// Bytes, row after row; with room up to a multiple of 16 rows.
    Bytes {
        /// Each row's inputs.
        bytes: &'a [u8],
        /// For each row a mark for each of the matrix's groups.
        marks: &'a [Mark],
    },
}

/// One matrix product of the forward pass.
pub(super) struct Product<'a> {
    /// The weights' bytes: those of the matrix.
    pub weights: &'a [u8],
    /// What they are.
    pub matrix: &'a Matrix,
    /// What they are multiplied with.
    pub input: Input<'a>,
    /// Token rows.
    pub rows: usize,
    /// What becomes of the result.
    pub finish: Finish<'a>,
    /// Whether the activation function is `relu`, not `gelu`.
    pub relu: bool,
}

impl Product<'_> {
    /// # Panics
    /// When a slice is too short: a defect of ours, better found here than behind a pointer.
    pub(super) fn check(&self) {
        let rows = match self.input {
            Input::F32(values) => values.len() / self.matrix.inputs,
            Input::Bf16(values) => values.len() / self.matrix.inputs / ROWS * ROWS,
            Input::Bytes { bytes, marks } => {
                assert!(marks.len() >= self.rows * self.matrix.groups());
                bytes.len() / self.matrix.inputs / ROWS * ROWS
            }
        };
        assert!(rows >= self.rows, "{rows} rows of input, {} wanted", self.rows);
        assert!(self.weights.len() == self.matrix.bytes());
        assert!(self.matrix.outputs.is_multiple_of(BLOCK) && self.matrix.inputs.is_multiple_of(64));
        assert!(self.finish.room() >= self.rows * self.matrix.outputs);
    }

    /// Brings `rows` rows of sums for a block, 32 values each, to where they belong.
    ///
    /// # Safety
    /// As for [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn put<S: Simd>(&mut self, block: usize, first_row: usize, rows: usize, values: &[f32]) {
        let first_column = block * BLOCK;
        let sums = Sums {
            values,
            rows,
            first_row,
            first_column,
            columns: self.matrix.outputs,
            bias: &self.matrix.bias[first_column..first_column + BLOCK],
            relu: self.relu,
        };
        // SAFETY: the caller's.
        unsafe { finish::<S>(&sums, &mut self.finish) };
    }
}

/// A block's rows in floats: `R` of them, `V · LANES` columns at once.
#[inline(always)]
unsafe fn rows_f32<S: Simd, const R: usize, const V: usize>(
    matrix: &Matrix,
    block: usize,
    input: *const f32,
    weights: *const u8,
    sums: *mut f32,
) {
    // SAFETY: `input` is good for `R` rows of `inputs`, `weights` for the block, `sums` for `R` rows of 32.
    unsafe {
        for column in (0..BLOCK).step_by(V * S::LANES) {
            let tile = weights.add(column / 16 * TILE_BYTES + column % 16 * 4);
            let to = sums.add(column);
            match matrix.form {
                Form::Bf16 => {
                    let mut totals = [[S::splat(0.0); V]; R];
                    totals_bf16::<S, R, V>(matrix, input, tile, &mut totals);
                    for (r, totals) in totals.iter().enumerate() {
                        for (v, total) in totals.iter().enumerate() {
                            S::store(to.add(r * BLOCK + v * S::LANES), *total);
                        }
                    }
                }
                Form::Int8 => {
                    for group in 0..matrix.groups() {
                        let scales = matrix.scales[(block * matrix.groups() + group) * BLOCK + column..].as_ptr();
                        group_int8::<S, R, V>(matrix, group, input, tile, scales, to);
                    }
                }
            }
        }
    }
}

/// Adds what one group of inputs gives, or begins with it.
#[inline(always)]
unsafe fn group_int8<S: Simd, const R: usize, const V: usize>(
    matrix: &Matrix,
    group: usize,
    input: *const f32,
    tile: *const u8,
    scales: *const f32,
    sums: *mut f32,
) {
    let steps = matrix.group / 64;
    // SAFETY: see `rows_f32`; `scales` is good for `V` vectors.
    unsafe {
        let mut totals = [[S::splat(0.0); V]; R];
        let tile = tile.add(group * steps * 2 * TILE_BYTES);
        totals_int8::<S, R, V>(matrix, input.add(group * matrix.group), tile, &mut totals);
        for (r, totals) in totals.iter().enumerate() {
            for (v, total) in totals.iter().enumerate() {
                let to = sums.add(r * BLOCK + v * S::LANES);
                let before = if group == 0 { S::splat(0.0) } else { S::load(to) };
                S::store(to, S::fma(*total, S::load(scales.add(v * S::LANES)), before));
            }
        }
    }
}

/// Where the `v`-th vector of columns is in a line of tiles.
#[inline(always)]
fn aside<S: Simd>(v: usize) -> usize {
    let column = v * S::LANES;
    column / 16 * TILE_BYTES + column % 16 * 4
}

#[inline(always)]
unsafe fn totals_bf16<S: Simd, const R: usize, const V: usize>(
    matrix: &Matrix,
    input: *const f32,
    tile: *const u8,
    totals: &mut [[S::F; V]; R],
) {
    // SAFETY: see `rows_f32`.
    unsafe {
        for step in 0..matrix.steps() {
            for line in 0..16 {
                let at = tile.add(step * 2 * TILE_BYTES + line * 64);
                let mut pairs = [[S::splat(0.0); 2]; V];
                for (v, pair) in pairs.iter_mut().enumerate() {
                    *pair = S::load_bf16_pairs(at.add(aside::<S>(v)));
                }
                let from = input.add(step * 32 + line * 2);
                for (r, totals) in totals.iter_mut().enumerate() {
                    for lane in 0..2 {
                        let value = S::splat(*from.add(r * matrix.inputs + lane));
                        for (total, pair) in totals.iter_mut().zip(&pairs) {
                            *total = S::fma(value, pair[lane], *total);
                        }
                    }
                }
            }
        }
    }
}

/// Of one group, whose first inputs and tiles these are.
#[inline(always)]
unsafe fn totals_int8<S: Simd, const R: usize, const V: usize>(
    matrix: &Matrix,
    input: *const f32,
    tile: *const u8,
    totals: &mut [[S::F; V]; R],
) {
    // SAFETY: see `rows_f32`.
    unsafe {
        for step in 0..matrix.group / 64 {
            for line in 0..16 {
                let at = tile.add(step * 2 * TILE_BYTES + line * 64);
                let from = input.add(step * 64 + line * 4);
                for v in 0..V {
                    let quads = S::load_i8_quads(at.add(aside::<S>(v)));
                    for (r, totals) in totals.iter_mut().enumerate() {
                        for (lane, quad) in quads.iter().enumerate() {
                            let value = S::splat(*from.add(r * matrix.inputs + lane));
                            totals[v] = S::fma(value, *quad, totals[v]);
                        }
                    }
                }
            }
        }
    }
}

/// Multiplies floats; `V · LANES` is 16 or 32, `R` at most 8.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn multiply_f32<S: Simd, const R: usize, const V: usize>(product: &mut Product<'_>) {
    product.check();
    let Input::F32(input) = product.input else { return };
    let matrix = product.matrix;
    let mut sums = [0.0; 8 * BLOCK];
    assert!(R <= 8 && BLOCK.is_multiple_of(V * S::LANES));
    for block in 0..matrix.outputs / BLOCK {
        let weights = &product.weights[block * matrix.block_bytes()..][..matrix.block_bytes()];
        let mut row = 0;
        while row < product.rows {
            let from = &input[row * matrix.inputs..];
            let count = if product.rows - row >= R { R } else { 1 };
            // SAFETY: `count` rows are left, as `check` has seen; the block is whole; `sums` holds 8 rows.
            unsafe {
                match count {
                    1 => rows_f32::<S, 1, V>(matrix, block, from.as_ptr(), weights.as_ptr(), sums.as_mut_ptr()),
                    _ => rows_f32::<S, R, V>(matrix, block, from.as_ptr(), weights.as_ptr(), sums.as_mut_ptr()),
                }
                product.put::<S>(block, row, count, &sums);
            }
            row += count;
        }
    }
}
