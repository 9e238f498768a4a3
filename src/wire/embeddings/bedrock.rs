//! The bodies that models of vectors have at Bedrock (`POST /model/{model}/invoke`):
//! Titan (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>) and
//! Cohere (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>).
//!
//! A Titan model embeds one input a request, so that a request may amount to several bodies. Its provider sends them one
//! after another and gives all answers back together.

use super::cohere;
use crate::types::embeddings::{Embeddings, Encoding, Form, Input, Truncate, Vectors};
use crate::types::error::Error;
use crate::types::usage::Usage;
use crate::wire::hub::Losses;
use crate::wire::write;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The bodies of one request.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Bodies {
    /// What is sent, in this order.
    pub bodies: Vec<Vec<u8>>,
    /// Fields that the model cannot be told and that only bias the answer.
    pub dropped: Vec<String>,
}

/// Models of vectors, by the bodies they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    Cohere,
    /// Words only, and no settings.
    TitanFirst,
    TitanText,
    /// Words, a picture, or both.
    TitanImage,
}

/// Writes the bodies of a request. `None`: the model is none that is known to make vectors.
pub fn encode(asked: &Embeddings) -> Option<Result<Bodies, Error>> {
    let family = family(&asked.model)?;
    let mut losses = Losses::default();
    let bodies = match family {
        Family::Cohere => vec![write::to_vec(|object| cohere::write_fields(object, asked, &mut losses))],
        titan => asked.inputs.iter().map(|input| titan_body(titan, asked, input, &mut losses)).collect(),
    };
    Some(losses.encoded(Vec::new()).map(|encoded| Bodies { bodies, dropped: encoded.dropped }))
}

/// Reads the answers to all bodies of a request. The error says in words what is wrong with them.
pub fn decode(model: &str, answers: &[impl AsRef<[u8]>]) -> Result<Vectors, String> {
    match (family(model), answers) {
        (Some(Family::Cohere), [one]) => cohere::decode_answer(one.as_ref()),
        (Some(Family::Cohere) | None, _) => Err(format!("`{model}` is no model of {} answers", answers.len())),
        (Some(_), answers) => titan_vectors(answers),
    }
}

fn family(model: &str) -> Option<Family> {
    // An id may begin with a region's name, and may be that of an inference profile.
    let has = |name: &str| model.contains(name);
    Some(match () {
        () if has("cohere.embed") => Family::Cohere,
        () if has("amazon.titan-embed-image") => Family::TitanImage,
        () if has("amazon.titan-embed-text-v1") || has("amazon.titan-embed-g1") => Family::TitanFirst,
        () if has("amazon.titan-embed") => Family::TitanText,
        () => return None,
    })
}

fn titan_body(family: Family, asked: &Embeddings, input: &Input, losses: &mut Losses) -> Vec<u8> {
    losses.drop_if(asked.task.is_some(), "input_type");
    losses.drop_if(asked.title.is_some(), "title");
    losses.drop_if(asked.user.is_some(), "user");
    losses.drop_if(matches!(asked.truncate, Some(Truncate::Start | Truncate::End)), "truncate");
    losses.others(&asked.extra, |_| false);
    if super::wants_integers(asked) {
        losses.refuse("embedding_types", "it makes vectors of floats only.");
    }
    if family == Family::TitanFirst && asked.dimensions.is_some() {
        losses.refuse("dimensions", "the length of its vectors is fixed.");
    }
    losses.drop_if(family != Family::TitanText && asked.normalize == Some(false), "normalize");
    write::to_vec(|object| {
        let pieces = match input {
            Input::Mixed(pieces) => pieces.as_slice(),
            one => std::slice::from_ref(one),
        };
        for piece in pieces {
            match piece {
                Input::Text(text) => object.text("inputText", text),
                Input::Image(url) if family == Family::TitanImage => {
                    match url.split_once(";base64,").filter(|_| url.starts_with("data:")) {
                        Some((_, data)) => object.text("inputImage", data),
                        None => losses.refuse("input", "it fetches no pictures; send them as `data:` URLs."),
                    }
                }
                Input::Image(_) | Input::Mixed(_) => losses.refuse("input", "it embeds no pictures."),
                Input::Tokens(_) => losses.refuse("input", "it embeds words, and no numbers of tokens."),
            }
        }
        if pieces.iter().filter(|piece| matches!(piece, Input::Text(_))).count() > 1 || pieces.len() > 2 {
            losses.refuse("input", "one input holds at most one text and one picture.");
        }
        match family {
            Family::TitanText => {
                object.maybe_integer("dimensions", asked.dimensions);
                object.maybe_flag("normalize", asked.normalize);
            }
            Family::TitanImage => {
                if let Some(length) = asked.dimensions {
                    object.object("embeddingConfig", |object| object.integer("outputEmbeddingLength", length));
                }
            }
            _ => {}
        }
    })
}

#[derive(Deserialize)]
struct TitanBody<'b> {
    #[serde(borrow)]
    embedding: &'b RawValue,
    #[serde(rename = "inputTextTokenCount")]
    tokens: Option<u64>,
}

fn titan_vectors(answers: &[impl AsRef<[u8]>]) -> Result<Vectors, String> {
    let mut vectors = Vec::with_capacity(answers.len());
    let mut tokens = None;
    for answer in answers {
        let body: TitanBody<'_> = serde_json::from_slice(answer.as_ref()).map_err(|error| error.to_string())?;
        vectors.push(body.embedding.get().to_owned());
        tokens = body.tokens.map(|more| more.saturating_add(tokens.unwrap_or(0))).or(tokens);
    }
    Ok(Vectors {
        forms: vec![Form { encoding: Encoding::Float, vectors }],
        usage: tokens.map(|tokens| Usage::new(tokens, 0)),
        ..Vectors::default()
    })
}
