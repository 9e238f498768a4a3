//! [`measure`]: fills an index in a folder, asks it, holds the answers against the truth, and opens it again.

use std::path::Path;
use std::time::{Duration, Instant};

use super::exact::{Best, exact};
use super::figures::{Recall, Times, recall, resident_bytes};
use super::vectors::Vectors;
use crate::{Index, IndexConfig, IndexError, ScopeKey};

/// Neighbours asked for.
pub const K: usize = 8;

/// The least similarity of a hit.
pub const HIT: f32 = 0.80;

/// Lookups that are timed: each query often enough for that, and at least once.
const LOOKUPS: usize = 4000;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// An empty folder on the disk that counts; files of the index stay in it.
    pub dir: &'a Path,
    /// How the index is made.
    pub config: IndexConfig,
    /// Scopes that the vectors are spread over, in turn. A query goes to the scope of its true nearest.
    pub scopes: usize,
}

/// What was measured. Times are of single calls on one thread, while nothing else of this process runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Vectors stored.
    pub entries: usize,
    /// Scopes that they are in.
    pub scopes: usize,
    /// Different queries.
    pub queries: usize,
    /// Of them, those whose true nearest has a cosine of at least [`HIT`].
    pub hits: usize,
    /// A lookup of [`K`] neighbours with at least [`HIT`], once the graph is built: median.
    pub p50_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// Share of the hits whose true nearest came first.
    pub hit_recall: f64,
    /// Share of all queries, asked without a bound, whose true nearest came first.
    pub recall_at_1: f64,
    /// Memory in bytes as the index reckons it.
    pub bytes_per_vector: f64,
    /// Memory in bytes by which the process grew; `None` where the system does not say.
    pub process_bytes_per_vector: Option<f64>,
    /// Bytes in files.
    pub file_bytes_per_vector: f64,
    /// An insert as the caller sees it, written to the log: median.
    pub insert_p50_us: f64,
    /// 99 %.
    pub insert_p99_us: f64,
    /// From the first insert until all background work was done, divided by the vectors: all cores that the index uses.
    pub build_us: f64,
    /// From opening the folder again to the end of the first lookup. The system has the files in memory.
    pub restart_ms: f64,
}

/// Measures. `note` is told what goes on.
///
/// # Errors
/// What the index says: a folder that cannot be written, vectors of another width.
pub fn measure(
    options: &Options<'_>,
    stored: &Vectors,
    queries: &Vectors,
    note: &dyn Fn(&str),
) -> Result<Report, IndexError> {
    let scopes = options.scopes.clamp(1, stored.len().max(1));
    let scope_of = |id: usize| scope(id % scopes);
    note("comparing every query with every vector, for the truth");
    let truth = exact(stored, queries);
    let before = resident_bytes();
    let (index, _) = Index::open(options.dir, options.config.clone())?;
    note("inserting");
    let begin = Instant::now();
    let inserts = fill(&index, stored, &scope_of)?;
    index.settle();
    let built = begin.elapsed();
    let grown = before.zip(resident_bytes()).map(|(before, now)| now.saturating_sub(before));
    note("looking up");
    let lookups = look(&index, &scope_of, queries, &truth)?;
    let recall = recall(&index, &scope_of, (stored, queries, &truth), (K, HIT))?;
    let stats = index.stats();
    index.flush()?;
    drop(index);
    note("opening it again");
    let restart = reopen(options, &scope_of, queries, &truth)?;
    let each = |bytes: u64| bytes as f64 / stored.len().max(1) as f64;
    Ok(Report {
        entries: stored.len(),
        scopes,
        queries: queries.len(),
        hits: recall.hits,
        p50_us: lookups.us(0.5),
        p99_us: lookups.us(0.99),
        hit_recall: Recall::of_hits(&recall),
        recall_at_1: recall.at_1(),
        bytes_per_vector: each(stats.bytes),
        process_bytes_per_vector: grown.map(each),
        file_bytes_per_vector: each(stats.file_bytes),
        insert_p50_us: inserts.us(0.5),
        insert_p99_us: inserts.us(0.99),
        build_us: built.as_secs_f64() * 1e6 / stored.len().max(1) as f64,
        restart_ms: restart.as_secs_f64() * 1e3,
    })
}

fn scope(number: usize) -> ScopeKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(number as u64).to_le_bytes());
    ScopeKey(key)
}

fn fill(index: &Index, stored: &Vectors, scope_of: &dyn Fn(usize) -> ScopeKey) -> Result<Times, IndexError> {
    let timed = stored.iter().enumerate().map(|(id, vector)| {
        let begin = Instant::now();
        index.insert(scope_of(id), id as u64, vector)?;
        Ok(begin.elapsed())
    });
    timed.collect()
}

fn look(
    index: &Index,
    scope_of: &dyn Fn(usize) -> ScopeKey,
    queries: &Vectors,
    truth: &[Best],
) -> Result<Times, IndexError> {
    let rounds = LOOKUPS.div_ceil(queries.len().max(1));
    let all = (0..rounds).flat_map(|_| queries.iter().zip(truth));
    let timed = all.map(|(query, truth)| {
        let begin = Instant::now();
        std::hint::black_box(index.nearest(scope_of(truth.id), query, K, HIT)?);
        Ok(begin.elapsed())
    });
    timed.collect()
}

fn reopen(
    options: &Options<'_>,
    scope_of: &dyn Fn(usize) -> ScopeKey,
    queries: &Vectors,
    truth: &[Best],
) -> Result<Duration, IndexError> {
    let begin = Instant::now();
    let (index, _) = Index::open(options.dir, options.config.clone())?;
    if let Some((query, truth)) = queries.iter().zip(truth).next() {
        index.nearest(scope_of(truth.id), query, K, HIT)?;
    }
    Ok(begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::super::{Dice, perturbed};
    use super::*;

    #[test]
    fn a_small_index_is_measured_whole() {
        let (mut dice, mut stored, mut queries) = (Dice(9), Vectors::new(16), Vectors::new(16));
        for _ in 0..300 {
            stored.push(&(0..16).map(|_| dice.normal()).collect::<Vec<_>>());
        }
        for row in 0..50 {
            queries.push(&perturbed(stored.get(row), 0.2, &mut dice));
        }
        for scopes in [1, 7] {
            let dir = tempfile::tempdir().unwrap();
            let options = Options { dir: dir.path(), config: IndexConfig::new(16, "test"), scopes };
            let report = measure(&options, &stored, &queries, &|_| {}).unwrap();
            assert_eq!((report.entries, report.scopes, report.queries, report.hits), (300, scopes, 50, 50));
            assert_eq!((report.hit_recall, report.recall_at_1), (1.0, 1.0), "small scopes are exact");
            assert!(report.p50_us > 0.0 && report.p50_us <= report.p99_us && report.restart_ms > 0.0, "{report:?}");
            assert!(report.insert_p50_us <= report.insert_p99_us && report.file_bytes_per_vector > 16.0, "{report:?}");
        }
    }
}
