//! `texts` → a bare list: Text Embeddings Inference.

use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::types::rerank::{Rank, Ranking, Rerank, RerankDocument};
use crate::wire::hub::{Encoded, Losses};
use crate::wire::read;
use crate::wire::write::{self, text_of};

const KNOWN: [&str; 6] = ["model", "query", "texts", "raw_scores", "return_text", "truncate"];

/// Reads a request.
pub(super) fn decode(json: &Json<'_>) -> Result<Rerank, Error> {
    Ok(Rerank {
        query: read::text(json, "", "query")?.to_owned(),
        documents: read::texts(json, "", "texts")?.into_iter().map(RerankDocument::Text).collect(),
        return_documents: read::maybe_flag(json, "", "return_text")?,
        raw_scores: read::maybe_flag(json, "", "raw_scores")?,
        truncate: read::maybe_flag(json, "", "truncate")?,
        extra: read::extras(json, &KNOWN, &[]),
        ..Rerank::default()
    })
}

/// Writes a request. How many are wanted is no field here: the answer is cut to it.
pub(super) fn encode(asked: &Rerank) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    losses.drop_if(asked.max_tokens_per_document.is_some(), "max_tokens_per_doc");
    let body = write::to_vec(|object| {
        object.text("query", &asked.query);
        object.array("texts", |list| {
            for document in &asked.documents {
                match document {
                    RerankDocument::Text(text) => list.text(text),
                    RerankDocument::Fields(_) => losses.refuse("documents", "it orders texts only."),
                }
            }
        });
        object.maybe_flag("raw_scores", asked.raw_scores);
        object.maybe_flag("return_text", asked.return_documents);
        // Who orders by Cohere's wire never sees an error for a long document.
        object.flag("truncate", asked.truncate.unwrap_or(true));
    });
    losses.others(&asked.extra, |_| false);
    losses.encoded(body)
}

/// The body of an error: `{"error", "error_type"}`.
pub fn error_body(error: &Error) -> Vec<u8> {
    let kind = match error.kind {
        ErrorKind::Overloaded | ErrorKind::TooMany | ErrorKind::UpstreamStatus(429 | 503) => "Overloaded",
        kind if matches!(Error::new(kind, "").status(), 400..=499) => "Validation",
        _ => "Backend",
    };
    write::to_vec(|object| {
        object.text("error", &error.message);
        object.text("error_type", kind);
    })
}

/// Reads an answer.
pub(super) fn ranking(ranks: &[Json<'_>]) -> Result<Ranking, String> {
    let rank = |rank: &Json<'_>| {
        let index = rank.get("index").and_then(Json::as_u64).ok_or("a rank has no `index`")?;
        let score = rank.get("score").ok_or("a rank has no `score`")?;
        let text = rank.get("text").and_then(Json::as_str);
        let document = text.map(|text| write::to_text(|object| object.text("text", text)));
        Ok(Rank { index, score: text_of(score), document })
    };
    Ok(Ranking { ranks: ranks.iter().map(rank).collect::<Result<_, String>>()?, ..Ranking::default() })
}

/// Writes an answer.
pub(super) fn encode_answer(ranks: &[Rank], asked: &Rerank) -> Vec<u8> {
    let text = |rank: &Rank| match usize::try_from(rank.index).ok().and_then(|index| asked.documents.get(index)) {
        Some(RerankDocument::Text(text)) if asked.return_documents == Some(true) => Some(text.as_str()),
        _ => None,
    };
    let list = write::array_text(|list| {
        for rank in ranks {
            list.object(|object| {
                object.integer("index", rank.index);
                object.raw("score", &rank.score);
                object.maybe_text("text", text(rank));
            });
        }
    });
    list.into_bytes()
}
