//! Lookups, inserts, removals, graph building, rebuilds and log compaction at the same time.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use askonce_index::{GraphKind, Index, IndexConfig, IndexError};
use support::{Sentences, scope};

const WIDTH: usize = 32;

fn config(graph: GraphKind) -> IndexConfig {
    IndexConfig {
        graph,
        graph_from: 100,
        m: 8,
        ef_construction: 40,
        ef_search: 32,
        checkpoint_from_bytes: 100_000,
        ..IndexConfig::new(WIDTH, "test")
    }
}

/// Each writer owns its ids: what it inserted is there, what it removed is not, whatever the others do.
fn write(index: &Index, writer: u64, until: Instant) -> Vec<(u64, Vec<f32>)> {
    let mut sentences = Sentences::new(WIDTH, writer);
    let mut held: Vec<(u64, Vec<f32>)> = Vec::new();
    let mut next = writer << 32;
    while Instant::now() < until {
        let vector = sentences.sentence();
        index.insert(scope(0), next, &vector).unwrap();
        let found = index.nearest(scope(0), &vector, 3, 0.999).unwrap();
        assert!(found.iter().any(|n| n.id == next), "just inserted");
        held.push((next, vector));
        next += 1;
        if held.len() > 300 {
            let (gone, vector) = held.swap_remove((next % 300) as usize);
            assert!(index.remove(scope(0), gone).unwrap());
            let found = index.nearest(scope(0), &vector, 3, 0.999).unwrap();
            assert!(found.iter().all(|n| n.id != gone), "just removed");
        }
        let (id, vector) = &held[next as usize % held.len()];
        let found = index.nearest(scope(0), vector, 3, 0.999).unwrap();
        assert!(found.iter().any(|n| n.id == *id), "{id} is held");
    }
    held
}

#[test]
fn writers_and_readers_do_not_disturb_each_other() {
    writers_and_readers(GraphKind::Packed);
    writers_and_readers(GraphKind::HnswRs);
}

fn writers_and_readers(graph: GraphKind) {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = Index::open(dir.path(), config(graph)).unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    let over = AtomicBool::new(false);
    let held: Vec<(u64, Vec<f32>)> = std::thread::scope(|threads| {
        let writers: Vec<_> = (1..4)
            .map(|w| {
                threads.spawn({
                    let index = &index;
                    move || write(index, w, until)
                })
            })
            .collect();
        let reader = threads.spawn(|| {
            let mut sentences = Sentences::new(WIDTH, 99);
            while !over.load(Ordering::Relaxed) {
                let found = index.nearest(scope(0), &sentences.sentence(), 10, -1.0).unwrap();
                assert!(found.windows(2).all(|p| p[0].similarity >= p[1].similarity && p[0].id != p[1].id));
                let _ = index.stats();
            }
        });
        let held: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        // Before anything may panic: the reader would go on for ever.
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        held.into_iter().flat_map(|held| held.unwrap()).collect()
    });
    index.settle();
    let mut expected: Vec<u64> = held.iter().map(|(id, _)| *id).collect();
    expected.sort_unstable();
    let mut ids: Vec<u64> = index.ids().iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    assert_eq!(ids, expected);
    drop(index);
    let (index, recovery) = Index::open(dir.path(), config(graph)).unwrap();
    assert_eq!((recovery.live, recovery.notes), (expected.len(), vec![]));
    for (id, vector) in &held {
        assert!(index.nearest(scope(0), vector, 3, 0.999).unwrap().iter().any(|n| n.id == *id));
    }
}

#[test]
fn scopes_come_and_go_while_all_is_forgotten_now_and_then() {
    let index = Index::in_memory(config(GraphKind::default())).unwrap();
    std::thread::scope(|threads| {
        for writer in 0..3_u64 {
            let index = &index;
            threads.spawn(move || {
                let mut sentences = Sentences::new(WIDTH, writer);
                for round in 0..3000_u64 {
                    let (key, vector) = (scope(round % 5), sentences.sentence());
                    index.insert(key, writer, &vector).unwrap();
                    index.remove(key, writer).unwrap();
                    if round % 500 == 0 {
                        index.clear().unwrap();
                    }
                }
            });
        }
    });
    index.settle();
    let stats = index.stats();
    assert_eq!((stats.live, stats.scopes, index.ids().len(), stats.dead), (0, 0, 0, 0));
}

#[test]
fn wrong_input_is_refused_and_changes_nothing() {
    let index = Index::in_memory(config(GraphKind::default())).unwrap();
    let good = Sentences::new(WIDTH, 1).sentence();
    let with = |at: usize, x: f32| {
        let mut vector = good.clone();
        vector[at] = x;
        vector
    };
    let wrong = [vec![], good[1..].to_vec(), with(3, f32::NAN), with(0, f32::INFINITY), vec![0.0; WIDTH], with(5, 9.0)];
    for vector in wrong {
        assert!(index.insert(scope(0), 1, &vector).is_err());
        assert!(index.nearest(scope(0), &vector, 1, 0.5).is_err());
    }
    assert!(matches!(index.nearest(scope(0), &good, 1, f32::NAN), Err(IndexError::BadBound)));
    assert_eq!(index.stats().live, 0);
    assert!(!index.remove(scope(0), 1).unwrap());
    index.insert(scope(0), 1, &good).unwrap();
    for (k, bound, expected) in [(0, -1.0, 0), (usize::MAX, -1.0, 1), (1, f32::INFINITY, 0), (1, f32::NEG_INFINITY, 1)]
    {
        assert_eq!(index.nearest(scope(0), &good, k, bound).unwrap().len(), expected);
    }
    assert!(index.nearest(scope(1), &good, 1, -1.0).unwrap().is_empty(), "another scope");
}
