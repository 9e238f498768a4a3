//! How much a scope with a graph finds, whole and with many of its vectors removed.

mod support;

use askonce_index::{GraphKind, Index, IndexConfig};
use support::{Dice, Sentences, cosine, scope};

const WIDTH: usize = 64;
const COUNT: usize = 3000;

/// How far a similarity may be from that of the floats, since rows are rounded.
const ROUNDING: f32 = 2e-5;

fn config(graph: GraphKind) -> IndexConfig {
    IndexConfig { graph, graph_from: 512, ef_construction: 96, ..IndexConfig::new(WIDTH, "test") }
}

/// Tests that every kind of graph has to pass.
macro_rules! tests_of_graphs {
    ($($name:ident)*) => {
        mod packed {
            $(#[test] fn $name() { super::$name(super::config(super::GraphKind::Packed)) })*
        }
        mod hnsw_rs {
            $(#[test] fn $name() { super::$name(super::config(super::GraphKind::HnswRs)) })*
        }
    };
}

tests_of_graphs! {
    a_graph_finds_nearly_all_and_every_vector_itself
    clustered_removals_hide_nobody
    a_rebuild_gives_memory_back_and_forgets_nobody
    many_copies_of_one_vector_hide_nobody
}

fn filled(config: IndexConfig) -> (Index, Vec<Vec<f32>>, Sentences) {
    fill(config, Sentences::new(WIDTH, 11))
}

fn fill(config: IndexConfig, mut sentences: Sentences) -> (Index, Vec<Vec<f32>>, Sentences) {
    let vectors: Vec<Vec<f32>> = (0..COUNT).map(|_| sentences.sentence()).collect();
    let index = Index::in_memory(config).unwrap();
    for (id, vector) in vectors.iter().enumerate() {
        index.insert(scope(0), id as u64, vector).unwrap();
    }
    (index, vectors, sentences)
}

/// Share of paraphrases whose nearest live vector is the first one found.
fn recall(index: &Index, vectors: &[Vec<f32>], sentences: &mut Sentences, live: impl Fn(usize) -> bool) -> f64 {
    let mut dice = Dice(5);
    let queries = 300;
    let right = (0..queries).filter(|_| {
        let query = sentences.paraphrase(&vectors[dice.below(COUNT)]);
        let best = (0..COUNT).filter(|id| live(*id)).map(|id| cosine(&vectors[id], &query)).fold(-1.0, f32::max);
        index.nearest(scope(0), &query, 8, -1.0).unwrap().first().is_some_and(|n| n.similarity > best - ROUNDING)
    });
    right.count() as f64 / f64::from(queries)
}

fn a_graph_finds_nearly_all_and_every_vector_itself(config: IndexConfig) {
    let (index, vectors, mut sentences) = filled(config);
    // While the graph is being built, what it lacks is scanned.
    let building = recall(&index, &vectors, &mut sentences, |_| true);
    assert!(building >= 0.98, "recall {building}");
    index.settle();
    let stats = index.stats();
    assert_eq!(stats.graphs, 1);
    assert!(stats.fresh < 256, "{stats:?}");
    let settled = recall(&index, &vectors, &mut sentences, |_| true);
    assert!(settled >= 0.98, "recall {settled}");
    for (id, vector) in vectors.iter().enumerate() {
        let found = index.nearest(scope(0), vector, 1, 0.999).unwrap();
        assert_eq!(found.first().map(|n| n.id), Some(id as u64));
    }
}

fn clustered_removals_hide_nobody(config: IndexConfig) {
    // Rebuilding would take the dead out of the way: here they stay.
    let (index, vectors, mut sentences) = filled(IndexConfig { rebuild_dead_share: 1.0, ..config });
    index.settle();
    // Whole neighbourhoods go: everything near some vectors.
    let mut dead = vec![false; COUNT];
    for centre in (0..COUNT).step_by(40) {
        let mut near: Vec<usize> = (0..COUNT).collect();
        near.sort_by_cached_key(|id| (-1e6 * cosine(&vectors[*id], &vectors[centre])) as i64);
        near[..30].iter().for_each(|id| dead[*id] = true);
    }
    for id in (0..COUNT).filter(|id| dead[*id]) {
        assert!(index.remove(scope(0), id as u64).unwrap());
    }
    assert!(index.stats().dead > COUNT / 4, "{:?}", index.stats());
    let share = recall(&index, &vectors, &mut sentences, |id| !dead[id]);
    assert!(share >= 0.97, "recall {share}");
}

fn a_rebuild_gives_memory_back_and_forgets_nobody(config: IndexConfig) {
    let (index, vectors, mut sentences) = filled(config);
    index.settle();
    let before = index.stats();
    for id in (0..COUNT).filter(|id| id % 3 != 0) {
        index.remove(scope(0), id as u64).unwrap();
    }
    index.settle();
    let after = index.stats();
    assert_eq!((after.live, after.graphs), (COUNT / 3, 1));
    assert!(after.dead * 3 < after.live, "{after:?}");
    assert!(after.bytes < before.bytes / 2, "{} of {} bytes", after.bytes, before.bytes);
    assert!(recall(&index, &vectors, &mut sentences, |id| id % 3 == 0) >= 0.98);
    // Below half of what a graph is made for, there is none.
    (0..COUNT).filter(|id| id % 15 != 0).for_each(|id| assert!(index.remove(scope(0), id as u64).is_ok()));
    index.settle();
    assert_eq!((index.stats().live, index.stats().graphs), (COUNT / 15, 0));
    assert_eq!(recall(&index, &vectors, &mut sentences, |id| id % 15 == 0), 1.0);
}

fn many_copies_of_one_vector_hide_nobody(config: IndexConfig) {
    let (index, vectors, _) = filled(config);
    for id in 0..600 {
        index.insert(scope(0), 10_000 + id, &vectors[7]).unwrap();
    }
    index.settle();
    assert_eq!(index.nearest(scope(0), &vectors[7], 1000, 0.9999).unwrap().len(), 601);
    for (id, vector) in vectors.iter().enumerate().filter(|(id, _)| *id != 7) {
        assert_eq!(index.nearest(scope(0), vector, 1, 0.999).unwrap()[0].id, id as u64);
    }
}

/// A graph with few links on vectors in separate crowds falls apart. `hnsw_rs` shows it; its rows go on into another.
#[test]
fn rows_that_a_graph_loses_are_found() {
    let weak = IndexConfig { m: 4, ef_construction: 10, ef_search: 12, ..config(GraphKind::HnswRs) };
    let (index, vectors, mut sentences) = fill(weak, Sentences::crowded(WIDTH, 11));
    index.settle();
    let stats = index.stats();
    assert!(stats.graphs == 1 && stats.strays > 0, "{stats:?}");
    for (id, vector) in vectors.iter().enumerate() {
        assert_eq!(index.nearest(scope(0), vector, 1, 0.999).unwrap()[0].id, id as u64);
    }
    let share = recall(&index, &vectors, &mut sentences, |_| true);
    assert!(share >= 0.9, "recall {share}");
}
