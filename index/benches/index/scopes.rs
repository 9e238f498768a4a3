//! Many small scopes: ten entries in each.

use std::time::Instant;

use askonce_index::bench::{Dice, HIT, K, Times, resident_bytes};

use crate::setup::{Setup, ms, open, quantiles};
use crate::support::scope;

const EACH: usize = 10;
const LOOKUPS: usize = 100_000;

pub fn run(setup: &Setup, size: usize) {
    let scopes = (size / EACH).max(1);
    // Which vectors they are makes no difference; that they are not all in a core's cache does.
    let vectors = setup.case(size.min(20_000)).stored;
    let dir = tempfile::tempdir().expect("a folder");
    let before = resident_bytes().unwrap_or(0);
    let index = open(dir.path());
    let inserts: Times = (0..size)
        .map(|id| {
            let begin = Instant::now();
            index
                .insert(scope((id % scopes) as u64), id as u64, vectors.get(id % vectors.len()))
                .expect("a good vector");
            begin.elapsed()
        })
        .collect();
    println!("  {size} in {scopes} scopes; insert: {}", quantiles(&inserts));
    index.settle();
    let resident = resident_bytes().unwrap_or(0).saturating_sub(before) / size as u64;
    println!("  bytes an entry: {} by stats, {resident} by growth", index.stats().bytes / size as u64);
    let mut dice = Dice(3);
    let lookups = (0..LOOKUPS).map(|_| {
        let (key, query) = (scope(dice.below(scopes) as u64), vectors.get(dice.below(vectors.len())));
        let begin = Instant::now();
        std::hint::black_box(index.nearest(key, query, K, HIT).expect("a good query"));
        begin.elapsed()
    });
    println!("  lookup: {}", quantiles(&lookups.collect()));
    let begin = Instant::now();
    let stats = index.stats();
    println!("  stats of {} scopes: {}", stats.scopes, ms(begin));
    index.flush().expect("a disk that syncs");
    drop(index);
    let begin = Instant::now();
    let index = open(dir.path());
    index.nearest(scope(0), vectors.get(0), K, HIT).expect("a good query");
    println!("  restart to first lookup: {}", ms(begin));
}
