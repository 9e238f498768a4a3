//! A restart: from opening to the first lookup, and until the background has nothing more to do.

use std::time::Instant;

use askonce_index::bench::HIT;

use crate::setup::{Setup, look, ms, open, quantiles};

pub fn run(setup: &Setup, size: usize) {
    let case = setup.case(size);
    let dir = tempfile::tempdir().expect("a folder");
    let index = open(dir.path());
    case.fill(&index);
    index.settle();
    println!("  before: {}", case.recall(&index));
    index.flush().expect("a disk that syncs");
    let begin = Instant::now();
    drop(index);
    println!("  closed in {}; {} MiB in files", ms(begin), bytes(dir.path()) >> 20);
    let mut first = case.queries.clone();
    first.truncate(1);
    let begin = Instant::now();
    let index = open(dir.path());
    println!("  opened in {}", ms(begin));
    look(&index, &first, HIT);
    println!("  first lookup after {}", ms(begin));
    println!("  lookups from then on: {}; {} fresh", quantiles(&look(&index, &case.queries, HIT)), index.stats().fresh);
    index.settle();
    println!("  background work done after {}", ms(begin));
    println!("  then: {}", case.recall(&index));
}

fn bytes(dir: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}
