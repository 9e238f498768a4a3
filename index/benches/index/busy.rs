//! Lookups while others insert and delete, beside quiet ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use askonce_index::Index;
use askonce_index::bench::{HIT, K, Times, Vectors};

use crate::setup::{Setup, look_often, open, quantiles};
use crate::support::scope;

const SECONDS: u64 = 10;
const EACH_SECOND: usize = 2000;

pub fn run(setup: &Setup, size: usize) {
    let case = setup.case(size);
    let more = setup.fresh(SECONDS as usize * EACH_SECOND, 12);
    let dir = tempfile::tempdir().expect("a folder");
    let index = open(dir.path());
    case.fill(&index);
    index.settle();
    let quiet = look_often(&index, &case.queries);
    println!("  quiet: {}", quantiles(&quiet));
    let (busy, done) = together(&index, &case.queries, &more, size);
    println!("  while {done} are inserted and as many deleted in {SECONDS} s: {}", quantiles(&busy));
    println!("  p50 × {:.2}, p99 × {:.2}", busy.us(0.5) / quiet.us(0.5), busy.us(0.99) / quiet.us(0.99));
    println!("  behind by then: {:?}", index.stats());
    index.settle();
    println!("  quiet again: {}", quantiles(&look_often(&index, &case.queries)));
}

/// Lookups on this thread, changes on another; how many of those there were.
fn together(index: &Index, queries: &Vectors, more: &Vectors, size: usize) -> (Times, usize) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| write(index, more, size, &stop));
        let (begin, mut times) = (Instant::now(), Vec::new());
        for query in queries.iter().cycle() {
            if begin.elapsed() > Duration::from_secs(SECONDS) {
                break;
            }
            let begin = Instant::now();
            std::hint::black_box(index.nearest(scope(0), query, K, HIT).expect("a good query"));
            times.push(begin.elapsed());
            // As questions come: not one right after another, so that lookups do not starve what they are measured beside.
            std::thread::sleep(Duration::from_micros(200));
        }
        stop.store(true, Ordering::Relaxed);
        (times.into_iter().collect(), writer.join().expect("a writer that does not panic"))
    })
}

fn write(index: &Index, more: &Vectors, size: usize, stop: &AtomicBool) -> usize {
    let (begin, mut done) = (Instant::now(), 0);
    for vector in more.iter() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due = Duration::from_secs_f64(done as f64 / EACH_SECOND as f64);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        index.insert(scope(0), (size + done) as u64, vector).expect("a good vector");
        index.remove(scope(0), done as u64).expect("a log that can be written");
        done += 1;
    }
    done
}
