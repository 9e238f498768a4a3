//! The threads that run the model: drain the queue, encode, check, answer. Nothing that a text does can end them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::affinity;
use crate::backend::TokenBatch;
use crate::embedder::Embedding;
use crate::engine::Engine;
use crate::error::{EmbedError, ModelError};
use crate::pooling;
use crate::queue::{Gather, Job, Queue};
use crate::reading;
use crate::stats::Counters;

/// What all workers share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Where work comes from.
    pub queue: Arc<Queue>,
    /// What does it.
    pub engine: Arc<Engine>,
    /// Where it is counted.
    pub counters: Arc<Counters>,
}

/// Starts a worker, on a core of its own if one is given. It ends when the queue is closed.
///
/// # Errors
/// [`ModelError::Thread`] when the machine refuses the thread.
pub(crate) fn start(number: usize, shared: Shared, gather: Gather, core: Option<usize>) -> Result<(), ModelError> {
    let in_pool = shared.engine.backend.uses_rayon();
    let run = move || {
        if let Some(core) = core {
            affinity::pin_this_thread(core);
        }
        // What a text does is caught where it is done. Should anything else fail, those who waited for its batch hear of
        // it as their answers are dropped, and the worker begins anew.
        while let Err(error) = guarded(|| {
            Worker::new(shared.clone()).run(gather);
            Ok(())
        }) {
            tracing::error!(%error, number, "an embedding thread failed and begins anew");
        }
    };
    std::thread::Builder::new()
        .name(format!("askonce-embed-{number}"))
        .spawn(move || if in_pool { on_one_core(run) } else { run() })
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

/// One worker, and what it keeps from batch to batch so as not to allocate.
struct Worker {
    shared: Shared,
    jobs: Vec<Job>,
    rows: TokenBatch,
    vectors: Vec<f32>,
}

impl Worker {
    fn new(shared: Shared) -> Worker {
        Worker { shared, jobs: Vec::new(), rows: TokenBatch::default(), vectors: Vec::new() }
    }

    fn run(&mut self, gather: Gather) {
        loop {
            let mut jobs = std::mem::take(&mut self.jobs);
            if !self.shared.queue.next_batch(&self.shared.engine.tokenizer, gather, &mut jobs) {
                return;
            }
            // Reading and waiting for company took time: some callers may have gone since.
            jobs.retain(|job| !job.answer.is_unwanted());
            self.serve(&mut jobs);
            self.jobs = jobs;
        }
    }

    /// Encodes a batch and answers its callers. When it fails, each text is tried alone, so that one bad text does not
    /// take its neighbours with it.
    fn serve(&mut self, jobs: &mut Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        match self.encode(jobs) {
            Ok(()) => {
                let mut row = 0;
                for job in jobs.drain(..) {
                    let rows = row..row + job.rows;
                    row = rows.end;
                    self.deliver(job, rows);
                }
            }
            Err(error) if jobs.len() == 1 => jobs.drain(..).for_each(|job| job.answer.send(Err(error.clone()))),
            Err(error) => {
                tracing::warn!(%error, texts = jobs.len(), "a batch failed; its texts are tried one by one");
                let mut alone = Vec::with_capacity(1);
                for job in jobs.drain(..) {
                    alone.push(job);
                    self.serve(&mut alone);
                }
            }
        }
    }

    /// Runs the model over the jobs' rows, into `self.vectors`.
    fn encode(&mut self, jobs: &[Job]) -> Result<(), EmbedError> {
        self.rows.clear();
        self.vectors.clear();
        for job in jobs {
            let Job { progress, rows, .. } = job;
            (progress.done..progress.done + rows).for_each(|row| self.rows.push(progress.reading.rows.row(row)));
        }
        let backend = self.shared.engine.backend.as_ref();
        guarded(|| backend.encode(&self.rows, &mut self.vectors))?;
        let (rows, width) = (self.rows.rows(), backend.width());
        if self.vectors.len() != rows * width {
            let got = self.vectors.len();
            return Err(EmbedError::Backend(format!("{got} values for {rows} rows of width {width}")));
        }
        self.shared.counters.batch(rows, self.rows.tokens());
        Ok(())
    }

    /// Hands a job its vectors: answers it, or puts it back if it has windows left.
    fn deliver(&self, mut job: Job, rows: std::ops::Range<usize>) {
        let width = self.shared.engine.backend.width();
        let vectors = self.vectors[rows.start * width..rows.end * width].chunks_exact(width);
        let windows = job.progress.reading.rows.rows();
        for vector in vectors {
            if let Err(error) = pooling::check(vector, width) {
                return job.answer.send(Err(error));
            }
            if windows == 1 {
                return self.answer(job, vector.into());
            }
            let progress = &mut job.progress;
            progress.reading.add(&mut progress.sum, progress.done, vector);
            progress.done += 1;
        }
        if job.progress.done < windows {
            return self.shared.queue.go_on(job);
        }
        match reading::direction(std::mem::take(&mut job.progress.sum)) {
            Ok(vector) => self.answer(job, vector.into()),
            Err(error) => job.answer.send(Err(error)),
        }
    }

    fn answer(&self, job: Job, vector: Arc<[f32]>) {
        let reading = job.progress.reading;
        self.shared.counters.text(reading.truncated);
        job.answer.send(Ok(Embedding {
            vector,
            tokens: reading.rows.tokens(),
            windows: reading.rows.rows(),
            truncated: reading.truncated,
        }));
    }
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
