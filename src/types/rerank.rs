//! `Rerank`: a request to order documents by a question, in no vendor's words, and `Ranking`: what it is answered with.

use super::chat::Extra;
use super::usage::Usage;

/// One request of an order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rerank {
    /// The model, as it is to be sent.
    pub model: String,
    /// The question.
    pub query: String,
    /// What is ordered.
    pub documents: Vec<RerankDocument>,
    /// How many of the best are told; `None` is all.
    pub top_n: Option<u64>,
    /// The documents are to be told again beside their scores; `None` is the vendor's default.
    pub return_documents: Option<bool>,
    /// So many tokens of each document are read.
    pub max_tokens_per_document: Option<u64>,
    /// Scores are wanted as the model gives them, in no range.
    pub raw_scores: Option<bool>,
    /// Documents that are too long are cut; `None` is the vendor's default.
    pub truncate: Option<bool>,
    /// Fields that have no word here.
    pub extra: Vec<Extra>,
}

/// What is ordered.
#[derive(Clone, PartialEq, Debug)]
pub enum RerankDocument {
    /// Words.
    Text(String),
    /// An object of other fields than words alone, as JSON text.
    Fields(String),
}

/// What a request of an order is answered with.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ranking {
    /// The answer's id.
    pub id: Option<String>,
    /// The model that gave it, as its provider says.
    pub model: Option<String>,
    /// The documents, the best first.
    pub ranks: Vec<Rank>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// Searches that are billed, where the vendor counts them.
    pub search_units: Option<u64>,
}

/// One document's place.
#[derive(Clone, PartialEq, Debug)]
pub struct Rank {
    /// Which of the request's documents.
    pub index: u64,
    /// Its score, as JSON text.
    pub score: String,
    /// The document, where it was told again: JSON text.
    pub document: Option<String>,
}
