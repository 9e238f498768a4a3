//! [`Tail`]: the growing end of a scope, at most one chunk long. It changes under the scope's lock, so a row that is
//! removed here leaves no tombstone.

use crate::chunk::Chunk;
use crate::distance;
use crate::top::Top;

/// Rows that are not sealed yet.
pub(crate) struct Tail {
    width: usize,
    vectors: Vec<f32>,
    ids: Vec<u64>,
    prints: Vec<u32>,
}

impl Tail {
    pub(crate) fn new(width: usize) -> Tail {
        Tail { width, vectors: Vec::new(), ids: Vec::new(), prints: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Ids are few enough that looking at each is cheaper than keeping a map.
    pub(crate) fn position(&self, id: u64) -> Option<usize> {
        self.ids.iter().position(|held| *held == id)
    }

    /// Adds a row. `most` is the number of rows at which the tail is sealed: memory grows by quarters up to that,
    /// since most scopes stay small and doubling would waste as much again as they hold.
    pub(crate) fn push(&mut self, id: u64, vector: &[f32], print: u32, most: usize) {
        if self.ids.len() == self.ids.capacity() {
            let more = (self.ids.len() / 4).max(1).min(most.saturating_sub(self.ids.len()).max(1));
            self.vectors.reserve_exact(more * self.width);
            self.ids.reserve_exact(more);
            self.prints.reserve_exact(more);
        }
        self.vectors.extend_from_slice(vector);
        self.ids.push(id);
        self.prints.push(print);
    }

    /// Overwrites the vector at `row`.
    pub(crate) fn replace(&mut self, row: usize, vector: &[f32], print: u32) {
        self.vectors[row * self.width..(row + 1) * self.width].copy_from_slice(vector);
        self.prints[row] = print;
    }

    /// Takes `row` out; the last row moves to its place.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let last = self.ids.len() - 1;
        self.vectors.copy_within(last * self.width.., row * self.width);
        self.vectors.truncate(last * self.width);
        self.ids.swap_remove(row);
        self.prints.swap_remove(row);
        if self.ids.capacity() > 4 && self.ids.capacity() / 4 > self.ids.len() {
            self.vectors.shrink_to_fit();
            self.ids.shrink_to_fit();
            self.prints.shrink_to_fit();
        }
    }

    pub(crate) fn scan(&self, query: &[f32], top: &mut Top) {
        for (id, vector) in self.rows() {
            top.offer(id, distance::similarity(query, vector));
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, &[f32])> {
        self.ids.iter().copied().zip(self.vectors.chunks_exact(self.width))
    }

    /// Turns all rows into a chunk and starts anew.
    pub(crate) fn seal(&mut self) -> Chunk {
        let Tail { width, vectors, ids, prints } = std::mem::replace(self, Tail::new(self.width));
        Chunk::new(width, vectors, ids, prints)
    }

    /// Memory in bytes, beyond the struct itself.
    pub(crate) fn bytes(&self) -> u64 {
        (self.vectors.capacity() * 4 + self.ids.capacity() * 8 + self.prints.capacity() * 4) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_keeps_rows_and_ids_together() {
        let mut tail = Tail::new(2);
        for i in 0..5 {
            tail.push(10 + i, &[i as f32, 1.0], i as u32, 16);
        }
        tail.swap_remove(1);
        tail.swap_remove(3);
        tail.replace(0, &[7.0, 7.0], 7);
        let rows: Vec<(u64, Vec<f32>)> = tail.rows().map(|(id, v)| (id, v.to_vec())).collect();
        assert_eq!(rows, [(10, vec![7.0, 7.0]), (14, vec![4.0, 1.0]), (12, vec![2.0, 1.0])]);
        let chunk = tail.seal();
        assert_eq!((chunk.len(), chunk.print(0), chunk.print(1), tail.len()), (3, 7, 4, 0));
    }

    #[test]
    fn memory_grows_with_the_rows_and_is_given_back() {
        let mut tail = Tail::new(384);
        for id in 0..256 {
            tail.push(id, &[0.0; 384], 0, 256);
        }
        assert_eq!(tail.bytes(), 256 * (384 * 4 + 12));
        for _ in 0..250 {
            tail.swap_remove(0);
        }
        assert!(tail.bytes() < 64 * (384 * 4 + 12), "{}", tail.bytes());
    }
}
