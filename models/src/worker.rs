//! The threads that run the model: drain the queue, encode, check, answer. Nothing that a text does can end them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::backend::{Backend, TokenBatch};
use crate::embedder::Embedding;
use crate::engine::Engine;
use crate::error::{EmbedError, ModelError};
use crate::pooling;
use crate::queue::{Gather, Job, Queue};
use crate::tokenize::Tokens;

/// Starts a worker. It ends when the queue is closed.
///
/// # Errors
/// [`ModelError::Thread`] when the machine refuses the thread.
pub(crate) fn start(number: usize, queue: Arc<Queue>, engine: Arc<Engine>, gather: Gather) -> Result<(), ModelError> {
    std::thread::Builder::new()
        .name(format!("askonce-embed-{number}"))
        .spawn(move || {
            on_one_core(|| {
                while let Some(jobs) = queue.next_batch(&engine.tokenizer, gather) {
                    answer(&engine, jobs);
                }
            });
        })
        .map(drop)
        .map_err(|error| ModelError::Thread(error.to_string()))
}

/// Runs `f` in a thread pool of one, so that candle's inner parallel loops stay on one core and do not spread over
/// cores that serve requests. More cores are taken by `EmbedderSettings::threads`, on purpose.
pub(crate) fn on_one_core<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(f),
        Err(error) => {
            tracing::warn!(%error, "an embedding thread has no pool of its own; candle may use all cores");
            f()
        }
    }
}

fn answer(engine: &Engine, jobs: Vec<Job>) {
    // Tokenizing and waiting for company took time: some callers may have gone since.
    let jobs: Vec<Job> = jobs.into_iter().filter(|job| !job.answer.is_closed()).collect();
    let texts: Vec<&Tokens> = jobs.iter().map(|job| &job.tokens).collect();
    let results = encode(engine.backend.as_ref(), &texts);
    for (job, result) in jobs.into_iter().zip(results) {
        // A caller who has gone needs no answer.
        let _ = job.answer.send(result);
    }
}

/// One result for each text, in order. When a batch fails, each text is tried alone, so that one bad text does not
/// take its neighbours with it.
pub(crate) fn encode(backend: &dyn Backend, texts: &[&Tokens]) -> Vec<Result<Embedding, EmbedError>> {
    if texts.is_empty() {
        return Vec::new();
    }
    match encode_at_once(backend, texts) {
        Ok(vectors) => vectors
            .chunks_exact(backend.width())
            .zip(texts)
            .map(|(vector, text)| {
                pooling::check(vector, backend.width())?;
                Ok(Embedding { vector: vector.into(), tokens: text.ids.len(), truncated: text.truncated })
            })
            .collect(),
        Err(error) if texts.len() == 1 => vec![Err(error)],
        Err(error) => {
            tracing::warn!(%error, texts = texts.len(), "a batch failed; its texts are tried one by one");
            texts.iter().flat_map(|text| encode(backend, &[text])).collect()
        }
    }
}

fn encode_at_once(backend: &dyn Backend, texts: &[&Tokens]) -> Result<Vec<f32>, EmbedError> {
    let mut vectors = Vec::with_capacity(texts.len() * backend.width());
    guarded(|| backend.encode(&TokenBatch::new(texts), &mut vectors))?;
    if vectors.len() != texts.len() * backend.width() {
        return Err(EmbedError::Backend(format!(
            "{} values for {} texts of width {}",
            vectors.len(),
            texts.len(),
            backend.width()
        )));
    }
    Ok(vectors)
}

/// Runs `f`; a panic becomes an error.
pub(crate) fn guarded<T>(f: impl FnOnce() -> Result<T, EmbedError>) -> Result<T, EmbedError> {
    // Neither tokenizer nor backend keeps state between calls that a panic could leave half-changed.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let word = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(EmbedError::Panicked(word))
    })
}
