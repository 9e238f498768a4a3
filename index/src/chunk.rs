//! [`Chunk`]: a block of sealed rows. Vectors and ids never change; a tombstone is one bit, set at most once.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::distance;
use crate::top::Top;

/// Up to a few hundred rows that lookups share without a lock.
pub(crate) struct Chunk {
    width: usize,
    vectors: Box<[f32]>,
    ids: Box<[u64]>,
    prints: Box<[u32]>,
    // Relaxed is enough: a lookup that began before a removal ended may see the row or not.
    dead: Box<[AtomicU64]>,
}

impl Chunk {
    /// `vectors` holds `width` numbers for each id; `prints` their fingerprints.
    pub(crate) fn new(width: usize, vectors: Vec<f32>, ids: Vec<u64>, prints: Vec<u32>) -> Chunk {
        let words = ids.len().div_ceil(64);
        Chunk {
            width,
            vectors: vectors.into_boxed_slice(),
            ids: ids.into_boxed_slice(),
            prints: prints.into_boxed_slice(),
            dead: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Rows, dead ones too.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn id(&self, row: usize) -> u64 {
        self.ids[row]
    }

    pub(crate) fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.width..(row + 1) * self.width]
    }

    pub(crate) fn print(&self, row: usize) -> u32 {
        self.prints[row]
    }

    pub(crate) fn is_dead(&self, row: usize) -> bool {
        self.dead[row / 64].load(Ordering::Relaxed) >> (row % 64) & 1 == 1
    }

    pub(crate) fn kill(&self, row: usize) {
        self.dead[row / 64].fetch_or(1 << (row % 64), Ordering::Relaxed);
    }

    pub(crate) fn dead_count(&self) -> usize {
        self.dead.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    pub(crate) fn live_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|row| !self.is_dead(*row))
    }

    /// Offers every live row.
    pub(crate) fn scan(&self, query: &[f32], top: &mut Top) {
        for row in self.live_rows() {
            top.offer(self.ids[row], distance::similarity(query, self.vector(row)));
        }
    }

    /// Rows whose vector has the fingerprint `print`. Two passes: the first is a plain count, which the compiler turns
    /// into wide compares, and nearly always ends the matter.
    pub(crate) fn rows_with_print(&self, print: u32) -> impl Iterator<Item = usize> {
        let hits = self.prints.iter().filter(|p| **p == print).count();
        let upto = if hits == 0 { 0 } else { self.len() };
        (0..upto).filter(move |row| self.prints[*row] == print)
    }

    /// Memory in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let rows = self.vectors.len() * 4 + self.ids.len() * (8 + 4) + self.dead.len() * 8;
        (size_of::<Chunk>() + rows) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_rows_are_counted_and_never_offered() {
        let rows = 70;
        let vectors = (0..rows).flat_map(|i| [1.0, i as f32]).collect();
        let chunk = Chunk::new(2, vectors, (100..100 + rows).collect(), (0..rows as u32).collect());
        chunk.kill(69);
        chunk.kill(0);
        chunk.kill(0);
        assert_eq!(chunk.dead_count(), 2);
        assert_eq!(chunk.live_rows().count(), 68);
        let mut top = Top::new(100, -1.0);
        chunk.scan(&[1.0, 0.0], &mut top);
        let ids: Vec<u64> = top.into_sorted().iter().map(|n| n.id).collect();
        assert_eq!(ids, (101..169).collect::<Vec<_>>());
        assert_eq!(chunk.rows_with_print(69).collect::<Vec<_>>(), [69]);
        assert_eq!(chunk.rows_with_print(70).count(), 0);
    }
}
