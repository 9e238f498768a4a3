//! Builds one library after another, asks all of them in turns, and holds what they find against the truth.

use std::hint::black_box;
use std::time::Instant;

use askonce_index::bench::{Best, HIT, Recall, Times, Vectors, dot, resident_bytes};

use crate::args::Args;
use crate::report::{Row, median};
use crate::rivals::{self, Rival};

/// A library filled, with the time and the memory that it took.
pub fn build(name: &str, args: &Args, stored: &Vectors) -> Result<(Box<dyn Rival>, Row), String> {
    let (before, begin) = (resident_bytes(), Instant::now());
    let rival = rivals::build(name, args, stored)?;
    let took = begin.elapsed();
    let grown = before.zip(resident_bytes()).map(|(before, now)| now.saturating_sub(before));
    let each = |bytes: u64| bytes as f64 / stored.len() as f64;
    let row = Row {
        name: name.to_owned(),
        insert_us: took.as_secs_f64() * 1e6 / stored.len() as f64,
        bytes_per_vector: grown.map(each),
        own_bytes_per_vector: rival.bytes().map(each),
        ..Row::default()
    };
    Ok((rival, row))
}

/// Every library answers all queries in every round; who begins changes from round to round.
pub fn look(built: &[Box<dyn Rival>], queries: &Vectors, rounds: usize, rows: &mut [Row]) -> Result<(), String> {
    for round in 0..rounds {
        for turn in 0..built.len() {
            let at = (round + turn) % built.len();
            let times = ask(built[at].as_ref(), queries)?;
            rows[at].p50_rounds_us.push(times.us(0.5));
            rows[at].p99_rounds_us.push(times.us(0.99));
        }
    }
    for row in rows {
        (row.p50_us, row.p99_us) = (median(&row.p50_rounds_us), median(&row.p99_rounds_us));
    }
    Ok(())
}

fn ask(rival: &dyn Rival, queries: &Vectors) -> Result<Times, String> {
    // What another library left in the caches is not its fault.
    for query in queries.iter().take(100) {
        black_box(rival.nearest(query)?);
    }
    let timed = queries.iter().map(|query| {
        let begin = Instant::now();
        black_box(rival.nearest(query)?);
        Ok(begin.elapsed())
    });
    timed.collect()
}

/// What is found, by its cosine in f32, whatever the library took it for.
pub fn check(
    rival: &dyn Rival,
    stored: &Vectors,
    queries: &Vectors,
    truth: &[Best],
    row: &mut Row,
) -> Result<(), String> {
    let (mut first, mut among) = (Recall::default(), Recall::default());
    for (query, truth) in queries.iter().zip(truth) {
        let cosine = |id: &usize| dot(query, stored.get(*id));
        let (bound, unbound) = (rival.nearest(query)?, rival.nearest_unbound(query)?);
        first.count(*truth, HIT, unbound.first().map(cosine), bound.first().map(cosine));
        let best = |ids: &[usize]| ids.iter().map(cosine).max_by(f32::total_cmp);
        among.count(*truth, HIT, best(&unbound), best(&bound));
    }
    row.hits = first.hits;
    (row.right_hits, row.hits_among_k) = (first.right_hits, among.right_hits);
    (row.recall_at_1, row.hit_recall) = (first.at_1(), first.of_hits());
    (row.recall_among_k, row.hit_recall_among_k) = (among.at_1(), among.of_hits());
    Ok(())
}
