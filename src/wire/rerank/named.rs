//! `documents` → `results`: Cohere, Jina, vLLM.

use crate::types::error::Error;
use crate::types::json::{Json, Number};
use crate::types::rerank::{Rank, Ranking, Rerank, RerankDocument};
use crate::types::usage::Usage;
use crate::wire::hub::{Encoded, Losses, ReplyFor};
use crate::wire::read::{self, wrong_type};
use crate::wire::write::{self, Object, text_of};

const KNOWN: [&str; 6] = ["model", "query", "documents", "top_n", "return_documents", "max_tokens_per_doc"];

/// Fields without a word in `Rerank` that one or the other of this form has.
const CARRIED: [&str; 4] = ["priority", "relevant_spans", "truncate_prompt_tokens", "rank_fields"];

/// Reads a request.
pub(super) fn decode(json: &Json<'_>) -> Result<Rerank, Error> {
    let documents = read::maybe_array(json, "", "documents")?;
    let documents = documents.ok_or_else(|| read::missing("documents", "an array of documents"))?;
    let document = |(at, document): (usize, &Json<'_>)| match document {
        Json::String(text) => Ok(RerankDocument::Text(text.to_string())),
        Json::Object(fields) => Ok(match fields.as_slice() {
            [(name, Json::String(text))] if name == "text" => RerankDocument::Text(text.to_string()),
            _ => RerankDocument::Fields(text_of(document)),
        }),
        other => Err(wrong_type(format!("documents.[{at}]"), "a string or an object", other)),
    };
    Ok(Rerank {
        query: read::text(json, "", "query")?.to_owned(),
        documents: documents.iter().enumerate().map(document).collect::<Result<_, _>>()?,
        top_n: read::maybe_integer(json, "", "top_n")?,
        return_documents: read::maybe_flag(json, "", "return_documents")?,
        max_tokens_per_document: read::maybe_integer(json, "", "max_tokens_per_doc")?,
        extra: read::extras(json, &KNOWN, &[]),
        ..Rerank::default()
    })
}

/// Writes a request.
pub(super) fn encode(asked: &Rerank) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    if asked.raw_scores == Some(true) {
        losses.refuse("raw_scores", "its scores are between 0 and 1.");
    }
    losses.drop_if(asked.truncate.is_some(), "truncate");
    let body = write::to_vec(|object| {
        object.text("model", &asked.model);
        object.text("query", &asked.query);
        object.array("documents", |list| {
            for document in &asked.documents {
                match document {
                    RerankDocument::Text(text) => list.text(text),
                    RerankDocument::Fields(json) => list.raw(json),
                }
            }
        });
        object.maybe_integer("top_n", asked.top_n);
        object.maybe_flag("return_documents", asked.return_documents);
        object.maybe_integer("max_tokens_per_doc", asked.max_tokens_per_document);
        for name in CARRIED {
            let extra = asked.extra.iter().find(|extra| extra.name == name);
            object.maybe_raw(name, extra.map(|extra| extra.json.as_str()));
        }
    });
    losses.others(&asked.extra, |name| CARRIED.contains(&name));
    losses.encoded(body)
}

/// Reads an answer.
pub(super) fn ranking(answer: &Json<'_>) -> Result<Ranking, String> {
    let results = answer.get("results").or_else(|| answer.get("data")).and_then(Json::as_array);
    let rank = |result: &Json<'_>| {
        let index = result.get("index").and_then(Json::as_u64).ok_or("a result has no `index`")?;
        let score = result.get("relevance_score").ok_or("a result has no `relevance_score`")?;
        let document = result.get("document").filter(|document| **document != Json::Null).map(text_of);
        Ok(Rank { index, score: text_of(score), document })
    };
    let text = |name: &str| answer.get(name).and_then(Json::as_str).map(str::to_owned);
    Ok(Ranking {
        id: text("id"),
        model: text("model"),
        ranks: results.ok_or("expected a `results` array")?.iter().map(rank).collect::<Result<_, String>>()?,
        usage: usage_of(answer),
        search_units: billed(answer, "search_units"),
    })
}

/// Tokens of an answer: Cohere tells those that are billed, others a total.
pub(super) fn usage_of(answer: &Json<'_>) -> Option<Usage> {
    let count = |name: &str| answer.get("usage").and_then(|usage| usage.get(name)).and_then(Json::as_u64);
    let tokens = count("prompt_tokens").or_else(|| count("total_tokens")).or_else(|| billed(answer, "input_tokens"))?;
    Some(Usage::new(tokens, 0))
}

fn billed(answer: &Json<'_>, name: &str) -> Option<u64> {
    match answer.get("meta")?.get("billed_units")?.get(name)? {
        Json::Number(Number::Unsigned(n)) => Some(*n),
        Json::Number(Number::Float(n)) if (0.0..9e15).contains(n) => Some(*n as u64),
        _ => None,
    }
}

/// Writes an answer that all who speak this form can read: each ignores what is the others' own.
pub(super) fn encode_answer(ranks: &[Rank], ranking: &Ranking, asked: &Rerank, reply: &ReplyFor) -> Vec<u8> {
    write::to_vec(|object| {
        object.text("id", &reply.id);
        object.text("model", &reply.model);
        object.array("results", |list| {
            for rank in ranks {
                list.object(|object| {
                    object.integer("index", rank.index);
                    object.raw("relevance_score", &rank.score);
                    write_document(object, rank, asked);
                });
            }
        });
        object.object("meta", |object| {
            object.object("api_version", |object| object.text("version", "2"));
            if let Some(units) = ranking.search_units {
                object.object("billed_units", |object| object.integer("search_units", units));
            }
        });
        if let Some(usage) = ranking.usage {
            object.object("usage", |object| {
                object.integer("prompt_tokens", usage.input_tokens);
                object.integer("total_tokens", usage.total());
            });
        }
    })
}

fn write_document(object: &mut Object<'_>, rank: &Rank, asked: &Rerank) {
    if asked.return_documents != Some(true) {
        return;
    }
    let own = usize::try_from(rank.index).ok().and_then(|index| asked.documents.get(index));
    match (&rank.document, own) {
        (Some(json), _) if json.starts_with('{') => object.raw("document", json),
        (_, Some(RerankDocument::Fields(json))) => object.raw("document", json),
        (_, Some(RerankDocument::Text(text))) => object.object("document", |object| object.text("text", text)),
        _ => {}
    }
}
