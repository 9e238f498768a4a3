//! Every wire of vectors ↔ `types::embeddings`.
//!
//! - `openai`: `POST /v1/embeddings`
//! - `cohere`: `POST /v2/embed`
//! - `ollama`: `POST /api/embed`
//! - `gemini`: `:embedContent` and `:batchEmbedContents`
//! - `bedrock`: the bodies of Titan's, Cohere's and Nova's models there, several of them to a request
//! - `number`: vectors from one form of number into another
//!
//! Floats and base64 say the same: a target is asked for what it has, and the caller is given what was wanted. Whole numbers
//! of fewer bits are the vendor's own work: a target without them is not asked.

pub mod bedrock;
mod cohere;
mod gemini;
mod number;
mod ollama;
mod openai;

use super::hub::{Encoded, ReplyFor};
use crate::types::embeddings::{Embeddings, Encoding, Task, Truncate, Vectors};
use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::types::surface::Surface;
use crate::types::usage::Usage;

/// Is it a surface of vectors, each of which can be translated into each other?
pub fn is_embeddings(surface: Surface) -> bool {
    matches!(surface, Surface::Embeddings | Surface::CohereEmbed | Surface::EmbedContent | Surface::OllamaEmbed)
}

/// Reads a request.
pub fn decode(surface: Surface, json: &Json<'_>, model: &str) -> Result<Embeddings, Error> {
    let asked = match surface {
        Surface::Embeddings => openai::decode(json)?,
        Surface::CohereEmbed => cohere::decode(json)?,
        Surface::OllamaEmbed => ollama::decode(json)?,
        Surface::EmbedContent => gemini::decode(json)?,
        other => return Err(no_vectors(other)),
    };
    Ok(Embeddings { model: model.to_owned(), ..asked })
}

/// Writes a request.
pub fn encode(surface: Surface, asked: &Embeddings) -> Result<Encoded, Error> {
    match surface {
        Surface::Embeddings => openai::encode(asked),
        Surface::CohereEmbed => cohere::encode(asked),
        Surface::OllamaEmbed => ollama::encode(asked),
        Surface::EmbedContent => gemini::encode(asked),
        other => Err(no_vectors(other)),
    }
}

/// Reads an answer. The error says in words what is wrong with it.
pub fn decode_answer(surface: Surface, body: &[u8]) -> Result<Vectors, String> {
    match surface {
        Surface::Embeddings => openai::decode_answer(body),
        Surface::CohereEmbed => cohere::decode_answer(body),
        Surface::OllamaEmbed => ollama::decode_answer(body),
        Surface::EmbedContent => gemini::decode_answer(body),
        other => Err(no_vectors(other).message),
    }
}

/// Writes an answer to what was `asked`. The error says in words what the vectors lack.
pub fn encode_answer(
    surface: Surface,
    vectors: &Vectors,
    asked: &Embeddings,
    reply: &ReplyFor,
) -> Result<Vec<u8>, String> {
    for form in &vectors.forms {
        if form.vectors.len() != asked.inputs.len() {
            return Err(format!("expected {} vectors, got {}", asked.inputs.len(), form.vectors.len()));
        }
    }
    match surface {
        Surface::Embeddings => openai::encode_answer(vectors, asked, reply),
        Surface::CohereEmbed => cohere::encode_answer(vectors, asked, reply),
        Surface::OllamaEmbed => ollama::encode_answer(vectors, reply),
        Surface::EmbedContent => gemini::encode_answer(vectors, asked),
        other => Err(no_vectors(other).message),
    }
}

/// Tokens of an answer in that wire.
pub fn usage(surface: Surface, answer: &Json<'_>) -> Option<Usage> {
    match surface {
        Surface::Embeddings => super::openai::answer::usage_of(answer.get("usage")?),
        Surface::CohereEmbed => cohere::usage_of(answer.get("meta")?),
        Surface::OllamaEmbed => ollama::usage_of(answer),
        Surface::EmbedContent => gemini::usage(answer),
        _ => None,
    }
}

/// What vectors are for, in the words of the vendors that have some: Cohere, Gemini, Jina, Voyage.
fn task_of(word: &str) -> Option<Task> {
    Some(match word.to_ascii_lowercase().as_str() {
        "search_document" | "retrieval_document" | "retrieval.passage" | "document" | "passage" => Task::Document,
        "search_query" | "retrieval_query" | "retrieval.query" | "query" => Task::Query,
        "semantic_similarity" | "text-matching" => Task::Similarity,
        "classification" => Task::Classification,
        "clustering" | "separation" => Task::Clustering,
        "question_answering" => Task::QuestionAnswering,
        "fact_verification" => Task::FactVerification,
        "code_retrieval_query" => Task::CodeQuery,
        "image" => Task::Image,
        _ => return None,
    })
}

/// What becomes of an input that is too long, in the words of Cohere and NVIDIA.
fn truncate_of(word: &str) -> Option<Truncate> {
    Some(match word {
        "NONE" => Truncate::Never,
        "START" => Truncate::Start,
        "END" => Truncate::End,
        _ => return None,
    })
}

/// Whole numbers are wanted, which only their vendor can make.
fn wants_integers(asked: &Embeddings) -> bool {
    asked.encodings.iter().any(|encoding| !matches!(encoding, Encoding::Float | Encoding::Base64))
}

fn no_vectors(surface: Surface) -> Error {
    Error::new(ErrorKind::Internal, format!("`{}` is no surface of vectors.", surface.as_str()))
}

#[cfg(test)]
mod tests;
