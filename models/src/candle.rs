//! The candle backend: a BERT encoder with pooling, in 32-bit floats on the processor, where it is the oracle for our
//! own kernels, and in `f32` or `bf16` on a GPU.
//!
//! - `bert`: the network

mod bert;

use std::path::Path;

use candle_core::{DType, Device};

use crate::backend::{Backend, TokenBatch};
use crate::bert::{BertConfig, wanted};
use crate::error::{EmbedError, ModelError};
use crate::manifest::{ModelManifest, Pooling, Role};
use crate::pooling;
use crate::precision::Precision;
use crate::weights;
use bert::{Bert, Padded};

/// A BERT encoder with pooling.
pub(crate) struct Candle {
    network: Bert,
    pooling: Pooling,
    width: usize,
}

/// The type in which the network computes on a device.
///
/// # Errors
/// [`ModelError::Setting`] for a precision that candle has no network for.
pub(crate) fn dtype(device: &Device, precision: Precision) -> Result<DType, ModelError> {
    match (device.is_cuda(), precision) {
        (_, Precision::F32) => Ok(DType::F32),
        (true, Precision::Bf16) => Ok(DType::BF16),
        _ => Err(ModelError::Setting {
            setting: "precision",
            problem: format!(
                "{precision} cannot be computed by candle on {}; use {}",
                if device.is_cuda() { "a GPU" } else { "the processor" },
                if device.is_cuda() { "bf16 or f32" } else { "f32" }
            ),
        }),
    }
}

impl Candle {
    /// Reads the weights and builds the network. Takes some hundred milliseconds.
    ///
    /// # Errors
    /// [`ModelError::BadFile`] naming the tensor, [`ModelError::Checksum`], [`ModelError::Io`], and
    /// [`ModelError::Setting`] for a precision that the device cannot compute in.
    pub(crate) fn load(
        dir: &Path,
        manifest: &ModelManifest,
        config: &BertConfig,
        device: &Device,
        precision: Precision,
    ) -> Result<Candle, ModelError> {
        let dtype = dtype(device, precision)?;
        let entry = manifest.part(Role::Weights)?;
        let read = weights::read_tensors(dir, entry, &manifest.name, &wanted(config))?;
        let network = Bert::new(read, config, device, dtype)
            .map_err(|error| ModelError::bad_file(dir.join(&entry.path), format!("cannot be used: {error}")))?;
        Ok(Candle { network, pooling: manifest.pooling, width: config.hidden_size })
    }

    /// Vectors of any length, one after the other.
    fn pooled(&self, batch: &TokenBatch) -> candle_core::Result<Vec<f32>> {
        let padded = Padded::new(batch, &self.network)?;
        let hidden = self.network.forward(&padded)?;
        match self.pooling {
            // Division by the number of tokens is left out: the vector is scaled to length one anyway.
            Pooling::Mean => padded.sum_of_real(&hidden),
            Pooling::Cls => hidden.narrow(1, 0, 1)?.to_dtype(DType::F32),
        }?
        .flatten_all()?
        .to_vec1()
    }
}

impl Backend for Candle {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        if batch.rows() == 0 {
            return Ok(());
        }
        let begin = vectors.len();
        vectors.extend(self.pooled(batch).map_err(|error| EmbedError::Backend(error.to_string()))?);
        vectors[begin..].chunks_exact_mut(self.width).try_for_each(pooling::normalise)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_computes_in_f32_only() {
        assert_eq!(dtype(&Device::Cpu, Precision::F32).unwrap(), DType::F32);
        for precision in [Precision::Bf16, Precision::Int8] {
            let error = dtype(&Device::Cpu, precision).unwrap_err().to_string();
            assert!(error.contains("precision") && error.contains("use f32"), "{error}");
        }
    }
}
