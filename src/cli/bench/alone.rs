//! `Alone`: the sentence model by itself, in this process, asked what the semantic scenario asks and at its rate. What a semantic hit takes
//! beyond that is the gateway.

use super::error::BenchError;
use super::quantile::Quantiles;
use super::schedule::sleep_until;
use super::setup::SENTENCE_MODEL;
use super::stop::Stop;
use super::traffic::Question;
use askonce_models::{Asker, Embedder, EmbedderSettings, manifest};
use std::path::Path;
use std::time::{Duration, Instant};

/// A model as `askonce serve` loads it, which remembers no text.
pub struct Alone {
    embedder: Embedder,
    runtime: tokio::runtime::Runtime,
}

impl Alone {
    /// Loads the model from `folder`.
    pub fn load(folder: &Path) -> Result<Alone, BenchError> {
        let failed = |why: String| BenchError::Start(format!("the sentence model alone: {why}"));
        let model = manifest(SENTENCE_MODEL).map_err(|error| failed(error.to_string()))?;
        let settings =
            EmbedderSettings { memo_bytes: 0, precision: model.precision.default, ..EmbedderSettings::default() };
        let embedder = Embedder::load(folder, model, &settings).map_err(|error| failed(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Ok(Alone { embedder, runtime: runtime.map_err(|error| failed(error.to_string()))? })
    }

    /// Embeds one of `questions` after the other, each when it is `due`, in nanoseconds from the start. Times from due to the vector;
    /// those of the first `warmup` are left out.
    pub fn times(
        &self,
        questions: &[Question],
        due: &[u64],
        warmup: Duration,
        stop: &Stop,
    ) -> Result<Quantiles, BenchError> {
        let start = Instant::now();
        let mut times = Vec::with_capacity(due.len());
        for (due, question) in due.iter().map(|ns| Duration::from_nanos(*ns)).zip(questions.iter().cycle()) {
            sleep_until(start + due, stop);
            if stop.is_set() {
                return Err(BenchError::Interrupted);
            }
            let embedded = self.runtime.block_on(self.embedder.embed(&question.text, Asker::default()));
            embedded.map_err(|error| BenchError::Unfit(format!("the sentence model alone: {error}")))?;
            if due >= warmup {
                times.push(start.elapsed().saturating_sub(due).as_nanos() as u64);
            }
        }
        Ok(Quantiles::of(times))
    }
}
