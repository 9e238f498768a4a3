//! The candle backend: a BERT encoder in 32-bit floats.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};

use crate::backend::{Backend, TokenBatch};
use crate::error::{EmbedError, ModelError};
use crate::manifest::{ModelManifest, Pooling};
use crate::pooling;
use crate::weights::{self, Wanted, Weights};

/// Bounds for the numbers of a config.json: far beyond any sentence model, and small enough to multiply safely.
const MAX_DIMENSION: usize = 1 << 20;

/// A BERT encoder with pooling.
pub(crate) struct Bert {
    model: BertModel,
    device: Device,
    pooling: Pooling,
    width: usize,
}

/// Reads and checks `config.json`.
///
/// # Errors
/// [`ModelError::BadFile`] when it is no BERT configuration or does not fit the manifest.
pub(crate) fn read_config(dir: &Path, manifest: &ModelManifest) -> Result<Config, ModelError> {
    let entry = entry(manifest, "config.json")?;
    let path = dir.join(&entry.path);
    let bytes = weights::read_checked(dir, entry, &manifest.name)?;
    let bad = |problem: String| ModelError::bad_file(&path, problem);
    let mut config: Config =
        serde_json::from_slice(&bytes).map_err(|error| bad(format!("is no BERT configuration: {error}")))?;
    let sizes = [
        ("vocab_size", config.vocab_size),
        ("hidden_size", config.hidden_size),
        ("num_hidden_layers", config.num_hidden_layers),
        ("num_attention_heads", config.num_attention_heads),
        ("intermediate_size", config.intermediate_size),
        ("max_position_embeddings", config.max_position_embeddings),
        ("type_vocab_size", config.type_vocab_size),
    ];
    for (key, value) in sizes {
        if value == 0 || value > MAX_DIMENSION {
            return Err(bad(format!("{key} is {value}, expected 1 to {MAX_DIMENSION}")));
        }
    }
    if config.hidden_size != manifest.width {
        return Err(bad(format!(
            "hidden_size is {}, but the manifest of `{}` has width {}",
            config.hidden_size, manifest.name, manifest.width
        )));
    }
    if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
        return Err(bad(format!(
            "hidden_size {} does not divide into {} attention heads",
            config.hidden_size, config.num_attention_heads
        )));
    }
    // Tensor names are settled by `weights`, which drops a `bert.` before them.
    config.model_type = None;
    Ok(config)
}

impl Bert {
    /// Reads the weights and builds the network. Takes some hundred milliseconds.
    ///
    /// # Errors
    /// [`ModelError::BadFile`] naming the tensor, [`ModelError::Checksum`], [`ModelError::Io`].
    pub(crate) fn load(
        dir: &Path,
        manifest: &ModelManifest,
        config: &Config,
        device: Device,
    ) -> Result<Bert, ModelError> {
        let entry = entry(manifest, "model.safetensors")?;
        let path = dir.join(&entry.path);
        let read = weights::read_tensors(dir, entry, &manifest.name, &wanted(config))?;
        let model = build(read, config, &device)
            .map_err(|error| ModelError::bad_file(path, format!("cannot be used: {error}")))?;
        Ok(Bert { model, device, pooling: manifest.pooling, width: config.hidden_size })
    }

    fn hidden(&self, batch: &TokenBatch) -> candle_core::Result<Vec<f32>> {
        let shape = (batch.rows(), batch.longest());
        let mut padded = vec![0; shape.0 * shape.1];
        let mut mask = vec![0u32; padded.len()];
        for (row, ids) in batch.iter().enumerate() {
            let here = row * shape.1..row * shape.1 + ids.len();
            padded[here.clone()].copy_from_slice(ids);
            mask[here].fill(1);
        }
        let ids = Tensor::from_vec(padded, shape, &self.device)?;
        let kinds = ids.zeros_like()?;
        let mask = match batch.tokens() == shape.0 * shape.1 {
            true => None,
            false => Some(Tensor::from_vec(mask, shape, &self.device)?),
        };
        self.model.forward(&ids, &kinds, mask.as_ref())?.flatten_all()?.to_vec1()
    }
}

impl Backend for Bert {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        if batch.rows() == 0 {
            return Ok(());
        }
        let hidden = self.hidden(batch).map_err(|error| EmbedError::Backend(error.to_string()))?;
        for (row, ids) in hidden.chunks_exact(batch.longest() * self.width).zip(batch.iter()) {
            vectors.extend(pooling::pool(self.pooling, row, self.width, ids.len())?);
        }
        Ok(())
    }

    fn engine(&self) -> &'static str {
        "candle"
    }

    fn pads(&self) -> bool {
        true
    }

    fn uses_rayon(&self) -> bool {
        true
    }

    fn width(&self) -> usize {
        self.width
    }
}

fn entry<'a>(manifest: &'a ModelManifest, file: &str) -> Result<&'a crate::manifest::FileEntry, ModelError> {
    manifest.file(file).ok_or_else(|| ModelError::Manifest {
        source_name: manifest.name.clone(),
        problem: format!("source.files lacks `{file}`"),
    })
}

fn build(read: BTreeMap<String, Weights>, config: &Config, device: &Device) -> candle_core::Result<BertModel> {
    let mut tensors = HashMap::new();
    for (name, weights) in read {
        let tensor = Tensor::from_vec(weights.values, weights.shape, device)?;
        tensors.insert(name, tensor);
    }
    BertModel::load(VarBuilder::from_tensors(tensors, DType::F32, device), config)
}

/// The tensors that the network needs, with their shapes.
pub(crate) fn wanted(config: &Config) -> Vec<Wanted> {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let mut list = Vec::new();
    let mut want = |name: String, shape: &[usize]| {
        list.push(Wanted { name, shape: shape.to_vec() });
    };
    for (table, rows) in [
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ] {
        want(format!("embeddings.{table}_embeddings.weight"), &[rows, width]);
    }
    want("embeddings.LayerNorm.weight".into(), &[width]);
    want("embeddings.LayerNorm.bias".into(), &[width]);
    for layer in 0..config.num_hidden_layers {
        for (part, to, from) in [
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", inner, width),
            ("output.dense", width, inner),
        ] {
            want(format!("encoder.layer.{layer}.{part}.weight"), &[to, from]);
            want(format!("encoder.layer.{layer}.{part}.bias"), &[to]);
        }
        for part in ["attention.output", "output"] {
            want(format!("encoder.layer.{layer}.{part}.LayerNorm.weight"), &[width]);
            want(format!("encoder.layer.{layer}.{part}.LayerNorm.bias"), &[width]);
        }
    }
    list
}
