//! [`Simd`] with AVX-512 (F, BW, DQ, VL): sixteen lanes.

use std::arch::x86_64::*;

use super::Simd;

/// The processor has AVX-512 F, BW, DQ and VL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512;

type F = __m512;

// SAFETY: of each method: see the trait.
impl Simd for Avx512 {
    const LANES: usize = 16;
    type F = F;

    #[inline(always)]
    unsafe fn splat(value: f32) -> F {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> F {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: F) {
        unsafe { _mm512_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: F, b: F, c: F) -> F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn max(a: F, b: F) -> F {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: F, b: F) -> F {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn round(a: F) -> F {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn scale2(a: F, n: F) -> F {
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    unsafe fn sum(a: F) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    unsafe fn largest(a: F) -> f32 {
        unsafe { _mm512_reduce_max_ps(a) }
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut u16, value: F) {
        // By integers: the instruction for it (AVX512-BF16) is not on every AVX-512 processor.
        unsafe {
            let bits = _mm512_castps_si512(value);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
            let halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded));
            _mm256_storeu_si256(to.cast(), halves);
        }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> F {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16_pairs(from: *const u8) -> [F; 2] {
        unsafe {
            let pairs = _mm512_loadu_si512(from.cast());
            let first = _mm512_slli_epi32::<16>(pairs);
            let second = _mm512_and_si512(pairs, _mm512_set1_epi32(0xFFFF_0000_u32 as i32));
            [_mm512_castsi512_ps(first), _mm512_castsi512_ps(second)]
        }
    }
    #[inline(always)]
    unsafe fn load_i8_quads(from: *const u8) -> [F; 4] {
        unsafe {
            let quads = _mm512_loadu_si512(from.cast());
            let first = _mm512_srai_epi32::<24>(_mm512_slli_epi32::<24>(quads));
            let second = _mm512_srai_epi32::<24>(_mm512_slli_epi32::<16>(quads));
            let third = _mm512_srai_epi32::<24>(_mm512_slli_epi32::<8>(quads));
            let fourth = _mm512_srai_epi32::<24>(quads);
            // Not `map`: a closure would be compiled without the instructions.
            [
                _mm512_cvtepi32_ps(first),
                _mm512_cvtepi32_ps(second),
                _mm512_cvtepi32_ps(third),
                _mm512_cvtepi32_ps(fourth),
            ]
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, value: F) {
        unsafe {
            let whole = _mm512_max_epi32(_mm512_cvtps_epi32(value), _mm512_setzero_si512());
            _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(whole));
        }
    }
    #[inline(always)]
    unsafe fn load_i32(from: *const i32) -> F {
        unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(from.cast())) }
    }
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize, count: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (number, row) in rows.iter_mut().enumerate() {
                if number < count {
                    *row = _mm512_loadu_ps(from.add(number * stride));
                }
            }
            // `fours[c][group]`: lane l has the values of column c + 4·l in the group's four rows.
            let mut fours = [[_mm512_setzero_pd(); 4]; 4];
            for group in 0..4 {
                let [a, b, c, d] = [rows[4 * group], rows[4 * group + 1], rows[4 * group + 2], rows[4 * group + 3]];
                let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
                fours[0][group] = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                fours[1][group] = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                let (ab, cd) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
                fours[2][group] = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                fours[3][group] = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
            }
            for (column, [a, b, c, d]) in fours.into_iter().enumerate() {
                let (ab, cd) = (_mm512_shuffle_f64x2::<0x44>(a, b), _mm512_shuffle_f64x2::<0x44>(c, d));
                let (first, second) = (_mm512_shuffle_f64x2::<0x88>(ab, cd), _mm512_shuffle_f64x2::<0xDD>(ab, cd));
                let (ab, cd) = (_mm512_shuffle_f64x2::<0xEE>(a, b), _mm512_shuffle_f64x2::<0xEE>(c, d));
                let (third, fourth) = (_mm512_shuffle_f64x2::<0x88>(ab, cd), _mm512_shuffle_f64x2::<0xDD>(ab, cd));
                for (lane, turned) in [first, second, third, fourth].into_iter().enumerate() {
                    _mm512_storeu_ps(to.add((column + 4 * lane) * to_stride), _mm512_castpd_ps(turned));
                }
            }
        }
    }
}
