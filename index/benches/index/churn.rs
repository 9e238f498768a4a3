//! Rounds in which everything is replaced: whether recall, time and memory drift away from those of a fresh build.

use std::time::Instant;

use askonce_index::Index;
use askonce_index::bench::{Dice, resident_bytes};

use crate::setup::{Case, Setup, in_memory, look_often, ms, quantiles};
use crate::support::scope;

const ROUNDS: u64 = 10;

pub fn run(setup: &Setup, size: usize) {
    let index = in_memory();
    let mut case = Case::disturbed(setup.fresh(size, 100), 100);
    case.fill(&index);
    report("filled", &index, &case);
    for round in 1..=ROUNDS {
        let begin = Instant::now();
        case = Case::disturbed(setup.fresh(size, 100 + round), 100 + round);
        println!("  (round {round}: vectors and truth made in {})", ms(begin));
        let begin = Instant::now();
        replace(&index, &case, round);
        report(&format!("round {round}, {} for the changes", ms(begin)), &index, &case);
    }
    drop(index);
    let fresh = in_memory();
    case.fill(&fresh);
    report("a fresh build of the same", &fresh, &case);
}

/// New vectors under the old ids, in random order. Half are removed first, the others replaced.
fn replace(index: &Index, case: &Case, round: u64) {
    let (mut dice, mut ids) = (Dice(round), (0..case.stored.len()).collect::<Vec<_>>());
    dice.shuffle(&mut ids);
    for id in ids {
        if dice.below(2) == 0 {
            index.remove(scope(0), id as u64).expect("an index in memory");
        }
        index.insert(scope(0), id as u64, case.stored.get(id)).expect("a good vector");
    }
}

fn report(what: &str, index: &Index, case: &Case) {
    index.settle();
    let (stats, resident) = (index.stats(), resident_bytes().unwrap_or(0) >> 20);
    println!("{what}");
    println!("  {}; lookup {}", case.recall(index), quantiles(&look_often(index, &case.queries)));
    println!(
        "  {} bytes a vector; {} dead, {} fresh; process {resident} MiB",
        stats.bytes / stats.live as u64,
        stats.dead,
        stats.fresh
    );
}
