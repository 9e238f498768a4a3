//! A model folder → tokenizer and backend, in the arithmetic and on the device that were asked for.

use std::path::Path;

use candle_transformers::models::bert::Config;

use crate::backend::Backend;
use crate::bert::{self, Bert};
use crate::cpu::CpuBert;
use crate::device::Device;
use crate::error::ModelError;
use crate::manifest::{Architecture, ModelManifest};
use crate::precision::{Kernels, Precision};
use crate::store;
use crate::tokenize::TextTokenizer;
use crate::weights;

/// What embeds: shared by all workers.
pub(crate) struct Engine {
    /// Text → ids.
    pub tokenizer: TextTokenizer,
    /// Ids → vectors.
    pub backend: Box<dyn Backend>,
}

/// How a model is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// Where.
    pub device: Device,
    /// In which arithmetic.
    pub precision: Precision,
    /// On which instructions.
    pub kernels: Kernels,
}

/// Reads a model folder, whose files are checked against the manifest.
///
/// # Errors
/// [`ModelError`] naming file, tensor, shape or setting.
pub(crate) fn load(
    dir: &Path,
    manifest: &ModelManifest,
    max_tokens: usize,
    choice: Choice,
) -> Result<Engine, ModelError> {
    store::check_present(dir, manifest)?;
    let Architecture::Bert = manifest.architecture;
    let config = bert::read_config(dir, manifest)?;
    if max_tokens > config.max_position_embeddings {
        return Err(ModelError::bad_file(
            dir.join("config.json"),
            format!("max_position_embeddings is {}, less than max_tokens {max_tokens}", config.max_position_embeddings),
        ));
    }
    let entry = manifest.file("tokenizer.json").ok_or_else(|| ModelError::Manifest {
        source_name: manifest.name.clone(),
        problem: "source.files lacks `tokenizer.json`".into(),
    })?;
    let bytes = weights::read_checked(dir, entry, &manifest.name)?;
    let file = dir.join(&entry.path);
    let tokenizer = TextTokenizer::from_json(&bytes, &file, max_tokens, config.vocab_size)?;
    let backend = backend(dir, manifest, &config, choice)?;
    Ok(Engine { tokenizer, backend })
}

fn backend(
    dir: &Path,
    manifest: &ModelManifest,
    config: &Config,
    choice: Choice,
) -> Result<Box<dyn Backend>, ModelError> {
    let device = choice.device.open()?;
    if choice.device != Device::Cpu || choice.precision == Precision::F32 {
        return Ok(Box::new(Bert::load(dir, manifest, config, device)?));
    }
    Ok(Box::new(CpuBert::load(dir, manifest, config, choice.precision, choice.kernels)?))
}
