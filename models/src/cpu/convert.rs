//! Floats to 16 bits by the slice, once, when a model is loaded: plain loops, compiled for wide vectors too.
#![allow(unsafe_code)] // Calls functions compiled for AVX2, after asking the processor.

use super::matrix::{BLOCK, TILE_BYTES};
use super::simd::portable::{to_bf16, to_f16};

/// Writes 16-bit IEEE floats; values that there is no room for are left out.
pub(super) fn to_halves(values: &[f32], halves: &mut [u16]) {
    #[inline(always)]
    fn plain(values: &[f32], halves: &mut [u16]) {
        halves.iter_mut().zip(values).for_each(|(half, &value)| *half = to_f16(value));
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide(values: &[f32], halves: &mut [u16]) {
            plain(values, halves);
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { wide(values, halves) };
        }
    }
    plain(values, halves);
}

/// Packs a block of outputs (`weights` has [`BLOCK`] rows of `inputs`) in bfloat16, as `matrix` says.
pub(super) fn to_bf16_block(weights: &[f32], inputs: usize, room: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide(weights: &[f32], inputs: usize, room: &mut [u8]) {
            plain_bf16_block(weights, inputs, room);
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { wide(weights, inputs, room) };
        }
    }
    plain_bf16_block(weights, inputs, room);
}

/// Values of an output in a tile, two to a column of four bytes.
const STEP: usize = 32;

#[inline(always)]
fn plain_bf16_block(weights: &[f32], inputs: usize, room: &mut [u8]) {
    let (above, below) = weights.split_at(BLOCK / 2 * inputs);
    for (step, tiles) in room.chunks_exact_mut(2 * TILE_BYTES).enumerate() {
        for (tile, outputs) in tiles.chunks_exact_mut(TILE_BYTES).zip([above, below]) {
            let mut pairs = [[0u32; STEP / 2]; BLOCK / 2];
            for (pairs, output) in pairs.iter_mut().zip(outputs.chunks_exact(inputs)) {
                let values = output[step * STEP..].as_chunks::<2>().0;
                for (pair, [first, second]) in pairs.iter_mut().zip(values) {
                    *pair = u32::from(to_bf16(*first)) | u32::from(to_bf16(*second)) << 16;
                }
            }
            // Rows of the tile are inputs, and its columns outputs.
            for (input, line) in tile.as_chunks_mut::<{ TILE_BYTES / 16 }>().0.iter_mut().enumerate() {
                for (output, bytes) in line.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    *bytes = pairs[output][input].to_le_bytes();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::portable::from_f16;

    #[test]
    fn halves_are_the_nearest_ones() {
        let values: Vec<f32> = (0..200_000u32)
            .map(|number| f32::from_bits(number.wrapping_mul(2_654_435_761)))
            .filter(|value| value.abs() < 65_504.0)
            .chain([0.0, -0.0, 65_503.9, 6.0e-8, 2.98e-8, 2.981e-8, 6.103_5e-5, 6.105e-5, 1.0 + 1.0 / 2048.0])
            .collect();
        let mut halves = vec![0; values.len()];
        to_halves(&values, &mut halves);
        for (&value, &half) in values.iter().zip(&halves) {
            let error = (from_f16(half) - value).abs();
            for other in [half.wrapping_add(1), half.wrapping_sub(1)] {
                let further = (from_f16(other) - value).abs();
                let nearest = further.total_cmp(&error);
                assert!(nearest.is_gt() || nearest.is_eq() && half & 1 == 0, "{value}: {half:#06x}");
            }
        }
    }

    #[test]
    fn a_block_has_each_pair_in_its_place() {
        let inputs = 64;
        let weights: Vec<f32> = (0..BLOCK * inputs).map(|number| number as f32 * 0.37 - 300.0).collect();
        let mut room = vec![0; BLOCK * inputs * 2];
        to_bf16_block(&weights, inputs, &mut room);
        let mut plain = vec![0; room.len()];
        plain_bf16_block(&weights, inputs, &mut plain);
        assert_eq!(room, plain);
        for output in 0..BLOCK {
            for input in 0..inputs {
                let tile = input / STEP * 2 + output / 16;
                let at = tile * TILE_BYTES + input % STEP / 2 * 64 + output % 16 * 4 + input % 2 * 2;
                assert_eq!(room[at..at + 2], to_bf16(weights[output * inputs + input]).to_le_bytes());
            }
        }
    }
}
