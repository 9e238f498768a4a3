//! How long embedding takes on this machine: every engine by length and batch, in turns, beside what the memory allows.
//!
//! `bandwidth`: how fast one core reads; `rounds`: engines that take turns, and what came of it.

mod bandwidth;
mod rounds;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::backend::{Backend, TokenBatch};
use crate::device::Device;
use crate::engine;
use crate::error::{EmbedError, ModelError};
use crate::manifest::ModelManifest;
use crate::precision::{Kernels, Precision};
use crate::tokenize::Tokens;
use crate::worker;

pub use bandwidth::{ReadBuffer, bytes_per_second};
pub use rounds::{Round, Rounds, Runner, interleave, median};

/// Passes before the clock runs: they fault memory in and wake the processor's wide units.
const WARM_UPS: usize = 2;
/// Passes that are timed at least, however long they take.
const FEWEST: usize = 5;
/// Rounds of [`bench`]. Odd, so that a median is a value that was measured.
const ROUNDS: usize = 5;

/// What is encoded in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Shape {
    /// Texts in the batch.
    pub texts: usize,
    /// Length of each in tokens, markers included.
    pub tokens: usize,
}

/// Times of one pass, as measured in one go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// Median in microseconds, of the whole batch.
    pub median_us: f64,
    /// The shortest in microseconds.
    pub best_us: f64,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchOptions {
    /// Lengths and batches. Default: 8 to 256 tokens alone, and 32 texts of 16; those beyond the model's limit are left
    /// out.
    pub shapes: Vec<Shape>,
    /// The arithmetics. Default: all.
    pub precisions: Vec<Precision>,
    /// Which instructions compute; those that this processor lacks are left out. Default: the fastest.
    pub kernels: Vec<Kernels>,
    /// Where the model runs.
    pub device: Device,
    /// Time for all of it together, loading and warm-up not counted. Slow engines take longer. Default 10 s.
    pub time: Duration,
}

impl Default for BenchOptions {
    fn default() -> BenchOptions {
        let alone = [8, 16, 32, 64, 128, 256].map(|tokens| Shape { texts: 1, tokens });
        BenchOptions {
            shapes: alone.into_iter().chain([Shape { texts: 32, tokens: 16 }]).collect(),
            precisions: Precision::ALL.to_vec(),
            kernels: vec![Kernels::Auto],
            device: Device::Cpu,
            time: Duration::from_secs(10),
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// The model's name.
    pub model: String,
    /// How fast one core reads memory, in GB (10⁹ bytes) a second: the median of the rounds.
    pub read_gb_s: f64,
    /// How often every row was measured, in turns.
    pub rounds: usize,
    /// One for each engine and shape.
    pub rows: Vec<BenchRow>,
}

/// One measured row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchRow {
    /// What ran the model: `candle`, or the instruction set.
    pub engine: String,
    /// Its arithmetic.
    pub precision: String,
    /// Texts in the batch.
    pub texts: usize,
    /// Length of each in tokens, markers included.
    pub tokens: usize,
    /// Cores that the forward pass used; 1, as in the embedder's workers.
    pub threads: usize,
    /// Time of ids → unit vectors, a text, in microseconds: the median of the rounds' medians. Tokenizing is not in it.
    pub median_us: f64,
    /// The shortest pass of all, a text, in microseconds.
    pub best_us: f64,
    /// Tokens a second, from the median.
    pub tokens_per_s: f64,
    /// The time in microseconds, a text, in which the weights of one pass can be read at [`BenchReport::read_gb_s`];
    /// none where the engine does not say how many bytes these are.
    pub floor_us: Option<f64>,
    /// How many times the floor the pass took: the median of the rounds' ratios. Near 1 for short texts means that only
    /// smaller weights could be faster; long texts and batches are bound by arithmetic and exceed it by far.
    pub times_floor: Option<f64>,
}

/// A loaded model, ready to be timed.
pub struct Bencher {
    backend: Box<dyn Backend>,
    precision: Precision,
    kernels: Kernels,
    max_tokens: usize,
}

impl Bencher {
    /// Loads a model as [`crate::Embedder::load`] does, and starts no threads.
    ///
    /// # Errors
    /// As for loading; [`ModelError::Setting`] when this processor has no such kernels.
    pub fn load(
        dir: &Path,
        manifest: &ModelManifest,
        device: Device,
        precision: Precision,
        kernels: Kernels,
    ) -> Result<Bencher, ModelError> {
        let engine = engine::load(dir, manifest, manifest.max_tokens, engine::Choice { device, precision, kernels })?;
        Ok(Bencher { backend: engine.backend, precision, kernels, max_tokens: manifest.max_tokens })
    }

