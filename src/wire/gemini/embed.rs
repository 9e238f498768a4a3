//! Embeddings: `embedContent` and `batchEmbedContents` (<https://ai.google.dev/api/embeddings>), and `predict`, by which
//! Vertex AI serves its older models
//! (<https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>).

use super::fields::{camel, count, field, is, list, maybe_integer, maybe_text};
use crate::types::error::Error;
use crate::types::json::{Json, Number};
use crate::wire::json::parse;
use crate::wire::read::{missing, wrong_type};
use crate::wire::write::{self, Object};

/// A request for embeddings.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EmbedRequest {
    /// What is to be embedded. Never empty after reading.
    pub inputs: Vec<EmbedInput>,
    /// It is one of `batchEmbedContents`, whose answer is a list.
    pub batch: bool,
    /// Fields without a word here, by their names.
    pub dropped: Vec<String>,
}

/// One text to embed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EmbedInput {
    /// The text; several parts are joined by line breaks.
    pub text: String,
    /// The title of the document that it is.
    pub title: Option<String>,
    /// What the vector is for, as in `RETRIEVAL_QUERY`.
    pub task_type: Option<String>,
    /// How many numbers the vector is to have.
    pub dimensions: Option<u64>,
}

/// Vectors, in the order of the inputs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Embedded {
    /// The vectors.
    pub vectors: Vec<Vec<f64>>,
    /// Tokens of all inputs, where that was told.
    pub tokens: Option<u64>,
}

/// Reads a request of either form: one of a batch has `requests`.
pub fn decode(json: &Json<'_>) -> Result<EmbedRequest, Error> {
    let mut request = EmbedRequest { batch: is_batch(json), ..EmbedRequest::default() };
    if !request.batch {
        let input = input(json, "", &mut request.dropped)?;
        request.inputs.push(input);
        return Ok(request);
    }
    for (index, one) in list(json, "", "requests")?.iter().enumerate() {
        let input = input(one, &format!("requests[{index}]"), &mut request.dropped)?;
        request.inputs.push(input);
    }
    if request.inputs.is_empty() {
        return Err(missing("requests", "at least one request"));
    }
    Ok(request)
}

/// Is it a request of `batchEmbedContents`?
pub fn is_batch(json: &Json<'_>) -> bool {
    field(json, "requests").is_some()
}

fn input(json: &Json<'_>, at: &str, dropped: &mut Vec<String>) -> Result<EmbedInput, Error> {
    let Json::Object(fields) = json else { return Err(wrong_type(at, "an object", json)) };
    let within = |name: &str| crate::wire::read::path(at, name);
    let content = match field(json, "content") {
        Some(content @ Json::Object(_)) => content,
        Some(other) => return Err(wrong_type(within("content"), "an object", other)),
        None => return Err(missing(within("content"), "a content of text parts")),
    };
    let mut words = Vec::new();
    for (index, part) in list(content, &within("content"), "parts")?.iter().enumerate() {
        let at = format!("{}.parts[{index}]", within("content"));
        match maybe_text(part, &at, "text")? {
            Some(text) => words.push(text),
            None => return Err(missing(format!("{at}.text"), "a string; only texts are embedded here")),
        }
    }
    // Newer versions put the settings into an object of their own.
    let config = field(json, "embedContentConfig").filter(|config| matches!(config, Json::Object(_)));
    let text = |name: &str| -> Result<Option<String>, Error> {
        let inner = config.map(|config| maybe_text(config, &within("embedContentConfig"), name)).transpose()?.flatten();
        Ok(maybe_text(json, at, name)?.or(inner).map(str::to_owned))
    };
    let inner = config.map(|config| maybe_integer(config, &within("embedContentConfig"), "outputDimensionality"));
    let dimensions = maybe_integer(json, at, "outputDimensionality")?.or(inner.transpose()?.flatten());
    const READ: [&str; 6] = ["model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"];
    let deeper = match config {
        Some(Json::Object(deeper)) => deeper.as_slice(),
        _ => &[],
    };
    let names = fields.iter().chain(deeper).map(|(key, _)| camel(key));
    for name in names.filter(|name| !READ.contains(&name.as_str())) {
        if !dropped.contains(&name) {
            dropped.push(name);
        }
    }
    Ok(EmbedInput { text: words.join("\n"), title: text("title")?, task_type: text("taskType")?, dimensions })
}

/// Writes a request to `model`: of a batch, or of its first input alone.
pub fn encode(request: &EmbedRequest, model: &str) -> Vec<u8> {
    write::to_vec(|o| {
        if request.batch {
            o.array("requests", |list| {
                request.inputs.iter().for_each(|input| list.object(|o| write_input(o, input, model)));
            });
        } else if let Some(input) = request.inputs.first() {
            write_input(o, input, model);
        }
    })
}

fn write_input(o: &mut Object<'_>, input: &EmbedInput, model: &str) {
    o.text("model", &resource(model));
    o.object("content", |o| o.array("parts", |list| list.object(|o| o.text("text", &input.text))));
    o.maybe_text("taskType", input.task_type.as_deref());
    o.maybe_text("title", input.title.as_deref());
    o.maybe_integer("outputDimensionality", input.dimensions);
}

