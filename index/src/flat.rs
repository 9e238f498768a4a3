//! [`Flat`]: rows of a scope that are scanned: all of a small one, of a large one those that its graph does not have yet.
//!
//! Rows lie in blocks, of which all but the last are full; a row that is taken out gives its place to the last one. A scan
//! counts the bits of signatures first, and computes the similarity of the few rows that can be near enough.

use crate::graph::Entry;
use crate::kernels::Kernels;
use crate::planes::Planes;
use crate::quantize::{self, Query, RowRef};
use crate::signature;
use crate::top::Top;

/// Rows in a full block.
const BLOCK: usize = 128;

/// Rows from which a block has signatures: fewer are compared as quickly without.
const SIGNED_FROM: usize = 16;

/// The rows.
pub(crate) struct Flat {
    width: u32,
    /// Rows come and go, on their way into a graph.
    passing: bool,
    blocks: Vec<Block>,
    /// An empty block, where rows come and go.
    spare: Option<Box<Block>>,
}

/// Up to [`BLOCK`] rows.
#[derive(Default)]
struct Block {
    ids: Vec<u64>,
    scales: Vec<u16>,
    /// The coarse and then the fine plane of each row.
    planes: Planes,
    /// None at first. In groups of eight rows, as [`Kernels::near`] wants them; the last group is filled up with zeros.
    signatures: Vec<u64>,
}

/// Sizes of a row.
#[derive(Clone, Copy)]
struct Shape {
    /// Bytes of a plane.
    stride: usize,
    /// Words of a signature.
    words: usize,
}

impl Flat {
    pub(crate) fn new(width: usize) -> Flat {
        Flat { width: width as u32, passing: false, blocks: Vec::new(), spare: None }
    }

    /// One without rows, of the same width.
    pub(crate) fn empty(&self) -> Flat {
        Flat::new(self.width as usize)
    }

    /// Whether rows come and go from now on: then each block takes its memory at once, and one stays when it is empty.
    pub(crate) fn set_passing(&mut self, passing: bool) {
        self.passing = passing;
        self.spare = None;
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.ids.len())
    }

    pub(crate) fn id(&self, position: usize) -> u64 {
        self.blocks[position / BLOCK].ids[position % BLOCK]
    }

    pub(crate) fn row(&self, position: usize) -> RowRef<'_> {
        self.blocks[position / BLOCK].row(position % BLOCK, self.shape())
    }

    /// Where the row of `id` is, by looking at each.
    pub(crate) fn position(&self, id: u64) -> Option<usize> {
        self.ids().position(|held| held == id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.blocks.iter().flat_map(|block| block.ids.iter().copied())
    }

    /// Copies of the last `count` rows, or of all when there are fewer.
    pub(crate) fn last(&self, count: usize) -> Vec<Entry> {
        let len = self.len();
        (len.saturating_sub(count)..len).map(|at| Entry { id: self.id(at), row: self.row(at).to_row() }).collect()
    }

    /// Adds a row at the end.
    pub(crate) fn push(&mut self, id: u64, row: RowRef<'_>) {
        if self.blocks.last().is_none_or(|last| last.ids.len() == BLOCK) {
            let first = self.blocks.is_empty();
            self.blocks.reserve_exact(if first { 1 } else { self.blocks.len() / 4 + 1 });
            self.blocks.push(self.spare.take().map(|spare| *spare).unwrap_or_default());
        }
        // Most scopes stay small, and grow in small steps; a second block will likely be full.
        let (shape, room) = (self.shape(), if self.passing || self.blocks.len() > 1 { BLOCK } else { 0 });
        if let Some(last) = self.blocks.last_mut() {
            last.push(id, row, room, shape);
        }
    }

    /// Overwrites the row at `position`.
    pub(crate) fn replace(&mut self, position: usize, row: RowRef<'_>) {
        let shape = self.shape();
        self.blocks[position / BLOCK].put(position % BLOCK, row, shape);
    }

    /// Takes the row at `position` out. The last row moves there, if it is another: its id comes back.
    pub(crate) fn swap_remove(&mut self, position: usize) -> Option<u64> {
        let (last, shape) = (self.len() - 1, self.shape());
        let (before, ends) = self.blocks.split_at_mut(last / BLOCK);
        let end = &mut ends[0];
        let moved = (position != last).then(|| end.ids[last % BLOCK]);
        if position / BLOCK == last / BLOCK {
            end.copy_within(last % BLOCK, position % BLOCK, shape);
        } else {
            before[position / BLOCK].copy_from(position % BLOCK, end, last % BLOCK, shape);
        }
        end.pop(shape);
        if end.ids.is_empty() {
            self.spare = self.blocks.pop().filter(|_| self.passing).map(Box::new);
        } else if self.blocks.len() == 1 && !self.passing {
            self.blocks[0].shrink();
        }
        moved
    }

    /// Blocks that there are to scan.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Offers the rows of one block that can be of use to `top`; `cut` is one for all blocks. A row only ever moves to an
    /// earlier place, so who scans the last block first misses none that stays, even when rows are taken out in between.
    pub(crate) fn scan(&self, block: usize, query: &Query, cut: &mut Cut, top: &mut Top, kernels: &Kernels) {
        let Some(block) = self.blocks.get(block) else { return };
        let shape = self.shape();
        let look = |i: usize, top: &mut Top| {
            let row = block.row(i, shape);
            // Half of the row tells of most that they are too far away.
            if top.bound() <= -1.0 || query.may_reach(row, top.bound(), kernels) {
                top.offer(block.ids[i], query.similarity(row, kernels));
            }
        };
        // Without a bound the answer is to be exact, and signs are no proof.
        if block.signatures.is_empty() || top.min_similarity() <= -1.0 || !query.signs_tell {
            (0..block.ids.len()).for_each(|i| look(i, top));
            return;
        }
        let mut near = [0; BLOCK / 8];
        let near = &mut near[..block.ids.len().div_ceil(8)];
        kernels.near(&query.signature, &block.signatures, cut.bits(query.width, top), near);
        for (group, near) in near.iter_mut().enumerate().filter(|(_, near)| **near != 0) {
            // The last group may be filled up with rows that are none.
            let mut left = *near & (0xFF >> 8_usize.saturating_sub(block.ids.len() - group * 8));
            while left != 0 {
                look(group * 8 + left.trailing_zeros() as usize, top);
                left &= left - 1;
            }
        }
    }

    /// Memory in bytes, beyond the struct itself.
    pub(crate) fn bytes(&self) -> u64 {
        let blocks = (self.blocks.capacity() * size_of::<Block>()) as u64;
        blocks + self.blocks.iter().chain(self.spare.as_deref()).map(Block::bytes).sum::<u64>()
    }

    fn shape(&self) -> Shape {
        let width = self.width as usize;
        Shape { stride: quantize::stride(width), words: signature::words(width) }
    }
}

