//! Products by AMX: tiles of 16 rows times 16 columns, a step of 32 bfloat16 or 64 bytes in one instruction.
//!
//! The instructions are written as assembly, since neither their intrinsics nor their target feature is stable. The
//! compiler never touches the tile registers, so a sequence of such blocks keeps its tiles; [`Tiles`] configures them
//! for this thread and releases them, so that no other code pays for their 8 KiB of state.
#![allow(unsafe_code)] // Assembly on raw pointers; `Product::check` is called first.

use std::arch::asm;

use super::ahead::{Ahead, STEP_LINES};
use super::bytes::{GroupSums, Mark};
use super::matrix::{BLOCK, Matrix, TILE_BYTES};
use super::product::{Input, Product, ROWS};
use super::simd::avx512::Avx512;

/// `ldtilecfg`'s operand: palette 1, eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration([u8; 64]);

static CONFIGURATION: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Configuration(bytes)
};

/// Tiles of this thread, configured as long as this lives.
pub(super) struct Tiles(());

impl Tiles {
    /// # Safety
    /// The processor has AMX, and the system allows it (`features`).
    pub(super) unsafe fn configure() -> Tiles {
        // SAFETY: the operand is 64 readable bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack)) };
        Tiles(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: there is AMX, or this would not exist.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// 32 sums of 16-row tiles, as they are stored: rows of 32.
#[repr(C, align(64))]
struct Scratch<T>([T; ROWS * BLOCK]);

/// Two tiles of rows times a block, `steps` steps of them: `first` and `second` are the rows' pointers. Leaves the sums in
/// `low` and `high`, rows of 32.
macro_rules! two_by_two {
    ($dot:literal, $first:expr, $second:expr, $stride:expr, $weights:expr, $steps:expr, $low:expr, $high:expr, $ahead:expr) => {{
        asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack));
        for step in 0..$steps {
            $ahead.ask(STEP_LINES);
            asm!(
                "tileloadd tmm6, [{weights} + {line}]",
                "tileloadd tmm4, [{first} + {stride}]",
                concat!($dot, " tmm0, tmm4, tmm6"),
                "tileloadd tmm5, [{second} + {stride}]",
                concat!($dot, " tmm2, tmm5, tmm6"),
                "tileloadd tmm7, [{weights} + {line} + 1024]",
                concat!($dot, " tmm1, tmm4, tmm7"),
                concat!($dot, " tmm3, tmm5, tmm7"),
                first = in(reg) $first.add(step * 64),
                second = in(reg) $second.add(step * 64),
                weights = in(reg) $weights.add(step * 2 * TILE_BYTES),
                stride = in(reg) $stride,
                line = in(reg) 64_usize,
                options(nostack),
            );
        }
        asm!(
            "tilestored [{low} + {out}], tmm0",
            "tilestored [{low} + {out} + 64], tmm1",
            "tilestored [{high} + {out}], tmm2",
            "tilestored [{high} + {out} + 64], tmm3",
            out = in(reg) 128_usize,
            low = in(reg) $low,
            high = in(reg) $high,
            options(nostack),
        )
    }};
}

/// One tile of rows times a block.
macro_rules! one_by_two {
    ($dot:literal, $first:expr, $stride:expr, $weights:expr, $steps:expr, $low:expr, $ahead:expr) => {{
        asm!("tilezero tmm0", "tilezero tmm1", options(nostack));
        for step in 0..$steps {
            $ahead.ask(STEP_LINES);
            asm!(
                "tileloadd tmm4, [{first} + {stride}]",
                "tileloadd tmm6, [{weights} + {line}]",
                concat!($dot, " tmm0, tmm4, tmm6"),
                "tileloadd tmm7, [{weights} + {line} + 1024]",
                concat!($dot, " tmm1, tmm4, tmm7"),
                first = in(reg) $first.add(step * 64),
                weights = in(reg) $weights.add(step * 2 * TILE_BYTES),
                stride = in(reg) $stride,
                line = in(reg) 64_usize,
                options(nostack),
            );
        }
        asm!(
            "tilestored [{low} + {out}], tmm0",
            "tilestored [{low} + {out} + 64], tmm1",
            out = in(reg) 128_usize,
            low = in(reg) $low,
            options(nostack),
        )
    }};
}

/// Multiplies bfloat16 or bytes.
///
/// # Safety
/// The processor has AMX with BF16 and INT8, and what [`Avx512`] needs; this thread has [`Tiles`].
#[inline(always)]
pub(super) unsafe fn multiply(product: &mut Product<'_>) {
    product.check();
    // SAFETY: the caller's.
    unsafe {
        match product.input {
            Input::F32(_) => (),
            Input::Bf16(input) => multiply_bf16(product, input),
            Input::Bytes { bytes, marks } => multiply_bytes(product, bytes, marks),
        }
    }
}

#[inline(always)]
unsafe fn multiply_bf16(product: &mut Product<'_>, input: &[u16]) {
    let matrix = product.matrix;
    let (mut low, mut high) = (Scratch([0.0; ROWS * BLOCK]), Scratch([0.0; ROWS * BLOCK]));
    let stride = matrix.inputs * 2;
    let lone = product.rows <= 2 * ROWS;
    for block in 0..matrix.outputs / BLOCK {
        let weights = product.weights[block * matrix.block_bytes()..].as_ptr();
        let mut row = 0;
        while row < product.rows {
            let first = input[row * matrix.inputs..].as_ptr().cast::<u8>();
            let left = product.rows - row;
            let mut ahead = Ahead::of(left <= 2 * ROWS, lone, weights, matrix.block_bytes());
            // SAFETY: `check` has seen that the input has room for whole tiles of rows, and the weights all blocks.
            unsafe {
                let (to, and_to) = (low.0.as_mut_ptr(), high.0.as_mut_ptr());
                if left > ROWS {
                    let second = first.add(stride * ROWS);
                    two_by_two!("tdpbf16ps", first, second, stride, weights, matrix.steps(), to, and_to, ahead);
                } else {
                    one_by_two!("tdpbf16ps", first, stride, weights, matrix.steps(), to, ahead);
                }
                product.put::<Avx512>(block, row, left.min(ROWS), &low.0);
                if left > ROWS {
                    product.put::<Avx512>(block, row + ROWS, (left - ROWS).min(ROWS), &high.0);
                }
            }
            row += 2 * ROWS;
        }
    }
}

/// What a block's sums go through on their way, for two tiles of rows. Written once and used for all blocks.
struct Room {
    /// Integers of each tile; those of two groups in turns.
    sums: [[Scratch<i32>; 2]; 2],
    /// What they stand for.
    totals: [Scratch<f32>; 2],
}

#[inline(always)]
unsafe fn multiply_bytes(product: &mut Product<'_>, bytes: &[u8], marks: &[Mark]) {
    let matrix = product.matrix;
    let groups = matrix.groups();
    let mut room = Room {
        sums: [const { [const { Scratch([0; ROWS * BLOCK]) }; 2] }; 2],
        totals: [const { Scratch([0.0; ROWS * BLOCK]) }; 2],
    };
    let lone = product.rows <= 2 * ROWS;
    for block in 0..matrix.outputs / BLOCK {
        let weights = product.weights[block * matrix.block_bytes()..].as_ptr();
        for row in (0..product.rows).step_by(2 * ROWS) {
            let left = product.rows - row;
            let ahead = Ahead::of(left <= 2 * ROWS, lone, weights, matrix.block_bytes());
            let input = &bytes[row * matrix.inputs..];
            let marks = &marks[row * groups..(row + left.min(2 * ROWS)) * groups];
            let place = Place { matrix, block, weights, input, marks, ahead };
            // SAFETY: the caller's; as in `multiply_bf16`.
            unsafe {
                match left > ROWS {
                    true => place.total::<2>(&mut room),
                    false => place.total::<1>(&mut room),
                }
                product.put::<Avx512>(block, row, left.min(ROWS), &room.totals[0].0);
                if left > ROWS {
                    product.put::<Avx512>(block, row + ROWS, (left - ROWS).min(ROWS), &room.totals[1].0);
                }
            }
        }
    }
}

/// Where in a product of bytes a tile of rows, or a pair of them, meets a block.
struct Place<'a> {
    matrix: &'a Matrix,
    block: usize,
    weights: *const u8,
    input: &'a [u8],
    /// Of as many rows as there are.
    marks: &'a [Mark],
    ahead: Ahead,
}

