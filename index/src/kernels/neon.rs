//! 64-bit ARM: bytes are multiplied into 16 bits and added in pairs into 32.

use std::arch::aarch64::*;

use super::Kernels;

pub(super) static KERNELS: Kernels = Kernels { name: "neon", dots, four, between, near };

/// Adds the products of 16 bytes, both signed, to `total`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add(total: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    vpadalq_s16(vpadalq_s16(total, low), vmull_high_s8(a, b))
}

/// 16 stored bytes, their 128 taken off.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn stored(at: *const u8) -> int8x16_t {
    // SAFETY: the caller's: 16 bytes may be read.
    unsafe { vreinterpretq_s8_u8(veorq_u8(vld1q_u8(at), vdupq_n_u8(128))) }
}

/// 128 times the sum of a query's bytes: what stored bytes have beside their signed selves.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn offset(query: &[i8]) -> i32 {
    let mut total = vdupq_n_s32(0);
    for at in (0..query.len()).step_by(16) {
        // SAFETY: a multiple of 64 bytes.
        total = unsafe { vpadalq_s16(total, vpaddlq_s8(vld1q_s8(query.as_ptr().add(at)))) };
    }
    vaddvq_s32(total) * 128
}

#[target_feature(enable = "neon")]
unsafe fn dots(query: &[i8], rows: &[*const u8], sums: &mut [i32]) {
    // SAFETY: each row has as many bytes as the query, a multiple of 64.
    unsafe {
        let offset = offset(query);
        for (row, sum) in rows.iter().zip(sums) {
            let mut total = vdupq_n_s32(0);
            for at in (0..query.len()).step_by(16) {
                total = add(total, stored(row.add(at)), vld1q_s8(query.as_ptr().add(at)));
            }
            *sum = vaddvq_s32(total).wrapping_add(offset);
        }
    }
}

#[target_feature(enable = "neon")]
unsafe fn four(high: &[u8], low: &[u8], query_high: &[i8], query_low: &[i8]) -> [i32; 4] {
    // SAFETY: all four have the same length, a multiple of 64.
    unsafe {
        let mut totals = [vdupq_n_s32(0); 4];
        for at in (0..high.len()).step_by(16) {
            let (h, l) = (stored(high.as_ptr().add(at)), stored(low.as_ptr().add(at)));
            let (with_high, with_low) = (vld1q_s8(query_high.as_ptr().add(at)), vld1q_s8(query_low.as_ptr().add(at)));
            totals[0] = add(totals[0], h, with_high);
            totals[1] = add(totals[1], h, with_low);
            totals[2] = add(totals[2], l, with_high);
            totals[3] = add(totals[3], l, with_low);
        }
        let (of_high, of_low) = (offset(query_high), offset(query_low));
        let sum = |total: int32x4_t, offset: i32| vaddvq_s32(total).wrapping_add(offset);
        [sum(totals[0], of_high), sum(totals[1], of_low), sum(totals[2], of_high), sum(totals[3], of_low)]
    }
}

#[target_feature(enable = "neon")]
unsafe fn between(a: &[u8], b: &[u8]) -> i32 {
    let mut total = vdupq_n_s32(0);
    for at in (0..a.len()).step_by(16) {
        // SAFETY: both have the same length, a multiple of 64.
        total = unsafe { add(total, stored(a.as_ptr().add(at)), stored(b.as_ptr().add(at))) };
    }
    vaddvq_s32(total)
}

#[target_feature(enable = "neon")]
unsafe fn near(signature: &[u64], rows: &[u64], most: u32, near: &mut [u8]) {
    for (group, near) in rows.chunks_exact(8 * signature.len()).zip(near) {
        let mut totals = [vdupq_n_u64(0); 4];
        for (words, of_query) in group.chunks_exact(8).zip(signature) {
            for (words, total) in words.chunks_exact(2).zip(&mut totals) {
                // SAFETY: two words.
                let of_rows = unsafe { vld1q_u64(words.as_ptr()) };
                let differ = vreinterpretq_u8_u64(veorq_u64(of_rows, vdupq_n_u64(*of_query)));
                *total = vaddq_u64(*total, vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vcntq_u8(differ)))));
            }
        }
        *near = totals.iter().rev().fold(0, |near, total| {
            let (first, second) = (vgetq_lane_u64::<0>(*total), vgetq_lane_u64::<1>(*total));
            near << 2 | u8::from(second <= u64::from(most)) << 1 | u8::from(first <= u64::from(most))
        });
    }
}
