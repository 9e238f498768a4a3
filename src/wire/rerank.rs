//! Every wire of orders ↔ `types::rerank`.
//!
//! - [`Form::Named`]: `documents` → `results`, as Cohere has it (<https://docs.cohere.com/reference/rerank>) and, with a few
//!   fields more, Jina (<https://jina.ai/reranker>), vLLM and the gateways that call it `/v1/rerank`
//! - [`Form::Bare`]: `texts` → a bare list, as Text Embeddings Inference has it at `/rerank`
//!   (<https://huggingface.github.io/text-embeddings-inference>)
//!
//! - `named`, `bare`: requests and answers of each

mod bare;
mod named;

use super::hub::{Encoded, ReplyFor};
use super::json::parse;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::rerank::{Ranking, Rerank};
use crate::types::usage::Usage;

/// How an order is asked for and told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `{"query", "documents"}` → `{"results": [{"index", "relevance_score"}]}`
    Named,
    /// `{"query", "texts"}` → `[{"index", "score"}]`
    Bare,
}

/// The form of a request.
pub fn form_of(json: &Json<'_>) -> Form {
    if json.get("texts").is_some() && json.get("documents").is_none() { Form::Bare } else { Form::Named }
}

/// Reads a request of either form.
pub fn decode(json: &Json<'_>, model: &str) -> Result<Rerank, Error> {
    let asked = match form_of(json) {
        Form::Named => named::decode(json)?,
        Form::Bare => bare::decode(json)?,
    };
    Ok(Rerank { model: model.to_owned(), ..asked })
}

/// Writes a request.
pub fn encode(form: Form, asked: &Rerank) -> Result<Encoded, Error> {
    match form {
        Form::Named => named::encode(asked),
        Form::Bare => bare::encode(asked),
    }
}

/// Reads an answer of either form. The error says in words what is wrong with it.
pub fn decode_answer(body: &[u8]) -> Result<Ranking, String> {
    let json = parse(body).map_err(|error| error.message)?;
    match &json {
        Json::Array(ranks) => bare::ranking(ranks),
        answer => named::ranking(answer),
    }
}

/// Tokens of an answer.
pub fn usage(answer: &Json<'_>) -> Option<Usage> {
    named::usage_of(answer)
}

/// Writes an answer to what was `asked`: the best first, and no more than were wanted.
pub fn encode_answer(form: Form, ranking: &Ranking, asked: &Rerank, reply: &ReplyFor) -> Vec<u8> {
    let wanted = asked.top_n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let ranks = ranking.ranks.get(..wanted).unwrap_or(&ranking.ranks);
    match form {
        Form::Named => named::encode_answer(ranks, ranking, asked, reply),
        Form::Bare => bare::encode_answer(ranks, asked),
    }
}

#[cfg(test)]
mod tests;
