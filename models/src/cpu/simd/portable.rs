//! [`Simd`] in plain Rust, four lanes: for processors without a version of their own, and as the others' twin in tests.

use super::Simd;

/// Four floats, as the compiler likes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 4;

type F = [f32; LANES];

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> F {
    std::array::from_fn(f)
}

/// A 16-bit IEEE float, widened.
pub(crate) fn from_f16(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(half >> 10) & 0x1F, u32::from(half & 0x3FF));
    match exponent {
        0 => f32::from_bits(sign | (fraction as f32 * (1.0 / (1 << 24) as f32)).to_bits()),
        31 => f32::from_bits(sign | 0x7F80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

/// The 16-bit IEEE float nearest to a float of less than 65,520, ties to even. Without branches: both ways are computed,
/// so that the compiler takes many values at a time.
#[inline(always)]
pub(crate) fn to_f16(value: f32) -> u16 {
    /// The least that is not subnormal, 2⁻¹⁴.
    const LEAST: u32 = (127 - 14) << 23;
    /// 1/2, beside which the last bit of a float counts 2⁻²⁴, as a subnormal's does: adding it rounds to that.
    const HALF: u32 = 126 << 23;
    let sign = value.to_bits() >> 16 & 0x8000;
    let bits = value.to_bits() & 0x7FFF_FFFF;
    let subnormal = (f32::from_bits(bits) + f32::from_bits(HALF)).to_bits().wrapping_sub(HALF);
    let normal = (bits.wrapping_add(0xFFF + (bits >> 13 & 1)) >> 13).wrapping_sub(112 << 10);
    (sign | if bits < LEAST { subnormal } else { normal }) as u16
}

/// The bfloat16 nearest to a finite float, ties to even.
#[inline(always)]
pub(crate) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// A bfloat16, widened.
#[cfg(test)]
pub(crate) fn from_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

// SAFETY: of each method: see the trait.
impl Simd for Portable {
    const LANES: usize = LANES;
    type F = F;

    #[inline(always)]
    unsafe fn splat(value: f32) -> F {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> F {
        // SAFETY: the caller's.
        unsafe { from.cast::<F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: F) {
        // SAFETY: the caller's.
        unsafe { to.cast::<F>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        each(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        each(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        each(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn fma(a: F, b: F, c: F) -> F {
        // Not `mul_add`: without the instruction that is a slow library call.
        each(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: F, b: F) -> F {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn min(a: F, b: F) -> F {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn round(a: F) -> F {
        // Adding and taking away 1.5 · 2²³ leaves no room for a fraction; for |a| < 2²².
        const SHIFT: f32 = 12_582_912.0;
        each(|i| (a[i] + SHIFT) - SHIFT)
    }
    #[inline(always)]
    unsafe fn scale2(a: F, n: F) -> F {
        each(|i| a[i] * f32::from_bits((((n[i] as i32) + 127) << 23) as u32))
    }
    #[inline(always)]
    unsafe fn sum(a: F) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }
    #[inline(always)]
    unsafe fn largest(a: F) -> f32 {
        a.into_iter().fold(a[0], f32::max)
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut u16, value: F) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(value.map(to_bf16)) }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> F {
        // SAFETY: the caller's.
        unsafe { from.cast::<[u16; LANES]>().read_unaligned().map(from_f16) }
    }
    #[inline(always)]
    unsafe fn load_bf16_pairs(from: *const u8) -> [F; 2] {
        // SAFETY: the caller's.
        let pairs = unsafe { from.cast::<[u32; LANES]>().read_unaligned() };
        [pairs.map(|p| f32::from_bits(p << 16)), pairs.map(|p| f32::from_bits(p & 0xFFFF_0000))]
    }
    #[inline(always)]
    unsafe fn load_i8_quads(from: *const u8) -> [F; 4] {
        // SAFETY: the caller's.
        let quads = unsafe { from.cast::<[i32; LANES]>().read_unaligned() };
        [24, 16, 8, 0].map(|shift| quads.map(|q| ((q << shift) >> 24) as f32))
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, value: F) {
        // SAFETY: the caller's. Casts stop at the bounds.
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(Portable::round(value).map(|v| v as u8)) }
    }
    #[inline(always)]
    unsafe fn load_i32(from: *const i32) -> F {
        // SAFETY: the caller's.
        unsafe { from.cast::<[i32; LANES]>().read_unaligned().map(|v| v as f32) }
    }
}
