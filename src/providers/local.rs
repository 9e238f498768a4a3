//! The sentence model of this host as a provider of embeddings.

use super::{Call, Provider, Reply};
use crate::types::embed::{Embed, Embedded};
use crate::types::error::Error;
use crate::types::header;
use crate::types::json::Json;
use crate::types::surface::Surface;
use crate::wire::embeddings::is_embeddings;
use crate::wire::json::parse;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;

/// Its name as a provider.
pub(super) const NAME: &str = "askonce";

/// Texts in one request, as OpenAI limits them.
const MOST_TEXTS: usize = 2048;

/// Embeddings on the host.
pub(super) struct Local {
    name: Arc<str>,
    embed: Arc<dyn Embed>,
}

impl Local {
    pub(super) fn new(embed: Arc<dyn Embed>) -> Local {
        Local { name: NAME.into(), embed }
    }

    async fn reply(&self, call: Call) -> Result<Reply, Error> {
        if call.surface != Surface::Embeddings {
            let message = format!("`{}` is a sentence model: it serves /v1/embeddings only.", self.embed.model());
            return Err(Error::invalid("model", message));
        }
        let json = parse(&call.body)?;
        let texts = texts(&json)?;
        let base64 = self.options(&json)?;
        drop(json);
        let vectors = self.embed.embed(texts, &call.tenant).await?;
        let truncated = vectors.iter().filter(|vector| vector.truncated).count();
        let headers = match truncated {
            0 => HeaderMap::new(),
            some => HeaderMap::from_iter([(header::TRUNCATED, HeaderValue::from(some))]),
        };
        let body = self.body(&vectors, base64);
        let pieces = stream::once(async move { Ok(body.to_string().into()) });
        let content_type = header::JSON;
        Ok(Reply { content_type, headers, dropped: Vec::new(), usage_added: false, body: pieces.boxed() })
    }

    /// Is base64 asked for? Options that this model cannot meet are refused.
    fn options(&self, json: &Json<'_>) -> Result<bool, Error> {
        let width = self.embed.width();
        match json.get("dimensions") {
            None | Some(Json::Null) => {}
            Some(value) if value.as_u64() == Some(width as u64) => {}
            Some(_) => {
                let message = format!("`{}` has {width} dimensions and cannot be shortened.", self.embed.model());
                return Err(Error::invalid("dimensions", message));
            }
        }
        match json.get("encoding_format") {
            None | Some(Json::Null) => Ok(false),
            Some(value) => match value.as_str() {
                Some("float") => Ok(false),
                Some("base64") => Ok(true),
                _ => Err(Error::invalid("encoding_format", "`encoding_format` must be \"float\" or \"base64\".")),
            },
        }
    }

    fn body(&self, vectors: &[Embedded], base64: bool) -> serde_json::Value {
        let embedding = |vector: &[f32]| -> serde_json::Value {
            if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                return BASE64_STANDARD.encode(bytes).into();
            }
            vector.to_vec().into()
        };
        let data: Vec<serde_json::Value> = vectors
            .iter()
            .enumerate()
            .map(|(index, one)| serde_json::json!({"object": "embedding", "index": index, "embedding": embedding(&one.vector)}))
            .collect();
        let tokens: usize = vectors.iter().map(|one| one.tokens).sum();
        serde_json::json!({
            "object": "list",
            "data": data,
            "model": self.embed.model(),
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        })
    }
}

/// The texts of `input`: a string or a list of strings.
fn texts(json: &Json<'_>) -> Result<Vec<String>, Error> {
    let wrong =
        |what: &str| Error::invalid("input", format!("`input` must be a string or an array of strings; {what}."));
    let texts: Vec<String> = match json.get("input") {
        Some(Json::String(text)) => vec![text.to_string()],
        Some(Json::Array(items)) => items
            .iter()
            .map(|item| match item {
                Json::String(text) => Ok(text.to_string()),
                Json::Number(_) | Json::Array(_) => Err(wrong("token ids mean nothing to this model")),
                other => Err(wrong(&format!("got {} in the array", other.kind()))),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong("it is missing")),
    };
    if texts.len() > MOST_TEXTS {
        return Err(wrong(&format!("it has {} texts, and {MOST_TEXTS} are the most", texts.len())));
    }
    if texts.iter().any(String::is_empty) {
        return Err(Error::invalid("input", "`input` cannot hold an empty string."));
    }
    Ok(texts)
}

impl Provider for Local {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        is_embeddings(surface).then_some(Surface::Embeddings)
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(self.reply(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        let models = vec![self.embed.model().to_owned()];
        Box::pin(async move { Ok(models) })
    }
}