/// How many bits may differ, for the bound that it was computed for.
#[derive(Default)]
pub(crate) struct Cut {
    of: Option<(f32, u32)>,
}

impl Cut {
    fn bits(&mut self, width: usize, top: &Top) -> u32 {
        let bound = top.bound();
        match self.of {
            Some((held, bits)) if held == bound => bits,
            _ => {
                let bits = signature::cut(width, bound);
                self.of = Some((bound, bits));
                bits
            }
        }
    }
}

impl Block {
    fn row(&self, i: usize, shape: Shape) -> RowRef<'_> {
        let (high, low) = self.planes[i * 2 * shape.stride..(i + 1) * 2 * shape.stride].split_at(shape.stride);
        RowRef { scale: self.scales[i], high, low }
    }

    /// Adds a row. The first `room` rows take their memory at once; beyond, it grows by quarters, since doubling would waste
    /// as much again as small scopes hold.
    fn push(&mut self, id: u64, row: RowRef<'_>, room: usize, shape: Shape) {
        let len = self.ids.len();
        if len == self.ids.capacity() {
            self.grow((len / 4).max(1).max(room.saturating_sub(len)).min(BLOCK - len), shape);
        }
        self.ids.push(id);
        self.scales.push(row.scale);
        self.planes.extend(row.high);
        self.planes.extend(row.low);
        if !self.signatures.is_empty() {
            self.sign(len, shape);
        } else if len + 1 >= SIGNED_FROM {
            (0..=len).for_each(|i| self.sign(i, shape));
        }
    }

    fn grow(&mut self, more: usize, shape: Shape) {
        self.ids.reserve_exact(more);
        self.scales.reserve_exact(more);
        let rows = self.ids.len() + more;
        if rows == BLOCK {
            self.planes.map(BLOCK * 2 * shape.stride);
        }
        self.planes.reserve(more * 2 * shape.stride);
        if rows >= SIGNED_FROM {
            self.signatures.reserve_exact(signature_len(rows, shape) - self.signatures.len());
        }
    }

    /// Overwrites row `i`.
    fn put(&mut self, i: usize, row: RowRef<'_>, shape: Shape) {
        let place = &mut self.planes[i * 2 * shape.stride..(i + 1) * 2 * shape.stride];
        place[..shape.stride].copy_from_slice(row.high);
        place[shape.stride..].copy_from_slice(row.low);
        self.scales[i] = row.scale;
        if !self.signatures.is_empty() {
            self.sign(i, shape);
        }
    }

    /// Writes the signature of row `i`.
    fn sign(&mut self, i: usize, shape: Shape) {
        let needed = signature_len(i + 1, shape);
        if self.signatures.len() < needed {
            self.signatures.resize(needed, 0);
        }
        let high = &self.planes[i * 2 * shape.stride..][..shape.stride];
        for (word, part) in high.chunks_exact(64).enumerate() {
            signature::of_row(part, std::slice::from_mut(&mut self.signatures[lane(i, word, shape)]));
        }
    }

    /// Copies row `from` over row `to`.
    fn copy_within(&mut self, from: usize, to: usize, shape: Shape) {
        self.ids[to] = self.ids[from];
        self.scales[to] = self.scales[from];
        let row = 2 * shape.stride;
        self.planes.copy_within(from * row..(from + 1) * row, to * row);
        if !self.signatures.is_empty() {
            for word in 0..shape.words {
                self.signatures[lane(to, word, shape)] = self.signatures[lane(from, word, shape)];
            }
        }
    }

    /// Copies row `from` of another block over row `to`.
    fn copy_from(&mut self, to: usize, other: &Block, from: usize, shape: Shape) {
        self.ids[to] = other.ids[from];
        self.put(to, other.row(from, shape), shape);
    }

    fn pop(&mut self, shape: Shape) {
        self.ids.pop();
        self.scales.pop();
        let len = self.ids.len();
        self.planes.truncate(len * 2 * shape.stride);
        let signed = signature_len(len, shape).min(self.signatures.len());
        self.signatures.truncate(signed);
    }

    /// Gives memory back when most of it is not used any more.
    fn shrink(&mut self) {
        if self.ids.capacity() > 4 && self.ids.capacity() / 4 > self.ids.len() {
            self.ids.shrink_to_fit();
            self.scales.shrink_to_fit();
            self.planes.shrink();
            self.signatures.shrink_to_fit();
        }
    }

    fn bytes(&self) -> u64 {
        let rows = self.ids.capacity() * 8 + self.scales.capacity() * 2 + self.planes.bytes();
        (rows + self.signatures.capacity() * 8) as u64
    }
}

