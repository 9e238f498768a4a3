//! Embeddings of Titan and Cohere ↔ those of OpenAI, whose wire every provider of embeddings can be sent.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html> and
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>.

use super::Form;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::{Encoded, Losses, ReplyFor};
use crate::wire::json::parse;
use crate::wire::read;
use crate::wire::write::{self, text_of};

/// Writes the request as one of OpenAI's embeddings. `form` is that of `json`.
pub fn to_openai(form: Form, json: &Json<'_>, model: &str) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    let (texts, dimensions, floats) = match form {
        Form::CohereEmbed => {
            let kinds = read::texts(json, "", "embedding_types")?;
            let floats = kinds.iter().all(|kind| kind == "float");
            (read::texts(json, "", "texts")?, read::maybe_integer(json, "", "output_dimension")?, floats)
        }
        _ => {
            let kinds = read::texts(json, "", "embeddingTypes")?;
            let floats = kinds.iter().all(|kind| kind == "float");
            let text = read::text(json, "", "inputText")?.to_owned();
            (vec![text], read::maybe_integer(json, "", "dimensions")?, floats)
        }
    };
    if !floats {
        losses.refuse("embeddingTypes", "it gives vectors of floating-point numbers only.");
    }
    const READ: [&str; 6] =
        ["texts", "inputText", "embedding_types", "embeddingTypes", "output_dimension", "dimensions"];
    let Json::Object(fields) = json else { return Err(read::wrong_type("body", "an object", json)) };
    for (name, _) in fields.iter().filter(|(name, value)| !READ.contains(&name.as_ref()) && *value != Json::Null) {
        match name.as_ref() {
            "inputImage" | "images" | "inputs" => losses.refuse(name.to_string(), "it embeds texts only."),
            _ => losses.drop(name.to_string()),
        }
    }
    let body = write::to_vec(|o| {
        o.text("model", model);
        o.array("input", |list| texts.iter().for_each(|text| list.text(text)));
        o.maybe_integer("dimensions", dimensions);
        o.text("encoding_format", "float");
    });
    losses.encoded(body)
}

/// Writes OpenAI's answer in the form of the request, which stands in `reply`. The error says what is wrong with it.
pub fn from_openai(form: Form, body: &[u8], reply: &ReplyFor) -> Result<Vec<u8>, String> {
    let json = parse(body).map_err(|error| error.message)?;
    let data = json.get("data").and_then(Json::as_array).ok_or("it has no `data`")?;
    let vectors: Option<Vec<String>> =
        data.iter().map(|one| one.get("embedding").filter(|vector| vector.as_array().is_some()).map(text_of)).collect();
    let vectors = vectors.ok_or("one of its `data` has no `embedding` of numbers")?;
    let request = parse(&reply.request).ok();
    let asked = |name: &str| request.as_ref().and_then(|request| request.get(name));
    Ok(write::to_vec(|o| match form {
        Form::CohereEmbed => {
            let by_type = asked("embedding_types").is_some_and(|kinds| *kinds != Json::Null);
            o.text("id", &reply.id);
            let all = write::array_text(|list| vectors.iter().for_each(|vector| list.raw(vector)));
            if by_type {
                o.object("embeddings", |o| o.raw("float", &all));
            } else {
                o.raw("embeddings", &all);
            }
            o.text("response_type", if by_type { "embeddings_by_type" } else { "embeddings_floats" });
            o.maybe_raw("texts", asked("texts").map(text_of).as_deref());
        }
        _ => {
            let vector = vectors.first().map_or("[]", String::as_str);
            let count = json.get("usage").and_then(|usage| usage.get("prompt_tokens")).and_then(Json::as_u64);
            o.raw("embedding", vector);
            if asked("embeddingTypes").is_some_and(|kinds| *kinds != Json::Null) {
                o.object("embeddingsByType", |o| o.raw("float", vector));
            }
            o.maybe_integer("inputTextTokenCount", count);
        }
    }))
}
