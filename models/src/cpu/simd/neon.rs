//! [`Simd`] with AArch64 NEON: four lanes.

use std::arch::aarch64::*;

use super::Simd;

/// Every AArch64 processor has NEON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon;

type F = float32x4_t;

// SAFETY: of each method: see the trait.
impl Simd for Neon {
    const LANES: usize = 4;
    type F = F;

    #[inline(always)]
    unsafe fn splat(value: f32) -> F {
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> F {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: F) {
        unsafe { vst1q_f32(to, value) }
    }
    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: F, b: F, c: F) -> F {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: F, b: F) -> F {
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: F, b: F) -> F {
        unsafe { vminq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn round(a: F) -> F {
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    unsafe fn scale2(a: F, n: F) -> F {
        unsafe {
            let power = vshlq_n_s32::<23>(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)));
            vmulq_f32(a, vreinterpretq_f32_s32(power))
        }
    }
    #[inline(always)]
    unsafe fn sum(a: F) -> f32 {
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn largest(a: F) -> f32 {
        unsafe { vmaxvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut u16, value: F) {
        unsafe {
            let bits = vreinterpretq_u32_f32(value);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
            vst1_u16(to, vshrn_n_u32::<16>(rounded));
        }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> F {
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))) }
    }
    #[inline(always)]
    unsafe fn load_bf16_pairs(from: *const u8) -> [F; 2] {
        unsafe {
            let pairs = vreinterpretq_u32_u8(vld1q_u8(from));
            let second = vandq_u32(pairs, vdupq_n_u32(0xFFFF_0000));
            [vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs)), vreinterpretq_f32_u32(second)]
        }
    }
    #[inline(always)]
    unsafe fn load_i8_quads(from: *const u8) -> [F; 4] {
        unsafe {
            let quads = vreinterpretq_s32_u8(vld1q_u8(from));
            let first = vshrq_n_s32::<24>(vshlq_n_s32::<24>(quads));
            let second = vshrq_n_s32::<24>(vshlq_n_s32::<16>(quads));
            let third = vshrq_n_s32::<24>(vshlq_n_s32::<8>(quads));
            let fourth = vshrq_n_s32::<24>(quads);
            // Not `map`: a closure would be compiled without the instructions.
            [vcvtq_f32_s32(first), vcvtq_f32_s32(second), vcvtq_f32_s32(third), vcvtq_f32_s32(fourth)]
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, value: F) {
        unsafe {
            let halves = vqmovun_s32(vcvtnq_s32_f32(value));
            let bytes = vqmovn_u16(vcombine_u16(halves, halves));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(bytes)));
        }
    }
    #[inline(always)]
    unsafe fn load_i32(from: *const i32) -> F {
        unsafe { vcvtq_f32_s32(vld1q_s32(from)) }
    }
}

#[cfg(test)]
mod tests {
    //! Each method against its portable twin, which has four lanes too.

    use super::super::portable::Portable;
    use super::*;

    type Four = [f32; 4];

    /// Ties of integers and of bfloat16, both signs, sizes apart, and a zero of each sign.
    const SOME: [Four; 6] = [
        [0.5, 1.5, 2.5, -0.5],
        [-1.5, -2.5, 0.0, -0.0],
        [1e-20, -3.25, 1e6, 1_048_575.5],
        [-0.1, 0.3, -7.7, 65_535.0],
        [123.456, -1e-3, 2.0, -4096.5],
        [257.0 / 256.0, 259.0 / 256.0, -257.0 / 256.0, 3.0],
    ];

    fn neon(four: Four) -> F {
        unsafe { Neon::load(four.as_ptr()) }
    }

    fn four(value: F) -> Four {
        let mut four = [0.0; 4];
        unsafe { Neon::store(four.as_mut_ptr(), value) };
        four
    }

    #[test]
    fn arithmetic_is_the_portable_twins() {
        for a in SOME {
            unsafe {
                assert_eq!(four(Neon::splat(a[1])), Portable::splat(a[1]));
                assert_eq!(four(Neon::round(neon(a))), Portable::round(a));
                assert_eq!(Neon::sum(neon(a)).round(), Portable::sum(a).round());
                assert_eq!(Neon::largest(neon(a)), Portable::largest(a));
                let powers = [-126.0, 127.0, 0.0, 5.0];
                assert_eq!(four(Neon::scale2(neon(a), neon(powers))), Portable::scale2(a, powers));
            }
            for b in SOME {
                unsafe {
                    assert_eq!(four(Neon::add(neon(a), neon(b))), Portable::add(a, b));
                    assert_eq!(four(Neon::sub(neon(a), neon(b))), Portable::sub(a, b));
                    assert_eq!(four(Neon::mul(neon(a), neon(b))), Portable::mul(a, b));
                    assert_eq!(four(Neon::max(neon(a), neon(b))), Portable::max(a, b));
                    assert_eq!(four(Neon::min(neon(a), neon(b))), Portable::min(a, b));
                    // Rounded once here, and twice there.
                    let fused: Four = std::array::from_fn(|i| a[i].mul_add(b[i], SOME[0][i]));
                    assert_eq!(four(Neon::fma(neon(a), neon(b), neon(SOME[0]))), fused);
                }
            }
        }
    }

    #[test]
    fn every_half_float_is_read_as_the_portable_twin_reads_it() {
        // Up to the infinities; beyond are those that are no numbers.
        for half in 0..=0x7C00 {
            let halves = [half, 0x7C00 - half, half | 0x8000, 0x3C00];
            let (got, wanted) = unsafe { (four(Neon::load_f16(halves.as_ptr())), Portable::load_f16(halves.as_ptr())) };
            assert_eq!(got.map(f32::to_bits), wanted.map(f32::to_bits), "{halves:04x?}");
        }
    }

    #[test]
    fn bytes_are_taken_apart_as_the_portable_twin_does() {
        for start in 0..=u8::MAX {
            let bytes: [u8; 16] = std::array::from_fn(|i| start.wrapping_add((i as u8).wrapping_mul(37)));
            unsafe {
                let quads = Neon::load_i8_quads(bytes.as_ptr()).map(four);
                assert_eq!(quads, Portable::load_i8_quads(bytes.as_ptr()));
                let pairs = Neon::load_bf16_pairs(bytes.as_ptr()).map(|pair| four(pair).map(f32::to_bits));
                assert_eq!(pairs, Portable::load_bf16_pairs(bytes.as_ptr()).map(|pair| pair.map(f32::to_bits)));
            }
        }
    }

    #[test]
    fn values_are_narrowed_as_the_portable_twin_does() {
        for a in SOME {
            let (mut got, mut wanted) = ([0; 4], [0; 4]);
            unsafe { Neon::store_bf16(got.as_mut_ptr(), neon(a)) };
            unsafe { Portable::store_bf16(wanted.as_mut_ptr(), a) };
            assert_eq!(got, wanted, "{a:?}");
        }
        for value in -30..=2_100 {
            let value = value as f32 / 8.0;
            let (mut got, mut wanted) = ([0; 4], [0; 4]);
            unsafe { Neon::store_bytes(got.as_mut_ptr(), Neon::splat(value)) };
            unsafe { Portable::store_bytes(wanted.as_mut_ptr(), [value; 4]) };
            assert_eq!(got, wanted, "{value}");
        }
    }

    #[test]
    fn integers_are_read_as_the_portable_twin_reads_them() {
        let a = [i32::MAX, i32::MIN, 16_777_217, -3];
        unsafe {
            assert_eq!(four(Neon::load_i32(a.as_ptr())), Portable::load_i32(a.as_ptr()));
        }
    }
}
