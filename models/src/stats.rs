//! What the embedder has done so far, counted without locks.

use std::sync::atomic::{AtomicU64, Ordering};

/// The largest batches that each of [`EmbedderStats::batches`] but the last counts, in rows.
pub const BATCH_ROWS: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// What an embedder has done since it was started, and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmbedderStats {
    /// Texts that wait for a worker now. Those of a bulk are not among them.
    pub queued: usize,
    /// Texts that the model gave a vector. What the memo remembered is not among them.
    pub texts: u64,
    /// Of those, texts whose end was left out.
    pub truncated: u64,
    /// Tokens that the model computed, without padding.
    pub tokens: u64,
    /// Passes of the model by their rows: up to 1, 2, 4, 8, 16, 32 ([`BATCH_ROWS`]), and more.
    pub batches: [u64; BATCH_ROWS.len() + 1],
    /// The memo.
    pub memo: MemoStats,
}

/// What the memo of an embedder holds, and how often it knew a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoStats {
    /// Texts that it knew.
    pub hits: u64,
    /// Texts that it did not know.
    pub misses: u64,
    /// Texts that it holds.
    pub entries: usize,
    /// Bytes that they are charged with, of `EmbedderSettings::memo_bytes`.
    pub bytes: usize,
}

/// The counters behind [`EmbedderStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    texts: AtomicU64,
    truncated: AtomicU64,
    tokens: AtomicU64,
    batches: [AtomicU64; BATCH_ROWS.len() + 1],
}

impl Counters {
    /// The model made a pass over this many rows and tokens.
    pub(crate) fn batch(&self, rows: usize, tokens: usize) {
        let at = BATCH_ROWS.iter().position(|&most| rows <= most).unwrap_or(BATCH_ROWS.len());
        self.batches[at].fetch_add(1, Ordering::Relaxed);
        self.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    /// A text has its vector.
    pub(crate) fn text(&self, truncated: bool) {
        self.texts.fetch_add(1, Ordering::Relaxed);
        self.truncated.fetch_add(u64::from(truncated), Ordering::Relaxed);
    }

    /// All of it, with what others count.
    pub(crate) fn read(&self, queued: usize, memo: MemoStats) -> EmbedderStats {
        EmbedderStats {
            queued,
            texts: self.texts.load(Ordering::Relaxed),
            truncated: self.truncated.load(Ordering::Relaxed),
            tokens: self.tokens.load(Ordering::Relaxed),
            batches: std::array::from_fn(|at| self.batches[at].load(Ordering::Relaxed)),
            memo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_by_their_rows() {
        let counters = Counters::default();
        for rows in [1, 1, 2, 3, 4, 5, 32, 33, 1000] {
            counters.batch(rows, 10);
        }
        counters.text(false);
        counters.text(true);
        let stats = counters.read(3, MemoStats::default());
        assert_eq!(stats.batches, [2, 1, 2, 1, 0, 1, 2]);
        assert_eq!((stats.tokens, stats.texts, stats.truncated, stats.queued), (90, 2, 1, 3));
    }
}
