//! How large a batch may grow.
//!
//! An engine without padding computes each token once, whatever else is in the batch: a text that joins saves the fixed
//! cost of a pass (the weights are read from memory once, not twice) and costs nobody anything but its own tokens. So
//! texts join up to the budget, which bounds how long the first waits for the last. An engine that pads computes
//! rows × longest: there a text joins only while the padding it brings costs less than the pass it saves.

/// For an engine that pads: the fixed cost of a pass through the model, in tokens that could be computed in the same
/// time. Measured with candle and the default model on one core, a pass takes 7 ms and another 0.45 ms for each token.
const FIXED_COST_TOKENS: usize = 16;

/// The size of a batch as it grows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    pads: bool,
    rows: usize,
    longest: usize,
    real: usize,
}

impl BatchSize {
    /// No rows yet, for an engine that pads rows to one length or does not.
    pub(crate) fn empty(pads: bool) -> BatchSize {
        BatchSize { pads, rows: 0, longest: 0, real: 0 }
    }

    /// Tokens that the model computes.
    pub(crate) fn tokens(self) -> usize {
        if self.pads { self.rows * self.longest } else { self.real }
    }

    /// Takes in as many of `rows`, given by their lengths in tokens, as belong in this batch; says how many. The first
    /// row of a batch always does.
    pub(crate) fn grow(&mut self, rows: impl Iterator<Item = usize>, budget: usize) -> usize {
        let mut taken = 0;
        for tokens in rows {
            let grown = self.with(tokens);
            if self.rows > 0 && !grown.is_worthwhile(budget) {
                break;
            }
            *self = grown;
            taken += 1;
        }
        taken
    }

    fn with(self, tokens: usize) -> BatchSize {
        BatchSize { rows: self.rows + 1, longest: self.longest.max(tokens), real: self.real + tokens, ..self }
    }

    fn is_worthwhile(self, budget: usize) -> bool {
        let padding = self.tokens() - self.real;
        self.tokens() <= budget && padding <= self.rows.saturating_sub(1) * FIXED_COST_TOKENS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(pads: bool, rows: &[usize], budget: usize) -> (usize, usize) {
        let mut size = BatchSize::empty(pads);
        let taken = size.grow(rows.iter().copied(), budget);
        (taken, size.tokens())
    }

    #[test]
    fn a_batch_ends_at_its_budget() {
        for pads in [true, false] {
            assert_eq!(grown(pads, &[10; 9], 35), (3, 30));
            assert_eq!(grown(pads, &[10, 10], 20), (2, 20));
            assert_eq!(grown(pads, &[100, 1], 20), (1, 100), "a row larger than the budget goes alone");
            assert_eq!(grown(pads, &[], 20), (0, 0));
        }
    }

    #[test]
    fn padding_counts_only_where_there_is_padding() {
        assert_eq!(grown(true, &[10, 200], 512), (1, 10));
        assert_eq!(grown(false, &[10, 200, 302, 1], 512), (3, 512));
        assert_eq!(grown(true, &[10, 26], 512), (2, 52), "padding as dear as a pass is still worth it");
    }
}
