//! The front door: [`Embedder`] takes texts and gives unit vectors, one by one or many at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::backend::Backend;
use crate::device::Device;
use crate::engine::{self, Engine};
use crate::error::{EmbedError, ModelError};
use crate::fake::Fake;
use crate::manifest::ModelManifest;
use crate::precision::{Kernels, Precision};
use crate::queue::{BatchSize, Gather, Queue};
use crate::tokenize::{TextTokenizer, Tokens};
use crate::worker;

/// More workers than this is a typing error.
const MAX_THREADS: usize = 256;

/// Texts of one [`Embedder::embed_batch`] that are tokenized and sorted together; bounds its memory.
const SORTED_TOGETHER: usize = 16_384;

/// How texts are embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderSettings {
    /// Worker threads; each runs the model on one core. 1 to 256, default 1.
    pub threads: usize,
    /// The largest batch in tokens, padding counted; a single text may be larger. At least 1, default 512: on a
    /// processor larger batches gain no throughput, and their first text waits for their last. A GPU wants 8192.
    pub batch_tokens: usize,
    /// How long an unfilled batch waits for more texts. Default 0: a lone question never waits.
    pub batch_wait: Duration,
    /// Texts that may wait for a worker. At least 1, default 1024.
    pub queue: usize,
    /// Cuts texts shorter than the manifest does. At least 8, at most the manifest's `max_tokens`; default: the
    /// manifest's. Part of a vector's identity.
    pub max_tokens: Option<usize>,
    /// Where the model runs. Default: the processor.
    pub device: Device,
    /// The arithmetic. Part of a vector's identity. Default `bf16`.
    pub precision: Precision,
    /// Which instructions compute. Default: the fastest that this processor has.
    pub kernels: Kernels,
}

impl Default for EmbedderSettings {
    fn default() -> EmbedderSettings {
        EmbedderSettings {
            threads: 1,
            batch_tokens: 512,
            batch_wait: Duration::ZERO,
            queue: 1024,
            max_tokens: None,
            device: Device::Cpu,
            precision: Precision::default(),
            kernels: Kernels::Auto,
        }
    }
}

/// Which vectors these are. Vectors may be compared only if their `variant` is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderSpec {
    /// Model name.
    pub name: String,
    /// Full commit hash of the weights; empty for the fake.
    pub revision: String,
    /// Components of a vector.
    pub width: usize,
    /// The longest text in tokens, markers included.
    pub max_tokens: usize,
    /// Arithmetic, such as `f32`.
    pub precision: String,
    /// All of it in one word, such as `all-MiniLM-L6-v2@c9745ed/f32`.
    pub variant: String,
}

/// One text's vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// [`EmbedderSpec::width`] finite components; length one.
    pub vector: Arc<[f32]>,
    /// Tokens that the model read, markers included.
    pub tokens: usize,
    /// Whether the text was longer than the model reads, and its end left out.
    pub truncated: bool,
}

