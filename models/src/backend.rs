//! Token ids → unit vectors: the trait that every engine implements, and the batch it is given.

use crate::error::EmbedError;
use crate::tokenize::Tokens;

/// An engine that turns token ids into unit vectors. Shared by all workers: what it needs to remember between calls is
/// its own affair and safe to share.
pub trait Backend: Send + Sync {
    /// Appends one vector of [`Backend::width`] components and length one for each row of the batch, in order.
    /// `vectors` is the caller's to keep from call to call, so that an engine need not allocate.
    ///
    /// # Errors
    /// [`EmbedError::Backend`] or [`EmbedError::BadVector`] when the engine fails; then what `vectors` holds beyond its
    /// former length means nothing.
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError>;

    /// Components of a vector.
    fn width(&self) -> usize;

    /// What computes, for people: `candle`, or the instruction set of our own kernels.
    fn engine(&self) -> &'static str;

    /// Bytes of all weights in memory, as packed for this machine; 0 when not known.
    fn packed_bytes(&self) -> usize {
        0
    }

    /// Bytes of the weights that every pass reads, however short its text: those of the linear layers, not the tables
    /// of embeddings. 0 when not known. What the memory needs to deliver them is the floor under a pass.
    fn pass_bytes(&self) -> usize {
        0
    }

    /// Whether a batch costs its rows times the longest of them, as rows are padded to one length. By default each
    /// token is computed once, and rows of any lengths go well together.
    fn pads(&self) -> bool {
        false
    }

    /// Whether it runs loops in rayon's pool. Each worker then has a pool of one thread, so that it keeps to its core.
    fn uses_rayon(&self) -> bool {
        false
    }
}

/// Token ids of several texts, one after the other, without padding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenBatch {
    ids: Vec<u32>,
    /// Where each row ends in `ids`.
    ends: Vec<usize>,
    longest: usize,
}

impl TokenBatch {
    /// The texts' ids. A text of no tokens cannot be encoded and is given one padding token, id 0.
    pub fn new(texts: &[&Tokens]) -> TokenBatch {
        let mut batch = TokenBatch::default();
        texts.iter().for_each(|text| batch.push(&text.ids));
        batch
    }

    /// Appends a row; no ids stand for one padding token, id 0.
    pub fn push(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(if ids.is_empty() { &[0] } else { ids });
        self.ends.push(self.ids.len());
        self.longest = self.longest.max(ids.len().max(1));
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
        self.longest = 0;
    }

    /// Number of texts.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Tokens of all texts together.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Tokens of the longest text.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The ids of all rows, one after the other.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Where each row ends in [`TokenBatch::ids`].
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// The ids of one row; never empty.
    pub fn row(&self, row: usize) -> &[u32] {
        let begin = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.ids[begin..self.ends[row]]
    }

    /// The ids of each row, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.rows()).map(|row| self.row(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(ids: &[u32]) -> Tokens {
        Tokens { ids: ids.to_vec(), truncated: false }
    }

    #[test]
    fn rows_lie_one_after_the_other() {
        let (long, short) = (tokens(&[7, 8, 9]), tokens(&[5]));
        let mut batch = TokenBatch::new(&[&long, &short]);
        assert_eq!((batch.rows(), batch.tokens(), batch.longest()), (2, 4, 3));
        assert_eq!(batch.ids(), [7, 8, 9, 5]);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&[7, 8, 9][..], &[5]]);
        batch.clear();
        assert_eq!(batch, TokenBatch::default());
    }

    #[test]
    fn empty_batches_and_rows_are_no_special_case() {
        assert_eq!(TokenBatch::new(&[]).rows(), 0);
        let batch = TokenBatch::new(&[&tokens(&[]), &tokens(&[4])]);
        assert_eq!((batch.row(0), batch.row(1), batch.longest()), (&[0][..], &[4][..], 1));
    }
}
