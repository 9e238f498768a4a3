//! x86-64 with AVX2: bytes are widened to 16 bits and multiplied in pairs. (The instruction that multiplies bytes
//! directly saturates its 16-bit sums.)

use std::arch::x86_64::*;

use super::Kernels;

pub(super) static KERNELS: Kernels = Kernels { name: "avx2", dots, four, between, near };

#[target_feature(enable = "avx2")]
unsafe fn dots(query: &[i8], rows: &[*const u8], sums: &mut [i32]) {
    for (row, sum) in rows.iter().zip(sums) {
        // SAFETY: the row has as many bytes as the query, a multiple of 64.
        *sum = unsafe {
            let mut totals = [_mm256_setzero_si256(); 2];
            for at in (0..query.len()).step_by(32) {
                for (half, total) in totals.iter_mut().enumerate() {
                    let a = unsigned(row.add(at + half * 16));
                    let b = signed(query.as_ptr().add(at + half * 16));
                    *total = _mm256_add_epi32(*total, _mm256_madd_epi16(a, b));
                }
            }
            sum_of(_mm256_add_epi32(totals[0], totals[1]))
        };
    }
}

#[target_feature(enable = "avx2")]
unsafe fn four(high: &[u8], low: &[u8], query_high: &[i8], query_low: &[i8]) -> [i32; 4] {
    // SAFETY: all four have the same length, a multiple of 64.
    unsafe {
        let mut totals = [_mm256_setzero_si256(); 4];
        for at in (0..high.len()).step_by(16) {
            let (h, l) = (unsigned(high.as_ptr().add(at)), unsigned(low.as_ptr().add(at)));
            let (with_high, with_low) = (signed(query_high.as_ptr().add(at)), signed(query_low.as_ptr().add(at)));
            totals[0] = _mm256_add_epi32(totals[0], _mm256_madd_epi16(h, with_high));
            totals[1] = _mm256_add_epi32(totals[1], _mm256_madd_epi16(h, with_low));
            totals[2] = _mm256_add_epi32(totals[2], _mm256_madd_epi16(l, with_high));
            totals[3] = _mm256_add_epi32(totals[3], _mm256_madd_epi16(l, with_low));
        }
        let mut sums = [0; 4];
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = sum_of(total);
        }
        sums
    }
}

#[target_feature(enable = "avx2")]
unsafe fn between(a: &[u8], b: &[u8]) -> i32 {
    // SAFETY: both have the same length, a multiple of 64.
    unsafe {
        let zero = _mm256_set1_epi16(128);
        let mut total = _mm256_setzero_si256();
        for at in (0..a.len()).step_by(16) {
            let a = _mm256_sub_epi16(unsigned(a.as_ptr().add(at)), zero);
            let b = _mm256_sub_epi16(unsigned(b.as_ptr().add(at)), zero);
            total = _mm256_add_epi32(total, _mm256_madd_epi16(a, b));
        }
        sum_of(total)
    }
}

#[target_feature(enable = "avx2")]
unsafe fn near(signature: &[u64], rows: &[u64], most: u32, near: &mut [u8]) {
    // How many bits each number of four bits has.
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let low = _mm256_set1_epi8(0x0F);
    let most = _mm256_set1_epi64x(i64::from(most));
    for (group, near) in rows.chunks_exact(8 * signature.len()).zip(near) {
        let mut totals = [_mm256_setzero_si256(); 2];
        for (words, of_query) in group.chunks_exact(8).zip(signature) {
            for (words, total) in words.chunks_exact(4).zip(&mut totals) {
                // SAFETY: four words.
                let of_rows = unsafe { _mm256_loadu_si256(words.as_ptr().cast()) };
                let differ = _mm256_xor_si256(of_rows, _mm256_set1_epi64x(*of_query as i64));
                let lower = _mm256_shuffle_epi8(table, _mm256_and_si256(differ, low));
                let upper = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(differ), low));
                let counted = _mm256_sad_epu8(_mm256_add_epi8(lower, upper), _mm256_setzero_si256());
                *total = _mm256_add_epi64(*total, counted);
            }
        }
        // A bit for each of the four that is more.
        let [first, second] =
            totals.map(|total| _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(total, most))));
        *near = !((first | second << 4) as u8);
    }
}

/// 16 bytes as 16-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn unsigned(at: *const u8) -> __m256i {
    // SAFETY: the caller's: 16 bytes may be read.
    unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(at.cast())) }
}

/// 16 signed bytes as 16-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn signed(at: *const i8) -> __m256i {
    // SAFETY: the caller's: 16 bytes may be read.
    unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(at.cast())) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum_of(total: __m256i) -> i32 {
    let half = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256::<1>(total));
    let pair = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
    _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32::<0b10_11_00_01>(pair)))
}
