//! `Usage`: tokens of one answer, as the provider counted them.

/// Token counts. Never estimated: an answer whose provider gave none has no `Usage`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Prompt tokens, those of the provider's prompt cache among them.
    pub input_tokens: u64,
    /// Completion tokens, those of reasoning among them; 0 for embeddings.
    pub output_tokens: u64,
    /// Of the prompt tokens, those that were read from the provider's prompt cache.
    pub cached_tokens: u64,
    /// Of the prompt tokens, those that were written to the provider's prompt cache.
    pub cache_write_tokens: u64,
    /// Of the completion tokens, those of reasoning.
    pub reasoning_tokens: u64,
    /// What is paid for, where the provider says that it is another count.
    pub billed: Option<Billed>,
}

/// Tokens that are paid for: Cohere does not bill those that it puts around a prompt itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Billed {
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
}

impl Usage {
    /// Prompt and completion tokens with nothing more said about them.
    pub fn new(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, ..Usage::default() }
    }

    /// The usage that is paid for.
    pub fn paid(&self) -> Usage {
        match self.billed {
            Some(Billed { input_tokens, output_tokens }) => {
                Usage { input_tokens, output_tokens, billed: None, ..*self }
            }
            None => *self,
        }
    }

    /// No more than an answer can have: a count that a provider got wrong must not spoil the sums that it goes into.
    pub fn plausible(self) -> Usage {
        const MOST: u64 = 1 << 40;
        let Usage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, billed } = self;
        Usage {
            input_tokens: input_tokens.min(MOST),
            output_tokens: output_tokens.min(MOST),
            cached_tokens: cached_tokens.min(MOST),
            cache_write_tokens: cache_write_tokens.min(MOST),
            reasoning_tokens: reasoning_tokens.min(MOST),
            billed: billed.map(|billed| Billed {
                input_tokens: billed.input_tokens.min(MOST),
                output_tokens: billed.output_tokens.min(MOST),
            }),
        }
    }

    /// All tokens.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
