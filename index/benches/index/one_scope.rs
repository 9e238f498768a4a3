//! One scope: everything that a user of a single one sees.

use std::time::Instant;

use askonce_index::Index;
use askonce_index::bench::{HIT, K, dot, resident_bytes};

/// Rows that are left flat, at most, once a graph has taken in all that it should.
const LEFT_FLAT: usize = 256;

use crate::setup::{Case, Setup, look, look_often, ms, open, per, quantiles};
use crate::support::scope;

pub fn run(setup: &Setup, size: usize) {
    one_scope(&setup.case(size));
    if let Some(case) = setup.crowded(size) {
        println!("\nin 60 separate crowds");
        one_scope(&case);
    }
}

fn one_scope(case: &Case) {
    let (count, dir) = (case.stored.len(), tempfile::tempdir().expect("a folder"));
    let before = resident_bytes().unwrap_or(0);
    let (index, begin) = (open(dir.path()), Instant::now());
    println!("  insert, as the caller sees it: {}", quantiles(&case.fill(&index)));
    let is_building = || Some(index.stats()).is_some_and(|stats| stats.pending > 0 && stats.fresh > LEFT_FLAT);
    while is_building() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    println!("  graph built in {}: {:.0} us a vector", ms(begin), per(begin.elapsed(), count));
    index.settle();
    println!("  and every row looked for in {}", ms(begin));
    let stats = index.stats();
    println!("  {stats:?}");
    let grown = resident_bytes().unwrap_or(0).saturating_sub(before);
    println!("  bytes a vector: {} by stats, {} by growth", stats.bytes / count as u64, grown / count as u64);
    println!("  lookup, at least {HIT}: {}", quantiles(&look_often(&index, &case.queries)));
    println!("  lookup, no bound: {}", quantiles(&look(&index, &case.queries, -1.0)));
    println!("  {}", case.recall(&index));
    println!("  vectors not found by themselves: {} of {}", lost(&index, case), count.div_ceil(7));
    index.flush().expect("a disk that syncs");
    drop(index);
    let begin = Instant::now();
    let index = open(dir.path());
    index.nearest(scope(0), case.queries.get(0), K, HIT).expect("a good query");
    println!("  restart to first lookup: {}", ms(begin));
    let begin = Instant::now();
    drop(index);
    println!("  drop: {}", ms(begin));
}

/// Of every seventh vector, those for which nothing as near as they themselves is found.
fn lost(index: &Index, case: &Case) -> usize {
    let missed = case.stored.iter().step_by(7).filter(|vector| {
        let found = index.nearest(scope(0), vector, 1, 0.999).expect("a good query");
        found.first().is_none_or(|near| dot(vector, case.stored.get(near.id as usize)) < 1.0 - 1e-5)
    });
    missed.count()
}
