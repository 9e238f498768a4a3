//! [`HnswRs`]: a [`Graph`] made of graphs by the crate `hnsw_rs`: there to compare with.
//!
//! The crate has no removal: dead rows are walked through, and too many of them are a reason to build anew. It may lose sight
//! of a node when others take its links: those seen to be lost are scanned, and so is every row that equals the one asked for.
//!
//! | file | job |
//! |---|---|
//! | `links` | one graph of the crate |
//! | `cover` | the rows, the graphs over them, and what these lose |

mod cover;
mod links;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::RwLock;
use rayon::prelude::*;

use crate::IndexConfig;
use crate::graph::{Census, Entry, Graph};
use crate::kernels::Kernels;
use crate::quantize::{Query, Row, RowRef};
use crate::top::Top;
use cover::{Cover, PIECE, Piece, Segment, slot};
use links::Links;

/// Candidates beyond which a scan of the rows is as quick as a wider walk, and exact.
const WIDEST: usize = 4096;

/// How far a graph's similarity may be from the exact one.
const SLACK: f32 = 1e-3;

/// A graph that does not find this share of the rows that were looked at takes no more.
const LOST_SHARE: f32 = 0.04;

/// One row in this many is looked at.
const SAMPLE: usize = 4;

/// Rows and graphs.
pub(crate) struct HnswRs {
    config: IndexConfig,
    expected: usize,
    cover: RwLock<Arc<Cover>>,
    live: AtomicUsize,
    dead: AtomicUsize,
}

impl HnswRs {
    /// An empty one; `expected` rows are a hint.
    pub(crate) fn new(config: &IndexConfig, expected: usize) -> HnswRs {
        let (config, cover) = (config.clone(), RwLock::default());
        HnswRs { config, expected, cover, live: AtomicUsize::new(0), dead: AtomicUsize::new(0) }
    }

    fn cover(&self) -> Arc<Cover> {
        Arc::clone(&self.cover.read())
    }

    fn new_links(&self, present: usize) -> Arc<Links> {
        let IndexConfig { width, m, ef_construction, .. } = self.config;
        Arc::new(Links::new(width, m, ef_construction, self.expected.saturating_sub(present).max(PIECE)))
    }

    /// `cover` with one more piece, of these rows.
    fn extend(&self, cover: &Cover, entries: &[Entry]) -> Cover {
        let number = cover.pieces.len();
        let mut wider = cover.clone();
        wider.pieces.push(Arc::new(Piece::new(entries)));
        let mut segment = match wider.segments.pop() {
            Some(last) if !last.full => last,
            last => {
                wider.segments.extend(last);
                Segment { links: self.new_links(number * PIECE), pieces: number..number, full: false }
            }
        };
        let width = self.config.width;
        entries.par_iter().enumerate().for_each(|(row, entry)| {
            segment.links.insert(slot(number, row), &entry.row.view().unround(width));
        });
        // A sample is enough to see a graph come apart, and looking at every row would cost more than linking it.
        let (mut lost, mut checked) = self.lost(&segment.links, &wider, number, 0);
        if let Some(older) = segment.revisit(number) {
            let (more, also) = self.lost(&segment.links, &wider, older, number);
            lost.extend(more);
            checked += also;
        }
        segment.pieces.end = number + 1;
        // Below the size at which a graph is worth having, a new one would only be one more to search.
        let rows: usize = wider.pieces[segment.pieces.clone()].iter().map(|piece| piece.entries.len()).sum();
        segment.full = rows >= self.config.graph_from && lost.len() as f32 > LOST_SHARE * checked as f32;
        wider.segments.push(segment);
        wider.strays.extend(lost);
        wider.strays.sort_unstable();
        wider.strays.dedup();
        wider
    }

