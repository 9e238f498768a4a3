//! Throughput of two workers against one: each a pinned thread that encodes batches of its own with the same weights.

use std::time::Duration;

use askonce_models::bench::{Bencher, Shape, median};

use crate::pin;

/// Batches as large as the embedder gathers them.
const SHAPE: Shape = Shape { texts: 32, tokens: 16 };
/// Long enough that the scheduler's slices even out.
const TIME: Duration = Duration::from_millis(500);

/// How many times the throughput of one core two cores reach: the median of the rounds.
///
/// # Errors
/// Words for people.
pub fn gain(bencher: &Bencher, cores: [usize; 2], rounds: usize) -> Result<f64, String> {
    let gains = (0..rounds).map(|_| {
        let one = throughput(bencher, &cores[..1])?;
        let two = throughput(bencher, &cores)?;
        Ok(two / one)
    });
    let gains: Vec<f64> = gains.collect::<Result<_, String>>()?;
    median(gains.into_iter()).ok_or_else(|| "no rounds".into())
}

fn throughput(bencher: &Bencher, cores: &[usize]) -> Result<f64, String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = cores.iter().map(|&core| scope.spawn(move || on(bencher, core))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("an engine panicked".into()))).sum()
    })
}

fn on(bencher: &Bencher, core: usize) -> Result<f64, String> {
    pin::to(core)?;
    bencher.passes_per_s(SHAPE, TIME).map_err(|error| error.to_string())
}
