//! The sentence model: fetched if need be, loaded, and as `types::embed::Embed`.

use crate::config::{self, Resolved};
use crate::types::caller::Tenant;
use crate::types::embed::{Embed, Embedded};
use crate::types::error::{Error, ErrorKind};
use askonce_models::{
    Affinity, Asker, Device, EmbedError, Embedder, EmbedderSettings, Kernels, LongText, ModelError, ModelManifest,
    ModelStore, Precision, PullProgress, manifest,
};
use futures_util::future::BoxFuture;

/// How a pull tells how far it is.
pub type Progress<'p> = &'p dyn PullProgress;

/// Loads the configured model, pulling it first if it is not there. `None` when the settings have no use for one.
pub async fn load(settings: &Resolved, progress: Progress<'_>) -> Result<Option<Embedder>, ModelError> {
    let wanted =
        settings.cache.overrides.iter().any(|rule| rule.semantic == Some(true)) || settings.cache.semantic.enabled;
    if !settings.cache.enabled || !wanted {
        return Ok(None);
    }
    let model = manifest(&settings.embedding.model)?;
    let dir = match &settings.embedding.model_dir {
        Some(dir) => dir.clone(),
        None => {
            let store = ModelStore::new(settings.data_dir.join("models"));
            match store.locate(model) {
                Some(dir) => dir,
                None => store.pull(model, None, progress).await?.dir,
            }
        }
    };
    let embedder = as_settings(&settings.embedding, model);
    let loaded = tokio::task::spawn_blocking(move || Embedder::load(&dir, model, &embedder)).await;
    loaded.map_err(|error| ModelError::Thread(error.to_string()))?.map(Some)
}

/// The settings as the models package knows them.
fn as_settings(embedding: &config::Embedding, model: &ModelManifest) -> EmbedderSettings {
    EmbedderSettings {
        threads: embedding.threads,
        batch_tokens: embedding.batch_tokens,
        batch_wait: embedding.batch_wait,
        queue: embedding.queue,
        max_tokens: None,
        device: match embedding.device {
            config::Device::Cpu => Device::Cpu,
            config::Device::Cuda(number) => Device::Cuda(number),
        },
        precision: match embedding.precision {
            None => model.precision.default,
            Some(config::Precision::F32) => Precision::F32,
            Some(config::Precision::Bf16) => Precision::Bf16,
            Some(config::Precision::Int8) => Precision::Int8,
        },
        kernels: match embedding.kernels {
            config::Kernels::Auto => Kernels::Auto,
            config::Kernels::Amx => Kernels::Amx,
            config::Kernels::Avx512 => Kernels::Avx512,
            config::Kernels::Avx2 => Kernels::Avx2,
            config::Kernels::Neon => Kernels::Neon,
            config::Kernels::Portable => Kernels::Portable,
        },
        long_text: match embedding.long_text {
            config::LongText::Truncate => LongText::Truncate,
            config::LongText::Mean => LongText::Mean,
        },
        max_windows: embedding.max_windows,
        memo_bytes: embedding.memo_bytes,
        affinity: match &embedding.pin {
            config::Pin::Off => Affinity::Off,
            config::Pin::Each => Affinity::Each,
            config::Pin::Cores(cores) => Affinity::Cores(cores.clone()),
        },
    }
}

/// An embedder as the rest of the gateway knows it.
pub(super) struct OnHost {
    embedder: Embedder,
}

impl OnHost {
    pub(super) fn new(embedder: Embedder) -> OnHost {
        OnHost { embedder }
    }

    async fn embed_all(&self, texts: Vec<String>, asker: Asker) -> Result<Vec<Embedded>, Error> {
        // As many at a time as one batch would take anyway, so that one request does not fill the queue.
        const AT_A_TIME: usize = 64;
        let mut vectors = Vec::with_capacity(texts.len());
        for group in texts.chunks(AT_A_TIME) {
            let group = futures_util::future::join_all(group.iter().map(|text| self.embedder.embed(text, asker))).await;
            for embedding in group {
                let embedding = embedding.map_err(refused)?;
                vectors.push(Embedded {
                    vector: embedding.vector,
                    tokens: embedding.tokens,
                    truncated: embedding.truncated,
                });
            }
        }
        Ok(vectors)
    }
}

fn refused(error: EmbedError) -> Error {
    let kind = match error {
        EmbedError::Full { .. } | EmbedError::Closed => ErrorKind::Overloaded,
        EmbedError::Tokenize(_) => ErrorKind::InvalidRequest,
        EmbedError::Backend(_) | EmbedError::Panicked(_) | EmbedError::BadVector(_) => ErrorKind::Internal,
    };
    Error::new(kind, format!("The text was not embedded: {error}."))
}

impl Embed for OnHost {
    fn model(&self) -> &str {
        &self.embedder.spec().name
    }

    fn width(&self) -> usize {
        self.embedder.spec().width
    }

    fn embed(&self, texts: Vec<String>, tenant: &Tenant) -> BoxFuture<'_, Result<Vec<Embedded>, Error>> {
        Box::pin(self.embed_all(texts, Asker::new(tenant.tag())))
    }
}
