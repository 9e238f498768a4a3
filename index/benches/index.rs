//! Measures the index on this machine, on sentence-like vectors: `cargo bench -p askonce-index -- [ENTRIES …] [scan] [scopes]`.
//! One scope of each size given, a flat scan against a graph at growing sizes (`scan`), and 100,000 vectors in 10,000
//! scopes (`scopes`); all three, with 10,000 entries, when nothing is named. Times are those of single calls on one thread, while nothing else runs but what is said.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use askonce_index::{Index, IndexConfig};
use support::{Dice, Sentences, scope};

const WIDTH: usize = 384;
const QUERIES: usize = 1000;
const K: usize = 16;
const HIT: f32 = 0.80;

fn main() {
    // `cargo bench` passes `--bench`; what is neither a number nor a part's name is not ours.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asks = |part: &str| words.iter().any(|w| w == part);
    let sizes: Vec<usize> = words.iter().filter_map(|w| w.replace('_', "").parse().ok()).collect();
    let all = sizes.is_empty() && !asks("scan") && !asks("scopes");
    for size in if all { vec![10_000] } else { sizes } {
        println!("\n{size} vectors in one scope, no borders between topics");
        run_one_scope(size, Sentences::new(WIDTH, 1));
        println!("\n{size} vectors in one scope, in 60 separate crowds");
        run_one_scope(size, Sentences::crowded(WIDTH, 1));
    }
    if all || asks("scan") {
        crossover(Sentences::new(WIDTH, 1));
    }
    if all || asks("scopes") {
        many_scopes(Sentences::new(WIDTH, 1));
    }
}

fn run_one_scope(size: usize, mut sentences: Sentences) {
    let mut dice = Dice(2);
    let vectors: Vec<Vec<f32>> = (0..size).map(|_| sentences.sentence()).collect();
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| sentences.paraphrase(&vectors[dice.below(size)])).collect();
    one_scope(&vectors, &queries);
}

/// p50 and p99 in microseconds.
fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    format!("p50 {:.1} us, p99 {:.1} us", at(0.5), at(0.99))
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn open(dir: &Path, config: IndexConfig) -> Index {
    let (index, recovery) = Index::open(dir, config).expect("the index opens");
    assert!(recovery.notes.is_empty(), "{:?}", recovery.notes);
    index
}

fn look(index: &Index, queries: &[Vec<f32>], min_similarity: f32) -> Vec<Duration> {
    let timed = queries.iter().map(|query| {
        let start = Instant::now();
        std::hint::black_box(index.nearest(scope(0), query, K, min_similarity).expect("a good query"));
        start.elapsed()
    });
    timed.collect()
}

