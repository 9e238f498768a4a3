//! How long one text takes, by its length.

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

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchOptions {
    /// Lengths in tokens, markers included. Default 8, 16, 32, 64, 128, 256; those beyond the model's limit are left out.
    pub tokens: Vec<usize>,
    /// Time spent on each row, warm-up not counted. Default 1 s.
    pub time_per_row: Duration,
    /// Where the model runs.
    pub device: Device,
    /// The arithmetic. Default `bf16`.
    pub precision: Precision,
    /// Which instructions compute. Default: the fastest that this processor has.
    pub kernels: Kernels,
}

impl Default for BenchOptions {
    fn default() -> BenchOptions {
        BenchOptions {
            tokens: vec![8, 16, 32, 64, 128, 256],
            time_per_row: Duration::from_secs(1),
            device: Device::Cpu,
            precision: Precision::default(),
            kernels: Kernels::Auto,
        }
    }
}

/// One measured row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BenchRow {
    /// What ran the model.
    pub engine: String,
    /// Its arithmetic.
    pub precision: String,
    /// Length of the text in tokens, markers included.
    pub tokens: usize,
    /// Cores that the forward pass used; 1, as in the embedder's workers.
    pub threads: usize,
    /// Median time of ids → unit vector for a batch of one, in microseconds. Tokenizing is not in it.
    pub median_us: u64,
}

/// Measures a model's latency by length. Blocks for the rows' time together.
///
/// # Errors
/// [`ModelError`] as for loading; a failing model is reported as a bad file.
pub fn bench(dir: &Path, manifest: &ModelManifest, options: &BenchOptions) -> Result<Vec<BenchRow>, ModelError> {
    let choice = engine::Choice { device: options.device, precision: options.precision, kernels: options.kernels };
    let engine = engine::load(dir, manifest, manifest.max_tokens, choice)?;
    let lengths = options.tokens.iter().copied();
    worker::on_one_core(|| {
        lengths
            .filter(|length| (1..=manifest.max_tokens).contains(length))
            .map(|tokens| {
                let batch = TokenBatch::new(&[&sample(tokens)]);
                let median_us = median_us(engine.backend.as_ref(), &batch, options.time_per_row)
                    .map_err(|error| ModelError::bad_file(dir, error.to_string()))?;
                Ok(BenchRow {
                    engine: engine.backend.engine().into(),
                    precision: options.precision.to_string(),
                    tokens,
                    threads: 1,
                    median_us,
                })
            })
            .collect()
    })
}

/// Ids of a text of this length: different ones, as the time hardly depends on which.
fn sample(tokens: usize) -> Tokens {
    Tokens { ids: (1..=tokens as u32).collect(), truncated: false }
}

fn median_us(backend: &dyn Backend, batch: &TokenBatch, time: Duration) -> Result<u64, EmbedError> {
    let mut vectors = Vec::new();
    let mut encode = || {
        vectors.clear();
        backend.encode(batch, &mut vectors)
    };
    for _ in 0..2 {
        encode()?;
    }
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || begin.elapsed() < time {
        let one = Instant::now();
        encode()?;
        times.push(one.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2].as_micros() as u64)
}
