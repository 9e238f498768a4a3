//! One search in one scope: fresh rows exactly, graphed rows through the graph, widened past the dead, and exact
//! similarities for all that is returned.

use crate::body::View;
use crate::cover::Segment;
use crate::partition::Partition;
use crate::top::Top;
use crate::{Neighbor, distance, vector};

/// Candidates beyond which a scan of the rows is as quick as a wider walk, and exact.
const WIDEST: usize = 4096;

/// How far a graph's similarity may be from the exact one.
const SLACK: f32 = 1e-3;

/// What is asked.
pub(crate) struct Query<'a> {
    pub(crate) vector: &'a [f32],
    pub(crate) k: usize,
    pub(crate) min_similarity: f32,
    /// Candidates to keep in the graph at first.
    pub(crate) ef: usize,
}

/// The best live rows of `partition`, best first.
pub(crate) fn nearest(partition: &Partition, query: &Query<'_>) -> Vec<Neighbor> {
    let mut top = Top::new(query.k, query.min_similarity);
    let view = {
        // The tail and the list of chunks under one lock: a row that is sealed meanwhile is seen once, not twice or never.
        let body = partition.body.read();
        body.tail.scan(query.vector, &mut top);
        body.view()
    };
    for chunk in &view.chunks[view.cover.end()..] {
        chunk.scan(query.vector, &mut top);
    }
    if !view.cover.is_empty() {
        covered(&view, query, &mut top);
    }
    top.into_sorted()
}

/// Offers what the graphs find, what they are known to miss, and rows that hold exactly the vector asked for: a graph
/// may lose sight of a node when others take its links, and a stored vector must be found by itself.
fn covered(view: &View, query: &Query<'_>, top: &mut Top) {
    let mut slots = view.cover.strays.clone();
    let print = vector::print(query.vector);
    for segment in &view.cover.segments {
        let found = walk(view, segment, query);
        for number in segment.chunks.clone() {
            let chunk = &view.chunks[number];
            match found {
                Some(_) => slots.extend(chunk.rows_with_print(print).map(|row| view.slot(number, row))),
                None => slots.extend(chunk.live_rows().map(|row| view.slot(number, row))),
            }
        }
        slots.extend(found.unwrap_or_default());
    }
    slots.sort_unstable();
    slots.dedup();
    for slot in slots {
        if let Some((chunk, row)) = view.row(slot).filter(|(chunk, row)| !chunk.is_dead(*row)) {
            top.offer(chunk.id(row), distance::similarity(query.vector, chunk.vector(row)));
        }
    }
}

/// The slots of a graph worth an exact look, or `None` when only a scan can tell. The walk passes through dead nodes,
/// and widens until it has found `k` live ones or has seen all that is near enough.
fn walk(view: &View, segment: &Segment, query: &Query<'_>) -> Option<Vec<u32>> {
    let rows: usize = view.chunks[segment.chunks.clone()].iter().map(|c| c.len()).sum();
    let widest = WIDEST.min(rows / 2).max(query.ef);
    // The graph may be ahead of the view: a slot past it is fresh to this lookup, and was scanned.
    let fresh_from = view.slot(segment.chunks.end, 0);
    let is_live = |slot: &u32| *slot < fresh_from && view.row(*slot).is_some_and(|(c, row)| !c.is_dead(row));
    let mut ef = query.ef.max(query.k);
    while ef <= widest {
        let found = segment.graph.search(query.vector, ef);
        let live: Vec<u32> = found.iter().map(|f| f.slot).filter(is_live).collect();
        let worst = found.last().map_or(-1.0, |f| f.similarity);
        if live.len() >= query.k || worst < query.min_similarity - SLACK {
            return Some(live);
        }
        if found.len() < ef {
            return None;
        }
        ef *= 4;
    }
    None
}