    /// Looks at one live row in `SAMPLE` of a piece, others with another `turn`: which slots a search for their own vector
    /// does not reach, and how many rows were looked at.
    fn lost(&self, links: &Links, cover: &Cover, number: usize, turn: usize) -> (Vec<u32>, usize) {
        let slots: Vec<u32> =
            cover.live(number..number + 1).filter(|slot| *slot as usize % SAMPLE == turn % SAMPLE).collect();
        let is_lost = |slot: &&u32| {
            let Some((piece, row)) = cover.row(**slot) else { return false };
            let vector = piece.entries[row].row.view().unround(self.config.width);
            links.search(&vector, self.config.ef_search).iter().all(|found| found.slot != **slot)
        };
        (slots.par_iter().filter(is_lost).copied().collect(), slots.len())
    }
}

impl Graph for HnswRs {
    fn insert(&self, entries: &[Entry]) -> Vec<u32> {
        let mut slots = Vec::with_capacity(entries.len());
        for entries in entries.chunks(PIECE) {
            // Only one call at a time inserts, so nothing is lost in between.
            let cover = self.cover();
            let wider = self.extend(&cover, entries);
            *self.cover.write() = Arc::new(wider);
            slots.extend((0..entries.len()).map(|row| slot(cover.pieces.len(), row)));
            self.live.fetch_add(entries.len(), Ordering::Relaxed);
        }
        slots
    }

    fn kill(&self, slot: u32) -> bool {
        let was_live = self.cover.read().row(slot).is_some_and(|(piece, row)| piece.kill(row));
        if was_live {
            self.live.fetch_sub(1, Ordering::Relaxed);
            self.dead.fetch_add(1, Ordering::Relaxed);
        }
        was_live
    }

    fn id(&self, slot: u32) -> u64 {
        self.cover.read().row(slot).map_or(0, |(piece, row)| piece.entries[row].id)
    }

    fn row(&self, slot: u32) -> Row {
        let row = self.cover.read().row(slot).map(|(piece, row)| piece.entries[row].row.clone());
        row.unwrap_or_else(|| Row::new(&vec![0.0; self.config.width]))
    }

    fn with_row(&self, slot: u32, look: &mut dyn FnMut(RowRef<'_>)) {
        if let Some((piece, row)) = self.cover.read().row(slot) {
            look(piece.entries[row].row.view());
        }
    }

    fn search(&self, query: &Query, ef: usize, top: &mut Top) {
        let cover = self.cover();
        let vector = query.unround();
        let print = cover::print(query.stored().view());
        let mut slots = cover.strays.clone();
        for segment in &cover.segments {
            match walk(&cover, segment, &vector, ef, top) {
                Some(found) => {
                    slots.extend(cover.with_print(segment.pieces.clone(), print));
                    slots.extend(found);
                }
                None => slots.extend(cover.live(segment.pieces.clone())),
            }
        }
        slots.sort_unstable();
        slots.dedup();
        let kernels = Kernels::get();
        for slot in slots {
            if let Some((piece, row)) = cover.row(slot).filter(|(piece, row)| !piece.is_dead(*row)) {
                let entry = &piece.entries[row];
                top.offer(entry.id, query.similarity(entry.row.view(), kernels));
            }
        }
    }

    fn tidy(&self, _stop: &AtomicBool) -> bool {
        false
    }

    fn is_untidy(&self) -> bool {
        false
    }

    fn needs_rebuild(&self) -> bool {
        let (live, dead) = (self.live.load(Ordering::Relaxed), self.dead.load(Ordering::Relaxed));
        dead > 0 && dead as f32 >= self.config.rebuild_dead_share * (live + dead) as f32
    }

    fn census(&self) -> Census {
        let cover = self.cover();
        let rows: u64 = cover.pieces.iter().map(|piece| piece.bytes()).sum();
        let links: u64 = cover.segments.iter().map(|segment| segment.links.bytes()).sum();
        Census {
            live: self.live.load(Ordering::Relaxed),
            dead: self.dead.load(Ordering::Relaxed),
            strays: cover.strays.len(),
            bytes: rows + links + cover.strays.len() as u64 * 4,
        }
    }

    fn live(&self) -> Vec<(u32, u64)> {
        let cover = self.cover();
        let id = |slot: u32| cover.row(slot).map(|(piece, row)| (slot, piece.entries[row].id));
        cover.live(0..cover.pieces.len()).filter_map(id).collect()
    }
}

/// The slots of a graph worth an exact look, or `None` when only a scan can tell. The walk passes through dead nodes,
/// and widens until it has found as many live ones as are asked for, or has seen all that is near enough.
fn walk(cover: &Cover, segment: &Segment, vector: &[f32], ef: usize, top: &Top) -> Option<Vec<u32>> {
    let rows: usize = cover.pieces[segment.pieces.clone()].iter().map(|piece| piece.entries.len()).sum();
    let widest = WIDEST.min(rows / 2).max(ef);
    // The graph may be ahead of this cover: a slot past it was scanned.
    let is_live = |slot: &u32| cover.row(*slot).is_some_and(|(piece, row)| !piece.is_dead(row));
    let mut width = ef.max(top.k());
    while width <= widest {
        let found = segment.links.search(vector, width);
        let live: Vec<u32> = found.iter().map(|found| found.slot).filter(is_live).collect();
        let worst = found.last().map_or(-1.0, |found| found.similarity);
        if live.len() >= top.k() || worst < top.bound() - SLACK {
            return Some(live);
        }
        if found.len() < width {
            return None;
        }
        width *= 4;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 32;

    /// Vectors in a few crowds far apart, which are hard on a graph.
    fn crowded(count: u64) -> Vec<Entry> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let centres: Vec<Vec<f32>> = (0..20).map(|_| (0..WIDTH).map(|_| next()).collect()).collect();
        let mut vector = |centre: &[f32]| {
            let mut vector: Vec<f32> = centre.iter().map(|x| x + next() * 0.3).collect();
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|x| *x /= norm);
            vector
        };
        (0..count).map(|id| Entry { id, row: Row::new(&vector(&centres[id as usize % 20])) }).collect()
    }

