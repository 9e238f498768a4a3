//! One search in one scope: its flat rows by a scan, the others through its graph.

use crate::Neighbor;
use crate::kernels::Kernels;
use crate::partition::Partition;
use crate::quantize::Query;
use crate::top::Top;

/// The best live rows of `partition` that `top` asks for, best first; `ef` is for the graph.
pub(crate) fn nearest(partition: &Partition, query: &Query, mut top: Top, ef: usize) -> Vec<Neighbor> {
    if top.k() > 0 {
        let version = partition.version();
        look(partition, query, &mut top, ef);
        // A row that left the graph behind a scan that was over, and died in it before the search, would be missed.
        if partition.version() != version {
            look(partition, query, &mut top, ef);
        }
    }
    top.into_sorted()
}

fn look(partition: &Partition, query: &Query, top: &mut Top, ef: usize) {
    if let Some(graph) = partition.scan(query, top, Kernels::get()) {
        graph.search(query, ef, top);
    }
}
