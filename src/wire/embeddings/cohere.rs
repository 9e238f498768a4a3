//! Cohere's vectors, version 2 (<https://docs.cohere.com/reference/embed>).

use super::number::{encoding_of, in_form, word_of};
use super::{task_of, truncate_of};
use crate::types::embeddings::{Embeddings, Encoding, Form, Input, Task, Truncate, Vectors};
use crate::types::error::Error;
use crate::types::json::{Json, Number};
use crate::types::usage::Usage;
use crate::wire::hub::{Encoded, Losses, ReplyFor};
use crate::wire::read::{self, path, unknown_value};
use crate::wire::write::{self, Array, Object};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

const KNOWN: [&str; 8] =
    ["model", "input_type", "texts", "images", "inputs", "output_dimension", "embedding_types", "truncate"];

/// Fields without a word in `Embeddings` that are this wire's own.
const CARRIED: [&str; 2] = ["max_tokens", "priority"];

/// Every form of number that an answer may have.
const FORMS: [Encoding; 6] =
    [Encoding::Float, Encoding::Int8, Encoding::Uint8, Encoding::Binary, Encoding::Ubinary, Encoding::Base64];

/// Reads a request.
pub(super) fn decode(json: &Json<'_>) -> Result<Embeddings, Error> {
    let encoding = |word: &String| {
        let known = "`float`, `int8`, `uint8`, `binary`, `ubinary` or `base64`";
        encoding_of(word).ok_or_else(|| unknown_value("embedding_types", known, word))
    };
    let task = match read::maybe_text(json, "", "input_type")? {
        None => None,
        Some(word) => {
            let known = "`search_document`, `search_query`, `classification`, `clustering` or `image`";
            Some(task_of(word).ok_or_else(|| unknown_value("input_type", known, word))?)
        }
    };
    let truncate = match read::maybe_text(json, "", "truncate")? {
        None => None,
        Some(word) => {
            Some(truncate_of(word).ok_or_else(|| unknown_value("truncate", "`NONE`, `START` or `END`", word))?)
        }
    };
    Ok(Embeddings {
        inputs: inputs(json)?,
        task,
        encodings: read::texts(json, "", "embedding_types")?.iter().map(encoding).collect::<Result<_, _>>()?,
        dimensions: read::maybe_integer(json, "", "output_dimension")?,
        truncate,
        extra: read::extras(json, &KNOWN, &[]),
        ..Embeddings::default()
    })
}

fn inputs(json: &Json<'_>) -> Result<Vec<Input>, Error> {
    let mut inputs: Vec<Input> = read::texts(json, "", "texts")?.into_iter().map(Input::Text).collect();
    inputs.extend(read::texts(json, "", "images")?.into_iter().map(Input::Image));
    for (at, one) in read::maybe_array(json, "", "inputs")?.unwrap_or_default().iter().enumerate() {
        let at = format!("inputs.[{at}]");
        let pieces = read::maybe_array(one, &at, "content")?;
        let pieces = pieces.ok_or_else(|| read::missing(path(&at, "content"), "an array of parts"))?;
        let mut pieces = pieces
            .iter()
            .enumerate()
            .map(|(n, piece)| self::piece(piece, &format!("{at}.content.[{n}]")))
            .collect::<Result<Vec<_>, _>>()?;
        match pieces.pop() {
            Some(one) if pieces.is_empty() => inputs.push(one),
            last => inputs.push(Input::Mixed(pieces.into_iter().chain(last).collect())),
        }
    }
    if inputs.is_empty() {
        return Err(read::missing("texts", "`texts`, `images` or `inputs`"));
    }
    Ok(inputs)
}

fn piece(piece: &Json<'_>, at: &str) -> Result<Input, Error> {
    match read::text(piece, at, "type")? {
        "text" => Ok(Input::Text(read::text(piece, at, "text")?.to_owned())),
        "image_url" => {
            let image = read::maybe_object(piece, at, "image_url")?;
            let image = image.ok_or_else(|| read::missing(path(at, "image_url"), "an object"))?;
            Ok(Input::Image(read::text(image, &path(at, "image_url"), "url")?.to_owned()))
        }
        other => Err(unknown_value(path(at, "type"), "`text` or `image_url`", other)),
    }
}

