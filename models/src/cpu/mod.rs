//! A BERT encoder of our own for the processor: weights packed once, kernels chosen by what the processor has.
//!
//! Floors, top to bottom; each file knows only those below it.
//!
//! | file | what |
//! |---|---|
//! | `mod` | [`CpuBert`]: the backend |
//! | `load` | tensors → packed weights; `convert`: floats to 16 bits, by the slice; `probe`: how large inputs get |
//! | `encoder` | the forward pass |
//! | `kernels` | the functions of a pass for each kind of processor; `features`: which kind this is |
//! | `amx`, `vnni` | products by tiles, and by 8-bit dot products; `ahead`: weights asked for in time |
//! | `product` | what a product is, and the one in plain vectors; `ops`: the element-wise work, and attention |
//! | `bytes` | what sums over 8-bit activations stand for |
//! | `scratch`, `matrix`, `arena` | memory of a pass; packed weights; aligned memory |
//! | `simd` | vector instructions, for each kind of processor |
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "tiles, and products of bytes, are x86-64's"))]

#[cfg(target_arch = "x86_64")]
mod ahead;
#[cfg(target_arch = "x86_64")]
mod amx;
pub(crate) mod arena;
mod bytes;
mod convert;
mod encoder;
mod features;
mod kernels;
mod load;
mod matrix;
mod ops;
mod probe;
mod product;
mod scratch;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;

use std::path::Path;

use parking_lot::Mutex;

use crate::backend::{Backend, TokenBatch};
use crate::bert::{Activation, BertConfig};
use crate::error::{EmbedError, ModelError};
use crate::manifest::{ModelManifest, Pooling, Role};
use crate::precision::{Kernels, Precision};
use crate::{bert, pooling, weights};
use encoder::Encoder;
use kernels::KernelSet;
use load::{Packer, Parts, Shape};
use scratch::Scratch;

/// A BERT encoder with pooling.
pub(crate) struct CpuBert {
    encoder: Encoder,
    pooling: Pooling,
    /// Memory of passes that are over, for the next ones.
    idle: Mutex<Vec<Scratch>>,
}

impl CpuBert {
    /// Reads the weights and packs them.
    ///
    /// # Errors
    /// [`ModelError::Setting`] when this processor lacks the kernels, [`ModelError::BadFile`] naming tensor or key,
    /// [`ModelError::Checksum`], [`ModelError::Io`].
    pub(crate) fn load(
        dir: &Path,
        manifest: &ModelManifest,
        config: &BertConfig,
        precision: Precision,
        kernels: Kernels,
    ) -> Result<CpuBert, ModelError> {
        let Some(set) = KernelSet::of(kernels) else {
            return Err(ModelError::Setting {
                setting: "kernels",
                problem: format!("is `{kernels}`, which this processor cannot run; expected `auto`"),
            });
        };
        let shape = Shape {
            hidden: config.hidden_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            inner: config.intermediate_size,
            epsilon: config.layer_norm_eps as f32,
            relu: config.hidden_act == Activation::Relu,
        };
        if config.hidden_act == Activation::GeluTanh {
            let file = dir.join(&manifest.part(Role::Config)?.path);
            return Err(ModelError::bad_file(file, "hidden_act has no kernel of ours; use `precision: f32`"));
        }
        shape.check().map_err(|problem| {
            ModelError::bad_file(dir.join("config.json"), format!("{problem}; use `precision: f32`"))
        })?;
        let file = manifest.part(Role::Weights)?;
        let mut packer = Packer::new(&shape, Parts::of(precision), set);
        weights::read_parts(dir, file, &manifest.name, &bert::wanted(config), &mut |part| packer.add(part))?;
        let encoder = packer.finish().map_err(|problem| ModelError::bad_file(dir.join(&file.path), problem))?;
        Ok(CpuBert { encoder, pooling: manifest.pooling, idle: Mutex::new(Vec::new()) })
    }

    fn check(&self, batch: &TokenBatch) -> Result<(), EmbedError> {
        let width = self.encoder.pass.widths.hidden;
        let positions = self.encoder.embeddings.positions.len() / width;
        let words = self.encoder.embeddings.words.len() / 2 / width;
        if batch.longest() > positions {
            return Err(EmbedError::Backend(format!(
                "{} tokens, but the model has {positions} positions",
                batch.longest()
            )));
        }
        match batch.ids().iter().find(|&&id| id as usize >= words) {
            Some(id) => Err(EmbedError::Backend(format!("token id {id}, but the model has {words} words"))),
            None => Ok(()),
        }
    }
}

impl Backend for CpuBert {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        if batch.rows() == 0 {
            return Ok(());
        }
        self.check(batch)?;
        let mut scratch = self.idle.lock().pop().unwrap_or_else(Scratch::new);
        self.encoder.pass.kernels.with_tiles(|| self.encoder.run(batch, &mut scratch));
        let width = self.encoder.pass.widths.hidden;
        let mut begin = 0;
        let pooled = batch.ends().iter().try_for_each(|&end| {
            let rows = &scratch.hidden.all()[begin * width..end * width];
            begin = end;
            pooling::pool_onto(self.pooling, rows, width, vectors)
        });
        self.idle.lock().push(scratch);
        pooled
    }

    fn width(&self) -> usize {
        self.encoder.pass.widths.hidden
    }

    fn engine(&self) -> &'static str {
        self.encoder.pass.kernels.name
    }

    fn packed_bytes(&self) -> usize {
        let embeddings = &self.encoder.embeddings;
        self.encoder.arena.len() + embeddings.words.len() + embeddings.positions.len() * 4
    }

    fn pass_bytes(&self) -> usize {
        self.encoder.arena.len()
    }
}
