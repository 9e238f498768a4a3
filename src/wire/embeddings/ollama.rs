//! Ollama's vectors (<https://docs.ollama.com/api/embed>).

use super::number::in_form;
use super::wants_integers;
use crate::types::chat::Extra;
use crate::types::embeddings::{Embeddings, Encoding, Form, Input, Truncate, Vectors};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub::{Encoded, Losses, ReplyFor};
use crate::wire::read::{self, wrong_type};
use crate::wire::write::{self, text_of};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

const KNOWN: [&str; 4] = ["model", "input", "truncate", "dimensions"];

/// Fields without a word in `Embeddings` that are this wire's own. Each says something whatever its value is.
const CARRIED: [&str; 2] = ["keep_alive", "options"];

/// Reads a request.
pub(super) fn decode(json: &Json<'_>) -> Result<Embeddings, Error> {
    let expected = "a string or an array of strings";
    let (inputs, alone) = match read::field(json, "input") {
        Some(Json::String(text)) => (vec![Input::Text(text.to_string())], true),
        Some(Json::Array(items)) if !items.is_empty() => {
            let input = |(at, item): (usize, &Json<'_>)| match item {
                Json::String(text) => Ok(Input::Text(text.to_string())),
                other => Err(wrong_type(format!("input.[{at}]"), "a string", other)),
            };
            (items.iter().enumerate().map(input).collect::<Result<_, _>>()?, false)
        }
        Some(other) => return Err(wrong_type("input", expected, other)),
        None => return Err(read::missing("input", expected)),
    };
    let known: Vec<&str> = KNOWN.into_iter().chain(CARRIED).collect();
    let mut extra = read::extras(json, &known, &[]);
    let own =
        |name: &str| Some(Extra { name: name.to_owned(), json: text_of(read::field(json, name)?), essential: false });
    extra.extend(CARRIED.into_iter().filter_map(own));
    let cut = |cut| if cut { Truncate::End } else { Truncate::Never };
    Ok(Embeddings {
        inputs,
        alone,
        dimensions: read::maybe_integer(json, "", "dimensions")?.filter(|dimensions| *dimensions > 0),
        truncate: read::maybe_flag(json, "", "truncate")?.map(cut),
        extra,
        ..Embeddings::default()
    })
}

/// Writes a request.
pub(super) fn encode(asked: &Embeddings) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    if wants_integers(asked) {
        losses.refuse("embedding_types", "it makes vectors of floats only.");
    }
    losses.drop_if(asked.task.is_some(), "input_type");
    losses.drop_if(asked.title.is_some(), "title");
    losses.drop_if(asked.user.is_some(), "user");
    losses.drop_if(asked.normalize == Some(false), "normalize");
    losses.drop_if(asked.truncate == Some(Truncate::Start), "truncate");
    let mut texts = Vec::with_capacity(asked.inputs.len());
    for input in &asked.inputs {
        match input {
            Input::Text(text) => texts.push(text.as_str()),
            Input::Tokens(_) => losses.refuse("input", "it embeds words, and no numbers of tokens."),
            Input::Image(_) | Input::Mixed(_) => losses.refuse("input", "it embeds no pictures."),
        }
    }
    let body = write::to_vec(|object| {
        object.text("model", &asked.model);
        match texts.as_slice() {
            [one] if asked.alone => object.text("input", one),
            texts => object.array("input", |list| texts.iter().for_each(|text| list.text(text))),
        }
        object.maybe_flag("truncate", asked.truncate.map(|truncate| truncate != Truncate::Never));
        object.maybe_integer("dimensions", asked.dimensions);
        for name in CARRIED {
            let extra = asked.extra.iter().find(|extra| extra.name == name);
            object.maybe_raw(name, extra.map(|extra| extra.json.as_str()));
        }
    });
    losses.others(&asked.extra, |name| CARRIED.contains(&name));
    losses.encoded(body)
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    model: Option<Cow<'b, str>>,
    #[serde(borrow)]
    embeddings: Vec<&'b RawValue>,
    prompt_eval_count: Option<u64>,
}

/// Reads an answer.
pub(super) fn decode_answer(body: &[u8]) -> Result<Vectors, String> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let vector = |vector: &&RawValue| match vector.get() {
        list if list.starts_with('[') => Ok(list.to_owned()),
        _ => Err("a vector is no list".to_owned()),
    };
    let vectors = body.embeddings.iter().map(vector).collect::<Result<_, String>>()?;
    Ok(Vectors {
        id: None,
        model: body.model.map(Cow::into_owned),
        forms: vec![Form { encoding: Encoding::Float, vectors }],
        usage: body.prompt_eval_count.map(|tokens| Usage::new(tokens, 0)),
    })
}

/// Tokens of an answer.
pub(super) fn usage_of(answer: &Json<'_>) -> Option<Usage> {
    answer.get("prompt_eval_count").and_then(Json::as_u64).map(|tokens| Usage::new(tokens, 0))
}

/// Writes an answer.
pub(super) fn encode_answer(vectors: &Vectors, reply: &ReplyFor) -> Result<Vec<u8>, String> {
    let ready = in_form(vectors, Encoding::Float)?;
    Ok(write::to_vec(|object| {
        object.text("model", &reply.model);
        object.array("embeddings", |list| ready.iter().for_each(|vector| list.raw(vector)));
        object.maybe_integer("prompt_eval_count", vectors.usage.map(|usage| usage.input_tokens));
    }))
}