fn one_scope(vectors: &[Vec<f32>], queries: &[Vec<f32>]) {
    let (count, dir) = (vectors.len(), tempfile::tempdir().expect("a folder"));
    let before = resident_bytes();
    let index = open(dir.path(), IndexConfig::new(WIDTH, "bench"));
    let start = Instant::now();
    let inserts = vectors.iter().enumerate().map(|(id, vector)| {
        let start = Instant::now();
        index.insert(scope(0), id as u64, vector).expect("a good vector");
        start.elapsed()
    });
    println!("  insert, as the caller sees it: {}", quantiles(inserts.collect()));
    let busy = look(&index, &queries[..queries.len() / 2], HIT);
    println!("  lookup while the graph is built ({} fresh): {}", index.stats().fresh, quantiles(busy));
    index.settle();
    println!("  graph built in {:.1} s: {:.0} us a vector", start.elapsed().as_secs_f64(), per(start.elapsed(), count));
    let stats = index.stats();
    println!("  {stats:?}");
    println!(
        "  {} bytes a vector by stats, {} by the growth of the process",
        stats.bytes / count as u64,
        resident_bytes().saturating_sub(before) / count as u64
    );
    println!("  lookup, at least {HIT}: {}", quantiles(look(&index, queries, HIT)));
    println!("  lookup, no bound: {}", quantiles(look(&index, queries, -1.0)));
    recall(&index, vectors, queries);
    drop(index);
    let start = Instant::now();
    let index = open(dir.path(), IndexConfig::new(WIDTH, "bench"));
    index.nearest(scope(0), &queries[0], K, HIT).expect("a good query");
    println!("  restart to first lookup: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    drop(index);
    println!("  drop: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
}

fn per(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

/// Against a scan of all: of all queries, and of those with a true neighbour at `HIT` or more.
fn recall(index: &Index, vectors: &[Vec<f32>], queries: &[Vec<f32>]) {
    let flat = flat(vectors);
    let (mut right, mut hits, mut right_hits) = (0, 0, 0);
    for query in queries {
        let truth = flat.nearest(scope(0), query, 1, -1.0).expect("a good query")[0];
        let found = index.nearest(scope(0), query, K, -1.0).expect("a good query");
        let same = found.first().is_some_and(|n| n.similarity >= truth.similarity - 1e-6);
        right += usize::from(same);
        hits += usize::from(truth.similarity >= HIT);
        right_hits += usize::from(same && truth.similarity >= HIT);
    }
    println!("  recall@1 {:.3}; hit recall {right_hits} of {hits}", right as f64 / queries.len() as f64);
    let lost = vectors.iter().enumerate().step_by(7).filter(|(id, v)| {
        index.nearest(scope(0), v, 1, 0.999).expect("a good query").first().map(|n| n.id) != Some(*id as u64)
    });
    println!("  vectors not found by themselves: {} of {}", lost.count(), vectors.len() / 7);
}

/// An index that never builds a graph.
fn flat(vectors: &[Vec<f32>]) -> Index {
    let index = Index::in_memory(IndexConfig { graph_from: usize::MAX / 8, ..IndexConfig::new(WIDTH, "bench") });
    let index = index.expect("a good configuration");
    for (id, vector) in vectors.iter().enumerate() {
        index.insert(scope(0), id as u64, vector).expect("a good vector");
    }
    index
}

/// From which size on a graph is quicker than a scan.
fn crossover(mut sentences: Sentences) {
    let vectors: Vec<Vec<f32>> = (0..16_000).map(|_| sentences.sentence()).collect();
    println!("\nscan against graph, at least {HIT}");
    for size in [256, 1000, 2000, 4000, 8000, 16_000] {
        let stored = &vectors[..size];
        let queries: Vec<Vec<f32>> = stored.iter().step_by(size / 200).map(|v| sentences.paraphrase(v)).collect();
        let scan = look(&flat(stored), &queries, HIT);
        let index = Index::in_memory(IndexConfig { graph_from: 128, ..IndexConfig::new(WIDTH, "bench") });
        let index = index.expect("a good configuration");
        for (id, vector) in stored.iter().enumerate() {
            index.insert(scope(0), id as u64, vector).expect("a good vector");
        }
        index.settle();
        println!("  {size}: scan {}; graph {}", quantiles(scan), quantiles(look(&index, &queries, HIT)));
    }
}

fn many_scopes(mut sentences: Sentences) {
    const SCOPES: usize = 10_000;
    const COUNT: usize = 100_000;
    println!("\n{COUNT} vectors in {SCOPES} scopes");
    let dir = tempfile::tempdir().expect("a folder");
    let vectors: Vec<Vec<f32>> = (0..1000).map(|_| sentences.sentence()).collect();
    let before = resident_bytes();
    let index = open(dir.path(), IndexConfig::new(WIDTH, "bench"));
    let mut inserts = Vec::with_capacity(COUNT);
    for id in 0..COUNT {
        let start = Instant::now();
        index.insert(scope((id % SCOPES) as u64), id as u64, &vectors[id % 997]).expect("a good vector");
        inserts.push(start.elapsed());
    }
    println!("  insert: {}", quantiles(inserts));
    let resident = resident_bytes().saturating_sub(before) / COUNT as u64;
    println!("  {} bytes an entry by stats, {resident} by growth", index.stats().bytes / COUNT as u64);
    let mut dice = Dice(3);
    let lookups = (0..100_000).map(|_| {
        let (key, query) = (scope(dice.below(SCOPES) as u64), &vectors[dice.below(1000)]);
        let start = Instant::now();
        std::hint::black_box(index.nearest(key, query, K, HIT).expect("a good query"));
        start.elapsed()
    });
    println!("  lookup: {}", quantiles(lookups.collect()));
    let start = Instant::now();
    let stats = index.stats();
    println!("  stats of {} scopes: {:.1} ms", stats.scopes, start.elapsed().as_secs_f64() * 1e3);
    drop(index);
    let start = Instant::now();
    drop(open(dir.path(), IndexConfig::new(WIDTH, "bench")));
    println!("  restart: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
}
