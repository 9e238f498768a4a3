//! Gives a scope a new body without its dead rows, while lookups and changes go on with the old one.
//!
//! The live rows are copied and linked into a new graph without a lock. Meanwhile the old body keeps a journal of rows
//! that die, and new rows pile up in new chunks, which the new body takes over as they are. Both are caught up with in
//! rounds until little is left; the last round is made under the lock, and the bodies are swapped.

use std::collections::HashMap;
use std::sync::Arc;

use crate::body::{Body, Kill, View};
use crate::chunk::Chunk;
use crate::cover::Cover;
use crate::partition::Partition;
use crate::workshop::Workshop;

/// Rounds of catching up without the lock. Each takes a small part of the time of the one before.
const ROUNDS: usize = 8;

/// Marks a row that was dead already and has no new slot.
const GONE: u32 = u32::MAX;

/// A new body in the making.
struct Draft {
    rows: usize,
    chunks: Vec<Arc<Chunk>>,
    place: HashMap<u64, u32>,
    /// New slot of every old slot that was copied.
    moved: Vec<u32>,
    /// Old chunks that were copied, and old chunks taken over after them.
    copied: usize,
    taken: usize,
    /// New chunks made by copying; graphs cover these.
    packed: usize,
}

/// Rebuilds `partition`. Gives up, changing nothing, when its work is no longer wanted.
pub(crate) fn rebuild(partition: &Partition, shop: &Workshop) {
    let (old, live, no_graph) = {
        let mut body = partition.body.write();
        body.journal = Some(Vec::new());
        (body.view(), body.live(), body.no_graph)
    };
    let (width, rows) = (shop.config.width, shop.config.chunk_rows());
    let mut draft = Draft::copy(&old, width, rows);
    let mut cover = Cover::default();
    if live >= shop.config.graph_from && !no_graph {
        while cover.end() < draft.packed {
            match shop.extend(partition, &draft.chunks, &cover) {
                Some(wider) => cover = wider,
                None => {
                    partition.body.write().journal = None;
                    shop.release(Arc::new(cover));
                    return;
                }
            }
        }
    }
    for _ in 0..ROUNDS {
        let (kills, newer) = {
            let mut body = partition.body.write();
            (body.journal.replace(Vec::new()).unwrap_or_default(), draft.newer(&body))
        };
        let little = kills.len() + newer.len() * rows <= rows;
        draft.catch_up(kills, newer);
        if little {
            break;
        }
    }
    let mut body = partition.body.write();
    let kills = body.journal.take().unwrap_or_default();
    let newer = draft.newer(&body);
    draft.catch_up(kills, newer);
    let old_place = std::mem::replace(&mut body.place, draft.place);
    let old_chunks = std::mem::replace(&mut body.chunks, Arc::new(draft.chunks));
    body.sealed = body.chunks.iter().map(|c| c.len()).sum();
    body.dead = body.chunks.iter().map(|c| c.dead_count()).sum();
    let old_cover = std::mem::replace(&mut body.cover, Arc::new(cover));
    drop(body);
    // Freed here, without the lock.
    drop((old_place, old_chunks, old));
    shop.release(old_cover);
}

impl Draft {
    /// Copies the live rows of all chunks in `old`, in order, into full chunks and at most one that is not.
    fn copy(old: &View, width: usize, rows: usize) -> Draft {
        let slots = old.chunks.len() * rows;
        let mut draft = Draft {
            rows,
            chunks: Vec::new(),
            place: HashMap::new(),
            moved: vec![GONE; slots],
            copied: old.chunks.len(),
            taken: 0,
            packed: 0,
        };
        let mut block = Block::new(width, rows);
        for (number, chunk) in old.chunks.iter().enumerate() {
            for row in chunk.live_rows() {
                let slot = (draft.chunks.len() * rows + block.ids.len()) as u32;
                draft.moved[old.slot(number, row) as usize] = slot;
                draft.place.insert(chunk.id(row), slot);
                if block.push(chunk, row) {
                    draft.chunks.push(Arc::new(std::mem::replace(&mut block, Block::new(width, rows)).seal(width)));
                }
            }
        }
        if !block.ids.is_empty() {
            draft.chunks.push(Arc::new(block.seal(width)));
        }
        draft.packed = draft.chunks.len();
        draft
    }

    /// Chunks that `body` sealed since the draft last looked.
    fn newer(&self, body: &Body) -> Vec<Arc<Chunk>> {
        body.chunks[self.copied + self.taken..].to_vec()
    }

