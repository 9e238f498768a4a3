//! How fast one core reads memory that is larger than its caches: the floor under every pass through the weights.
//!
//! Read as the kernels read weights: from memory on huge pages (`Arena`), and with AVX-512 in whole vectors. On small
//! pages the core waits for the page table, and a floor taken there would flatter the engines. What it gives is the best of
//! several passes, from one place and from several in turns: how fast the core was seen to read, with whatever else the
//! machine does, not what its maker promises.
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
    let chunks = words.as_chunks::<LANES>().0;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512 F.
        return unsafe { by_64_bytes(chunks, places) };
    }
    plain(chunks, places)
}

fn plain(chunks: &[[u64; LANES]], places: usize) -> u64 {
    let mut lanes = [0u64; LANES];
    let each = (chunks.len() / places).max(1);
    for at in 0..each {
        for chunk in chunks.iter().skip(at).step_by(each) {
            for (lane, word) in lanes.iter_mut().zip(chunk) {
                *lane = lane.wrapping_add(*word);
            }
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn by_64_bytes(chunks: &[[u64; LANES]], places: usize) -> u64 {
    use std::arch::x86_64::{_mm512_add_epi64, _mm512_loadu_si512, _mm512_reduce_add_epi64, _mm512_setzero_si512};

    let (mut a, mut b, mut c, mut d) =
        (_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512());
    let each = (chunks.len() / places).max(1);
    for at in 0..each {
        for chunk in chunks.iter().skip(at).step_by(each) {
            let from = chunk.as_ptr();
            // SAFETY: a chunk has 32 words, which are four vectors of 8.
            unsafe {
                a = _mm512_add_epi64(a, _mm512_loadu_si512(from.cast()));
                b = _mm512_add_epi64(b, _mm512_loadu_si512(from.add(8).cast()));
                c = _mm512_add_epi64(c, _mm512_loadu_si512(from.add(16).cast()));
                d = _mm512_add_epi64(d, _mm512_loadu_si512(from.add(24).cast()));
            }
        }
    }
    let sum = _mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d));
    _mm512_reduce_add_epi64(sum).cast_unsigned()
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
            assert_eq!(plain(words.as_chunks().0, places), count * (count + 1) / 2, "{places} places");
        }
    }

    #[test]
    fn a_core_reads_at_the_speed_of_a_memory() {
        let gb_s = bytes_per_second(&ReadBuffer::default()) / 1e9;
        assert!((0.01..2000.0).contains(&gb_s), "{gb_s} GB/s");
    }
}