/// Words that the signatures of `rows` rows take.
fn signature_len(rows: usize, shape: Shape) -> usize {
    rows.next_multiple_of(8) * shape.words
}

/// Where the `word`-th word of row `i`'s signature is.
fn lane(i: usize, word: usize, shape: Shape) -> usize {
    (i / 8 * shape.words + word) * 8 + i % 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::Row;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// A unit vector, near those of the same `seed / 8`.
    fn vector(width: usize, seed: u64) -> Vec<f32> {
        let part = |mut state: u64| {
            state = state.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            (0..width)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 40) as f32 / (1 << 24) as f32 - 0.5
                })
                .collect::<Vec<f32>>()
        };
        let mut vector: Vec<f32> = part(seed / 8).iter().zip(part(!seed)).map(|(a, b)| a + b / 3.0).collect();
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        vector
    }

    fn scan(flat: &Flat, query: &Query, k: usize, min_similarity: f32) -> Vec<(u64, f32)> {
        let mut top = Top::new(k, min_similarity);
        let mut cut = Cut::default();
        (0..flat.blocks()).rev().for_each(|block| flat.scan(block, query, &mut cut, &mut top, Kernels::get()));
        top.into_sorted().iter().map(|n| (n.id, n.similarity)).collect()
    }

    fn exact(map: &HashMap<u64, Row>, query: &Query, k: usize, min_similarity: f32) -> Vec<(u64, f32)> {
        let mut all: Vec<(u64, f32)> =
            map.iter().map(|(id, row)| (*id, query.similarity(row.view(), Kernels::get()))).collect();
        all.retain(|(_, similarity)| *similarity >= min_similarity);
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        /// Each step: an id, what to do with it, and how often with the ids behind it.
        #[test]
        fn agrees_with_a_map(
            steps in prop::collection::vec((0..600_u64, 0..3_u8, 1..120_u64, any::<u64>()), 1..60),
            width in prop::sample::select(vec![1_usize, 3, 64, 70, 130]),
        ) {
            let (mut flat, mut map) = (Flat::new(width), HashMap::new());
            for (first, what, times, seed) in steps {
                for id in first..first + times {
                    let row = Row::new(&vector(width, seed % 1000 + id));
                    match (flat.position(id), what) {
                        (Some(at), 0) => {
                            let last = flat.id(flat.len() - 1);
                            prop_assert_eq!(flat.swap_remove(at), (last != id).then_some(last));
                            map.remove(&id);
                        }
                        (None, 0) => (),
                        (Some(at), _) => {
                            flat.replace(at, row.view());
                            map.insert(id, row);
                        }
                        (None, _) => {
                            flat.push(id, row.view());
                            map.insert(id, row);
                        }
                    }
                }
            }
            prop_assert_eq!(flat.len(), map.len());
            for entry in flat.last(usize::MAX) {
                prop_assert_eq!(Some(&entry.row), map.get(&entry.id));
            }
            for seed in 0..40 {
                let query = Query::new(&vector(width, seed * 20));
                for k in [1, 10, usize::MAX] {
                    // Without a bound always; with one, the cut is meant for many numbers.
                    prop_assert_eq!(scan(&flat, &query, k, -1.0), exact(&map, &query, k, -1.0));
                    if width > 64 {
                        prop_assert_eq!(scan(&flat, &query, k, 0.7), exact(&map, &query, k, 0.7));
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_taken_out_during_a_scan_hides_no_other() {
        let mut flat = Flat::new(8);
        (0..1000).for_each(|id| flat.push(id, Row::new(&vector(8, id)).view()));
        let query = Query::new(&vector(8, 3));
        let mut top = Top::new(usize::MAX, -1.0);
        for block in (0..flat.blocks()).rev() {
            flat.scan(block, &query, &mut Cut::default(), &mut top, Kernels::get());
            for id in (block as u64 * 7)..(block as u64 * 7 + 5) {
                let at = flat.position(id).unwrap();
                flat.swap_remove(at);
            }
        }
        let seen: Vec<u64> = top.into_sorted().iter().map(|n| n.id).collect();
        assert!(flat.ids().all(|id| seen.contains(&id)));
    }

    #[test]
    fn rows_that_pass_through_leave_one_empty_block() {
        let mut flat = Flat::new(384);
        flat.set_passing(true);
        let row = Row::new(&vector(384, 1));
        let mut bytes = Vec::new();
        for _ in 0..3 {
            (0..1000).for_each(|id| flat.push(id, row.view()));
            (0..1000).rev().for_each(|at| assert_eq!(flat.swap_remove(at), None));
            bytes.push(flat.bytes());
        }
        assert_eq!((bytes[0], bytes[1]), (bytes[1], bytes[2]));
        assert!(flat.blocks() == 0 && flat.bytes() < 2 * BLOCK as u64 * 900, "{bytes:?}");
        flat.set_passing(false);
        assert!(flat.bytes() < 4000, "{}", flat.bytes());
    }

    #[test]
    fn signs_are_not_asked_where_they_say_nothing() {
        // One large number; the others are noise around zero, of which each row has its own.
        let spiked = |seed: u64| {
            let mut spiked: Vec<f32> = vector(384, seed * 8).iter().map(|x| x * 0.05).collect();
            spiked[0] = (1.0 - spiked[1..].iter().map(|x| x * x).sum::<f32>()).sqrt();
            spiked
        };
        let mut flat = Flat::new(384);
        (0..100).for_each(|id| flat.push(id, Row::new(&spiked(id)).view()));
        assert_eq!(scan(&flat, &Query::new(&spiked(200)), 1000, 0.99).len(), 100);
    }

    #[test]
    fn memory_grows_with_the_rows_and_is_given_back() {
        let mut flat = Flat::new(384);
        let row = Row::new(&vector(384, 1));
        let plain = 2 * 384 + 8 + 2;
        for id in 0..10 {
            flat.push(id, row.view());
        }
        assert_eq!(flat.bytes(), size_of::<Block>() as u64 + 10 * plain);
        for id in 10..1280 {
            flat.push(id, row.view());
        }
        assert!(flat.bytes() < 1280 * (plain + 48 + 2), "{}", flat.bytes());
        for _ in 0..1276 {
            flat.swap_remove(0);
        }
        assert!(flat.bytes() < 24 * plain, "{}", flat.bytes());
    }
}