impl Place<'_> {
    /// The totals of `T` tiles, 1 or 2. The sums of a group are brought into floats while the tiles of the next one are
    /// multiplied, which the processor does aside.
    #[inline(always)]
    unsafe fn total<const T: usize>(mut self, room: &mut Room) {
        let (groups, block) = (self.matrix.groups(), self.block);
        for next in 0..=groups {
            if next < groups {
                let [first, second] = &mut room.sums;
                let (first, second) = (first[next % 2].0.as_mut_ptr(), second[next % 2].0.as_mut_ptr());
                // SAFETY: the caller's.
                unsafe {
                    match T {
                        1 => self.multiply_single(next, first),
                        _ => self.multiply_pair(next, first, second),
                    }
                }
            }
            let Some(group) = next.checked_sub(1) else { continue };
            for tile in 0..T {
                let rows = self.marks.len().min((tile + 1) * ROWS * groups);
                let sums = &room.sums[tile][group % 2].0;
                let sums = GroupSums { sums, block, group, marks: &self.marks[tile * ROWS * groups..rows] };
                // SAFETY: the caller's.
                unsafe { sums.add::<Avx512>(self.matrix, &mut room.totals[tile].0) };
            }
        }
    }

    #[inline(always)]
    unsafe fn multiply_pair(&mut self, group: usize, first: *mut i32, second: *mut i32) {
        let (stride, steps) = (self.matrix.inputs, self.matrix.group / 64);
        // SAFETY: the caller's: the rows have room for whole tiles, and the block is whole.
        unsafe {
            let weights = self.weights.add(group * steps * 2 * TILE_BYTES);
            let upper = self.input.as_ptr().add(group * self.matrix.group);
            let lower = upper.add(stride * ROWS);
            two_by_two!("tdpbusd", upper, lower, stride, weights, steps, first, second, self.ahead);
        }
    }

    #[inline(always)]
    unsafe fn multiply_single(&mut self, group: usize, sums: *mut i32) {
        let (stride, steps) = (self.matrix.inputs, self.matrix.group / 64);
        // SAFETY: as above.
        unsafe {
            let weights = self.weights.add(group * steps * 2 * TILE_BYTES);
            let rows = self.input.as_ptr().add(group * self.matrix.group);
            one_by_two!("tdpbusd", rows, stride, weights, steps, sums, self.ahead);
        }
    }
}
