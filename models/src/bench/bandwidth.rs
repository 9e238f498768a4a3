//! How fast one core reads memory that is larger than its caches: the floor under every pass through the weights.

use std::hint::black_box;
use std::time::Instant;

/// As large as the weights of a small model in bf16; beyond the second-level cache of any processor.
const BYTES: usize = 32 << 20;
/// Words summed up side by side, so that no addition waits for the one before.
const LANES: usize = 32;
/// Places read in turns. Hardware fetches ahead by place, so several places may bring more than one.
const PLACES: [usize; 3] = [1, 2, 4];
/// The best of so many passes for each number of places: whatever disturbs makes a pass slower, never faster.
const PASSES: usize = 4;

/// The memory that is read: kept over all rounds, so that its pages are there.
pub struct ReadBuffer {
    words: Vec<u64>,
}

impl Default for ReadBuffer {
    fn default() -> ReadBuffer {
        // Written, and not with zeros: zeroed pages may all be the same one.
        ReadBuffer { words: (1..=BYTES as u64 / 8).collect() }
    }
}

/// Bytes a second that this thread's core reads; takes some ten milliseconds.
pub fn bytes_per_second(buffer: &ReadBuffer) -> f64 {
    let mut best = f64::INFINITY;
    for places in PLACES {
        for _ in 0..PASSES {
            let begin = Instant::now();
            black_box(sum(black_box(&buffer.words), places));
            best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    BYTES as f64 / best
}

fn sum(words: &[u64], places: usize) -> u64 {
    let mut parts = words.chunks_exact(words.len() / places);
    match places {
        1 => streams(std::array::from_fn::<_, 1, _>(|_| parts.next().unwrap_or_default())),
        2 => streams(std::array::from_fn::<_, 2, _>(|_| parts.next().unwrap_or_default())),
        _ => streams(std::array::from_fn::<_, 4, _>(|_| parts.next().unwrap_or_default())),
    }
}

/// Reads places of the same length side by side.
fn streams<const N: usize>(places: [&[u64]; N]) -> u64 {
    let mut lanes = [0u64; LANES];
    let mut chunks = places.map(|words| words.as_chunks::<LANES>().0.iter());
    'words: loop {
        for place in &mut chunks {
            let Some(chunk) = place.next() else { break 'words };
            for (lane, word) in lanes.iter_mut().zip(chunk) {
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
            assert_eq!(sum(&buffer.words, places), count * (count + 1) / 2, "{places} places");
        }
    }

    #[test]
    fn a_core_reads_at_the_speed_of_a_memory() {
        let gb_s = bytes_per_second(&ReadBuffer::default()) / 1e9;
        assert!((0.01..2000.0).contains(&gb_s), "{gb_s} GB/s");
    }
}
