//! [`Simd`] with AArch64 NEON: four lanes.

use std::arch::aarch64::*;

use super::Simd;
use super::portable::Portable;

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
    unsafe fn abs(a: F) -> F {
        unsafe { vabsq_f32(a) }
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
        // The conversion's intrinsic wants a type that is not stable yet; this is embedding rows only.
        unsafe { vld1q_f32(Portable::load_f16(from).as_ptr()) }
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
    unsafe fn store_halves(high: *mut u8, low: *mut u8, value: F) {
        unsafe {
            let mut four = [0.0; 4];
            vst1q_f32(four.as_mut_ptr(), value);
            Portable::store_halves(high, low, four);
        }
    }
    #[inline(always)]
    unsafe fn load_i32(from: *const i32) -> F {
        unsafe { vcvtq_f32_s32(vld1q_s32(from)) }
    }
    #[inline(always)]
    unsafe fn load_i32_less(from: *const i32, less: *const i32) -> F {
        unsafe { vcvtq_f32_s32(vsubq_s32(vld1q_s32(from), vld1q_s32(less))) }
    }
}
