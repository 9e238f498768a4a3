//! A model folder → tokenizer and backend, in the arithmetic and on the device that were asked for.

use std::path::Path;

use crate::backend::Backend;
use crate::bert::{self, BertConfig};
use crate::candle::Candle;
use crate::cpu::CpuBert;
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
    store::check_present(dir, &manifest)?;
    check_precision(&manifest, choice.precision)?;
    match manifest.architecture {
        Architecture::Bert => bert(dir, &manifest, max_tokens, choice),
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

fn bert(dir: &Path, manifest: &ModelManifest, max_tokens: usize, choice: Choice) -> Result<Engine, ModelError> {
    let config = bert::read_config(dir, manifest)?;
    if max_tokens > config.max_position_embeddings {
        let file = dir.join(&manifest.part(Role::Config)?.path);
        let problem =
            format!("max_position_embeddings is {}, less than max_tokens {max_tokens}", config.max_position_embeddings);
        return Err(ModelError::bad_file(file, problem));
    }
    // Side by side: reading the vocabulary takes about as long as packing the weights.
    std::thread::scope(|scope| {
        let tokenizer = scope.spawn(|| tokenizer(dir, manifest, max_tokens, config.vocab_size));
        let backend = backend(dir, manifest, &config, choice);
        let tokenizer =
            tokenizer.join().map_err(|_| ModelError::Thread("the one that reads the tokenizer ended".into()))?;
        Ok(Engine { tokenizer: tokenizer?, backend: backend? })
    })
}

fn backend(
    dir: &Path,
    manifest: &ModelManifest,
    config: &BertConfig,
    choice: Choice,
) -> Result<Box<dyn Backend>, ModelError> {
    let device = choice.device.open()?;
    if choice.device != Device::Cpu || choice.precision == Precision::F32 {
        return Ok(Box::new(Candle::load(dir, manifest, config, &device, choice.precision)?));
    }
    Ok(Box::new(CpuBert::load(dir, manifest, config, choice.precision, choice.kernels)?))
}

fn static_table(dir: &Path, manifest: &ModelManifest, max_tokens: usize) -> Result<Engine, ModelError> {
    let backend = StaticTable::load(dir, manifest)?;
    let tokenizer = tokenizer(dir, manifest, max_tokens, backend.rows())?;
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
    let tokenizer = match manifest.architecture {
        Architecture::Bert => tokenizer,
        Architecture::Static => tokenizer.without_markers(),
    };
    tokenizer.with_prefix(&manifest.prefix.query)
}