    fn weak() -> IndexConfig {
        IndexConfig { graph_from: 300, m: 4, ef_construction: 8, ef_search: 10, ..IndexConfig::new(WIDTH, "test") }
    }

    fn found(graph: &HnswRs, row: RowRef<'_>, k: usize, bound: f32) -> Vec<u64> {
        let mut top = Top::new(k, bound);
        graph.search(&Query::of_row(row, WIDTH), 10, &mut top);
        top.into_sorted().iter().map(|n| n.id).collect()
    }

    #[test]
    fn a_graph_that_loses_rows_takes_no_more_and_they_are_found() {
        let (graph, entries) = (HnswRs::new(&weak(), 2000), crowded(2000));
        let slots: Vec<u32> = entries.chunks(100).flat_map(|part| graph.insert(part)).collect();
        let cover = graph.cover();
        assert!(cover.segments.len() > 1 && !cover.strays.is_empty());
        for (entry, slot) in entries.iter().zip(slots) {
            assert_eq!((graph.id(slot), graph.row(slot)), (entry.id, entry.row.clone()));
            assert!(found(&graph, entry.row.view(), 2, 0.999).contains(&entry.id));
        }
    }

    #[test]
    fn the_dead_are_not_found_and_ask_for_a_new_graph() {
        let (graph, entries) = (HnswRs::new(&weak(), 600), crowded(600));
        let slots = graph.insert(&entries);
        let gone = slots.iter().step_by(3).filter(|slot| graph.kill(**slot)).count();
        assert_eq!(gone, 200);
        assert!(!graph.kill(slots[0]));
        let census = graph.census();
        assert_eq!((census.live, census.dead), (400, 200));
        assert!(graph.needs_rebuild() && !graph.is_untidy());
        let live: Vec<u64> = graph.live().iter().map(|(_, id)| *id).collect();
        assert_eq!(live, (0..600).filter(|id| id % 3 != 0).collect::<Vec<_>>());
        let mut all = found(&graph, entries[0].row.view(), 1000, -1.0);
        all.sort_unstable();
        assert_eq!(all, live, "none is left out when all are asked for");
    }
}
