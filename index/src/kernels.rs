//! [`Kernels`]: dot products of bytes and counts of bits, by the widest instructions of the processor.
//!
//! | file | for |
//! |---|---|
//! | `avx512` | x86-64 with AVX-512 VNNI, and VPOPCNTDQ for the bits |
//! | `avx2` | x86-64 with AVX2 |
//! | `neon` | 64-bit ARM |
//! | `portable` | all others, and the twin that the rest is tested against |
#![allow(unsafe_code)] // Functions with target features; a set is only had by who has the features.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::sync::OnceLock;

/// Rows that [`Kernels::dots`] takes at once, at most: the neighbours of one node.
pub(crate) const MANY: usize = 64;

/// Asks for the cache line at `at`, which is soon to be read. Any address will do: nothing is read.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    // SAFETY: a hint, which never faults.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast())
    };
    // SAFETY: as above.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) at, options(nostack, preserves_flags, readonly))
    };
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = at;
}

/// Of a row's two planes and a query's.
type Four = unsafe fn(&[u8], &[u8], &[i8], &[i8]) -> [i32; 4];

/// The functions for one kind of processor. Planes have a multiple of 64 bytes.
pub(crate) struct Kernels {
    /// Which ones.
    pub(crate) name: &'static str,
    dots: unsafe fn(&[i8], &[*const u8], &mut [i32]),
    four: Four,
    between: unsafe fn(&[u8], &[u8]) -> i32,
    near: unsafe fn(&[u64], &[u64], u32, &mut [u8]),
}

impl Kernels {
    /// The fastest that this processor has.
    pub(crate) fn get() -> &'static Kernels {
        static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
        CHOSEN.get_or_init(|| *Kernels::all().last().unwrap_or(&&portable::KERNELS))
    }

    /// Every set that this processor can run, the fastest last.
    pub(crate) fn all() -> Vec<&'static Kernels> {
        #[allow(unused_mut, reason = "no other set on some processors")]
        let mut all: Vec<&'static Kernels> = vec![&portable::KERNELS];
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        all.push(&neon::KERNELS);
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            if is_x86_feature_detected!("avx2") {
                all.push(&avx2::KERNELS);
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx512vpopcntdq")
            {
                all.push(&avx512::KERNELS);
            }
        }
        all
    }

    /// Sums of `query[i] · row[i]` for each of the rows, at most [`MANY`].
    ///
    /// # Safety
    /// Each pointer is good for reading `query.len()` bytes, which nobody writes meanwhile.
    pub(crate) unsafe fn dots(&self, query: &[i8], rows: &[*const u8], sums: &mut [i32]) {
        assert!(rows.len() <= sums.len() && query.len().is_multiple_of(64));
        // SAFETY: `get` and `all` have checked the processor; so below. The rows are the caller's.
        unsafe { (self.dots)(query, rows, sums) }
    }

    /// The sum of `query[i] · row[i]`.
    pub(crate) fn dot(&self, query: &[i8], row: &[u8]) -> i32 {
        assert!(row.len() == query.len() && query.len().is_multiple_of(64));
        let mut sum = [0];
        // SAFETY: the row is as long as the query, and borrowed.
        unsafe { (self.dots)(query, &[row.as_ptr()], &mut sum) };
        sum[0]
    }

    /// The sums of products of a row's two planes (unsigned) with a query's two (signed): high · high, high · low of the
    /// query, low · high of the query, low · low.
    pub(crate) fn four(&self, high: &[u8], low: &[u8], query_high: &[i8], query_low: &[i8]) -> [i32; 4] {
        let len = high.len();
        assert!(low.len() == len && query_high.len() == len && query_low.len() == len && len.is_multiple_of(64));
        unsafe { (self.four)(high, low, query_high, query_low) }
    }

    /// `Σ (a[i] - 128) · (b[i] - 128)` of two stored planes.
    pub(crate) fn between(&self, a: &[u8], b: &[u8]) -> i32 {
        assert!(a.len() == b.len() && a.len().is_multiple_of(64));
        unsafe { (self.between)(a, b) }
    }

    /// Which of `rows` differ from `signature` in at most `most` bits. Rows come in groups of eight: the first word of all
    /// eight, then the second, and so on, so that eight are counted at once. Each group has a byte in `near`, a bit for each row.
    pub(crate) fn near(&self, signature: &[u64], rows: &[u64], most: u32, near: &mut [u8]) {
        assert!(rows.len() == near.len() * 8 * signature.len());
        unsafe { (self.near)(signature, rows, most, near) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn signed(len: usize, seed: u64) -> Vec<i8> {
        // A rounded number is never -128.
        bytes(len, seed).into_iter().map(|byte| (byte as i8).max(-127)).collect()
    }

    #[test]
    fn every_set_computes_what_the_portable_one_does() {
        let twin = &portable::KERNELS;
        for kernels in Kernels::all() {
            for len in [64, 128, 192, 384, 448, 768, 1024, 4096] {
                let (high, low) = (bytes(len, 1), bytes(len, 2));
                let (query, fine) = (signed(len, 3), signed(len, 4));
                assert_eq!(kernels.four(&high, &low, &query, &fine), twin.four(&high, &low, &query, &fine));
                assert_eq!(kernels.between(&high, &low), twin.between(&high, &low), "{} {len}", kernels.name);
                let rows: Vec<Vec<u8>> = (0..33).map(|seed| bytes(len, seed)).collect();
                let pointers: Vec<*const u8> = rows.iter().map(|row| row.as_ptr()).collect();
                let (mut sums, mut expected) = ([0; MANY], [0; MANY]);
                unsafe {
                    kernels.dots(&query, &pointers, &mut sums);
                    twin.dots(&query, &pointers, &mut expected);
                }
                assert_eq!(sums, expected, "{} {len}", kernels.name);
                assert_eq!(kernels.dot(&query, &rows[7]), expected[7]);
            }
        }
    }

    #[test]
    fn the_largest_sums_do_not_overflow() {
        for kernels in Kernels::all() {
            let len = 65_536;
            let (most, least) = (vec![255; len], vec![-127; len]);
            assert_eq!(kernels.four(&most, &most, &least, &least), [-127 * 255 * len as i32; 4], "{}", kernels.name);
            assert_eq!(kernels.between(&most, &most), 127 * 127 * len as i32);
        }
    }

    #[test]
    fn every_set_counts_bits() {
        for kernels in Kernels::all() {
            for words in [1, 2, 5, 6, 8, 12, 16, 24] {
                let word = |i: usize| u64::from_le_bytes(bytes(8, i as u64).try_into().unwrap());
                let signature: Vec<u64> = (0..words).map(word).collect();
                let rows: Vec<u64> = (0..words * 24).map(|i| word(i + 7)).collect();
                let mut near = [0; 3];
                for most in 0..=64 * words as u32 {
                    kernels.near(&signature, &rows, most, &mut near);
                    for row in 0..24 {
                        let of_row = rows[row / 8 * words * 8..].iter().skip(row % 8).step_by(8);
                        let differ: u32 = of_row.zip(&signature).map(|(a, b)| (a ^ b).count_ones()).sum();
                        assert_eq!(near[row / 8] >> (row % 8) & 1 == 1, differ <= most, "{} {words}", kernels.name);
                    }
                }
            }
        }
    }
}