/// A model's name as bodies have it.
pub(super) fn resource(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

/// The body with every `model` in it replaced: requests of a batch name the model again, and Google refuses another one
/// than that of the path. The same bytes where nothing is to be replaced.
pub fn with_model(body: &[u8], model: &str) -> Vec<u8> {
    let Ok(json) = parse(body) else { return body.to_vec() };
    let mut out = Vec::with_capacity(body.len() + 32);
    renamed(&mut out, &json, &resource(model));
    // Bytes that say the same stay as they came.
    if parse(&out).is_ok_and(|new| new == json) { body.to_vec() } else { out }
}

/// Writes `json` with the model replaced: its own, that of each of its requests, that of the request it is about.
fn renamed(out: &mut Vec<u8>, json: &Json<'_>, model: &str) {
    let Json::Object(fields) = json else { return write::value(out, json) };
    write::object(out, |object| {
        for (key, value) in fields {
            match value {
                Json::String(_) if key == "model" => object.text(key, model),
                Json::Array(requests) if key == "requests" => {
                    object.array(key, |list| requests.iter().for_each(|one| renamed(list.item(), one, model)));
                }
                Json::Object(_) if is(key, "generateContentRequest") => renamed(object.key(key), value, model),
                _ => write::value(object.key(key), value),
            }
        }
    });
}

/// Reads an answer of either form. The error says in words what is wrong with it.
pub fn decode_answer(body: &[u8]) -> Result<Embedded, String> {
    let json = parse(body).map_err(|error| error.message)?;
    let tokens = field(&json, "usageMetadata").map(|usage| count(usage, "promptTokenCount"));
    let embeddings = match field(&json, "embedding") {
        Some(one) => std::slice::from_ref(one),
        None => match field(&json, "embeddings") {
            Some(Json::Array(all)) => all.as_slice(),
            _ => return Err("expected `embedding` or `embeddings`".to_owned()),
        },
    };
    Ok(Embedded { vectors: embeddings.iter().map(vector).collect::<Result<_, _>>()?, tokens })
}

fn vector(embedding: &Json<'_>) -> Result<Vec<f64>, String> {
    let Some(Json::Array(values)) = field(embedding, "values") else { return Err("expected `values`".to_owned()) };
    let number = |value: &Json<'_>| match value {
        Json::Number(Number::Float(n)) => Ok(*n),
        Json::Number(Number::Unsigned(n)) => Ok(*n as f64),
        Json::Number(Number::Signed(n)) => Ok(*n as f64),
        other => Err(format!("expected a number in `values`, got {}", other.kind())),
    };
    values.iter().map(number).collect()
}

/// Writes an answer, to a batch or to one alone.
pub fn encode_answer(embedded: &Embedded, batch: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 24 * embedded.vectors.iter().map(Vec::len).sum::<usize>());
    write::object(&mut out, |o| {
        if batch {
            o.array("embeddings", |list| {
                embedded.vectors.iter().for_each(|vector| list.object(|o| values(o, vector)));
            });
        } else {
            o.object("embedding", |o| values(o, embedded.vectors.first().map(Vec::as_slice).unwrap_or_default()));
        }
        if let Some(tokens) = embedded.tokens {
            o.object("usageMetadata", |o| {
                o.integer("promptTokenCount", tokens);
                o.integer("totalTokenCount", tokens);
            });
        }
    });
    out
}

fn values(o: &mut Object<'_>, vector: &[f64]) {
    let out = o.key("values");
    out.push(b'[');
    for (at, n) in vector.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        // Writing into memory cannot fail.
        let _ = serde_json::to_writer(&mut *out, n);
    }
    out.push(b']');
}

/// Writes a request of Vertex AI's `predict`.
pub fn encode_predict(request: &EmbedRequest) -> Vec<u8> {
    write::to_vec(|o| {
        o.array("instances", |list| {
            for input in &request.inputs {
                list.object(|o| {
                    o.text("content", &input.text);
                    o.maybe_text("task_type", input.task_type.as_deref());
                    o.maybe_text("title", input.title.as_deref());
                });
            }
        });
        if let Some(dimensions) = request.inputs.first().and_then(|input| input.dimensions) {
            o.object("parameters", |o| o.integer("outputDimensionality", dimensions));
        }
    })
}

/// Reads an answer of `predict`. The error says in words what is wrong with it.
pub fn decode_predict(body: &[u8]) -> Result<Embedded, String> {
    let json = parse(body).map_err(|error| error.message)?;
    let Some(Json::Array(predictions)) = field(&json, "predictions") else {
        return Err("expected `predictions`".to_owned());
    };
    let mut embedded = Embedded::default();
    for one in predictions {
        let embedding = field(one, "embeddings").ok_or("expected `embeddings`")?;
        embedded.vectors.push(vector(embedding)?);
        if let Some(statistics) = field(embedding, "statistics") {
            *embedded.tokens.get_or_insert_default() += count(statistics, "tokenCount");
        }
    }
    Ok(embedded)
}

#[cfg(test)]
mod tests;
