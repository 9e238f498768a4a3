//! What is found when half of all is deleted at random, in clusters, or all that was near a query: at once, after the background work,
//! and in a fresh build of what is left.

use std::collections::HashSet;

use askonce_index::Index;
use askonce_index::bench::{Dice, exact_among, nearest_exact};
use rayon::prelude::*;

use crate::setup::{Case, Setup, in_memory, look_often, quantiles};
use crate::support::scope;

/// Rows in a deleted cluster are at most one in so many of all.
const CLUSTERS: usize = 100;

/// Nearest of each query that are deleted; and queries of which they are, so that enough is left.
const CLUSTER: usize = 200;

pub fn run(setup: &Setup, size: usize) {
    let case = setup.case(size);
    println!("nothing deleted");
    let index = filled(&case);
    report(&index, &case, &HashSet::new());
    let mut ids: Vec<usize> = (0..size).collect();
    Dice(5).shuffle(&mut ids);
    ids.truncate(size / 2);
    delete("half, at random", &index, &case, ids.into_iter().collect());
    let dead = clustered(&case, size / 2);
    delete("half, in clusters", &filled(&case), &case, dead);
    let case = sparse(case);
    let near: Vec<Vec<usize>> = (0..case.queries.len())
        .into_par_iter()
        .map(|query| nearest_exact(&case.stored, case.queries.get(query), CLUSTER).iter().map(|best| best.id).collect())
        .collect();
    let name = format!("the {CLUSTER} nearest of each of {} queries", near.len());
    delete(&name, &filled(&case), &case, near.into_iter().flatten().collect());
}

/// The nearest of random rows, `count` in all.
fn clustered(case: &Case, count: usize) -> HashSet<usize> {
    let (mut dice, mut dead) = (Dice(6), HashSet::new());
    let each = (case.stored.len() / CLUSTERS).max(1);
    while dead.len() < count {
        let centre = case.stored.get(dice.below(case.stored.len()));
        let near = nearest_exact(&case.stored, centre, each);
        let left = count - dead.len();
        let alive: Vec<usize> = near.iter().map(|best| best.id).filter(|id| !dead.contains(id)).take(left).collect();
        dead.extend(alive);
    }
    dead
}

/// As many queries as leave at least half of all undeleted.
fn sparse(mut case: Case) -> Case {
    case.queries.truncate((case.stored.len() / CLUSTER / 2).max(1));
    case.truth.truncate(case.queries.len());
    case
}

fn filled(case: &Case) -> Index {
    let index = in_memory();
    case.fill(&index);
    index.settle();
    index
}

fn delete(what: &str, index: &Index, case: &Case, dead: HashSet<usize>) {
    for id in &dead {
        index.remove(scope(0), *id as u64).expect("an index in memory");
    }
    println!("deleted: {what} ({} of {}); at once", dead.len(), case.stored.len());
    report(index, case, &dead);
    index.settle();
    println!("after the background work");
    report(index, case, &dead);
    println!("in a fresh build of what is left");
    let fresh = in_memory();
    let left = case.stored.iter().enumerate().filter(|(id, _)| !dead.contains(id));
    left.for_each(|(id, vector)| fresh.insert(scope(0), id as u64, vector).expect("a good vector"));
    fresh.settle();
    report(&fresh, case, &dead);
}

fn report(index: &Index, case: &Case, dead: &HashSet<usize>) {
    let truth = exact_among(&case.stored, &case.queries, &|id| !dead.contains(&id));
    println!("  {}", case.recall_of(index, &truth));
    println!("  lookup: {}", quantiles(&look_often(index, &case.queries)));
}
