//! Moves a scope's flat rows into its graph, some a call, so that scopes take turns.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::partition::Partition;
use crate::workshop::Workshop;

/// Takes the last flat rows of `partition` into its graph, which is begun if there is none.
pub(crate) fn drain(partition: &Partition, shop: &Workshop) {
    let entries = partition.send_off(shop.config.batch());
    let (graph, is_new) = match partition.graph() {
        Some(graph) => (graph, false),
        None => (shop.new_graph(partition.live()), true),
    };
    let slots = shop.pool.install(|| graph.insert(&entries));
    if is_new {
        partition.adopt(Arc::clone(&graph));
    }
    partition.hand_over(&*graph, &entries, &slots);
    if slots.len() < entries.len() {
        tracing::error!("no memory for the graph of a scope: what it lacks is scanned from now on");
        partition.give_up();
    }
    shop.linked.fetch_add(slots.len(), Ordering::Relaxed);
    // Cleared meanwhile: nobody else will free it.
    if partition.is_retired() {
        shop.free(partition);
    }
}
