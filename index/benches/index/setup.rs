//! What the parts share: vectors and queries, how an index is made, and how figures are printed.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use askonce_index::bench::{Best, Dice, HIT, K, Times, Vectors, enlarge, exact, perturbed, recall};
use askonce_index::{GraphKind, Index, IndexConfig};

use crate::support::{Sentences, scope};

pub const WIDTH: usize = 384;
const QUERIES: usize = 1000;

/// Which graph the command line asks for.
static GRAPH: OnceLock<GraphKind> = OnceLock::new();

/// Vectors from files, if any.
pub struct Setup {
    files: Option<(Vectors, Vectors)>,
}

/// Vectors to store under their numbers, queries, and the true nearest of each.
pub struct Case {
    pub stored: Vectors,
    pub queries: Vectors,
    pub truth: Vec<Best>,
}

impl Setup {
    pub fn read(words: &[String]) -> Setup {
        let after = |flag: &str| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
        let graph = match after("--graph").map(String::as_str) {
            None => GraphKind::default(),
            Some("packed") => GraphKind::Packed,
            Some("hnsw_rs") => GraphKind::HnswRs,
            Some(other) => panic!("--graph {other}: expected packed or hnsw_rs"),
        };
        GRAPH.get_or_init(|| graph);
        let files = after("--stored").zip(after("--queries")).map(|(stored, queries)| {
            let read = |path: &str| Vectors::read(Path::new(path), WIDTH).expect("a file of vectors");
            let (stored, mut queries) = (read(stored), read(queries));
            queries.truncate(QUERIES);
            (stored, queries)
        });
        Setup { files }
    }

    /// So many vectors, from the files or else generated.
    pub fn case(&self, size: usize) -> Case {
        match &self.files {
            Some((stored, queries)) => {
                let (mut stored, queries) = (stored.clone(), queries.clone());
                stored.truncate(size);
                enlarge(&mut stored, size, 1);
                Case::new(stored, queries)
            }
            None => generated(size, Sentences::new(WIDTH, 1)),
        }
    }

    /// Sixty topics far apart, which are hard on a graph; nothing where vectors come from files.
    pub fn crowded(&self, size: usize) -> Option<Case> {
        self.files.is_none().then(|| generated(size, Sentences::crowded(WIDTH, 1)))
    }

    /// So many other vectors of the same kind for every seed.
    pub fn fresh(&self, size: usize, seed: u64) -> Vectors {
        match &self.files {
            Some((stored, _)) => {
                let mut base = stored.clone();
                base.truncate(size);
                let old = base.len();
                enlarge(&mut base, old + size, seed);
                base.split_off(old)
            }
            None => sentences(size, &mut Sentences::again(WIDTH, 1, seed)),
        }
    }
}

impl Case {
    fn new(stored: Vectors, queries: Vectors) -> Case {
        let truth = exact(&stored, &queries);
        Case { stored, queries, truth }
    }

    /// These vectors, asked for by disturbed copies of some.
    pub fn disturbed(stored: Vectors, seed: u64) -> Case {
        let (mut dice, mut queries) = (Dice(seed), Vectors::new(stored.width()));
        for _ in 0..QUERIES {
            let amount = dice.between(0.15, 0.7);
            queries.push(&perturbed(stored.get(dice.below(stored.len())), amount, &mut dice));
        }
        Case::new(stored, queries)
    }

    /// How much of what is there is found: in words.
    pub fn recall(&self, index: &Index) -> String {
        self.recall_of(index, &self.truth)
    }

    /// As [`Case::recall`], against another truth.
    pub fn recall_of(&self, index: &Index, truth: &[Best]) -> String {
        let recall =
            recall(index, &|_| scope(0), (&self.stored, &self.queries, truth), (K, HIT)).expect("good queries");
        let (first, hits) = (recall.at_1(), recall.of_hits());
        format!("recall@1 {first:.4}; hits {hits:.4} ({} of {})", recall.right_hits, recall.hits)
    }

    /// Inserts all into scope 0; the time of each.
    pub fn fill(&self, index: &Index) -> Times {
        let timed = self.stored.iter().enumerate().map(|(id, vector)| {
            let begin = Instant::now();
            index.insert(scope(0), id as u64, vector).expect("a good vector");
            begin.elapsed()
        });
        timed.collect()
    }
}

fn generated(size: usize, mut source: Sentences) -> Case {
    let stored = sentences(size, &mut source);
    let (mut dice, mut queries) = (Dice(2), Vectors::new(WIDTH));
    for _ in 0..QUERIES {
        queries.push(&source.paraphrase(stored.get(dice.below(size))));
    }
    Case::new(stored, queries)
}

fn sentences(size: usize, source: &mut Sentences) -> Vectors {
    let mut vectors = Vectors::new(WIDTH);
    vectors.reserve(size);
    for _ in 0..size {
        vectors.push(&source.sentence());
    }
    vectors
}

/// How every index here is made: the one place for a setting to try.
pub fn config() -> IndexConfig {
    let graph = GRAPH.get().copied().unwrap_or_default();
    IndexConfig { graph, ..IndexConfig::new(WIDTH, "bench") }
}

pub fn in_memory() -> Index {
    Index::in_memory(config()).expect("a good configuration")
}

pub fn open(dir: &Path) -> Index {
    open_with(dir, config())
}

pub fn open_with(dir: &Path, config: IndexConfig) -> Index {
    let (index, recovery) = Index::open(dir, config).expect("the index opens");
    assert!(recovery.notes.is_empty(), "{:?}", recovery.notes);
    index
}

/// The time of a lookup for every query.
pub fn look(index: &Index, queries: &Vectors, bound: f32) -> Times {
    let timed = queries.iter().map(|query| {
        let begin = Instant::now();
        std::hint::black_box(index.nearest(scope(0), query, K, bound).expect("a good query"));
        begin.elapsed()
    });
    timed.collect()
}

/// As [`look`], every query several times, once more beforehand.
pub fn look_often(index: &Index, queries: &Vectors) -> Times {
    look(index, queries, HIT);
    let timed = (0..4).flat_map(|_| queries.iter()).map(|query| {
        let begin = Instant::now();
        std::hint::black_box(index.nearest(scope(0), query, K, HIT).expect("a good query"));
        begin.elapsed()
    });
    timed.collect()
}

/// p50 and p99 in microseconds.
pub fn quantiles(times: &Times) -> String {
    format!("p50 {:.1} us, p99 {:.1} us", times.us(0.5), times.us(0.99))
}

pub fn per(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

pub fn ms(begin: Instant) -> String {
    format!("{:.0} ms", begin.elapsed().as_secs_f64() * 1e3)
}
