//! Titan's bodies: one input each.
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html>

use crate::types::embeddings::{Embeddings, Encoding, Form, Input, Truncate, Vectors};
use crate::types::usage::Usage;
use crate::wire::hub::Losses;
use crate::wire::write;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Titan's models of vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Words only, and no settings.
    First,
    /// Words only.
    Text,
    /// Words, a picture, or both.
    Image,
}

/// Notes what no body carries, whatever the input.
pub(super) fn check(kind: Kind, asked: &Embeddings, losses: &mut Losses) {
    losses.drop_if(asked.task.is_some(), "input_type");
    losses.drop_if(asked.title.is_some(), "title");
    losses.drop_if(asked.user.is_some(), "user");
    losses.drop_if(matches!(asked.truncate, Some(Truncate::Start | Truncate::End)), "truncate");
    losses.others(&asked.extra, |_| false);
    if super::super::wants_integers(asked) {
        losses.refuse("embedding_types", "it makes vectors of floats only.");
    }
    if kind == Kind::First && asked.dimensions.is_some() {
        losses.refuse("dimensions", "the length of its vectors is fixed.");
    }
    losses.drop_if(kind != Kind::Text && asked.normalize == Some(false), "normalize");
}

/// Writes the body of one input.
pub(super) fn body(kind: Kind, asked: &Embeddings, input: &Input, losses: &mut Losses) -> Vec<u8> {
    write::to_vec(|object| {
        write_input(kind, object, input, losses);
        match kind {
            Kind::First => {}
            Kind::Text => {
                object.maybe_integer("dimensions", asked.dimensions);
                object.maybe_flag("normalize", asked.normalize);
            }
            Kind::Image => {
                if let Some(length) = asked.dimensions {
                    object.object("embeddingConfig", |object| object.integer("outputEmbeddingLength", length));
                }
            }
        }
    })
}

fn write_input(kind: Kind, object: &mut write::Object<'_>, input: &Input, losses: &mut Losses) {
    let pieces = match input {
        Input::Mixed(pieces) => pieces.as_slice(),
        one => std::slice::from_ref(one),
    };
    let texts = pieces.iter().filter(|piece| matches!(piece, Input::Text(_))).count();
    if texts > 1 || pieces.len() - texts > 1 {
        return losses.refuse("input", "one input holds at most one text and one picture.");
    }
    for piece in pieces {
        match piece {
            Input::Text(text) => object.text("inputText", text),
            Input::Image(url) if kind == Kind::Image => {
                match url.split_once(";base64,").filter(|_| url.starts_with("data:")) {
                    Some((_, data)) => object.text("inputImage", data),
                    None => losses.refuse("input", "it fetches no pictures; send them as `data:` URLs."),
                }
            }
            Input::Image(_) | Input::Mixed(_) => losses.refuse("input", "it embeds no pictures."),
            Input::Tokens(_) => losses.refuse("input", "it embeds words, and no numbers of tokens."),
        }
    }
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    embedding: &'b RawValue,
    #[serde(rename = "inputTextTokenCount")]
    tokens: Option<u64>,
    /// What went wrong while the vector was made.
    message: Option<String>,
}

/// Reads the answer to one body.
pub(super) fn vectors(answer: &[u8]) -> Result<Vectors, String> {
    let body: Body<'_> = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    if !body.embedding.get().starts_with('[') {
        return Err(body.message.unwrap_or_else(|| "its `embedding` is no list".to_owned()));
    }
    Ok(Vectors {
        forms: vec![Form { encoding: Encoding::Float, vectors: vec![body.embedding.get().to_owned()] }],
        usage: body.tokens.map(|tokens| Usage::new(tokens, 0)),
        ..Vectors::default()
    })
}
