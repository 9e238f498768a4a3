//! Token ids → unit vectors: the trait that every engine implements, and the batch it is given.

use crate::error::EmbedError;
use crate::tokenize::Tokens;

/// An engine that turns token ids into unit vectors. Shared by all workers, so it must not keep state between calls.
pub trait Backend: Send + Sync {
    /// One vector of [`Backend::width`] components and length one for each row of the batch, in order.
    ///
    /// # Errors
    /// [`EmbedError::Backend`] when the engine fails; then no row has a vector.
    fn encode(&self, batch: &TokenBatch) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Components of a vector.
    fn width(&self) -> usize;
}

/// Token ids of several texts in one rectangle, padded on the right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    /// `rows × columns` ids, row after row; padding is id 0.
    ids: Vec<u32>,
    /// Real tokens of each row; never 0.
    lengths: Vec<usize>,
    /// Length of the longest row.
    columns: usize,
}

impl TokenBatch {
    /// Lays texts out in one rectangle. Rows of no tokens cannot be encoded and are given one padding token.
    pub fn new(texts: &[&Tokens]) -> TokenBatch {
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len().max(1)).collect();
        let columns = lengths.iter().copied().max().unwrap_or(0);
        let mut ids = vec![0; columns * texts.len()];
        for (row, text) in texts.iter().enumerate() {
            let begin = row * columns;
            ids[begin..begin + text.ids.len()].copy_from_slice(&text.ids);
        }
        TokenBatch { ids, lengths, columns }
    }

    /// Number of texts.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// Tokens of the longest text.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All ids, row after row, each row `columns` long.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Real tokens of each row, padding not counted.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The real ids of one row.
    pub fn row(&self, row: usize) -> &[u32] {
        let begin = row * self.columns;
        &self.ids[begin..begin + self.lengths[row]]
    }

    /// 1 for a real token and 0 for padding, in the layout of [`TokenBatch::ids`]; `None` when nothing is padded.
    pub fn mask(&self) -> Option<Vec<u32>> {
        if self.lengths.iter().all(|&length| length == self.columns) {
            return None;
        }
        let mut mask = vec![0; self.ids.len()];
        for (row, &length) in self.lengths.iter().enumerate() {
            let begin = row * self.columns;
            mask[begin..begin + length].fill(1);
        }
        Some(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(ids: &[u32]) -> Tokens {
        Tokens { ids: ids.to_vec(), truncated: false }
    }

    #[test]
    fn rows_are_padded_on_the_right_and_masked() {
        let (long, short) = (tokens(&[7, 8, 9]), tokens(&[5]));
        let batch = TokenBatch::new(&[&long, &short]);
        assert_eq!((batch.rows(), batch.columns()), (2, 3));
        assert_eq!(batch.ids(), [7, 8, 9, 5, 0, 0]);
        assert_eq!(batch.mask().unwrap(), [1, 1, 1, 1, 0, 0]);
        assert_eq!(batch.row(1), [5]);
        assert_eq!(TokenBatch::new(&[&long]).mask(), None);
    }

    #[test]
    fn empty_batches_and_rows_are_no_special_case() {
        assert_eq!(TokenBatch::new(&[]).rows(), 0);
        let batch = TokenBatch::new(&[&tokens(&[])]);
        assert_eq!((batch.ids(), batch.lengths()), (&[0][..], &[1][..]));
    }
}
