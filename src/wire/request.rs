//! Request bodies → `Request`: what the gateway itself reads of a request, whatever its wire.

use super::hub::{self, Inspected};
use super::json::span_of;
use super::openai;
use super::rerank;
use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::types::request::Request;
use crate::types::surface::Surface;
use bytes::Bytes;
use std::ops::Range;

/// A model's name may be this long.
pub const MODEL_BYTES: usize = 512;

/// What a request's path says, where the wire tells it there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InPath {
    /// The model.
    pub model: Option<String>,
    /// A stream is wanted.
    pub stream: bool,
}

/// Reads a request of `surface` from its parsed body; `body` is what `json` was parsed from.
pub fn read(surface: Surface, json: &Json<'_>, body: &Bytes, path: &InPath) -> Result<Request, Error> {
    if !matches!(json, Json::Object(_)) {
        let message = format!("The body must be a JSON object; got {}.", json.kind());
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let Inspected { model, stream, include_usage, question_at } = match surface {
        Surface::ChatCompletions | Surface::Completions | Surface::Embeddings => {
            openai::decode::inspect(surface, json)?
        }
        chat if chat.is_chat() => hub::inspect(chat, json)?,
        Surface::RerankTexts if path.model.is_none() && json.get("model").is_none() => {
            return Ok(unnamed(surface, body));
        }
        _ => Inspected { model: if path.model.is_some() { None } else { Some(model(json)?) }, ..Inspected::default() },
    };
    let question = question_at.and_then(|at| at.text(json)).map(str::to_owned);
    let (model, model_span) = match (&path.model, model) {
        (Some(model), _) => (in_path(model)?, None),
        (None, Some(model)) => {
            let span = model_span(json, body)
                .ok_or_else(|| Error::new(ErrorKind::Internal, "`model` lost its place in the body."))?;
            (model, Some(span))
        }
        (None, None) => return Err(Error::invalid("model", "`model` is missing. GET /v1/models lists the models.")),
    };
    let stream = stream.unwrap_or(path.stream);
    Ok(Request { surface, model, model_span, stream, include_usage, body: body.clone(), question_at, question })
}

/// A request of a wire whose servers have one model, which it does not name.
fn unnamed(surface: Surface, body: &Bytes) -> Request {
    Request {
        surface,
        model: rerank::UNNAMED.to_owned(),
        model_span: None,
        stream: false,
        include_usage: false,
        body: body.clone(),
        question_at: None,
        question: None,
    }
}

/// The model of a request that tells it in its path.
fn in_path(model: &str) -> Result<String, Error> {
    if (1..=MODEL_BYTES).contains(&model.len()) {
        return Ok(model.to_owned());
    }
    Err(Error::invalid(
        "model",
        format!("A model's name in the path has 1 to {MODEL_BYTES} bytes; got {}.", model.len()),
    ))
}

/// The model of a request that tells it in its body.
pub fn model(json: &Json<'_>) -> Result<String, Error> {
    match json.get("model") {
        Some(Json::String(name)) if (1..=MODEL_BYTES).contains(&name.len()) => Ok(name.to_string()),
        Some(Json::String(name)) if !name.is_empty() => {
            Err(Error::invalid("model", format!("`model` is longer than {MODEL_BYTES} bytes.")))
        }
        Some(Json::String(_)) => {
            Err(Error::invalid("model", "`model` is empty. Name a model; GET /v1/models lists them."))
        }
        Some(other) => Err(super::read::wrong_type("model", "a string", other)),
        None => Err(Error::invalid(
            "model",
            "you must provide a model parameter: `model` is missing. GET /v1/models lists the models.",
        )),
    }
}

fn model_span(json: &Json<'_>, body: &Bytes) -> Option<Range<usize>> {
    let name = json.get("model")?.as_str()?;
    borrowed_span(body, name).or_else(|| span_of(body, "model"))
}

/// The span of a string that was borrowed from `body`, quotes included. `None` when it had escapes.
fn borrowed_span(body: &Bytes, text: &str) -> Option<Range<usize>> {
    let start = (text.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start.checked_add(text.len())?;
    let quoted = start.checked_sub(1)?..end.checked_add(1)?;
    let inside = body.get(quoted.clone())?;
    (inside.first() == Some(&b'"') && inside.last() == Some(&b'"') && &inside[1..inside.len() - 1] == text.as_bytes())
        .then_some(quoted)
}
