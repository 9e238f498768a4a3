//! [`Report`]: a row for each library, as JSON and as a table.

use std::fmt;

use askonce_index::bench::{HIT, K};
use serde::Serialize;

use crate::args::Args;

/// What was measured on what.
#[derive(Serialize)]
pub struct Report {
    pub entries: usize,
    pub queries: usize,
    pub k: usize,
    pub hit: f32,
    pub ef: usize,
    pub own_ef: Option<usize>,
    pub rounds: usize,
    pub rows: Vec<Row>,
}

/// One library. Times are medians of the rounds.
#[derive(Default, Serialize)]
pub struct Row {
    pub name: String,
    /// Building, divided by the vectors.
    pub insert_us: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Of all queries, those whose true nearest came first; and those where it was among the `k`.
    pub recall_at_1: f64,
    pub recall_among_k: f64,
    /// Queries whose true nearest has at least `hit`; of them, those where it came first, and where it was among the `k`.
    pub hits: usize,
    pub right_hits: usize,
    pub hits_among_k: usize,
    pub hit_recall: f64,
    pub hit_recall_among_k: f64,
    /// Growth of the process; and what the library says.
    pub bytes_per_vector: Option<f64>,
    pub own_bytes_per_vector: Option<f64>,
    pub p50_rounds_us: Vec<f64>,
    pub p99_rounds_us: Vec<f64>,
    /// How many times as long as the first library it took: the median of the rounds' ratios; the range of them.
    pub times_p50: f64,
    pub times_p50_range: (f64, f64),
    pub times_p99: f64,
    pub times_insert: f64,
}

impl Report {
    pub fn new(args: &Args, entries: usize, queries: usize) -> Report {
        let Args { ef, own_ef, rounds, .. } = *args;
        Report { entries, queries, k: K, hit: HIT, ef, own_ef, rounds, rows: Vec::new() }
    }

    /// Fills in how the rows compare with the first.
    pub fn compare(&mut self) {
        let ratios = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a / b).collect::<Vec<_>>();
        let Some(first) = self.rows.first() else { return };
        let (p50, p99, insert) = (first.p50_rounds_us.clone(), first.p99_rounds_us.clone(), first.insert_us);
        for row in &mut self.rows {
            let times = ratios(&row.p50_rounds_us, &p50);
            let range = |a: f64, b: f64| (a.min(b), a.max(b));
            row.times_p50_range =
                times.iter().fold((f64::MAX, f64::MIN), |all, x| (range(all.0, *x).0, range(all.1, *x).1));
            row.times_p50 = median(&times);
            row.times_p99 = median(&ratios(&row.p99_rounds_us, &p99));
            row.times_insert = row.insert_us / insert;
        }
    }
}

/// The middle one; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { entries, queries, rounds, .. } = self;
        writeln!(
            f,
            "{entries} vectors, {queries} queries, {rounds} rounds in turns, one core; ef {} (ours: {})",
            self.ef,
            self.own_ef.map_or("its default".to_owned(), |ef| ef.to_string())
        )?;
        writeln!(
            f,
            "| | µs an insert | p50 µs | p99 µs | × p50 (range) | × p99 | recall@1 (in {}) | hits ≥ {}: first, in {} | B a vector |",
            self.k, self.hit, self.k
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let (low, high) = row.times_p50_range;
            writeln!(
                f,
                "| {} | {:.0} | {:.1} | {:.1} | {:.2} ({low:.2}–{high:.2}) | {:.2} | {:.4} ({:.4}) | {} ({:.4}), {} of {} | {:.0} |",
                row.name,
                row.insert_us,
                row.p50_us,
                row.p99_us,
                row.times_p50,
                row.times_p99,
                row.recall_at_1,
                row.recall_among_k,
                row.right_hits,
                row.hit_recall,
                row.hits_among_k,
                row.hits,
                row.bytes_per_vector.unwrap_or(f64::NAN),
            )?;
        }
        Ok(())
    }
}