    /// Loads every engine of these precisions and kernels that this machine can run, each once: `auto` and the kernels
    /// that it stands for are the same engine. `f32` has no kernels to choose from.
    ///
    /// # Errors
    /// As for loading; [`ModelError::Setting`] when not a single one can run.
    pub fn load_all(
        dir: &Path,
        manifest: &ModelManifest,
        device: Device,
        precisions: &[Precision],
        kernels: &[Kernels],
    ) -> Result<Vec<Bencher>, ModelError> {
        let (mut loaded, mut seen, mut refused) = (Vec::new(), HashSet::new(), None);
        for &precision in precisions {
            let kernels = if precision == Precision::F32 { &[Kernels::Auto] } else { kernels };
            for &kernels in kernels {
                match Bencher::load(dir, manifest, device, precision, kernels) {
                    Ok(bencher) if seen.insert((precision, bencher.engine())) => loaded.push(bencher),
                    Ok(_) => {}
                    Err(error @ ModelError::Setting { .. }) => refused = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
        match refused {
            Some(error) if loaded.is_empty() => Err(error),
            _ => Ok(loaded),
        }
    }

    /// What computes: `candle`, or the instruction set.
    pub fn engine(&self) -> &'static str {
        self.backend.engine()
    }

    /// Its arithmetic.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The kernels that were asked for.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// The longest text in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Bytes of the weights that every pass reads; 0 if the engine does not say.
    pub fn pass_bytes(&self) -> usize {
        self.backend.pass_bytes()
    }

    /// Bytes of all weights in memory; 0 if the engine does not say.
    pub fn packed_bytes(&self) -> usize {
        self.backend.packed_bytes()
    }

    /// The time of one pass on this thread's core, ids → unit vectors.
    ///
    /// # Errors
    /// What the engine says.
    pub fn time(&self, shape: Shape, time: Duration) -> Result<Timing, EmbedError> {
        let mut times = Vec::new();
        self.passes(shape, WARM_UPS, &mut |_| true)?;
        let begin = Instant::now();
        self.passes(shape, usize::MAX, &mut |took| {
            times.push(took);
            times.len() < FEWEST || begin.elapsed() < time
        })?;
        times.sort_unstable();
        let us = |took: Duration| took.as_secs_f64() * 1e6;
        Ok(Timing { median_us: us(times[times.len() / 2]), best_us: us(times[0]) })
    }

    /// Passes a second on this thread's core, over about `time`.
    ///
    /// # Errors
    /// What the engine says.
    pub fn passes_per_s(&self, shape: Shape, time: Duration) -> Result<f64, EmbedError> {
        self.passes(shape, WARM_UPS, &mut |_| true)?;
        let (begin, mut count) = (Instant::now(), 0.0);
        self.passes(shape, usize::MAX, &mut |_| {
            count += 1.0;
            begin.elapsed() < time
        })?;
        Ok(count / begin.elapsed().as_secs_f64())
    }

    /// Runs up to `most` passes while `go_on` says so, which is told how long each took.
    fn passes(
        &self,
        shape: Shape,
        most: usize,
        go_on: &mut (dyn FnMut(Duration) -> bool + Send),
    ) -> Result<(), EmbedError> {
        let text = sample(shape.tokens);
        let batch = TokenBatch::new(&vec![&text; shape.texts]);
        worker::on_one_core(|| {
            let mut vectors = Vec::new();
            for _ in 0..most {
                vectors.clear();
                let begin = Instant::now();
                self.backend.encode(&batch, &mut vectors)?;
                if !go_on(begin.elapsed()) {
                    break;
                }
            }
            Ok(())
        })
    }
}

impl Runner for Bencher {
    fn name(&self) -> String {
        format!("{} {}", self.precision, self.engine())
    }

    fn time(&mut self, shape: Shape, time: Duration) -> Result<Option<Timing>, String> {
        if !(1..=self.max_tokens).contains(&shape.tokens) {
            return Ok(None);
        }
        Bencher::time(self, shape, time).map(Some).map_err(|error| format!("{}: {error}", self.name()))
    }
}

/// Measures a model's engines in turns. Blocks for about [`BenchOptions::time`].
///
/// # Errors
/// [`ModelError`] as for loading; a failing model is reported as a bad file.
pub fn bench(dir: &Path, manifest: &ModelManifest, options: &BenchOptions) -> Result<BenchReport, ModelError> {
    let benchers = Bencher::load_all(dir, manifest, options.device, &options.precisions, &options.kernels)?;
    let shapes: Vec<Shape> = options
        .shapes
        .iter()
        .copied()
        .filter(|shape| shape.texts > 0 && (1..=manifest.max_tokens).contains(&shape.tokens))
        .collect();
    let known: Vec<_> = benchers.iter().map(|one| (one.engine(), one.precision(), one.pass_bytes())).collect();
    let mut runners: Vec<Box<dyn Runner>> = benchers.into_iter().map(|one| Box::new(one) as Box<dyn Runner>).collect();
    let cells = (runners.len() * shapes.len() * ROUNDS).max(1);
    let measured = interleave(&mut runners, &shapes, ROUNDS, options.time / u32::try_from(cells).unwrap_or(u32::MAX))
        .map_err(|problem| ModelError::bad_file(dir, problem))?;
    let mut rows = Vec::new();
    for (runner, (engine, precision, pass_bytes)) in known.into_iter().enumerate() {
        for (index, &shape) in shapes.iter().enumerate() {
            rows.extend(row(&measured, (runner, index), shape, (engine, precision, pass_bytes)));
        }
    }
    Ok(BenchReport { model: manifest.name.clone(), read_gb_s: measured.read_gb_s(), rounds: ROUNDS, rows })
}

/// The row of a runner and a shape, both by number.
fn row(
    measured: &Rounds,
    at: (usize, usize),
    shape: Shape,
    (engine, precision, pass_bytes): (&str, Precision, usize),
) -> Option<BenchRow> {
    let texts = shape.texts as f64;
    let median_us = measured.median_us(at.0, at.1)? / texts;
    Some(BenchRow {
        engine: engine.into(),
        precision: precision.to_string(),
        texts: shape.texts,
        tokens: shape.tokens,
        threads: 1,
        median_us,
        best_us: measured.best_us(at.0, at.1)? / texts,
        tokens_per_s: shape.tokens as f64 * 1e6 / median_us,
        floor_us: (pass_bytes > 0).then(|| pass_bytes as f64 / measured.read_gb_s() / 1e3 / texts),
        times_floor: measured.times_floor(at.0, at.1, pass_bytes),
    })
}

/// Ids of a text of this length: different ones, as the time hardly depends on which.
fn sample(tokens: usize) -> Tokens {
    Tokens { ids: (1..=tokens as u32).collect(), truncated: false }
}
