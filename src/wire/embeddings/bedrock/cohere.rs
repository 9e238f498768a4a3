//! The bodies of Cohere's models, which differ from Cohere's own wire.
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html>

use super::super::cohere::{checked, word_of_task, write_encodings};
use crate::types::embeddings::{Embeddings, Input, Truncate};
use crate::wire::hub::Losses;
use crate::wire::write::{self, Array, Object};

/// The most inputs of one body.
const AT_ONCE: usize = 96;

/// Versions of Cohere's Embed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// Words, or one picture; the length of its vectors is fixed.
    Three,
    /// Words, pictures, or both in one input.
    Four,
}

/// Writes the bodies.
pub(super) fn bodies(version: Version, asked: &Embeddings, losses: &mut Losses) -> Vec<Vec<u8>> {
    losses.drop_if(asked.user.is_some(), "user");
    losses.drop_if(asked.title.is_some(), "title");
    losses.drop_if(asked.normalize == Some(false), "normalize");
    let carried: &[&str] = if version == Version::Four { &["max_tokens"] } else { &[] };
    losses.others(&asked.extra, |name| carried.contains(&name));
    if version == Version::Three && asked.dimensions.is_some() {
        losses.refuse("dimensions", "the length of its vectors is fixed.");
    }
    let pictures = asked.inputs.iter().all(|input| matches!(input, Input::Image(_)));
    let at_once = if pictures && version == Version::Three { 1 } else { AT_ONCE };
    let form = form_of(version, &asked.inputs, losses);
    let body = |inputs: &[Input]| {
        write::to_vec(|object| {
            let (task, exact) = word_of_task(asked.task, pictures);
            losses.drop_if(!exact, "task_type");
            // The fourth version has no word for pictures: they are documents.
            object
                .text("input_type", if version == Version::Four && task == "image" { "search_document" } else { task });
            write_inputs(object, form, inputs, losses);
            object.array("embedding_types", |list| write_encodings(list, asked));
            object.maybe_integer("output_dimension", asked.dimensions);
            let max_tokens = asked.extra.iter().find(|extra| carried.contains(&extra.name.as_str()));
            object.maybe_raw("max_tokens", max_tokens.map(|extra| extra.json.as_str()));
            object.maybe_text("truncate", asked.truncate.map(|truncate| truncate_word(version, truncate)));
        })
    };
    asked.inputs.chunks(at_once).map(body).collect()
}

/// The field that holds the inputs.
#[derive(Clone, Copy)]
enum Inputs {
    Texts,
    Images,
    Mixed,
}

fn form_of(version: Version, inputs: &[Input], losses: &mut Losses) -> Inputs {
    if inputs.iter().all(|input| matches!(input, Input::Text(_))) {
        return Inputs::Texts;
    }
    if inputs.iter().all(|input| matches!(input, Input::Image(_))) {
        return Inputs::Images;
    }
    if inputs.iter().any(|input| matches!(input, Input::Tokens(_))) {
        losses.refuse("input", "it embeds words, and no numbers of tokens.");
    } else if version == Version::Three {
        losses.refuse("input", "it embeds either words or pictures.");
    }
    Inputs::Mixed
}

fn truncate_word(version: Version, truncate: Truncate) -> &'static str {
    match (version, truncate) {
        (_, Truncate::Never) => "NONE",
        (Version::Three, Truncate::Start) => "START",
        (Version::Three, Truncate::End) => "END",
        (Version::Four, Truncate::Start) => "LEFT",
        (Version::Four, Truncate::End) => "RIGHT",
    }
}

fn write_inputs(object: &mut Object<'_>, form: Inputs, inputs: &[Input], losses: &mut Losses) {
    let name = match form {
        Inputs::Texts => "texts",
        Inputs::Images => "images",
        Inputs::Mixed => "inputs",
    };
    object.array(name, |list| {
        for input in inputs {
            match (form, input) {
                (Inputs::Texts, Input::Text(text)) => list.text(text),
                (Inputs::Images, Input::Image(url)) => list.text(checked(url, losses)),
                (_, Input::Mixed(pieces)) => write_pieces(list, pieces, losses),
                (_, one) => write_pieces(list, std::slice::from_ref(one), losses),
            }
        }
    });
}

fn write_pieces(list: &mut Array<'_>, pieces: &[Input], losses: &mut Losses) {
    let mut write = |list: &mut Array<'_>, piece: &Input| match piece {
        Input::Text(text) => list.object(|object| {
            object.text("type", "text");
            object.text("text", text);
        }),
        // The address itself, where Cohere's own wire has an object around it.
        Input::Image(url) => list.object(|object| {
            object.text("type", "image_url");
            object.text("image_url", checked(url, losses));
        }),
        Input::Tokens(_) => losses.refuse("input", "it embeds words, and no numbers of tokens."),
        Input::Mixed(_) => losses.refuse("input", "its inputs hold no lists of inputs."),
    };
    list.object(|object| object.array("content", |list| pieces.iter().for_each(|piece| write(list, piece))));
}
