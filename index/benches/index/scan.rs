//! From which size on a graph is quicker than a scan: the grounds for `IndexConfig::graph_from`.

use askonce_index::bench::{HIT, Vectors};
use askonce_index::{Index, IndexConfig};

use crate::setup::{Setup, config, look, quantiles};
use crate::support::scope;

pub fn run(setup: &Setup, _: usize) {
    let case = setup.case(32_000);
    for size in [256, 1000, 4000, 8000, 16_000, 32_000] {
        let mut stored = case.stored.clone();
        stored.truncate(size);
        let scan = filled(&stored, usize::MAX / 8);
        let graph = filled(&stored, 128);
        for bound in [HIT, 0.6, -1.0] {
            println!(
                "  {size}, at least {bound}: scan {}; graph {}",
                quantiles(&look(&scan, &case.queries, bound)),
                quantiles(&look(&graph, &case.queries, bound))
            );
        }
    }
}

fn filled(stored: &Vectors, graph_from: usize) -> Index {
    let index = Index::in_memory(IndexConfig { graph_from, ..config() }).expect("a good configuration");
    for (id, vector) in stored.iter().enumerate() {
        index.insert(scope(0), id as u64, vector).expect("a good vector");
    }
    index.settle();
    index
}
