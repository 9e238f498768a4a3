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

    /// All tokens.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
