//! Products by AMX: tiles of 16 rows times 16 columns, a step of 32 bfloat16 or 64 bytes in one instruction.
//!
//! The instructions are written as assembly, since neither their intrinsics nor their target feature is stable. The
//! compiler never touches the tile registers, so a sequence of such blocks keeps its tiles; [`Tiles`] configures them
//! for this thread and releases them, so that no other code pays for their 8 KiB of state.
#![allow(unsafe_code)] // Assembly on raw pointers; `Product::check` is called first.

use std::arch::asm;
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::halves::Halves;
use super::matrix::{BLOCK, TILE_BYTES};
use super::product::{Input, Product, ROWS};
use super::simd::avx512::Avx512;

/// How long before they are needed weights are asked for, in bytes. Asking at all was measured to help; other distances
/// were not tried.
const AHEAD: usize = 8 * TILE_BYTES;

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

/// Weights that are asked for while a step is computed, a step's at a time, in the order in which they lie. Nothing,
/// while rows go through weights that the nearest cache has already.
#[derive(Clone, Copy)]
struct Ahead(Option<*const u8>);

impl Ahead {
    /// What to ask for while some rows of a product go through a block: with the last ones, the next block's weights. A
    /// lone tile or pair of tiles comes by each weight once, and asks for it some steps before.
    #[inline(always)]
    fn of(last: bool, lone: bool, weights: *const u8, block_bytes: usize) -> Ahead {
        Ahead(last.then(|| weights.wrapping_add(if lone { AHEAD } else { block_bytes })))
    }

    #[inline(always)]
    fn ask(&mut self) {
        let Ahead(Some(from)) = *self else { return };
        for line in 0..2 * TILE_BYTES / 64 {
            // SAFETY: a prefetch reads nothing that the program could see, and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line * 64).cast()) };
        }
        self.0 = Some(from.wrapping_add(2 * TILE_BYTES));
    }
}

/// Two tiles of rows times a block, `steps` steps of them: `first` and `second` are the rows' pointers. Leaves the sums in
/// `low` and `high`, rows of 32.
macro_rules! two_by_two {
    ($dot:literal, $first:expr, $second:expr, $stride:expr, $weights:expr, $steps:expr, $low:expr, $high:expr, $ahead:expr) => {{
        asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack));
        for step in 0..$steps {
            $ahead.ask();
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
            $ahead.ask();
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

/// Multiplies bfloat16 or halves.
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
            Input::Halves { high, low, steps } => multiply_halves(product, high, low, steps),
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

#[inline(always)]
unsafe fn multiply_halves(product: &mut Product<'_>, high: &[u8], low: &[u8], steps: &[f32]) {
    let matrix = product.matrix;
    let (mut coarse, mut fine) = (Scratch([0_i32; ROWS * BLOCK]), Scratch([0_i32; ROWS * BLOCK]));
    let mut sums = Scratch([0.0; ROWS * BLOCK]);
    let stride = matrix.inputs;
    let lone = product.rows <= ROWS;
    for block in 0..matrix.outputs / BLOCK {
        let weights = product.weights[block * matrix.block_bytes()..].as_ptr();
        for row in (0..product.rows).step_by(ROWS) {
            let (first, second) = (high[row * stride..].as_ptr(), low[row * stride..].as_ptr());
            let rows = (product.rows - row).min(ROWS);
            let mut ahead = Ahead::of(product.rows - row <= ROWS, lone, weights, matrix.block_bytes());
            // SAFETY: as in `multiply_bf16`.
            unsafe {
                let (coarse, fine) = (coarse.0.as_mut_ptr(), fine.0.as_mut_ptr());
                two_by_two!("tdpbusd", first, second, stride, weights, matrix.steps(), coarse, fine, ahead);
            }
            let halves = Halves { coarse: &coarse.0, fine: &fine.0, steps: &steps[row..row + rows] };
            // SAFETY: the caller's.
            unsafe {
                halves.join::<Avx512>(matrix, block, &mut sums.0);
                product.put::<Avx512>(block, row, rows, &sums.0);
            }
        }
    }
}
