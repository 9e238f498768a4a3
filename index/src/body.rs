//! [`Body`]: the rows of one scope and everything that points into them.
//!
//! Rows lie in sealed chunks and a tail. A *slot* numbers a sealed row: chunk × rows in a full chunk + row. The cover
//! says which chunks have a graph, from the first on; all else is scanned.

use std::collections::HashMap;
use std::sync::Arc;

use crate::chunk::Chunk;
use crate::cover::Cover;
use crate::tail::Tail;

/// A row that died while the scope was being rebuilt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) id: u64,
    pub(crate) slot: u32,
}

/// The rows of a scope. Lives behind the scope's lock.
pub(crate) struct Body {
    rows: usize,
    pub(crate) chunks: Arc<Vec<Arc<Chunk>>>,
    pub(crate) tail: Tail,
    /// Slot of every live sealed row, by id. The tail is not in it.
    pub(crate) place: HashMap<u64, u32>,
    /// Sealed rows, dead ones too.
    pub(crate) sealed: usize,
    /// Dead rows among them.
    pub(crate) dead: usize,
    pub(crate) cover: Arc<Cover>,
    /// The graph failed on these rows: scan them, and do not try again.
    pub(crate) no_graph: bool,
    /// While a rebuild runs: the sealed rows that died since it began.
    pub(crate) journal: Option<Vec<Kill>>,
}

/// What a lookup takes away from the lock.
pub(crate) struct View {
    pub(crate) chunks: Arc<Vec<Arc<Chunk>>>,
    pub(crate) cover: Arc<Cover>,
    rows: usize,
}

impl View {
    /// The chunk and row of a slot.
    pub(crate) fn row(&self, slot: u32) -> Option<(&Chunk, usize)> {
        let (chunk, row) = (slot as usize / self.rows, slot as usize % self.rows);
        self.chunks.get(chunk).filter(|c| row < c.len()).map(|c| (&**c, row))
    }

    pub(crate) fn slot(&self, chunk: usize, row: usize) -> u32 {
        (chunk * self.rows + row) as u32
    }
}

impl Body {
    /// `rows` is the number of rows in a full chunk.
    pub(crate) fn new(width: usize, rows: usize) -> Body {
        Body {
            rows,
            chunks: Arc::default(),
            tail: Tail::new(width),
            place: HashMap::new(),
            sealed: 0,
            dead: 0,
            cover: Arc::default(),
            no_graph: false,
            journal: None,
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.sealed - self.dead + self.tail.len()
    }

    pub(crate) fn view(&self) -> View {
        View { chunks: Arc::clone(&self.chunks), cover: Arc::clone(&self.cover), rows: self.rows }
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.place.contains_key(&id) || self.tail.position(id).is_some()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.place.keys().copied().chain(self.tail.ids().iter().copied())
    }

    /// Adds a row, or replaces the one under `id`; says whether it replaced one.
    pub(crate) fn insert(&mut self, id: u64, vector: &[f32], print: u32) -> bool {
        if let Some(row) = self.tail.position(id) {
            self.tail.replace(row, vector, print);
            return true;
        }
        let replaced = self.kill(id);
        self.tail.push(id, vector, print, self.rows);
        if self.tail.len() >= self.rows {
            self.seal();
        }
        replaced
    }

    /// Takes the row under `id` out; says whether there was one.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        match self.tail.position(id) {
            Some(row) => {
                self.tail.swap_remove(row);
                true
            }
            None => self.kill(id),
        }
    }

    fn kill(&mut self, id: u64) -> bool {
        let Some(slot) = self.place.remove(&id) else {
            return false;
        };
        self.chunks[slot as usize / self.rows].kill(slot as usize % self.rows);
        self.dead += 1;
        if let Some(journal) = &mut self.journal {
            journal.push(Kill { id, slot });
        }
        true
    }

    fn seal(&mut self) {
        let first = (self.chunks.len() * self.rows) as u32;
        let chunk = self.tail.seal();
        self.place.reserve(chunk.len());
        for row in 0..chunk.len() {
            self.place.insert(chunk.id(row), first + row as u32);
        }
        self.sealed += chunk.len();
        // Copies the list only when a lookup holds it, and then pointers, not rows.
        Arc::make_mut(&mut self.chunks).push(Arc::new(chunk));
    }

    /// Memory in bytes, estimated.
    pub(crate) fn bytes(&self) -> u64 {
        let chunks = self.chunks.iter().map(|c| c.bytes() + 24).sum::<u64>();
        // A hash map keeps a byte of its own for each place, and one place in eight free.
        let place = self.place.capacity() as u64 * 17 * 8 / 7;
        chunks + place + self.cover.bytes() + self.tail.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::Top;

    fn all(body: &Body) -> Vec<u64> {
        let mut top = Top::new(1000, -1.0);
        body.tail.scan(&[1.0, 0.0], &mut top);
        body.chunks.iter().for_each(|c| c.scan(&[1.0, 0.0], &mut top));
        let mut ids: Vec<u64> = top.into_sorted().iter().map(|n| n.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn rows_move_from_tail_to_chunk_and_die_in_either() {
        let mut body = Body::new(2, 4);
        for id in 0..10 {
            assert!(!body.insert(id, &[1.0, 0.0], 0));
        }
        assert_eq!((body.chunks.len(), body.tail.len(), body.live()), (2, 2, 10));
        assert!(body.remove(9), "in the tail");
        assert!(body.remove(3), "in a chunk");
        assert!(!body.remove(3));
        assert!(body.insert(5, &[0.0, 1.0], 1), "replaced, in a chunk");
        assert!(body.insert(8, &[0.0, 1.0], 1), "replaced, in the tail");
        assert_eq!((body.dead, body.live()), (2, 8));
        assert_eq!(all(&body), [0, 1, 2, 4, 5, 6, 7, 8]);
        let mut ids: Vec<u64> = body.ids().collect();
        ids.sort_unstable();
        assert_eq!(ids, all(&body));
        assert!(body.contains(5) && !body.contains(3));
    }
}