/// Text → unit vectors, on threads of its own. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Embedder {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    engine: Arc<Engine>,
    spec: EmbedderSpec,
    settings: EmbedderSettings,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Embedder {
    /// Reads a model from a folder, checks every file against the manifest, and starts the threads. Blocks for some
    /// hundred milliseconds.
    ///
    /// # Errors
    /// [`ModelError`] naming file, tensor, shape or setting, and what to do.
    pub fn load(dir: &Path, manifest: &ModelManifest, settings: &EmbedderSettings) -> Result<Embedder, ModelError> {
        let manifest = &*manifest.pinned_in(dir)?;
        let max_tokens = settings.max_tokens.unwrap_or(manifest.max_tokens);
        if !(8..=manifest.max_tokens).contains(&max_tokens) {
            return Err(ModelError::Setting {
                setting: "max_tokens",
                problem: format!("is {max_tokens}; model `{}` takes 8 to {}", manifest.name, manifest.max_tokens),
            });
        }
        let choice =
            engine::Choice { device: settings.device, precision: settings.precision, kernels: settings.kernels };
        let engine = engine::load(dir, manifest, max_tokens, choice)?;
        Embedder::start(engine, spec(manifest, max_tokens, settings.precision), settings)
    }

    /// An embedder without weights, for tests: hashed words and character trigrams in `width` components. Like texts
    /// get near vectors, and the queue and threads are the real ones.
    ///
    /// # Panics
    /// Never; if the machine refuses the thread, every text is answered [`EmbedError::Closed`].
    pub fn fake(width: usize) -> Embedder {
        let backend = Fake::new(width);
        let spec = EmbedderSpec {
            name: "fake".into(),
            revision: String::new(),
            width: backend.width(),
            max_tokens: 4096,
            precision: "f32".into(),
            variant: format!("fake-{}/f32", backend.width()),
        };
        let engine = Engine { tokenizer: TextTokenizer::features(spec.max_tokens), backend: Box::new(backend) };
        let settings = EmbedderSettings::default();
        let embedder = Embedder::unstarted(engine, spec, &settings);
        if let Err(error) = embedder.start_workers() {
            tracing::error!(%error, "the fake embedder has no thread");
            embedder.inner.queue.close();
        }
        embedder
    }

    /// An embedder around any backend.
    ///
    /// # Errors
    /// [`ModelError::Setting`] or [`ModelError::Thread`].
    pub fn with_backend(
        tokenizer: TextTokenizer,
        backend: Box<dyn Backend>,
        spec: EmbedderSpec,
        settings: &EmbedderSettings,
    ) -> Result<Embedder, ModelError> {
        Embedder::start(Engine { tokenizer, backend }, spec, settings)
    }

    fn start(engine: Engine, spec: EmbedderSpec, settings: &EmbedderSettings) -> Result<Embedder, ModelError> {
        check_settings(settings)?;
        let embedder = Embedder::unstarted(engine, spec, settings);
        embedder.start_workers()?;
        Ok(embedder)
    }

    fn unstarted(engine: Engine, spec: EmbedderSpec, settings: &EmbedderSettings) -> Embedder {
        Embedder {
            inner: Arc::new(Inner {
                queue: Arc::new(Queue::new(settings.queue)),
                engine: Arc::new(engine),
                spec,
                settings: settings.clone(),
            }),
        }
    }

    fn start_workers(&self) -> Result<(), ModelError> {
        let inner = &self.inner;
        let gather = Gather { batch_tokens: inner.settings.batch_tokens, batch_wait: inner.settings.batch_wait };
        (0..inner.settings.threads).try_for_each(|number| {
            let (queue, engine) = (Arc::clone(&inner.queue), Arc::clone(&inner.engine));
            worker::start(number, queue, engine, gather)
        })
    }

    /// The vector of a text. Any text has one, also an empty one. Safe to drop at any time: the work is then skipped,
    /// unless it has begun.
    ///
    /// # Errors
    /// [`EmbedError::Full`] at once when too many texts wait; otherwise what the tokenizer or the model said.
    pub async fn embed(&self, text: &str) -> Result<Embedding, EmbedError> {
        let text = self.inner.engine.tokenizer.readable(text).to_owned();
        let (answer, receiver) = oneshot::channel();
        self.inner.queue.push(text, answer)?;
        receiver.await.unwrap_or(Err(EmbedError::Closed))
    }

    /// The vectors of many texts, in their order, on [`EmbedderSettings::threads`] threads beside the queue's. Blocks:
    /// not for async code. `progress` is told how many texts are done so far.
    ///
    /// # Errors
    /// The first failure ends it.
    pub fn embed_batch(&self, texts: &[&str], progress: &dyn Fn(usize)) -> Result<Vec<Embedding>, EmbedError> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for part in texts.chunks(SORTED_TOGETHER) {
            let done = embeddings.len();
            embeddings.extend(self.embed_part(part, &|count| progress(done + count))?);
        }
        Ok(embeddings)
    }

    fn embed_part(&self, texts: &[&str], progress: &dyn Fn(usize)) -> Result<Vec<Embedding>, EmbedError> {
        let engine = &self.inner.engine;
        let tokens = texts
            .iter()
            .map(|text| worker::guarded(|| engine.tokenizer.tokenize(text)))
            .collect::<Result<Vec<Tokens>, _>>()?;
        let batches = batches(&tokens, self.inner.settings.batch_tokens);
        let next = AtomicUsize::new(0);
        let mut slots: Vec<Option<Embedding>> = vec![None; texts.len()];
        std::thread::scope(|scope| {
            let (sender, results) = mpsc::channel();
            for _ in 0..self.inner.settings.threads.min(batches.len()) {
                let (sender, next, batches, tokens) = (sender.clone(), &next, &batches, &tokens);
                scope.spawn(move || {
                    worker::on_one_core(|| {
                        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let texts: Vec<&Tokens> = batch.iter().map(|&index| &tokens[index]).collect();
                            let encoded = worker::encode(engine.backend.as_ref(), &texts);
                            if sender.send((batch, encoded)).is_err() {
                                return;
                            }
                        }
                    });
                });
            }
            drop(sender);
            let mut done = 0;
            for (batch, encoded) in results {
                for (&index, result) in batch.iter().zip(encoded) {
                    slots[index] = Some(result?);
                }
                done += batch.len();
                progress(done);
            }
            Ok(())
        })?;
        let embeddings: Option<Vec<Embedding>> = slots.into_iter().collect();
        embeddings.ok_or_else(|| EmbedError::Backend("a batch was lost".into()))
    }

    /// Which vectors these are.
    pub fn spec(&self) -> &EmbedderSpec {
        &self.inner.spec
    }

    /// Texts that wait for a worker now.
    pub fn queued(&self) -> usize {
        self.inner.queue.len()
    }
}

/// Indices of the texts, longest first, in batches within the budget. Longest first, so that a budget too large for
/// the machine shows at the beginning and not at the end.
fn batches(tokens: &[Tokens], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(tokens[index].ids.len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut size: Option<BatchSize> = None;
    for index in order {
        let length = tokens[index].ids.len();
        let grown = size.map(|size| size.with(length)).filter(|grown| grown.is_worthwhile(budget));
        match (grown, batches.last_mut()) {
            (Some(grown), Some(batch)) => {
                size = Some(grown);
                batch.push(index);
            }
            _ => {
                size = Some(BatchSize::of(length));
                batches.push(vec![index]);
            }
        }
    }
    batches
}

fn check_settings(settings: &EmbedderSettings) -> Result<(), ModelError> {
    let wrong = |setting, problem: String| Err(ModelError::Setting { setting, problem });
    if !(1..=MAX_THREADS).contains(&settings.threads) {
        return wrong("threads", format!("is {}; expected 1 to {MAX_THREADS}", settings.threads));
    }
    if settings.batch_tokens == 0 {
        return wrong("batch_tokens", "is 0; expected at least 1".into());
    }
    if settings.queue == 0 {
        return wrong("queue", "is 0; expected at least 1".into());
    }
    Ok(())
}

fn spec(manifest: &ModelManifest, max_tokens: usize, precision: Precision) -> EmbedderSpec {
    let mut variant = format!("{}@{}/{precision}", manifest.name, manifest.short_revision());
    if max_tokens != manifest.max_tokens {
        variant.push_str(&format!("/{max_tokens}t"));
    }
    EmbedderSpec {
        name: manifest.name.clone(),
        revision: manifest.source.revision.clone(),
        width: manifest.width,
        max_tokens,
        precision: precision.to_string(),
        variant,
    }
}