    /// Makes the draft agree with what happened to the old body: first the deaths, then the chunks, whose own dead
    /// rows carry their bit already.
    fn catch_up(&mut self, kills: Vec<Kill>, newer: Vec<Arc<Chunk>>) {
        for kill in kills {
            let old = kill.slot as usize;
            let slot = if old < self.moved.len() {
                let slot = self.moved[old];
                if slot == GONE {
                    continue;
                }
                self.chunks[slot as usize / self.rows].kill(slot as usize % self.rows);
                slot
            } else {
                // A chunk taken over, or about to be: it is shared, so the bit is set.
                (old - self.moved.len() + self.packed * self.rows) as u32
            };
            if self.place.get(&kill.id) == Some(&slot) {
                self.place.remove(&kill.id);
            }
        }
        for chunk in newer {
            let first = (self.chunks.len() * self.rows) as u32;
            for row in chunk.live_rows() {
                self.place.insert(chunk.id(row), first + row as u32);
            }
            self.chunks.push(chunk);
            self.taken += 1;
        }
    }
}

/// A chunk in the making.
struct Block {
    rows: usize,
    vectors: Vec<f32>,
    ids: Vec<u64>,
    prints: Vec<u32>,
}

impl Block {
    fn new(width: usize, rows: usize) -> Block {
        Block { rows, vectors: Vec::with_capacity(width * rows), ids: Vec::with_capacity(rows), prints: Vec::new() }
    }

    /// Copies a row; true when the block is full.
    fn push(&mut self, chunk: &Chunk, row: usize) -> bool {
        self.vectors.extend_from_slice(chunk.vector(row));
        self.ids.push(chunk.id(row));
        self.prints.push(chunk.print(row));
        self.ids.len() == self.rows
    }

    fn seal(self, width: usize) -> Chunk {
        Chunk::new(width, self.vectors, self.ids, self.prints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of `width` 1, so that a row's vector tells whose it is.
    fn body(ids: std::ops::Range<u64>) -> Body {
        let mut body = Body::new(1, 4);
        ids.for_each(|id| {
            body.insert(id, &[id as f32], 0);
        });
        body
    }

    fn check(draft: &Draft, expected: &[u64]) {
        let mut live = Vec::new();
        for (number, chunk) in draft.chunks.iter().enumerate() {
            for row in chunk.live_rows() {
                let id = chunk.id(row);
                assert_eq!(chunk.vector(row)[0] % 1000.0, id as f32);
                assert_eq!(draft.place.get(&id), Some(&((number * 4 + row) as u32)), "id {id}");
                live.push(id);
            }
        }
        live.sort_unstable();
        assert_eq!(live, expected);
        assert_eq!(draft.place.len(), expected.len());
    }

    #[test]
    fn the_dead_stay_behind() {
        let mut body = body(0..12);
        [1, 2, 3, 7, 8].into_iter().for_each(|id| assert!(body.remove(id)));
        let draft = Draft::copy(&body.view(), 1, 4);
        check(&draft, &[0, 4, 5, 6, 9, 10, 11]);
        assert_eq!((draft.chunks.len(), draft.packed), (2, 2));
    }

    #[test]
    fn what_happens_meanwhile_is_caught_up_with() {
        let mut body = body(0..12);
        body.remove(0);
        body.journal = Some(Vec::new());
        let mut draft = Draft::copy(&body.view(), 1, 4);
        // A death, a replacement, new rows in a chunk of their own, and the death of one of those.
        body.remove(4);
        body.insert(5, &[1005.0], 0);
        (20..26).for_each(|id| {
            body.insert(id, &[id as f32], 0);
        });
        body.remove(21);
        let kills = body.journal.replace(Vec::new()).unwrap();
        let newer = draft.newer(&body);
        assert_eq!((kills.len(), newer.len()), (3, 1));
        draft.catch_up(kills, newer);
        check(&draft, &[1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 20, 22]);
        // A later round: a row of the chunk taken over dies, is replaced, and an old one goes.
        body.remove(20);
        body.remove(11);
        body.insert(22, &[1022.0], 0);
        (26..30).for_each(|id| {
            body.insert(id, &[id as f32], 0);
        });
        let kills = body.journal.replace(Vec::new()).unwrap();
        let newer = draft.newer(&body);
        draft.catch_up(kills, newer);
        let sealed: Vec<u64> = body.place.keys().copied().collect();
        let mut expected = vec![1, 2, 3, 5, 6, 7, 8, 9, 10];
        expected.extend(sealed.into_iter().filter(|id| *id >= 20));
        expected.sort_unstable();
        check(&draft, &expected);
    }
}
