//! `Usage`: tokens of one answer, as the provider counted them.

/// Token counts. Never estimated: an answer whose provider gave none has no `Usage`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens; 0 for embeddings.
    pub output_tokens: u64,
}
