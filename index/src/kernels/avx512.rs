//! x86-64 with AVX-512: VNNI multiplies 64 bytes in one instruction, VPOPCNTDQ counts the bits of eight words.

use std::arch::x86_64::*;

use super::Kernels;

pub(super) static KERNELS: Kernels = Kernels { name: "avx512", dots, four, between, bits };

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
        for (row, sum) in rows.iter().zip(sums) {
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
        let mut sums = [0; 4];
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = _mm512_reduce_add_epi32(total);
        }
        sums
    }
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
unsafe fn bits(signature: &[u64], rows: &[u64], counts: &mut [u16]) {
    // SAFETY: a group has eight rows of as many words as the signature; counts come by eight too.
    unsafe {
        // The common widths keep the whole signature in registers.
        match signature.len() {
            6 => bits_of::<6>(signature, rows, counts),
            12 => bits_of::<12>(signature, rows, counts),
            16 => bits_of::<16>(signature, rows, counts),
            words => {
                for (at, counts) in counts.chunks_exact_mut(8).enumerate() {
                    let mut total = _mm512_setzero_si512();
                    for (word, of_query) in signature.iter().enumerate() {
                        let of_rows = _mm512_loadu_epi64(rows.as_ptr().add((at * words + word) * 8).cast());
                        let differ = _mm512_xor_epi64(of_rows, _mm512_set1_epi64(*of_query as i64));
                        total = _mm512_add_epi64(total, _mm512_popcnt_epi64(differ));
                    }
                    _mm_storeu_si128(counts.as_mut_ptr().cast(), _mm512_cvtepi64_epi16(total));
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
unsafe fn bits_of<const WORDS: usize>(signature: &[u64], rows: &[u64], counts: &mut [u16]) {
    // SAFETY: as of `bits`.
    unsafe {
        let mut held = [_mm512_setzero_si512(); WORDS];
        for (held, word) in held.iter_mut().zip(signature) {
            *held = _mm512_set1_epi64(*word as i64);
        }
        for (at, counts) in counts.chunks_exact_mut(8).enumerate() {
            let group = rows.as_ptr().add(at * WORDS * 8);
            let mut total = _mm512_setzero_si512();
            for (word, held) in held.iter().enumerate() {
                let of_rows = _mm512_loadu_epi64(group.add(word * 8).cast());
                total = _mm512_add_epi64(total, _mm512_popcnt_epi64(_mm512_xor_epi64(of_rows, *held)));
            }
            _mm_storeu_si128(counts.as_mut_ptr().cast(), _mm512_cvtepi64_epi16(total));
        }
    }
}
