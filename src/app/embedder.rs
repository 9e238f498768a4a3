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
    let semantic =
        settings.cache.overrides.iter().any(|rule| rule.semantic == Some(true)) || settings.cache.semantic.enabled;
    let asked_about = !settings.topics.is_empty() || settings.complexity.is_some();
    if !(settings.cache.enabled && semantic || asked_about) {
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
        queue_bytes: embedding.queue_bytes,
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
        let settings = self.embedder.settings();
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts.as_slice();
        while !rest.is_empty() {
            let (group, later) = rest.split_at(group(rest, settings.queue, settings.queue_bytes));
            rest = later;
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

/// How many of the texts go into the queue at a time: as many as one batch would take anyway, so that one request does not
/// fill it, and no more than fit an empty one, which would refuse the rest. At least one.
fn group(texts: &[String], queue: usize, queue_bytes: usize) -> usize {
    const AT_A_TIME: usize = 64;
    let mut room = queue_bytes;
    let fitting = texts.iter().take(AT_A_TIME.min(queue)).take_while(|text| {
        let left = room.checked_sub(text.len());
        room = left.unwrap_or_default();
        left.is_some()
    });
    fitting.count().max(1)
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

#[cfg(test)]
mod tests {
    use super::*;
    use askonce_models::{EmbedderSpec, TextTokenizer, TokenBatch};

    #[test]
    fn groups_fit_an_empty_queue() {
        let texts: Vec<String> = (0..100).map(|_| "word".to_owned()).collect();
        for (queue, queue_bytes, fitting) in [(1024, 1 << 20, 64), (2, 1 << 20, 2), (1024, 15, 3), (1024, 3, 1)] {
            assert_eq!(group(&texts, queue, queue_bytes), fitting, "{queue} {queue_bytes}");
        }
        assert_eq!(group(&texts[..3], 1024, 1 << 20), 3);
    }

    struct Constant;

    impl askonce_models::Backend for Constant {
        fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
            (0..batch.rows()).for_each(|_| vectors.extend([0.6, 0.8]));
            Ok(())
        }

        fn engine(&self) -> &'static str {
            "constant"
        }

        fn width(&self) -> usize {
            2
        }
    }

    #[tokio::test]
    async fn a_short_queue_does_not_refuse_a_long_request() {
        let spec = EmbedderSpec {
            name: "constant".into(),
            revision: String::new(),
            width: 2,
            max_tokens: 64,
            precision: "f32".into(),
            variant: "constant".into(),
        };
        let settings = EmbedderSettings { queue: 2, queue_bytes: 1000, memo_bytes: 0, ..EmbedderSettings::default() };
        let embedder =
            Embedder::with_backend(TextTokenizer::features(64), Box::new(Constant), spec, &settings).unwrap();
        let texts: Vec<String> = (0..150).map(|number| format!("{number} {}", "x".repeat(number * 10))).collect();
        let vectors = OnHost::new(embedder).embed_all(texts, Asker::new(1)).await.unwrap();
        assert_eq!(vectors.len(), 150);
    }
}
