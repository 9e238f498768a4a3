//! Moves a scope's fresh chunks into its graph, one chunk a call, so that scopes take turns.

use std::sync::Arc;

use crate::partition::Partition;
use crate::workshop::Workshop;

/// Takes the next fresh chunk of `partition` into its graph, which is begun if there is none.
pub(crate) fn drain(partition: &Partition, shop: &Workshop) {
    let view = partition.body.read().view();
    if view.cover.end() >= view.chunks.len() {
        return;
    }
    // None: the index or the scope is going away, and nobody will look for the rest.
    let Some(cover) = shop.extend(partition, &view.chunks, &view.cover) else {
        return;
    };
    // Only this thread changes covers, so nothing was lost in between.
    partition.body.write().cover = Arc::new(cover);
}
