//! The index against a plain map, under changes, background work and crashes in random order.

mod support;

use std::collections::HashMap;

use askonce_index::{GraphKind, Index, IndexConfig, Neighbor, ScopeKey};
use proptest::prelude::*;
use support::{Dice, cosine, scope};

const WIDTH: usize = 16;
const IDS: u64 = 150;

/// How far a similarity may be from that of the floats: a number is off by at most the largest of its vector / (2 · 127 · 254), so two unit
/// vectors of 16 numbers by twice √16 of that. Mostly it is a tenth of it.
const ROUNDING: f32 = 1.3e-4;

#[derive(Debug, Clone)]
enum Step {
    Insert { scope: u64, id: u64, seed: u64 },
    Burst { scope: u64, first: u64, count: u64, seed: u64 },
    Remove { scope: u64, id: u64 },
    Thin { scope: u64, keep_one_in: u64 },
    Clear,
    Settle,
    Flush,
    Crash,
    Look { scope: u64, seed: u64, k: usize, min_similarity: f32 },
}

fn step() -> impl Strategy<Value = Step> {
    let (scope, id, seed) = (0_u64..3, 0..IDS, any::<u64>());
    prop_oneof![
        8 => (scope.clone(), id.clone(), seed).prop_map(|(scope, id, seed)| Step::Insert { scope, id, seed }),
        4 => (scope.clone(), id.clone(), 1_u64..90, seed)
            .prop_map(|(scope, first, count, seed)| Step::Burst { scope, first, count, seed }),
        6 => (scope.clone(), id).prop_map(|(scope, id)| Step::Remove { scope, id }),
        2 => (scope.clone(), 1_u64..5).prop_map(|(scope, keep_one_in)| Step::Thin { scope, keep_one_in }),
        1 => Just(Step::Clear),
        3 => Just(Step::Settle),
        1 => Just(Step::Flush),
        2 => Just(Step::Crash),
        6 => (scope, seed, 1_usize..40, -1.0_f32..1.0)
            .prop_map(|(scope, seed, k, min_similarity)| Step::Look { scope, seed, k, min_similarity }),
    ]
}

type Oracle = HashMap<ScopeKey, HashMap<u64, Vec<f32>>>;

fn config(graph: GraphKind) -> IndexConfig {
    IndexConfig {
        graph,
        graph_from: 40,
        m: 8,
        ef_construction: 48,
        ef_search: 24,
        checkpoint_from_bytes: 4096,
        ..IndexConfig::new(WIDTH, "test")
    }
}

fn exact(stored: &HashMap<u64, Vec<f32>>, query: &[f32], k: usize, min_similarity: f32) -> Vec<Neighbor> {
    let all = stored.iter().map(|(id, v)| Neighbor { id: *id, similarity: cosine(v, query).clamp(-1.0, 1.0) });
    let mut near: Vec<Neighbor> = all.filter(|n| n.similarity >= min_similarity).collect();
    near.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
    near.truncate(k);
    near
}

/// What must hold of any answer, approximate or not.
fn check_answer(found: &[Neighbor], stored: &HashMap<u64, Vec<f32>>, query: &[f32], k: usize, min_similarity: f32) {
    assert!(found.len() <= k);
    for pair in found.windows(2) {
        assert!(pair[0].similarity >= pair[1].similarity, "sorted");
        assert!(pair[0].similarity > pair[1].similarity || pair[0].id < pair[1].id, "ties by id, nothing twice");
    }
    for n in found {
        let vector = stored.get(&n.id).unwrap_or_else(|| panic!("{} is not stored", n.id));
        assert!((n.similarity - cosine(vector, query)).abs() < ROUNDING, "the similarity is as good as exact");
        assert!(n.similarity >= min_similarity && n.similarity <= 1.0);
    }
}

