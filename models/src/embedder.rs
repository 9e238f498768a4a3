//! The front door: [`Embedder`] takes texts and gives unit vectors, one by one or many at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::affinity::Affinity;
use crate::asker::Asker;
use crate::backend::Backend;
use crate::bulk::{self, Pace};
use crate::device::Device;
use crate::engine::{self, Engine};
use crate::error::{EmbedError, ModelError};
use crate::fake::Fake;
use crate::manifest::ModelManifest;
use crate::memo::Memo;
use crate::precision::{Kernels, Precision};
use crate::queue::{Answer, Gather, Load, Queue};
use crate::reading::LongText;
use crate::stats::{Counters, EmbedderStats};
use crate::tokenize::TextTokenizer;
use crate::weights;
use crate::worker::{self, Shared};

/// More workers than this is a typing error.
const MAX_THREADS: usize = 256;

/// More windows of a text than this is a typing error.
const MAX_WINDOWS: usize = 1024;

/// How texts are embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderSettings {
    /// Worker threads; each runs the model on one core. 1 to 256, default 1.
    pub threads: usize,
    /// The largest batch in tokens as the model computes them, padding counted where its engine pads; a single text may
    /// be larger. At least 1, default 512: on a processor larger batches gain hardly any throughput, and their first
    /// text waits for their last. A GPU wants 8192.
    pub batch_tokens: usize,
    /// How long an unfilled batch waits for more texts. Default 0: a lone question never waits.
    pub batch_wait: Duration,
    /// Texts that may wait for a worker, of all askers together. At least 1, default 1024.
    pub queue: usize,
    /// Bytes of texts that may wait for a worker, of all askers together; one text alone always may. At least 1, default
    /// 16 MiB: a text is at most as long as the model could ever read of it, but in windows that is some hundred
    /// kilobytes.
    pub queue_bytes: usize,
    /// Cuts texts shorter than the manifest does. At least 8, at most the manifest's `max_tokens`; default: the
    /// manifest's. Part of a vector's identity.
    pub max_tokens: Option<usize>,
    /// Where the model runs. Default: the processor.
    pub device: Device,
    /// The arithmetic. Part of a vector's identity. Default `bf16`.
    pub precision: Precision,
    /// Which instructions compute. Default: the fastest that this processor has.
    pub kernels: Kernels,
    /// What becomes of a text longer than `max_tokens`. Part of a vector's identity. Default: cut.
    pub long_text: LongText,
    /// How many windows of `max_tokens` are read of a long text at most, with [`LongText::Mean`]; what is beyond is left
    /// out. 1 to 1024, default 16. Part of a vector's identity then.
    pub max_windows: usize,
    /// Bytes of texts and vectors that are remembered, so that a text asked again by the same asker costs nothing. 0 is
    /// none; default 4 MiB, some 2,000 questions.
    pub memo_bytes: usize,
    /// The cores that workers are bound to. Default: none.
    pub affinity: Affinity,
}

