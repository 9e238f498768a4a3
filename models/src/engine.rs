//! A model folder → tokenizer and backend, in the arithmetic and on the device that were asked for.

use std::path::Path;

use crate::backend::Backend;
use crate::bert;
use crate::candle::Candle;
use crate::device::Device;
use crate::error::ModelError;
use crate::manifest::{Architecture, ModelManifest, Role};
use crate::precision::{Kernels, Precision};
use crate::static_table::StaticTable;
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

/// Reads a model folder, whose files are checked against the manifest, or against the lock of its first pull.
///
/// # Errors
/// [`ModelError`] naming file, tensor, shape or setting.
pub(crate) fn load(
    dir: &Path,
    manifest: &ModelManifest,
    max_tokens: usize,
    choice: Choice,
) -> Result<Engine, ModelError> {
    let manifest = manifest.pinned_in(dir)?;
    let device = choice.device.open()?;
    store::check_present(dir, &manifest)?;
    check_precision(&manifest, choice.precision)?;
    match manifest.architecture {
        Architecture::Bert => bert(dir, &manifest, max_tokens, choice, &device),
        Architecture::Static => static_table(dir, &manifest, max_tokens),
    }
}

fn check_precision(manifest: &ModelManifest, precision: Precision) -> Result<(), ModelError> {
    if manifest.precision.supported.contains(&precision) {
        return Ok(());
    }
    let names: Vec<&str> = manifest.precision.supported.iter().map(|one| one.name()).collect();
    Err(ModelError::Setting {
        setting: "precision",
        problem: format!("is {precision}; model `{}` takes {}", manifest.name, names.join(", ")),
    })
}

fn bert(
    dir: &Path,
    manifest: &ModelManifest,
    max_tokens: usize,
    choice: Choice,
    device: &candle_core::Device,
) -> Result<Engine, ModelError> {
    let config = bert::read_config(dir, manifest)?;
    if max_tokens > config.max_position_embeddings {
        let file = dir.join(&manifest.part(Role::Config)?.path);
        let problem =
            format!("max_position_embeddings is {}, less than max_tokens {max_tokens}", config.max_position_embeddings);
        return Err(ModelError::bad_file(file, problem));
    }
    let tokenizer = tokenizer(dir, manifest, max_tokens, config.vocab_size)?;
    // Until the processor has kernels of its own, its shorter precisions are computed in f32.
    let precision = if device.is_cuda() { choice.precision } else { Precision::F32 };
    let backend = Box::new(Candle::load(dir, manifest, &config, device, precision)?);
    Ok(Engine { tokenizer, backend })
}

fn static_table(dir: &Path, manifest: &ModelManifest, max_tokens: usize) -> Result<Engine, ModelError> {
    let backend = StaticTable::load(dir, manifest)?;
    let tokenizer = tokenizer(dir, manifest, max_tokens, backend.rows())?.without_markers();
    Ok(Engine { tokenizer, backend: Box::new(backend) })
}

fn tokenizer(
    dir: &Path,
    manifest: &ModelManifest,
    max_tokens: usize,
    vocabulary: usize,
) -> Result<TextTokenizer, ModelError> {
    let entry = manifest.part(Role::Tokenizer)?;
    let bytes = weights::read_checked(dir, entry, &manifest.name)?;
    let tokenizer = TextTokenizer::from_json(&bytes, &dir.join(&entry.path), max_tokens, vocabulary)?;
    Ok(tokenizer.with_prefix(&manifest.prefix.query))
}
