//! [`Ahead`]: weights asked for before they are needed.
#![allow(unsafe_code)] // Prefetches, which fault nowhere.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::matrix::TILE_BYTES;

/// How long before they are needed weights are asked for, in bytes. Asking at all was measured to help; other distances
/// were not tried.
const AHEAD: usize = 8 * TILE_BYTES;

/// Lines of cache that hold a step's weights.
pub(super) const STEP_LINES: usize = 2 * TILE_BYTES / 64;

/// Weights that are asked for while others are multiplied, in the order in which they lie. Nothing, while rows go through
/// weights that the nearest cache has already.
#[derive(Clone, Copy)]
pub(super) struct Ahead(Option<*const u8>);

impl Ahead {
    /// What to ask for while some rows of a product go through a block: with the last ones, the next block's weights.
    /// Rows that are `lone`, the first and the last at once, come by each weight once, and ask for it some steps before.
    #[inline(always)]
    pub(super) fn of(last: bool, lone: bool, weights: *const u8, block_bytes: usize) -> Ahead {
        Ahead(last.then(|| weights.wrapping_add(if lone { AHEAD } else { block_bytes })))
    }

    /// Asks for the next so many lines.
    #[inline(always)]
    pub(super) fn ask(&mut self, lines: usize) {
        let Ahead(Some(from)) = *self else { return };
        for line in 0..lines {
            // SAFETY: a prefetch reads nothing that the program could see, and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line * 64).cast()) };
        }
        self.0 = Some(from.wrapping_add(lines * 64));
    }
}