/// Writes a request.
pub(super) fn encode(asked: &Embeddings) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    losses.drop_if(asked.user.is_some(), "user");
    losses.drop_if(asked.title.is_some(), "title");
    losses.drop_if(asked.normalize == Some(false), "normalize");
    let pictures = !asked.inputs.is_empty() && asked.inputs.iter().all(|input| matches!(input, Input::Image(_)));
    let (task, exact) = word_of_task(asked.task, pictures);
    losses.drop_if(!exact, "task_type");
    let body = write::to_vec(|object| {
        object.text("model", &asked.model);
        object.text("input_type", task);
        write_inputs(object, &asked.inputs, pictures, &mut losses);
        object.maybe_integer("output_dimension", asked.dimensions);
        object.array("embedding_types", |list| write_encodings(list, asked));
        object.maybe_text(
            "truncate",
            asked.truncate.map(|truncate| match truncate {
                Truncate::Never => "NONE",
                Truncate::Start => "START",
                Truncate::End => "END",
            }),
        );
        for name in CARRIED {
            let extra = asked.extra.iter().find(|extra| extra.name == name);
            object.maybe_raw(name, extra.map(|extra| extra.json.as_str()));
        }
    });
    losses.others(&asked.extra, |name| CARRIED.contains(&name));
    losses.encoded(body)
}

/// What the vectors are for, which Cohere wants to be told, and whether the word says it exactly.
pub(super) fn word_of_task(task: Option<Task>, pictures: bool) -> (&'static str, bool) {
    match task {
        None if pictures => ("image", true),
        None | Some(Task::Document) => ("search_document", true),
        Some(Task::Query) => ("search_query", true),
        Some(Task::Classification) => ("classification", true),
        Some(Task::Clustering) => ("clustering", true),
        Some(Task::Image) => ("image", true),
        Some(Task::Similarity) => ("clustering", false),
        Some(Task::QuestionAnswering | Task::FactVerification | Task::CodeQuery) => ("search_query", false),
    }
}

/// Base64 is made of floats here, so that a target without it serves it all the same.
pub(super) fn write_encodings(list: &mut Array<'_>, asked: &Embeddings) {
    let mut written: Vec<Encoding> = Vec::new();
    for encoding in asked.wanted() {
        let encoding = if *encoding == Encoding::Base64 { Encoding::Float } else { *encoding };
        if !written.contains(&encoding) {
            written.push(encoding);
            list.text(word_of(encoding));
        }
    }
}

fn write_inputs(object: &mut Object<'_>, inputs: &[Input], pictures: bool, losses: &mut Losses) {
    let text = |input: &Input| match input {
        Input::Text(text) => Some(text.clone()),
        _ => None,
    };
    if let Some(texts) = inputs.iter().map(text).collect::<Option<Vec<_>>>() {
        return object.array("texts", |list| texts.iter().for_each(|text| list.text(text)));
    }
    object.array(if pictures { "images" } else { "inputs" }, |list| {
        for input in inputs {
            match input {
                Input::Image(url) if pictures => list.text(checked(url, losses)),
                Input::Mixed(pieces) => write_pieces(list, pieces, losses),
                one => write_pieces(list, std::slice::from_ref(one), losses),
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
        Input::Image(url) => list.object(|object| {
            object.text("type", "image_url");
            object.object("image_url", |object| object.text("url", checked(url, losses)));
        }),
        Input::Tokens(_) => losses.refuse("input", "it embeds words, and no numbers of tokens."),
        Input::Mixed(_) => losses.refuse("input", "its inputs hold no lists of inputs."),
    };
    list.object(|object| object.array("content", |list| pieces.iter().for_each(|piece| write(list, piece))));
}

/// Pictures come with the request here.
pub(super) fn checked<'u>(url: &'u str, losses: &mut Losses) -> &'u str {
    if !url.starts_with("data:") {
        losses.refuse("input", "it fetches no pictures; send them as `data:` URLs.");
    }
    url
}

#[derive(Deserialize)]
struct Body<'b> {
    id: Option<Cow<'b, str>>,
    #[serde(borrow)]
    embeddings: &'b RawValue,
    #[serde(borrow)]
    meta: Option<&'b RawValue>,
}

