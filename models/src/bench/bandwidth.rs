//! How fast one core reads memory that is larger than its caches: the floor under every pass through the weights.
//!
//! Read as the kernels read weights: from memory on huge pages (`Arena`), in the widest vectors that the processor has.
//! On small pages the same core reads at less than half the speed, as it waits for the page table; a floor taken there
//! would flatter the engines. What it gives is the best of several passes, from one place and from several in turns: how
//! fast the core was seen to read, not what its maker promises.
#![allow(unsafe_code)] // Calls functions compiled for wider vectors, after asking the processor.

use std::hint::black_box;
use std::time::Instant;

use crate::cpu::arena::Arena;

/// As large as the weights of a small model in bf16; beyond the second-level cache of any processor.
const BYTES: usize = 32 << 20;
/// Words summed up side by side, so that no addition waits for the one before: four of the widest vectors.
const LANES: usize = 32;
/// Places read in turns. Hardware fetches ahead by place, so several places may bring more than one.
const PLACES: [usize; 4] = [1, 2, 4, 8];
/// The best of so many passes for each number of places: whatever disturbs makes a pass slower, never faster.
const PASSES: usize = 4;

/// The memory that is read: kept over all rounds, so that its pages are there.
pub struct ReadBuffer {
    words: Arena,
}

impl Default for ReadBuffer {
    fn default() -> ReadBuffer {
        let mut words = Arena::zeroed(BYTES);
        let all: &mut [u64] = words.view_mut();
        all.iter_mut().zip(1..).for_each(|(word, number)| *word = number);
        ReadBuffer { words }
    }
}

/// Bytes a second that this thread's core reads; takes some ten milliseconds.
pub fn bytes_per_second(buffer: &ReadBuffer) -> f64 {
    let mut best = f64::INFINITY;
    for places in PLACES {
        for _ in 0..PASSES {
            let begin = Instant::now();
            black_box(sum(black_box(buffer.words.view()), places));
            best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    BYTES as f64 / best
}

/// The sum of all words, read in the widest vectors here.
fn sum(words: &[u64], places: usize) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn by_64_bytes(words: &[u64], places: usize) -> u64 {
            sum_of(words, places)
        }
        #[target_feature(enable = "avx2")]
        fn by_32_bytes(words: &[u64], places: usize) -> u64 {
            sum_of(words, places)
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512 F.
            return unsafe { by_64_bytes(words, places) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { by_32_bytes(words, places) };
        }
    }
    sum_of(words, places)
}

#[inline(always)]
fn sum_of(words: &[u64], places: usize) -> u64 {
    match places {
        1 => streams::<1>(words),
        2 => streams::<2>(words),
        4 => streams::<4>(words),
        _ => streams::<8>(words),
    }
}

/// Reads `N` places of the same length side by side.
#[inline(always)]
fn streams<const N: usize>(words: &[u64]) -> u64 {
    let chunks = words.as_chunks::<LANES>().0;
    let each = chunks.len() / N;
    let mut lanes = [0u64; LANES];
    for at in 0..each {
        for place in 0..N {
            for (lane, word) in lanes.iter_mut().zip(&chunks[place * each + at]) {
                *lane = lane.wrapping_add(*word);
            }
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_once_from_however_many_places() {
        let buffer = ReadBuffer::default();
        let count = BYTES as u64 / 8;
        for places in PLACES {
            let words = buffer.words.view();
            assert_eq!(sum(words, places), count * (count + 1) / 2, "{places} places");
            assert_eq!(sum_of(words, places), count * (count + 1) / 2, "{places} places");
        }
    }

    #[test]
    fn a_core_reads_at_the_speed_of_a_memory() {
        let gb_s = bytes_per_second(&ReadBuffer::default()) / 1e9;
        assert!((0.01..2000.0).contains(&gb_s), "{gb_s} GB/s");
    }
}