impl Default for EmbedderSettings {
    fn default() -> EmbedderSettings {
        EmbedderSettings {
            threads: 1,
            batch_tokens: 512,
            batch_wait: Duration::ZERO,
            queue: 1024,
            queue_bytes: 16 << 20,
            max_tokens: None,
            device: Device::Cpu,
            precision: Precision::default(),
            kernels: Kernels::Auto,
            long_text: LongText::Truncate,
            max_windows: 16,
            memo_bytes: 4 << 20,
            affinity: Affinity::Off,
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
    /// Parts that it read them in; more than one only with [`LongText::Mean`].
    pub windows: usize,
    /// Whether the text was longer than the model reads, and its end left out.
    pub truncated: bool,
}

/// Text → unit vectors, on threads of its own. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Embedder {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Shared,
    memo: Memo,
    spec: EmbedderSpec,
    settings: EmbedderSettings,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
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
        Embedder::start(engine, spec(manifest, max_tokens, settings), settings)
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
            embedder.inner.shared.queue.close();
        }
        embedder
    }

    /// An embedder around any backend. The caller names the vectors: of the settings, `precision`, `long_text` and
    /// `max_windows` should show in the spec's variant.
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
        let windows = match settings.long_text {
            LongText::Truncate => 1,
            LongText::Mean => settings.max_windows,
        };
        let engine = Engine { tokenizer: engine.tokenizer.in_windows(windows), ..engine };
        let shared = Shared {
            queue: Arc::new(Queue::new(Load { texts: settings.queue, bytes: settings.queue_bytes })),
            engine: Arc::new(engine),
            counters: Arc::new(Counters::default()),
        };
        let memo = Memo::new(settings.memo_bytes);
        Embedder { inner: Arc::new(Inner { shared, memo, spec, settings: settings.clone() }) }
    }

    fn start_workers(&self) -> Result<(), ModelError> {
        let Inner { shared, settings, .. } = self.inner.as_ref();
        let gather = Gather {
            batch_tokens: settings.batch_tokens,
            batch_wait: settings.batch_wait,
            pads: shared.engine.backend.pads(),
        };
        let cores = settings.affinity.plan(settings.threads)?;
        cores.into_iter().enumerate().try_for_each(|(number, core)| worker::start(number, shared.clone(), gather, core))
    }

    /// The vector of a text. Any text has one, also an empty one. Safe to drop at any time: the work is then skipped,
    /// unless it has begun.
    ///
    /// Askers are served in turn, a text at a time, however many texts each has waiting; and what one asked before is
    /// remembered for that asker alone.
    ///
    /// # Errors
    /// [`EmbedError::Full`] when too many texts wait, or too long ones: at once, or later when this asker has most of them and the place is
    /// needed for another. Otherwise what the tokenizer or the model said.
    pub async fn embed(&self, text: &str, asker: Asker) -> Result<Embedding, EmbedError> {
        let Inner { shared, memo, .. } = self.inner.as_ref();
        let text = shared.engine.tokenizer.readable(text);
        if let Some(known) = memo.get(asker, text) {
            return Ok(known);
        }
        let (answer, receiver) = oneshot::channel();
        shared.queue.push(asker, text.to_owned(), Answer::Caller(answer))?;
        let embedding = receiver.await.unwrap_or(Err(EmbedError::Closed))?;
        memo.put(asker, text, &embedding);
        Ok(embedding)
    }

    /// The vectors of many texts, in their order, on the same threads as single ones, which take turns with them. Blocks:
    /// not for async code. `progress` is told how many texts are done so far. Nothing is remembered.
    ///
    /// # Errors
    /// The first failure ends it.
    pub fn embed_batch(&self, texts: &[&str], progress: &dyn Fn(usize)) -> Result<Vec<Embedding>, EmbedError> {
        let Inner { shared, settings, .. } = self.inner.as_ref();
        let pace = Pace { workers: settings.threads, batch_tokens: settings.batch_tokens };
        bulk::embed(&shared.queue, &shared.engine, pace, texts, progress)
    }

    /// How texts are embedded.
    pub fn settings(&self) -> &EmbedderSettings {
        &self.inner.settings
    }

    /// Which vectors these are.
    pub fn spec(&self) -> &EmbedderSpec {
        &self.inner.spec
    }

    /// Texts that wait for a worker now.
    pub fn queued(&self) -> usize {
        self.inner.shared.queue.len()
    }

    /// What was done so far, and what waits.
    pub fn stats(&self) -> EmbedderStats {
        let Inner { shared, memo, .. } = self.inner.as_ref();
        shared.counters.read(shared.queue.len(), memo.stats())
    }
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
    if settings.queue_bytes == 0 {
        return wrong("queue_bytes", "is 0; expected at least 1".into());
    }
    if !(1..=MAX_WINDOWS).contains(&settings.max_windows) {
        return wrong("max_windows", format!("is {}; expected 1 to {MAX_WINDOWS}", settings.max_windows));
    }
    Ok(())
}

/// Rises when the same files give other vectors than before, beyond what kernels differ by: a change of how weights or
/// activations are rounded.
const SCHEME: u32 = 2;

/// What else makes vectors what they are, in eight hex digits: the files' contents, pooling, prefix, and [`SCHEME`].
fn fingerprint(manifest: &ModelManifest) -> String {
    let mut hash = Sha256::new();
    for file in &manifest.source.files {
        hash.update(&file.sha256);
    }
    hash.update(format!("{:?}{:?}{SCHEME}", manifest.pooling, manifest.prefix));
    weights::hex(&hash.finalize()[..4])
}

fn spec(manifest: &ModelManifest, max_tokens: usize, settings: &EmbedderSettings) -> EmbedderSpec {
    let precision = settings.precision;
    let mut variant = format!("{}@{}/{precision}", manifest.name, manifest.short_revision());
    if settings.device != Device::Cpu {
        // Its sums are rounded otherwise, and nobody has measured how far that goes.
        variant.push_str("/cuda");
    }
    if max_tokens != manifest.max_tokens {
        variant.push_str(&format!("/{max_tokens}t"));
    }
    if settings.long_text == LongText::Mean {
        variant.push_str(&format!("/mean{}", settings.max_windows));
    }
    variant.push_str(&format!("#{}", fingerprint(manifest)));
    EmbedderSpec {
        name: manifest.name.clone(),
        revision: manifest.source.revision.clone(),
        width: manifest.width,
        max_tokens,
        precision: precision.to_string(),
        variant,
    }
}