fn look(index: &Index, oracle: &Oracle, scope: ScopeKey, query: &[f32], k: usize, min_similarity: f32) {
    let empty = HashMap::new();
    let stored = oracle.get(&scope).unwrap_or(&empty);
    let found = index.nearest(scope, query, k, min_similarity).unwrap();
    check_answer(&found, stored, query, k, min_similarity);
    // Without a graph, or when all are asked for, nothing may be missing. Rounding decides at the bound itself.
    if stored.len() < config(GraphKind::default()).graph_from / 2 || k >= stored.len() {
        let best = exact(stored, query, k, min_similarity);
        let sure = best.iter().filter(|n| n.similarity > min_similarity + ROUNDING).count();
        assert!(found.len() >= sure, "found {} of {sure}", found.len());
        for (a, b) in found.iter().zip(&best) {
            assert!((a.similarity - b.similarity).abs() < ROUNDING);
        }
    }
}

fn run(steps: Vec<Step>, graph: GraphKind) {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::open(dir.path(), config(graph)).unwrap().0;
    let mut oracle = Oracle::new();
    for step in steps {
        match step {
            Step::Insert { scope: s, id, seed } => insert(&index, &mut oracle, scope(s), id, seed),
            Step::Burst { scope: s, first, count, seed } => {
                for i in 0..count {
                    insert(&index, &mut oracle, scope(s), (first + i) % IDS, seed.wrapping_add(i));
                }
            }
            Step::Remove { scope: s, id } => remove(&index, &mut oracle, scope(s), id),
            Step::Thin { scope: s, keep_one_in } => {
                (0..IDS).filter(|id| id % keep_one_in != 0).for_each(|id| remove(&index, &mut oracle, scope(s), id));
            }
            Step::Clear => {
                index.clear().unwrap();
                oracle.clear();
            }
            Step::Settle => index.settle(),
            Step::Flush => index.flush().unwrap(),
            Step::Crash => {
                drop(index);
                let (again, recovery) = Index::open(dir.path(), config(graph)).unwrap();
                assert_eq!(recovery.notes, Vec::<String>::new());
                assert_eq!(recovery.live, oracle.values().map(HashMap::len).sum::<usize>());
                index = again;
            }
            Step::Look { scope: s, seed, k, min_similarity } => {
                let query = Dice(seed).direction(WIDTH);
                look(&index, &oracle, scope(s), &query, k, min_similarity);
            }
        }
    }
    check_all(&index, &oracle);
    index.settle();
    check_all(&index, &oracle);
    let stats = index.stats();
    assert_eq!((stats.live, stats.pending), (oracle.values().map(HashMap::len).sum(), 0));
    assert_eq!(stats.scopes, oracle.values().filter(|s| !s.is_empty()).count());
}

fn insert(index: &Index, oracle: &mut Oracle, scope: ScopeKey, id: u64, seed: u64) {
    let vector = Dice(seed).direction(WIDTH);
    index.insert(scope, id, &vector).unwrap();
    let near = index.nearest(scope, &vector, 4, 0.9).unwrap();
    assert!(near[0].similarity > 0.9999, "visible to the next lookup");
    oracle.entry(scope).or_default().insert(id, vector);
}

fn remove(index: &Index, oracle: &mut Oracle, scope: ScopeKey, id: u64) {
    let there = oracle.get_mut(&scope).is_some_and(|s| s.remove(&id).is_some());
    assert_eq!(index.remove(scope, id).unwrap(), there);
    assert!(!index.contains(scope, id));
}

/// The same ids, and every stored vector found by itself.
fn check_all(index: &Index, oracle: &Oracle) {
    let mut ids = index.ids();
    ids.sort_unstable();
    let mut expected: Vec<_> = oracle.iter().flat_map(|(s, v)| v.keys().map(|id| (*s, *id))).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for (scope, stored) in oracle {
        for (id, vector) in stored {
            let found = index.nearest(*scope, vector, 3, 0.99).unwrap();
            assert!(found.iter().any(|n| n.id == *id), "{id} is found by itself");
            check_answer(&found, stored, vector, 3, 0.99);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_map(
        steps in prop::collection::vec(step(), 1..60),
        graph in prop::sample::select(vec![GraphKind::Packed, GraphKind::HnswRs]),
    ) {
        run(steps, graph);
    }
}
