//! A text as the model reads it, and one vector from the vectors of its parts.
//!
//! A text longer than the model reads at once is either cut (one part, its beginning) or read in windows: parts of the
//! full length, each with the model's markers around it. Windows do not overlap: so each token counts once, the mean is
//! that of the whole text, and no token is paid for twice. A sentence halved at a seam is still half in either window.

use crate::backend::TokenBatch;
use crate::error::EmbedError;
use crate::pooling;

/// What becomes of a text that is longer than the model reads at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LongText {
    /// Only its beginning is read, and `Embedding::truncated` says so.
    #[default]
    Truncate,
    /// It is read in windows, at most `EmbedderSettings::max_windows`; its vector is the mean of theirs, weighted by
    /// their tokens and scaled to length one.
    Mean,
}

/// The ids of one text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    /// One row for each window; at least one.
    pub rows: TokenBatch,
    /// Of each row, how many tokens are markers.
    pub markers: usize,
    /// Whether the text was longer than what the rows stand for.
    pub truncated: bool,
}

impl Reading {
    /// How much a row's vector counts: its tokens without the markers.
    fn weight(&self, row: usize) -> f32 {
        self.rows.row(row).len().saturating_sub(self.markers).max(1) as f32
    }

    /// Adds the vector of a row to the sum of those before it; an empty sum is none yet.
    pub(crate) fn add(&self, sum: &mut Vec<f32>, row: usize, vector: &[f32]) {
        let weight = self.weight(row);
        sum.resize(vector.len(), 0.0);
        for (total, value) in sum.iter_mut().zip(vector) {
            *total += weight * value;
        }
    }
}

/// The unit vector in the direction of a sum.
///
/// # Errors
/// [`EmbedError::BadVector`] when the windows point so much against each other that nothing remains.
pub(crate) fn direction(mut sum: Vec<f32>) -> Result<Vec<f32>, EmbedError> {
    pooling::normalise(&mut sum)?;
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_count_by_their_own_tokens() {
        let mut rows = TokenBatch::default();
        rows.push(&[101, 7, 8, 9, 102]);
        rows.push(&[101, 7, 102]);
        let reading = Reading { rows, markers: 2, truncated: false };
        let mut sum = Vec::new();
        reading.add(&mut sum, 0, &[1.0, 0.0]);
        reading.add(&mut sum, 1, &[0.0, 1.0]);
        assert_eq!(sum, [3.0, 1.0]);
        let unit = direction(sum).unwrap();
        assert!((unit[0] - 0.9f32.sqrt()).abs() < 1e-6 && (unit[1] - 0.1f32.sqrt()).abs() < 1e-6);
        assert!(direction(vec![0.0, 0.0]).is_err());
    }
}