#[derive(Deserialize)]
struct ByForm<'b> {
    #[serde(borrow)]
    float: Option<Vec<&'b RawValue>>,
    #[serde(borrow)]
    int8: Option<Vec<&'b RawValue>>,
    #[serde(borrow)]
    uint8: Option<Vec<&'b RawValue>>,
    #[serde(borrow)]
    binary: Option<Vec<&'b RawValue>>,
    #[serde(borrow)]
    ubinary: Option<Vec<&'b RawValue>>,
    base64: Option<Vec<String>>,
}

/// Reads an answer, with its vectors by their forms or as one list of floats.
pub(super) fn decode_answer(body: &[u8]) -> Result<Vectors, String> {
    let told = |error: serde_json::Error| error.to_string();
    let body: Body<'_> = serde_json::from_slice(body).map_err(told)?;
    let vectors = body.embeddings.get();
    let by_form = if vectors.starts_with('[') {
        let float = Some(serde_json::from_str(vectors).map_err(told)?);
        ByForm { float, int8: None, uint8: None, binary: None, ubinary: None, base64: None }
    } else {
        serde_json::from_str(vectors).map_err(told)?
    };
    let lists = [by_form.float, by_form.int8, by_form.uint8, by_form.binary, by_form.ubinary];
    let mut forms: Vec<Form> = FORMS
        .into_iter()
        .zip(lists)
        .filter_map(|(encoding, list)| {
            // An empty list says that the form was not asked for.
            let list = list.filter(|list| !list.is_empty())?;
            Some(Form { encoding, vectors: list.iter().map(|vector| vector.get().to_owned()).collect() })
        })
        .collect();
    forms.extend(by_form.base64.map(|vectors| Form { encoding: Encoding::Base64, vectors }));
    let meta = body.meta.and_then(|meta| crate::wire::json::parse(meta.get().as_bytes()).ok());
    Ok(Vectors { id: body.id.map(Cow::into_owned), model: None, forms, usage: meta.as_ref().and_then(usage_of) })
}

/// Tokens that a `meta` object tells as billed.
pub(super) fn usage_of(meta: &Json<'_>) -> Option<Usage> {
    let units = meta.get("billed_units")?;
    let count = |name: &str| match units.get(name) {
        Some(Json::Number(Number::Unsigned(n))) => Some(*n),
        Some(Json::Number(Number::Float(n))) if (0.0..9e15).contains(n) => Some(*n as u64),
        _ => None,
    };
    let (words, pictures) = (count("input_tokens"), count("image_tokens"));
    words.or(pictures)?;
    Some(Usage::new(words.unwrap_or(0).saturating_add(pictures.unwrap_or(0)), count("output_tokens").unwrap_or(0)))
}

/// Writes an answer.
pub(super) fn encode_answer(vectors: &Vectors, asked: &Embeddings, reply: &ReplyFor) -> Result<Vec<u8>, String> {
    let mut forms = Vec::new();
    for encoding in FORMS.into_iter().filter(|encoding| asked.wanted().contains(encoding)) {
        forms.push((encoding, in_form(vectors, encoding)?));
    }
    Ok(write::to_vec(|object| {
        object.text("id", &reply.id);
        object.object("embeddings", |object| {
            for (encoding, vectors) in &forms {
                object.array(word_of(*encoding), |list| {
                    for vector in vectors {
                        match encoding {
                            Encoding::Base64 => list.text(vector),
                            _ => list.raw(vector),
                        }
                    }
                });
            }
        });
        object.array("texts", |list| {
            for input in &asked.inputs {
                if let Input::Text(text) = input {
                    list.text(text);
                }
            }
        });
        object.object("meta", |object| {
            object.object("api_version", |object| object.text("version", "2"));
            if let Some(usage) = vectors.usage {
                object.object("billed_units", |object| object.integer("input_tokens", usage.input_tokens));
            }
        });
        object.text("response_type", "embeddings_by_type");
    }))
}
