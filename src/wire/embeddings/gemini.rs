//! Gemini's vectors (<https://ai.google.dev/api/embeddings>): its own types ↔ `types::embeddings`.

use super::number::in_form;
use super::{task_of, wants_integers};
use crate::types::chat::Extra;
use crate::types::embeddings::{Embeddings, Encoding, Form, Input, Task, Vectors};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::gemini::embed::{self, EmbedInput, EmbedRequest};
use crate::wire::hub::{Encoded, Losses};
use crate::wire::write;

/// Reads a request.
pub(super) fn decode(json: &Json<'_>) -> Result<Embeddings, Error> {
    let EmbedRequest { inputs, batch, dropped } = embed::decode(json)?;
    // The requests of a batch are each for themselves here, and one request everywhere else.
    let same =
        |of: fn(&EmbedInput) -> Option<&str>| inputs.iter().all(|input| of(input) == inputs.first().and_then(of));
    let task = |input: &EmbedInput| input.task_type.as_deref().and_then(task_of);
    let mut extra: Vec<Extra> =
        dropped.into_iter().map(|name| Extra { name, json: "true".into(), essential: false }).collect();
    let first = inputs.first();
    let known = first.and_then(task);
    let mut lost = |name: &str, essential| extra.push(Extra { name: name.into(), json: "true".into(), essential });
    if !same(|input| input.task_type.as_deref())
        || (known.is_none() && first.is_some_and(|one| one.task_type.is_some()))
    {
        lost("taskType", false);
    }
    if !same(|input| input.title.as_deref()) {
        lost("title", false);
    }
    let dimensions = first.and_then(|input| input.dimensions);
    if inputs.iter().any(|input| input.dimensions != dimensions) {
        lost("outputDimensionality", true);
    }
    Ok(Embeddings {
        alone: !batch,
        task: known,
        title: first.and_then(|input| input.title.clone()),
        dimensions,
        extra,
        inputs: inputs.into_iter().map(|input| Input::Text(input.text)).collect(),
        ..Embeddings::default()
    })
}

/// Writes a request.
pub(super) fn encode(asked: &Embeddings) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    if wants_integers(asked) {
        losses.refuse("embedding_types", "it makes vectors of floats only.");
    }
    losses.drop_if(asked.user.is_some(), "user");
    losses.drop_if(asked.truncate.is_some(), "truncate");
    losses.drop_if(asked.normalize == Some(false), "normalize");
    losses.others(&asked.extra, |_| false);
    let task_type = asked.task.and_then(word_of).map(str::to_owned);
    losses.drop_if(asked.task.is_some() && task_type.is_none(), "input_type");
    let mut text = |input: &Input| match input {
        Input::Text(text) => text.clone(),
        Input::Tokens(_) => {
            losses.refuse("input", "it embeds words, and no numbers of tokens.");
            String::new()
        }
        Input::Image(_) | Input::Mixed(_) => {
            losses.refuse("input", "it embeds no pictures.");
            String::new()
        }
    };
    let input = |input: &Input| EmbedInput {
        text: text(input),
        title: asked.title.clone(),
        task_type: task_type.clone(),
        dimensions: asked.dimensions,
    };
    let inputs: Vec<EmbedInput> = asked.inputs.iter().map(input).collect();
    let request = EmbedRequest { batch: !asked.alone || inputs.len() != 1, inputs, dropped: Vec::new() };
    losses.encoded(embed::encode(&request, &asked.model))
}

fn word_of(task: Task) -> Option<&'static str> {
    Some(match task {
        Task::Document => "RETRIEVAL_DOCUMENT",
        Task::Query => "RETRIEVAL_QUERY",
        Task::Similarity => "SEMANTIC_SIMILARITY",
        Task::Classification => "CLASSIFICATION",
        Task::Clustering => "CLUSTERING",
        Task::QuestionAnswering => "QUESTION_ANSWERING",
        Task::FactVerification => "FACT_VERIFICATION",
        Task::CodeQuery => "CODE_RETRIEVAL_QUERY",
        Task::Image => return None,
    })
}

/// Reads an answer.
pub(super) fn decode_answer(body: &[u8]) -> Result<Vectors, String> {
    let embedded = embed::decode_answer(body)?;
    let text = |vector: &Vec<f64>| serde_json::to_string(vector).map_err(|error| error.to_string());
    let vectors = embedded.vectors.iter().map(text).collect::<Result<_, String>>()?;
    Ok(Vectors {
        forms: vec![Form { encoding: Encoding::Float, vectors }],
        usage: embedded.tokens.map(|tokens| Usage::new(tokens, 0)),
        ..Vectors::default()
    })
}

/// Tokens of an answer.
pub(super) fn usage(answer: &Json<'_>) -> Option<Usage> {
    let tokens = answer.get("usageMetadata")?.get("promptTokenCount")?.as_u64()?;
    Some(Usage::new(tokens, 0))
}

/// Writes an answer: a list where a batch was asked for.
pub(super) fn encode_answer(vectors: &Vectors, asked: &Embeddings) -> Result<Vec<u8>, String> {
    let ready = in_form(vectors, Encoding::Float)?;
    Ok(write::to_vec(|object| {
        match ready.first().filter(|_| asked.alone) {
            Some(one) => object.object("embedding", |object| object.raw("values", one)),
            None => object.array("embeddings", |list| {
                ready.iter().for_each(|vector| list.object(|object| object.raw("values", vector)));
            }),
        }
        if let Some(usage) = vectors.usage {
            object.object("usageMetadata", |object| {
                object.integer("promptTokenCount", usage.input_tokens);
                object.integer("totalTokenCount", usage.total());
            });
        }
    }))
}
