//! OpenAI's embeddings (<https://platform.openai.com/docs/api-reference/embeddings>), which most others speak, too.

use super::number::in_form;
use super::{task_of, truncate_of, wants_integers};
use crate::types::embeddings::{Embeddings, Encoding, Form, Input, Vectors};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::{Encoded, Losses, ReplyFor};
use crate::wire::openai::answer::usage_of;
use crate::wire::read::{self, unknown_value, wrong_type};
use crate::wire::write;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

const KNOWN: [&str; 5] = ["model", "input", "encoding_format", "dimensions", "user"];

/// What vectors are for. OpenAI itself has no field for it; these are the ones by which others widened its wire.
const TASK_FIELDS: [&str; 2] = ["input_type", "task"];

/// Reads a request.
pub(super) fn decode(json: &Json<'_>) -> Result<Embeddings, Error> {
    let (inputs, alone) = inputs(json)?;
    let encodings = match read::maybe_text(json, "", "encoding_format")? {
        None => Vec::new(),
        Some("float") => vec![Encoding::Float],
        Some("base64") => vec![Encoding::Base64],
        Some(other) => return Err(unknown_value("encoding_format", "`float` or `base64`", other)),
    };
    let word = |name: &str| json.get(name).and_then(Json::as_str);
    let task = TASK_FIELDS.into_iter().find_map(word).and_then(task_of);
    let truncate = word("truncate").and_then(truncate_of);
    let mut extra = read::extras(json, &KNOWN, &[]);
    extra.retain(|one| task.is_none() || !TASK_FIELDS.contains(&one.name.as_str()));
    extra.retain(|one| truncate.is_none() || one.name != "truncate");
    Ok(Embeddings {
        inputs,
        alone,
        encodings,
        task,
        dimensions: read::maybe_integer(json, "", "dimensions")?,
        truncate,
        user: read::maybe_text(json, "", "user")?.map(str::to_owned),
        extra,
        ..Embeddings::default()
    })
}

/// One text, a list of texts, one list of tokens, or a list of those.
fn inputs(json: &Json<'_>) -> Result<(Vec<Input>, bool), Error> {
    let expected = "a string, an array of strings, or arrays of tokens";
    let items = match read::field(json, "input") {
        Some(Json::String(text)) => return Ok((vec![Input::Text(text.to_string())], true)),
        Some(Json::Array(items)) if !items.is_empty() => items,
        Some(other) => return Err(wrong_type("input", expected, other)),
        None => return Err(read::missing("input", expected)),
    };
    if let Some(tokens) = tokens(items) {
        return Ok((vec![Input::Tokens(tokens)], true));
    }
    let input = |(at, item): (usize, &Json<'_>)| match item {
        Json::String(text) => Ok(Input::Text(text.to_string())),
        Json::Array(items) => {
            tokens(items).map(Input::Tokens).ok_or_else(|| wrong_type(format!("input.[{at}]"), "tokens", item))
        }
        other => Err(wrong_type(format!("input.[{at}]"), "a string or an array of tokens", other)),
    };
    Ok((items.iter().enumerate().map(input).collect::<Result<_, _>>()?, false))
}

fn tokens(items: &[Json<'_>]) -> Option<Vec<u64>> {
    items.iter().map(Json::as_u64).collect()
}

/// Writes a request.
pub(super) fn encode(asked: &Embeddings) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    if wants_integers(asked) {
        losses.refuse("embedding_types", "it makes vectors of floats only.");
    }
    losses.drop_if(asked.task.is_some(), "input_type");
    losses.drop_if(asked.title.is_some(), "title");
    losses.drop_if(asked.truncate.is_some(), "truncate");
    losses.drop_if(asked.normalize == Some(false), "normalize");
    let body = write::to_vec(|object| {
        object.text("model", &asked.model);
        match asked.inputs.as_slice() {
            [one] if asked.alone => write_input(object.key("input"), one, &mut losses),
            inputs => {
                object.array("input", |list| inputs.iter().for_each(|one| write_input(list.item(), one, &mut losses)));
            }
        }
        object.maybe_integer("dimensions", asked.dimensions);
        if asked.encodings == [Encoding::Base64] {
            object.text("encoding_format", "base64");
        }
        object.maybe_text("user", asked.user.as_deref());
    });
    losses.others(&asked.extra, |_| false);
    losses.encoded(body)
}

fn write_input(out: &mut Vec<u8>, input: &Input, losses: &mut Losses) {
    match input {
        Input::Text(text) => write::string(out, text),
        Input::Tokens(tokens) => {
            write::array(out, |list| tokens.iter().for_each(|token| list.raw(&token.to_string())));
        }
        Input::Image(_) | Input::Mixed(_) => {
            losses.refuse("input", "it embeds no pictures.");
            out.extend_from_slice(b"null");
        }
    }
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    data: Vec<Item<'b>>,
    #[serde(borrow)]
    model: Option<Cow<'b, str>>,
    #[serde(borrow)]
    usage: Option<&'b RawValue>,
}

#[derive(Deserialize)]
struct Item<'b> {
    index: Option<u64>,
    #[serde(borrow)]
    embedding: &'b RawValue,
}

/// Reads an answer.
pub(super) fn decode_answer(body: &[u8]) -> Result<Vectors, String> {
    let mut body: Body<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    body.data.sort_by_key(|item| item.index);
    let is_text = body.data.first().is_some_and(|item| item.embedding.get().starts_with('"'));
    let vector = |item: &Item<'_>| match item.embedding.get() {
        list if !is_text && list.starts_with('[') => Ok(list.to_owned()),
        text if is_text => serde_json::from_str(text).map_err(|error| error.to_string()),
        _ => Err("a vector is neither a list nor base64".to_owned()),
    };
    let vectors = body.data.iter().map(vector).collect::<Result<_, String>>()?;
    let usage = body.usage.and_then(|usage| crate::wire::json::parse(usage.get().as_bytes()).ok());
    Ok(Vectors {
        id: None,
        model: body.model.map(Cow::into_owned),
        forms: vec![Form { encoding: if is_text { Encoding::Base64 } else { Encoding::Float }, vectors }],
        usage: usage.and_then(|usage| usage_of(&usage)),
    })
}

/// Writes an answer.
pub(super) fn encode_answer(vectors: &Vectors, asked: &Embeddings, reply: &ReplyFor) -> Result<Vec<u8>, String> {
    let encoding = if asked.wanted().contains(&Encoding::Base64) { Encoding::Base64 } else { Encoding::Float };
    let ready = in_form(vectors, encoding)?;
    // The field is not optional in this wire: servers that do not count send zeros.
    let tokens = vectors.usage.map_or(0, |usage| usage.input_tokens);
    Ok(write::to_vec(|object| {
        object.text("object", "list");
        object.array("data", |list| {
            for (index, vector) in ready.iter().enumerate() {
                list.object(|object| {
                    object.text("object", "embedding");
                    object.integer("index", index as u64);
                    match encoding {
                        Encoding::Base64 => object.text("embedding", vector),
                        _ => object.raw("embedding", vector),
                    }
                });
            }
        });
        object.text("model", &reply.model);
        object.object("usage", |object| {
            object.integer("prompt_tokens", tokens);
            object.integer("total_tokens", tokens);
        });
    }))
}
