//! The walk: from a few nodes of a layer to the nearest ones, best first.
//!
//! [`Pool`] holds the best nodes seen, the nearest first; the walk takes the nearest one not yet looked behind, and offers
//! its neighbours. Dead nodes are walked through: one in the pool makes room for one more, so that the pool always has
//! room for as many live nodes as were asked for, and a neighbourhood that was removed is crossed.

use super::layer::Layer;
use super::rows::Rows;
use crate::kernels::{Kernels, MANY, prefetch};

/// Dead nodes that a pool makes room for, at most.
const MOST_DEAD: usize = 4096;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Rows that are asked for while the others are still being looked up.
const FIRST: usize = 3;

/// Flags in a pool's node.
const BEHIND: u32 = 1 << 31;
const DEAD: u32 = 1 << 30;
pub(super) const NODE: u32 = DEAD - 1;

/// How far below the bound the best similarity may stay for the walk to go on. At .16, rows that come and go were missed now and
/// then, in few dimensions; and on real texts the walk became a tenth shorter, no more.
const HOPE: f32 = 0.4;

/// Steps without a better one before hope is lost. With 24, nine in 60,000 real texts were not found by themselves: what lies far
/// from all others is met late.
const PATIENCE: usize = 64;

/// What a walk compares with: signed coarse bytes, what their sum adds (see `Query`), and their scale.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    pub(super) plane: &'a [i8],
    pub(super) offset: i32,
    pub(super) scale: f32,
}

impl Probe<'_> {
    /// The similarity that a raw sum means.
    #[inline(always)]
    pub(super) fn similarity(&self, raw: i32, stored_scale: u16) -> f32 {
        raw.wrapping_sub(self.offset) as f32 * (self.scale * crate::quantize::scale(stored_scale))
    }
}

/// A node and how similar it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub(super) similarity: f32,
    tagged: u32,
}

impl Near {
    pub(super) fn new(similarity: f32, node: u32) -> Near {
        Near { similarity, tagged: node }
    }

    #[inline(always)]
    pub(super) fn node(self) -> u32 {
        self.tagged & NODE
    }

    #[inline(always)]
    pub(super) fn is_dead(self) -> bool {
        self.tagged & DEAD != 0
    }
}

/// The best nodes seen, the nearest first.
#[derive(Default)]
pub(super) struct Pool {
    nodes: Vec<Near>,
    /// Live nodes to hold at most.
    wanted: usize,
    dead: usize,
    /// All before it have been looked behind.
    cursor: usize,
}

impl Pool {
    fn begin(&mut self, wanted: usize) {
        self.nodes.clear();
        (self.wanted, self.dead, self.cursor) = (wanted, 0, 0);
    }

    fn room(&self) -> usize {
        self.wanted + self.dead.min(MOST_DEAD)
    }

    /// Whether a node so similar would be taken.
    #[inline(always)]
    fn admits(&self, similarity: f32) -> bool {
        self.nodes.len() < self.room() || self.nodes.last().is_none_or(|last| similarity > last.similarity)
    }

    /// True when it is the one to look behind next.
    fn put(&mut self, similarity: f32, node: u32, dead: bool) -> bool {
        let at = self.nodes.partition_point(|near| near.similarity >= similarity);
        self.nodes.insert(at, Near { similarity, tagged: if dead { node | DEAD } else { node } });
        self.dead += usize::from(dead);
        let is_next = at <= self.cursor;
        self.cursor = self.cursor.min(at);
        while self.nodes.len() > self.room() {
            let gone = self.nodes.pop().is_some_and(Near::is_dead);
            self.dead -= usize::from(gone);
        }
        is_next
    }

    /// The nearest node not looked behind yet.
    fn next(&mut self) -> Option<u32> {
        while let Some(near) = self.nodes.get_mut(self.cursor) {
            self.cursor += 1;
            if near.tagged & BEHIND == 0 {
                near.tagged |= BEHIND;
                return Some(near.node());
            }
        }
        None
    }

