//! Every wire of orders ↔ `types::rerank`.
//!
//! - [`Form::Named`]: `documents` → `results`, as Cohere has it (<https://docs.cohere.com/reference/rerank>) and, with a few
//!   fields more, Jina (<https://jina.ai/reranker>), vLLM and the gateways that call it `/v1/rerank`
//! - [`Form::Bare`]: `texts` → a bare list, as Text Embeddings Inference has it at `/rerank`
//!   (<https://huggingface.github.io/text-embeddings-inference>)
//!
//! - `named`, `bare`: requests and answers of each
//! - `bedrock`: the bodies of the models there, which are answered as `named` has it

mod bare;
pub mod bedrock;
mod named;

use super::hub::{Encoded, ReplyFor};
use super::json::parse;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::rerank::{Rank, Ranking, Rerank};
use crate::types::surface::Surface;
use crate::types::usage::Usage;

pub use bare::error_body as bare_error_body;

/// The model of a bare request that names none, as Text Embeddings Inference serves one only and is not told it.
pub const UNNAMED: &str = "rerank";

/// The surfaces of orders, each of which can be translated into the other.
pub const SURFACES: [Surface; 2] = [Surface::Rerank, Surface::RerankTexts];

/// Is it a surface of orders?
pub fn is_rerank(surface: Surface) -> bool {
    SURFACES.contains(&surface)
}

/// The surface of a request for an order, whose door is one for both forms.
pub fn surface_of(body: &[u8]) -> Surface {
    // Few bodies of the other form have these letters in them, so that few are read twice.
    if memchr::memmem::find(body, b"\"texts\"").is_none() {
        return Surface::Rerank;
    }
    match parse(body).map(|json| form_of(&json)) {
        Ok(Form::Bare) => Surface::RerankTexts,
        _ => Surface::Rerank,
    }
}

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

/// The form that is spoken at a surface of orders.
pub fn form_at(surface: Surface) -> Form {
    if surface == Surface::RerankTexts { Form::Bare } else { Form::Named }
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
    let mut ranking = match &json {
        Json::Array(ranks) => bare::ranking(ranks),
        answer => named::ranking(answer),
    }?;
    // Not every document says in which order the answer comes.
    let score = |rank: &Rank| rank.score.parse::<f64>().unwrap_or(f64::NEG_INFINITY);
    ranking.ranks.sort_by(|one, two| score(two).total_cmp(&score(one)));
    Ok(ranking)
}

/// Is every document of the ranking one that was asked about? The error says in words which is not.
pub fn check(ranking: &Ranking, asked: &Rerank) -> Result<(), String> {
    let known = |index: u64| usize::try_from(index).is_ok_and(|index| index < asked.documents.len());
    match ranking.ranks.iter().find(|rank| !known(rank.index)) {
        Some(rank) => Err(format!("it ranks document {} of {}", rank.index, asked.documents.len())),
        None => Ok(()),
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
