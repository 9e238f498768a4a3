//! Builds a scope's graph anew from its live rows, while lookups and changes go on with the old one; some rows a call, so that
//! scopes take turns. Rows that are removed or replaced meanwhile are killed in the new graph before it takes the old one's place.

use std::sync::Arc;

use crate::graph::{Entry, Graph};
use crate::partition::Partition;
use crate::workshop::Workshop;

/// A new graph in the making.
pub(crate) struct Rebuild {
    graph: Arc<dyn Graph>,
    /// (Slot, id) of the rows that it does not have yet.
    left: Vec<(u32, u64)>,
    /// Id, old and new slot of those it has.
    moved: Vec<(u64, u32, u32)>,
}

/// Does one step; the last one puts the new graph in the old one's place.
pub(crate) fn rebuild(partition: &Partition, shop: &Workshop) {
    let Some(old) = partition.graph() else { return };
    let begun = partition.rebuild.lock().take();
    let mut work = begun.unwrap_or_else(|| Box::new(Rebuild::new(&*old, shop)));
    let rest = work.left.len().saturating_sub(shop.config.batch());
    let part = work.left.split_off(rest);
    let entries: Vec<Entry> = part.iter().map(|(slot, id)| Entry { id: *id, row: old.row(*slot) }).collect();
    let slots = shop.pool.install(|| work.graph.insert(&entries));
    if slots.len() < entries.len() {
        // The old one holds all that the new one has no room for.
        tracing::error!("no memory to build the graph of a scope anew; the old one stays");
        partition.give_up();
        return;
    }
    work.moved.extend(part.iter().zip(slots).map(|((from, id), to)| (*id, *from, to)));
    if work.left.is_empty() {
        drop(old);
        shop.release(partition.exchange(work.graph, &work.moved));
    } else {
        *partition.rebuild.lock() = Some(work);
    }
}

impl Rebuild {
    fn new(old: &dyn Graph, shop: &Workshop) -> Rebuild {
        let left = old.live();
        Rebuild { graph: shop.new_graph(left.len()), moved: Vec::with_capacity(left.len()), left }
    }
}
