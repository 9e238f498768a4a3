//! [`Simd`]: the vector instructions that the element-wise work is written in, once for all processors.
//!
//! Everything here is `#[inline(always)]` and ends up in a function that was compiled for the instructions it uses
//! (`kernels`): called from elsewhere it would be slow, or, on a processor without them, undefined.
#![allow(unsafe_code)] // Reads and writes through raw pointers, by intrinsics; the callers check lengths.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;

/// Vectors of 32-bit floats.
///
/// # Safety
/// Every method needs the processor to have the instructions of the implementing type, and its pointers to be good for
/// [`Simd::LANES`] elements (or what it says). Nothing needs to be aligned.
pub(super) trait Simd: Copy {
    /// Floats in a vector; divides 16.
    const LANES: usize;
    /// A vector.
    type F: Copy;

    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self::F;
    /// Reads a vector.
    unsafe fn load(from: *const f32) -> Self::F;
    /// Writes a vector.
    unsafe fn store(to: *mut f32, value: Self::F);
    /// `a + b`
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    /// `a · b`
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once where the processor can.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger of each lane.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// The smaller of each lane.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    /// Rounded to the nearest integer, ties to even.
    unsafe fn round(a: Self::F) -> Self::F;
    /// `a · 2^n` for integral `n` of -126 to 127.
    unsafe fn scale2(a: Self::F, n: Self::F) -> Self::F;
    /// The sum of all lanes.
    unsafe fn sum(a: Self::F) -> f32;
    /// The largest lane.
    unsafe fn largest(a: Self::F) -> f32;
    /// Writes a vector as bfloat16, rounded to nearest even.
    unsafe fn store_bf16(to: *mut u16, value: Self::F);
    /// Reads a vector of 16-bit IEEE floats.
    unsafe fn load_f16(from: *const u16) -> Self::F;
    /// Reads `LANES` pairs of bfloat16: the first of each pair, and the second.
    unsafe fn load_bf16_pairs(from: *const u8) -> [Self::F; 2];
    /// Reads `LANES` groups of four signed bytes: the first of each group, the second, and so on.
    unsafe fn load_i8_quads(from: *const u8) -> [Self::F; 4];
    /// Writes each lane as a byte: rounded to the nearest integer, ties to even; what is below 0 as 0, what is above 255
    /// as 255. For what has a magnitude below 2²².
    unsafe fn store_bytes(to: *mut u8, value: Self::F);
    /// Reads signed 32-bit integers, as floats.
    unsafe fn load_i32(from: *const i32) -> Self::F;

    /// Writes a square of 16 × 16 with rows and columns exchanged: of its rows, `stride` apart, there are `count`, and
    /// the others are zeros. Its columns become rows `to_stride` apart.
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize, count: usize, to: *mut f32, to_stride: usize) {
        for row in 0..16 {
            for column in 0..16 {
                // SAFETY: the caller's.
                unsafe {
                    let value = if row < count { *from.add(row * stride + column) } else { 0.0 };
                    *to.add(column * to_stride + row) = value;
                }
            }
        }
    }
}

/// Coefficients of `(Φ(x) - 1/2) / x` in powers of x², fitted by us for |x| ≤ [`GELU_BOUND`].
const GELU: [f32; 10] = [
    0.398_883_8,
    -0.066_337_05,
    0.009_833_178,
    -0.001_122_676_2,
    9.787_093e-5,
    -6.365_206_4e-6,
    2.958_863_7e-7,
    -9.193_6e-9,
    1.697_268_7e-10,
    -1.400_032_4e-12,
];

/// Beyond it Φ is 0 or 1, to 3·10⁻⁶.
const GELU_BOUND: f32 = 4.5;

/// `x · Φ(x)`, Φ being the normal distribution's (the `gelu` of BERT), with an error below 10⁻⁴.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn gelu<S: Simd>(x: S::F) -> S::F {
    // SAFETY: no memory is touched; the rest is the caller's promise.
    unsafe {
        let near = S::min(S::max(x, S::splat(-GELU_BOUND)), S::splat(GELU_BOUND));
        let square = S::mul(near, near);
        let mut sum = S::splat(GELU[9]);
        let mut power = 9;
        while power > 0 {
            power -= 1;
            sum = S::fma(sum, square, S::splat(GELU[power]));
        }
        S::mul(x, S::fma(near, sum, S::splat(0.5)))
    }
}

/// eˣ for x of -87 to 88, beyond which it stays what it is there; relative error below 4·10⁻⁷.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn exp<S: Simd>(x: S::F) -> S::F {
    // ln 2 in two parts, so that n · ln 2 is exact enough: x = n · ln 2 + r, |r| ≤ ln 2 / 2; eʳ by its Taylor series.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    const SERIES: [f32; 7] = [1.0, 1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0];
    // SAFETY: no memory is touched; the rest is the caller's promise.
    unsafe {
        let x = S::min(S::max(x, S::splat(-87.0)), S::splat(88.0));
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let rest = S::fma(n, S::splat(-LOW), S::fma(n, S::splat(-HIGH), x));
        let mut sum = S::splat(SERIES[6]);
        let mut power = 6;
        while power > 0 {
            power -= 1;
            sum = S::fma(sum, rest, S::splat(SERIES[power]));
        }
        S::scale2(sum, n)
    }
}