    /// The one that [`Pool::next`] would give, as far as known now.
    #[inline(always)]
    fn peek(&self) -> Option<u32> {
        self.nodes.get(self.cursor).map(|near| near.node())
    }

    /// Nearest first, dead ones too.
    pub(super) fn nodes(&self) -> &[Near] {
        &self.nodes
    }

    /// Whether more dead nodes were near than a walk goes through.
    pub(super) fn is_swamped(&self) -> bool {
        self.dead >= MOST_DEAD
    }
}

/// Places of a table at first, a power of two.
const LEAST: usize = 1 << 12;

/// The nodes that a walk has met: a hash table that fits the first cache.
#[derive(Default)]
pub(super) struct Met {
    places: Vec<u32>,
    count: usize,
}

impl Met {
    fn begin(&mut self) {
        // As large as the last walk needed: after a far one, clearing the whole of a grown table would cost each a tenth.
        let needed = (self.count * 2 + 1).next_power_of_two().max(LEAST);
        self.places.truncate(needed);
        self.places.fill(0);
        self.places.resize(self.places.len().max(LEAST), 0);
        self.count = 0;
    }

    /// Notes `node`; false when it was noted before.
    #[inline(always)]
    fn note(&mut self, node: u32) -> bool {
        if self.count * 2 >= self.places.len() {
            self.grow();
        }
        let new = Met::put(&mut self.places, node + 1);
        self.count += usize::from(new);
        new
    }

    #[inline(always)]
    fn put(places: &mut [u32], word: u32) -> bool {
        let mask = places.len() - 1;
        let mut at = (word.wrapping_mul(0x9E37_79B1) >> 7) as usize & mask;
        loop {
            match places[at] {
                0 => {
                    places[at] = word;
                    return true;
                }
                held if held == word => return false,
                _ => at = (at + 1) & mask,
            }
        }
    }

    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.places);
        self.places = vec![0; old.len() * 2];
        for word in old.into_iter().filter(|word| *word != 0) {
            Met::put(&mut self.places, word);
        }
    }
}

/// How far a walk goes.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    /// Live nodes to hold.
    pub(super) wanted: usize,
    /// Similarity below which nothing is of use: a walk whose best stays far below it ends. `-1` for one that is to go all the
    /// way.
    pub(super) bound: f32,
    /// Similarity that is enough: the walk ends as soon as it meets it.
    pub(super) enough: f32,
}

impl Reach {
    /// A walk that goes all the way.
    pub(super) fn whole(wanted: usize) -> Reach {
        Reach { wanted, bound: -1.0, enough: f32::INFINITY }
    }
}

/// Memory of walks, kept from one to the next.
#[derive(Default)]
pub(super) struct Trail {
    pub(super) pool: Pool,
    met: Met,
}

/// Where to walk.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) rows: &'a Rows,
    pub(super) kernels: &'static Kernels,
}

