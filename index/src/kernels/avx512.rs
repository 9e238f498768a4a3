//! x86-64 with AVX-512: VNNI multiplies 64 bytes in one instruction, VPOPCNTDQ counts the bits of eight words.

use std::arch::x86_64::*;

use super::Kernels;

/// How many rows ahead memory is asked for.
const SOON: usize = 3;

pub(super) static KERNELS: Kernels = Kernels { name: "avx512", dots, four, between, near };

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dots(query: &[i8], rows: &[*const u8], sums: &mut [i32]) {
    // The common widths keep the whole query in registers.
    // SAFETY: this function has the features; the rows are the caller's.
    unsafe {
        match query.len() {
            256 => dots_of::<4>(query, rows, sums),
            384 => dots_of::<6>(query, rows, sums),
            512 => dots_of::<8>(query, rows, sums),
            768 => dots_of::<12>(query, rows, sums),
            1024 => dots_of::<16>(query, rows, sums),
            _ => dots_of_any(query, rows, sums),
        }
    }
}

#[inline(always)]
unsafe fn dots_of<const LINES: usize>(query: &[i8], rows: &[*const u8], sums: &mut [i32]) {
    // SAFETY: `query` has `LINES` lines, each row as many.
    unsafe {
        let mut held = [_mm512_setzero_si512(); LINES];
        for (line, held) in held.iter_mut().enumerate() {
            *held = _mm512_loadu_si512(query.as_ptr().add(line * 64).cast());
        }
        for (i, (row, sum)) in rows.iter().zip(sums).enumerate() {
            // Rows lie anywhere: memory is asked for those that are soon to come.
            if let Some(next) = rows.get(i + SOON) {
                for line in 0..LINES {
                    _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(line * 64).cast());
                }
            }
            // Two chains, so that one multiplication need not wait for the one before.
            let mut totals = [_mm512_setzero_si512(); 2];
            for (line, held) in held.iter().enumerate() {
                let bytes = _mm512_loadu_si512(row.add(line * 64).cast());
                totals[line % 2] = _mm512_dpbusd_epi32(totals[line % 2], bytes, *held);
            }
            *sum = _mm512_reduce_add_epi32(_mm512_add_epi32(totals[0], totals[1]));
        }
    }
}

#[inline(always)]
unsafe fn dots_of_any(query: &[i8], rows: &[*const u8], sums: &mut [i32]) {
    for (row, sum) in rows.iter().zip(sums) {
        // SAFETY: the row has as many bytes as the query.
        unsafe {
            let mut total = _mm512_setzero_si512();
            for at in (0..query.len()).step_by(64) {
                let bytes = _mm512_loadu_si512(row.add(at).cast());
                total = _mm512_dpbusd_epi32(total, bytes, _mm512_loadu_si512(query.as_ptr().add(at).cast()));
            }
            *sum = _mm512_reduce_add_epi32(total);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn four(high: &[u8], low: &[u8], query_high: &[i8], query_low: &[i8]) -> [i32; 4] {
    // SAFETY: all four have the same length, a multiple of 64.
    unsafe {
        let mut totals = [_mm512_setzero_si512(); 4];
        for at in (0..high.len()).step_by(64) {
            let (h, l) =
                (_mm512_loadu_si512(high.as_ptr().add(at).cast()), _mm512_loadu_si512(low.as_ptr().add(at).cast()));
            let with_high = _mm512_loadu_si512(query_high.as_ptr().add(at).cast());
            let with_low = _mm512_loadu_si512(query_low.as_ptr().add(at).cast());
            totals[0] = _mm512_dpbusd_epi32(totals[0], h, with_high);
            totals[1] = _mm512_dpbusd_epi32(totals[1], h, with_low);
            totals[2] = _mm512_dpbusd_epi32(totals[2], l, with_high);
            totals[3] = _mm512_dpbusd_epi32(totals[3], l, with_low);
        }
        // The four sums side by side, in one store.
        let [a, b, c, d] = totals.map(|total| quarter(total));
        let sums = _mm_hadd_epi32(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d));
        let mut all = [0; 4];
        _mm_storeu_si128(all.as_mut_ptr().cast(), sums);
        all
    }
}

/// Four sums whose sum is that of the sixteen.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarter(total: __m512i) -> __m128i {
    let half = _mm256_add_epi32(_mm512_castsi512_si256(total), _mm512_extracti64x4_epi64::<1>(total));
    _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn between(a: &[u8], b: &[u8]) -> i32 {
    // SAFETY: both have the same length, a multiple of 64.
    unsafe {
        let zero = _mm512_set1_epi8(i8::MIN);
        let (mut products, mut offsets) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for at in (0..a.len()).step_by(64) {
            let signed = _mm512_xor_si512(_mm512_loadu_si512(b.as_ptr().add(at).cast()), zero);
            products = _mm512_dpbusd_epi32(products, _mm512_loadu_si512(a.as_ptr().add(at).cast()), signed);
            offsets = _mm512_dpbusd_epi32(offsets, zero, signed);
        }
        _mm512_reduce_add_epi32(_mm512_sub_epi32(products, offsets))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
unsafe fn near(signature: &[u64], rows: &[u64], most: u32, near: &mut [u8]) {
    // SAFETY: as of `near_of`.
    unsafe {
        // The common widths keep the whole signature in registers.
        match signature.len() {
            6 => near_of::<6>(signature, rows, most, near),
            12 => near_of::<12>(signature, rows, most, near),
            16 => near_of::<16>(signature, rows, most, near),
            words => {
                let most = _mm512_set1_epi64(i64::from(most));
                for (group, near) in rows.chunks_exact(8 * words).zip(near) {
                    let mut total = _mm512_setzero_si512();
                    for (word, of_query) in signature.iter().enumerate() {
                        total =
                            add_differences(total, group.as_ptr().add(8 * word), _mm512_set1_epi64(*of_query as i64));
                    }
                    *near = _mm512_cmple_epu64_mask(total, most);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
unsafe fn near_of<const WORDS: usize>(signature: &[u64], rows: &[u64], most: u32, near: &mut [u8]) {
    // SAFETY: a group has eight rows of as many words as the signature.
    unsafe {
        let most = _mm512_set1_epi64(i64::from(most));
        let mut held = [_mm512_setzero_si512(); WORDS];
        for (held, word) in held.iter_mut().zip(signature) {
            *held = _mm512_set1_epi64(*word as i64);
        }
        for (group, near) in rows.chunks_exact(8 * WORDS).zip(near) {
            let mut total = _mm512_setzero_si512();
            for (word, held) in held.iter().enumerate() {
                total = add_differences(total, group.as_ptr().add(8 * word), *held);
            }
            *near = _mm512_cmple_epu64_mask(total, most);
        }
    }
}

/// Adds how many bits the eight words from `at` differ from those of `of_query`.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
unsafe fn add_differences(total: __m512i, at: *const u64, of_query: __m512i) -> __m512i {
    // SAFETY: the caller's: eight words may be read.
    let of_rows = unsafe { _mm512_loadu_epi64(at.cast()) };
    _mm512_add_epi64(total, _mm512_popcnt_epi64(_mm512_xor_epi64(of_rows, of_query)))
}
