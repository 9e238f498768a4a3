//! An insert as the caller sees it, into an index that is already full: in memory and on disk, in a burst and paced.

use std::time::{Duration, Instant};

use askonce_index::bench::{Times, Vectors};
use askonce_index::{Index, IndexConfig};

use crate::setup::{Setup, config, in_memory, open, open_with, quantiles};
use crate::support::scope;

const MORE: usize = 10_000;
const PACE: Duration = Duration::from_micros(500);

pub fn run(setup: &Setup, size: usize) {
    let case = setup.case(size);
    let more = setup.fresh(MORE, 11);
    println!("in memory");
    let index = in_memory();
    case.fill(&index);
    further(&index, &more, size as u64);
    drop(index);
    for (what, sync_window) in [("on disk", config().sync_window), ("on disk, synced at once", Duration::ZERO)] {
        println!("{what} (window {sync_window:?})");
        let dir = tempfile::tempdir().expect("a folder");
        let index = open(dir.path());
        case.fill(&index);
        drop(index);
        let index = open_with(dir.path(), IndexConfig { sync_window, ..config() });
        further(&index, &more, size as u64);
    }
}

fn further(index: &Index, more: &Vectors, first: u64) {
    index.settle();
    println!("  {MORE} more at once: {}", quantiles(&insert(index, more, first, Duration::ZERO)));
    index.settle();
    let paced = insert(index, more, first + MORE as u64, PACE);
    println!("  {MORE} more, one each {PACE:?}: {}; p99.9 {:.1} us", quantiles(&paced), paced.us(0.999));
}

fn insert(index: &Index, more: &Vectors, first: u64, pace: Duration) -> Times {
    let start = Instant::now();
    let timed = (0..).zip(more.iter()).map(|(number, vector)| {
        std::thread::sleep((pace * number).saturating_sub(start.elapsed()));
        let begin = Instant::now();
        index.insert(scope(0), first + u64::from(number), vector).expect("a good vector");
        begin.elapsed()
    });
    timed.collect()
}