impl Ground<'_> {
    /// The similarity of one node's row.
    pub(super) fn similarity(&self, probe: Probe<'_>, slot: u32) -> f32 {
        let mut sums = [0; 1];
        self.dots(probe, &[self.rows.high(slot)], &mut sums);
        probe.similarity(sums[0], self.rows.scale(slot))
    }

    #[allow(unsafe_code)] // The one place where rows are handed to a kernel.
    #[inline(always)]
    pub(super) fn dots(&self, probe: Probe<'_>, rows: &[*const u8], sums: &mut [i32]) {
        // SAFETY: rows of slots that were given out, whose bytes nobody writes while a search that knows them runs.
        unsafe { self.kernels.dots(probe.plane, rows, sums) }
    }

    /// Goes from `start` to the node of `layer` that is nearest, taking the best step each time.
    pub(super) fn descend(&self, layer: &Layer, probe: Probe<'_>, start: Near) -> Near {
        let mut best = start;
        loop {
            let before = best.node();
            self.look_behind(
                layer,
                probe,
                before,
                |_| true,
                |similarity, node| {
                    if similarity > best.similarity {
                        best = Near::new(similarity, node);
                    }
                },
            );
            if best.node() == before {
                return best;
            }
        }
    }

    /// Fills `trail.pool` with the nodes of `layer` nearest to `probe` that can be reached from `starts`.
    pub(super) fn walk(&self, layer: &Layer, probe: Probe<'_>, starts: &[Near], reach: Reach, trail: &mut Trail) {
        let Trail { pool, met } = trail;
        pool.begin(reach.wanted);
        met.begin();
        for start in starts {
            if met.note(start.node()) {
                pool.put(start.similarity, start.node(), self.rows.is_dead(layer.slot(start.node())));
            }
        }
        let (mut best, mut patience) = (-1.0, PATIENCE);
        while let Some(node) = pool.next() {
            if let Some(next) = pool.peek() {
                layer.ask_for(next);
            }
            let note = |node| met.note(node);
            self.look_behind(layer, probe, node, note, |similarity, node| {
                if pool.admits(similarity) && pool.put(similarity, node, self.rows.is_dead(layer.slot(node))) {
                    layer.ask_for(node);
                }
            });
            let first = pool.nodes.first().map_or(-1.0, |near| near.similarity);
            (best, patience) = if first > best { (first, PATIENCE) } else { (best, patience - 1) };
            if best >= reach.enough || (patience == 0 && best < reach.bound - HOPE) {
                return;
            }
            patience = patience.max(1);
        }
    }

    /// Compares the neighbours of `node` that `note` wants, and tells each one's similarity.
    #[inline(always)]
    fn look_behind(
        &self,
        layer: &Layer,
        probe: Probe<'_>,
        node: u32,
        mut note: impl FnMut(u32) -> bool,
        mut tell: impl FnMut(f32, u32),
    ) {
        let (mut nodes, mut rows, mut sums) = ([0_u32; MANY], [std::ptr::null::<u8>(); MANY], [0_i32; MANY]);
        let mut count = 0;
        for neighbour in layer.links(node) {
            if count < MANY && note(neighbour) {
                let slot = layer.slot(neighbour);
                let row = self.rows.high(slot);
                self.rows.ask_for_scale(slot);
                // The kernel asks ahead for the others.
                if count < FIRST {
                    (0..probe.plane.len()).step_by(LINE).for_each(|at| prefetch(row.wrapping_add(at)));
                }
                (nodes[count], rows[count]) = (neighbour, row);
                count += 1;
            }
        }
        self.dots(probe, &rows[..count], &mut sums);
        for (node, sum) in nodes[..count].iter().zip(sums) {
            tell(probe.similarity(sum, self.rows.scale(layer.slot(*node))), *node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_holds_as_many_live_nodes_as_wanted_whatever_is_dead() {
        let mut pool = Pool::default();
        pool.begin(2);
        for (i, dead) in [true, false, true, false, false, true].into_iter().enumerate() {
            let similarity = 0.9 - i as f32 * 0.1;
            if pool.admits(similarity) {
                pool.put(similarity, i as u32, dead);
            }
        }
        let held: Vec<u32> = pool.nodes().iter().map(|near| near.node()).collect();
        assert_eq!(held, [0, 1, 2, 3]);
        assert_eq!((pool.next(), pool.next()), (Some(0), Some(1)));
        pool.put(0.95, 9, false);
        let held: Vec<u32> = pool.nodes().iter().map(|near| near.node()).collect();
        assert_eq!(held, [9, 0, 1, 2], "a live one more pushes the last live one out");
        assert_eq!((pool.next(), pool.next(), pool.next()), (Some(9), Some(2), None));
    }

    #[test]
    fn a_node_is_met_once() {
        let mut met = Met::default();
        met.begin();
        assert!((0..10_000).all(|node| met.note(node * 7)));
        assert!((0..10_000).all(|node| !met.note(node * 7)));
        met.begin();
        assert!(met.note(7));
        let large = met.places.len();
        met.begin();
        assert!(met.note(7) && met.places.len() < large);
    }
}
