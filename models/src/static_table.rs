//! Static models: a table of token vectors, of which a text's are averaged. No network, some microseconds a text.

use std::path::Path;

use crate::backend::{Backend, TokenBatch};
use crate::error::{EmbedError, ModelError};
use crate::manifest::{ModelManifest, Pooling, Role};
use crate::pooling;
use crate::weights::{self, Wanted};

/// A table of token vectors.
pub(crate) struct StaticTable {
    values: Vec<f32>,
    width: usize,
}

impl StaticTable {
    /// Reads the table.
    ///
    /// # Errors
    /// [`ModelError::BadFile`] naming the tensor, [`ModelError::Checksum`], [`ModelError::Io`], and
    /// [`ModelError::Manifest`] when the manifest describes no table.
    pub(crate) fn load(dir: &Path, manifest: &ModelManifest) -> Result<StaticTable, ModelError> {
        let table = manifest.table.as_ref().ok_or_else(|| ModelError::Manifest {
            source_name: manifest.name.clone(),
            problem: "architecture: static needs the key `table`".into(),
        })?;
        let wanted = Wanted { name: table.tensor.clone(), shape: vec![table.rows, manifest.width] };
        let entry = manifest.part(Role::Weights)?;
        let mut read = weights::read_tensors(dir, entry, &manifest.name, &[wanted])?;
        let values = read.remove(&table.tensor).map(|weights| weights.values).unwrap_or_default();
        Ok(StaticTable { values, width: manifest.width })
    }

    /// Token ids that the table has vectors for.
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    fn row(&self, id: u32) -> Result<&[f32], EmbedError> {
        let begin = id as usize * self.width;
        self.values
            .get(begin..begin + self.width)
            .ok_or_else(|| EmbedError::Backend(format!("token id {id}, but the table has {} rows", self.rows())))
    }
}

impl Backend for StaticTable {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        let mut gathered = Vec::with_capacity(batch.longest() * self.width);
        for ids in batch.iter() {
            gathered.clear();
            for &id in ids {
                gathered.extend_from_slice(self.row(id)?);
            }
            vectors.extend(pooling::pool(Pooling::Mean, &gathered, self.width, ids.len())?);
        }
        Ok(())
    }

    fn engine(&self) -> &'static str {
        "table"
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_the_direction_of_the_mean() {
        let table = StaticTable { values: vec![0.0, 1.0, 3.0, 0.0, 0.0, 3.0], width: 2 };
        assert_eq!(table.rows(), 3);
        let mut batch = TokenBatch::default();
        batch.push(&[1, 2]);
        batch.push(&[]);
        batch.push(&[1, 1, 1]);
        let mut vectors = vec![9.0];
        table.encode(&batch, &mut vectors).unwrap();
        let half = 0.5f32.sqrt();
        for (got, expected) in vectors.iter().zip([9.0, half, half, 0.0, 1.0, 1.0, 0.0]) {
            assert!((got - expected).abs() < 1e-6, "{vectors:?}");
        }
        let mut beyond = TokenBatch::default();
        beyond.push(&[3]);
        assert!(table.encode(&beyond, &mut vectors).unwrap_err().to_string().contains("token id 3"));
    }
}
