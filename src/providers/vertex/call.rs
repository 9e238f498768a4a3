//! A call → the path and the body that Vertex AI wants.

use super::place::Place;
use crate::providers::{Call, google};
use crate::types::error::Error;
use crate::types::surface::Surface;
use crate::wire::gemini::{count, embed};
use crate::wire::json::{parse, top_level};
use crate::wire::write;
use bytes::Bytes;

/// What stands in a body for Anthropic's models where their own API has a header.
const ANTHROPIC_VERSION: &str = "vertex-2023-10-16";

/// What is sent.
pub(super) struct Prepared {
    pub(super) path: String,
    pub(super) body: Bytes,
    /// The reply is one of `predict`, and is to be one of `embedContent`: to a batch, or to one text.
    pub(super) vectors: Option<bool>,
}

/// Is it a model of Anthropic's?
pub(super) fn is_anthropics(model: &str) -> bool {
    model.starts_with("claude") || model.starts_with("anthropic/")
}

/// Prepares a call.
pub(super) fn prepare(call: &Call, place: &Place) -> Result<Prepared, Error> {
    if is_anthropics(&call.model) {
        return anthropic(call, place);
    }
    let name = ["publishers/google/models/", "google/", "models/"]
        .into_iter()
        .find_map(|prefix| call.model.strip_prefix(prefix))
        .unwrap_or(&call.model);
    let path = place.model("google", name)?;
    if call.surface == Surface::EmbedContent && is_predicted(name) {
        let json = parse(&call.body)?;
        let request = embed::decode(&json)?;
        let body = embed::encode_predict(&request).into();
        return Ok(Prepared { path: format!("{path}:predict"), body, vectors: Some(request.batch) });
    }
    let body = match call.surface {
        Surface::CountContent => count::bare(&call.body).into(),
        _ => call.body.clone(),
    };
    Ok(Prepared { path: format!("{path}:{}", google::method(call)?), body, vectors: None })
}

/// The older models of embeddings have no `embedContent` there.
fn is_predicted(model: &str) -> bool {
    !model.starts_with("gemini")
        || model.starts_with("gemini-embedding-001")
        || model.starts_with("gemini-embedding-exp")
}

/// A request of Anthropic's: the model stands in the path, and the version in the body.
fn anthropic(call: &Call, place: &Place) -> Result<Prepared, Error> {
    let name = call.model.strip_prefix("anthropic/").unwrap_or(&call.model);
    let counts = call.surface == Surface::CountTokens;
    // Counting has a name of its own there, and tells the model in the body.
    let path = place.model("anthropic", if counts { "count-tokens" } else { name })?;
    let method = if call.stream { "streamRawPredict" } else { "rawPredict" };
    let body = anthropic_body(&call.body, counts.then_some(name));
    Ok(Prepared { path: format!("{path}:{method}"), body, vectors: None })
}

/// The body with the version in it and without the model, or with it under that name; all else as it came.
fn anthropic_body(body: &Bytes, model: Option<&str>) -> Bytes {
    let Some(fields) = top_level(body) else { return body.clone() };
    let written = write::to_vec(|o| {
        let has_version = fields.iter().any(|(key, _)| key == "anthropic_version");
        o.maybe_text("anthropic_version", (!has_version && model.is_none()).then_some(ANTHROPIC_VERSION));
        o.maybe_text("model", model);
        for (key, value) in fields.iter().filter(|(key, _)| key != "model") {
            o.raw(key, value);
        }
    });
    written.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_for_anthropics_models_keeps_its_numbers() {
        let body = Bytes::from_static(br#"{"model":"claude-x", "n": 1.50, "stream":true,"messages":[ ]}"#);
        let text = |model| String::from_utf8(anthropic_body(&body, model).to_vec()).unwrap();
        assert_eq!(text(None), r#"{"anthropic_version":"vertex-2023-10-16","n":1.50,"stream":true,"messages":[ ]}"#);
        assert_eq!(text(Some("c")), r#"{"model":"c","n":1.50,"stream":true,"messages":[ ]}"#);
        assert_eq!(anthropic_body(&Bytes::from_static(b"oops"), None), "oops");
    }

    #[test]
    fn which_models_are_predicted() {
        for (model, predicted) in
            [("text-embedding-005", true), ("gemini-embedding-001", true), ("gemini-embedding-2", false)]
        {
            assert_eq!(is_predicted(model), predicted, "{model}");
        }
    }
}
