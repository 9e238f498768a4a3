//! [`Cover`]: the rows, the graphs over them, and what these lose. A cover never changes; a wider one replaces it.
//!
//! Usually there is one graph. But a graph by `hnsw_rs` keeps only the nearest links of a crowded node, and on vectors
//! that fall into separate crowds it was seen to fall apart as it grew: at 100,000 it lost a quarter of its own nodes,
//! at 40,000 hardly one. So each step checks a sample, and a graph that loses too many takes no more; the next rows begin another.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::links::Links;
use crate::graph::Entry;
use crate::quantize::{Row, RowRef};

/// Rows in a piece, at most. A slot is the piece's number times this, plus the row's in the piece.
pub(super) const PIECE: usize = 256;

/// All rows and graphs.
#[derive(Clone, Default)]
pub(super) struct Cover {
    pub(super) pieces: Vec<Arc<Piece>>,
    pub(super) segments: Vec<Segment>,
    /// Slots that their graph did not find when asked for their own vector, in order: scanned beside it.
    pub(super) strays: Vec<u32>,
}

/// Rows that came together. They never change; a tombstone is one bit, set at most once.
pub(super) struct Piece {
    pub(super) entries: Vec<Entry>,
    prints: Vec<u32>,
    // Relaxed is enough: a lookup that began before a removal ended may see the row or not.
    dead: [AtomicU64; PIECE / 64],
}

/// One graph and the pieces in it.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) links: Arc<Links>,
    pub(super) pieces: Range<usize>,
    /// It takes no more.
    pub(super) full: bool,
}

impl Cover {
    /// The piece and row of a slot.
    pub(super) fn row(&self, slot: u32) -> Option<(&Piece, usize)> {
        let (piece, row) = (slot as usize / PIECE, slot as usize % PIECE);
        self.pieces.get(piece).filter(|piece| row < piece.entries.len()).map(|piece| (&**piece, row))
    }

    /// The slots of the live rows of some pieces, in order.
    pub(super) fn live(&self, pieces: Range<usize>) -> impl Iterator<Item = u32> {
        pieces.flat_map(|number| {
            let piece = &self.pieces[number];
            (0..piece.entries.len()).filter(|row| !piece.is_dead(*row)).map(move |row| slot(number, row))
        })
    }

    /// The slots of rows in some pieces that have the fingerprint `print`.
    pub(super) fn with_print(&self, pieces: Range<usize>, print: u32) -> impl Iterator<Item = u32> {
        pieces.flat_map(move |number| {
            // A plain count, which the compiler turns into wide compares, and which nearly always ends the matter.
            let prints = &self.pieces[number].prints;
            let hits = prints.iter().filter(|held| **held == print).count();
            let upto = if hits == 0 { 0 } else { prints.len() };
            (0..upto).filter(move |row| prints[*row] == print).map(move |row| slot(number, row))
        })
    }
}

/// The slot of a row.
pub(super) fn slot(piece: usize, row: usize) -> u32 {
    (piece * PIECE + row) as u32
}

impl Piece {
    pub(super) fn new(entries: &[Entry]) -> Piece {
        let prints = entries.iter().map(|entry| print(entry.row.view())).collect();
        Piece { entries: entries.to_vec(), prints, dead: Default::default() }
    }

    pub(super) fn is_dead(&self, row: usize) -> bool {
        self.dead[row / 64].load(Ordering::Relaxed) >> (row % 64) & 1 == 1
    }

    /// Says whether it was live.
    pub(super) fn kill(&self, row: usize) -> bool {
        self.dead[row / 64].fetch_or(1 << (row % 64), Ordering::Relaxed) >> (row % 64) & 1 == 0
    }

    /// Memory in bytes, estimated.
    pub(super) fn bytes(&self) -> u64 {
        let row = self.entries.first().map_or(0, |entry| 2 * entry.row.view().high.len());
        (size_of::<Piece>() + self.entries.len() * (size_of::<Row>() + 8 + 4 + row)) as u64
    }
}

/// A fingerprint of a row's planes. Equal rows have equal fingerprints; others rarely do.
pub(super) fn print(row: RowRef<'_>) -> u32 {
    let mut hash = 0_u64;
    for eight in row.high.chunks_exact(8).chain(row.low.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(eight);
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (hash >> 32) as u32
}

impl Segment {
    /// Which older piece to check again after `newest` was added: later nodes take links from earlier ones. Between
    /// powers of two, every piece of the older half comes once.
    pub(super) fn revisit(&self, newest: usize) -> Option<usize> {
        let number = newest.checked_sub(self.pieces.start).filter(|n| *n > 0)?;
        let half = (number + 1).next_power_of_two() / 2;
        Some(self.pieces.start + number - half).filter(|older| *older < newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_looked_at_again_in_each_doubling() {
        let segment = Segment { links: Arc::new(Links::new(2, 4, 8, 8)), pieces: 10..80, full: false };
        assert_eq!(segment.revisit(10), None);
        for doubling in [1, 2, 4, 8, 64] {
            let seen: Vec<usize> = (doubling..2 * doubling).filter_map(|n| segment.revisit(10 + n)).collect();
            assert_eq!(seen, (10..10 + doubling).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_are_known_by_slot_by_print_and_by_their_bit() {
        let entry = |id: u64| Entry { id, row: Row::new(&[1.0, id as f32 / 200.0]) };
        let entries: Vec<Entry> = (0..70).map(entry).collect();
        let pieces = vec![Arc::new(Piece::new(&entries)), Arc::new(Piece::new(&entries[..3]))];
        let cover = Cover { pieces, ..Cover::default() };
        let print = print(entries[2].row.view());
        assert_eq!(cover.with_print(0..2, print).collect::<Vec<_>>(), [2, 258]);
        assert!(cover.row(70).is_none() && cover.row(259).is_none() && cover.row(600).is_none());
        let (piece, row) = cover.row(69).unwrap();
        assert!(piece.kill(row) && !piece.kill(row) && piece.is_dead(row));
        assert_eq!(cover.live(0..2).collect::<Vec<_>>(), (0..69).chain(256..259).collect::<Vec<_>>());
    }
}
