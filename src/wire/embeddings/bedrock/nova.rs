//! The bodies of Nova's multimodal embeddings: one text or one picture each.
//! <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>

use crate::types::embeddings::{Embeddings, Encoding, Form, Input, Task, Truncate, Vectors};
use crate::wire::hub::Losses;
use crate::wire::write::{self, Object};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The kinds of picture that it reads, as they stand behind `data:image/`.
const PICTURES: [&str; 4] = ["png", "jpeg", "gif", "webp"];

/// Notes what no body carries, whatever the input.
pub(super) fn check(asked: &Embeddings, losses: &mut Losses) {
    losses.drop_if(asked.title.is_some(), "title");
    losses.drop_if(asked.user.is_some(), "user");
    losses.drop_if(asked.normalize == Some(false), "normalize");
    losses.others(&asked.extra, |_| false);
    if super::super::wants_integers(asked) {
        losses.refuse("embedding_types", "it makes vectors of floats only.");
    }
    losses.drop_if(!purpose(asked).1, "task_type");
}

/// What the vectors are for in its words, and whether that says all that was asked.
fn purpose(asked: &Embeddings) -> (&'static str, bool) {
    match asked.task {
        None | Some(Task::Document | Task::Image) => ("GENERIC_INDEX", true),
        Some(Task::Query) => ("GENERIC_RETRIEVAL", true),
        Some(Task::Classification) => ("CLASSIFICATION", true),
        Some(Task::Clustering) => ("CLUSTERING", true),
        Some(Task::Similarity) => ("CLUSTERING", false),
        Some(Task::QuestionAnswering | Task::FactVerification | Task::CodeQuery) => ("GENERIC_RETRIEVAL", false),
    }
}

/// Writes the body of one input.
pub(super) fn body(asked: &Embeddings, input: &Input, losses: &mut Losses) -> Vec<u8> {
    let (purpose, _) = purpose(asked);
    write::to_vec(|object| {
        object.text("schemaVersion", "nova-multimodal-embed-v1");
        object.text("taskType", "SINGLE_EMBEDDING");
        object.object("singleEmbeddingParams", |object| {
            object.text("embeddingPurpose", purpose);
            object.maybe_integer("embeddingDimension", asked.dimensions);
            write_input(object, asked, input, losses);
        });
    })
}

fn write_input(object: &mut Object<'_>, asked: &Embeddings, input: &Input, losses: &mut Losses) {
    match input {
        Input::Text(text) => object.object("text", |object| {
            // It wants to be told. Who said nothing has nothing cut off.
            let mode = match asked.truncate {
                None | Some(Truncate::Never) => "NONE",
                Some(Truncate::Start) => "START",
                Some(Truncate::End) => "END",
            };
            object.text("truncationMode", mode);
            object.text("value", text);
        }),
        Input::Image(url) => match picture(url) {
            Some((format, data)) => object.object("image", |object| {
                object.text("format", format);
                object.object("source", |object| object.text("bytes", data));
            }),
            None => losses.refuse("input", "it reads pictures as `data:` URLs of PNG, JPEG, GIF or WebP only."),
        },
        Input::Tokens(_) => losses.refuse("input", "it embeds words, and no numbers of tokens."),
        Input::Mixed(_) => losses.refuse("input", "one input is either a text or a picture."),
    }
}

/// The format and the base64 of a picture in a `data:` URL.
fn picture(url: &str) -> Option<(&str, &str)> {
    let (format, data) = url.strip_prefix("data:image/")?.split_once(";base64,")?;
    PICTURES.contains(&format).then_some((format, data))
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    embeddings: Vec<One<'b>>,
}

#[derive(Deserialize)]
struct One<'b> {
    #[serde(borrow)]
    embedding: &'b RawValue,
}

/// Reads the answer to one body. It tells no tokens; the reply's head does.
pub(super) fn vectors(answer: &[u8]) -> Result<Vectors, String> {
    let body: Body<'_> = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let [one] = body.embeddings.as_slice() else {
        return Err(format!("expected one vector, got {}", body.embeddings.len()));
    };
    let vector = Some(one.embedding.get()).filter(|text| text.starts_with('['));
    let vectors = vec![vector.ok_or("its `embedding` is no list")?.to_owned()];
    Ok(Vectors { forms: vec![Form { encoding: Encoding::Float, vectors }], ..Vectors::default() })
}
