//! One search in one scope: fresh rows exactly, graphed rows through the graph, widened past the dead, and exact
//! similarities for all that is returned.

use crate::body::View;
use crate::graph::Graph;
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
    for chunk in &view.chunks[view.graphed..] {
        chunk.scan(query.vector, &mut top);
    }
    if let Some(graph) = view.graph.as_deref().filter(|_| view.graphed > 0) {
        graphed(&view, graph, query, &mut top);
    }
    top.into_sorted()
}

/// Offers what the graph finds, what it is known to miss, and rows that hold exactly the vector asked for: a graph
/// may lose sight of a node when others take its links, and a stored vector must be found by itself.
fn graphed(view: &View, graph: &dyn Graph, query: &Query<'_>, top: &mut Top) {
    let covered = &view.chunks[..view.graphed];
    let Some(mut slots) = walk(view, graph, query) else {
        covered.iter().for_each(|chunk| chunk.scan(query.vector, top));
        return;
    };
    slots.extend_from_slice(&view.strays);
    let print = vector::print(query.vector);
    for (number, chunk) in covered.iter().enumerate() {
        slots.extend(chunk.rows_with_print(print).map(|row| view.slot(number, row)));
    }
    slots.sort_unstable();
    slots.dedup();
    for slot in slots {
        if let Some((chunk, row)) = view.row(slot).filter(|(chunk, row)| !chunk.is_dead(*row)) {
            top.offer(chunk.id(row), distance::similarity(query.vector, chunk.vector(row)));
        }
    }
}

/// The slots worth an exact look, or `None` when only a scan can tell. The walk passes through dead nodes, and widens
/// until it has found `k` live ones or has seen all that is near enough.
fn walk(view: &View, graph: &dyn Graph, query: &Query<'_>) -> Option<Vec<u32>> {
    let covered: usize = view.chunks[..view.graphed].iter().map(|c| c.len()).sum();
    let widest = WIDEST.min(covered / 2).max(query.ef);
    let mut ef = query.ef.max(query.k);
    while ef <= widest {
        let found = graph.search(query.vector, ef);
        let worst = found.last().map_or(-1.0, |f| f.similarity);
        // The graph may be ahead of the view: a slot past it is fresh to this lookup, and was scanned.
        let known = found.iter().filter(|f| (f.slot as usize) < view.first_fresh_slot());
        let live: Vec<u32> = known
            .map(|f| f.slot)
            .filter(|s| view.row(*s).is_some_and(|(c, row)| !c.is_dead(row)))
            .collect();
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
