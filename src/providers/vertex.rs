//! Google Cloud's Vertex AI: Google's own models in Gemini's wire
//! (<https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>), and Anthropic's in theirs
//! (<https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude>).

mod call;
mod place;

use super::google::{self, MODEL_PAGES, MODELS_TIMEOUT};
use super::http::Http;
use super::keys::Keys;
use super::signing::operator_headers;
use super::{Call, Provider, Reply};
use crate::config;
use crate::credentials::google_token::{Env, Tokens};
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::gemini::embed;
use crate::wire::{count, embeddings};
use bytes::Bytes;
use call::Prepared;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use place::Place;
use serde::Deserialize;
use std::sync::Arc;

/// The key of express mode goes here.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");

/// A reply with vectors may be this large.
const VECTORS_BYTES: usize = 64 << 20;

/// Google Cloud's Vertex AI.
#[derive(Debug)]
pub(super) struct Vertex {
    http: Http,
    keys: Keys,
    /// `None` where it is signed in to by key.
    tokens: Option<Tokens>,
    place: Place,
    headers: HeaderMap,
}

impl Vertex {
    pub(super) fn new(settings: &config::Provider) -> Result<Vertex, String> {
        Vertex::with_env(settings, &|name| std::env::var_os(name))
    }

    fn with_env(settings: &config::Provider, env: &Env<'_>) -> Result<Vertex, String> {
        let keys = Keys::new(settings);
        let (tokens, of_credentials) = match keys.is_empty() {
            true => {
                let who = format!("provider `{}`", settings.name);
                let (tokens, project) = Tokens::new(&who, &settings.cloud, settings.connect_timeout, env)?;
                (Some(tokens), project)
            }
            false => (None, None),
        };
        let place = Place::new(settings, env, of_credentials, tokens.is_some())?;
        let settings = config::Provider { base_url: place.host.clone(), ..settings.clone() };
        let headers = operator_headers(&settings)?;
        Ok(Vertex { http: Http::new(&settings)?, keys, tokens, place, headers })
    }

    /// The header that signs a request in, and the token in it.
    async fn authorization(&self, key: Option<&Secret>) -> Result<(HeaderMap, Option<Secret>), Error> {
        let mut headers = HeaderMap::new();
        let token = match (&self.tokens, key) {
            (Some(tokens), _) => Some(tokens.token().await?),
            (None, Some(key)) => {
                headers.insert(KEY_HEADER, google::key_value(key.expose())?);
                None
            }
            (None, None) => None,
        };
        if let Some(token) = &token {
            headers.insert(AUTHORIZATION, google::key_value(&format!("Bearer {}", token.expose()))?);
        }
        Ok((headers, token))
    }

    async fn post(&self, mut call: Call, key: Option<Secret>) -> Result<Reply, Error> {
        let mut headers = google::call_headers(&mut call, true);
        let Prepared { path, body, vectors } = call::prepare(&call, &self.place)?;
        let (signed, token) = self.authorization(key.as_ref()).await?;
        headers.extend(signed);
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        let url = format!("{}{path}", self.place.host);
        let sent = self.http.post(&url, headers, body).await;
        let reply = match sent {
            Ok(response) => self.http.reply(response),
            Err(error) => return Err(self.refused(error, token).await),
        };
        match vectors {
            None => Ok(reply),
            Some(batch) => self.vectors(reply, batch).await,
        }
    }

    /// The reply of `predict` as one of `embedContent`.
    async fn vectors(&self, mut reply: Reply, batch: bool) -> Result<Reply, Error> {
        let broken = |why: &str| {
            let message = format!("Provider `{}` sent no embeddings in the form of Vertex AI: {why}.", self.http.name);
            Error::new(ErrorKind::UpstreamBroken, message)
        };
        let mut body = Vec::new();
        while let Some(piece) = reply.body.next().await {
            body.extend_from_slice(&piece?);
            if body.len() > VECTORS_BYTES {
                return Err(broken("the reply is too large"));
            }
        }
        let embedded = embed::decode_predict(&body).map_err(|why| broken(&why))?;
        let body = Bytes::from(embed::encode_answer(&embedded, batch));
        Ok(Reply { body: futures_util::stream::iter([Ok(body)]).boxed(), ..reply })
    }

    /// A token that was refused is not used again.
    async fn refused(&self, error: Error, token: Option<Secret>) -> Error {
        if let (ErrorKind::UpstreamStatus(401), Some(tokens), Some(token)) = (error.kind, &self.tokens, &token) {
            tokens.forget(token).await;
        }
        google::without_key(error, &self.http.name)
    }

    /// Google's own models that it lists, page by page; the list is that of `v1beta1`, and of no project.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let mut models = Vec::new();
        let mut page = String::new();
        for _ in 0..MODEL_PAGES {
            let url = format!("{}/v1beta1/publishers/google/models?pageSize=300{page}", self.place.host);
            let (signed, token) = self.authorization(self.keys.choose("")).await?;
            let mut request = self.http.client.get(url).timeout(MODELS_TIMEOUT).headers(signed);
            if let Some(project) = self.place.project.as_deref().filter(|_| token.is_some()) {
                request = request.header("x-goog-user-project", project);
            }
            let list: ModelList = match self.http.send(request.headers(self.headers.clone())).await {
                Ok(response) => response.json().await.map_err(|_| {
                    let message = format!("Provider `{}` gave no model list in Google's form.", self.http.name);
                    Error::new(ErrorKind::UpstreamBroken, message)
                })?,
                Err(error) => return Err(self.refused(error, token).await),
            };
            let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
            models.extend(list.publisher_models.iter().map(|model| last(&model.name)));
            match list.next_page_token.filter(|token| !token.is_empty()) {
                Some(token) => page = format!("&pageToken={}", google::encoded(&token)),
                None => break,
            }
        }
        Ok(models)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelList {
    #[serde(default)]
    publisher_models: Vec<Model>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
}

impl Provider for Vertex {
    fn name(&self) -> &Arc<str> {
        &self.http.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        match surface {
            chat if chat.is_chat() => Some(Surface::GenerateContent),
            vectors if embeddings::is_embeddings(vectors) => Some(Surface::EmbedContent),
            counts if count::is_count(counts) => Some(Surface::CountContent),
            _ => None,
        }
    }

    fn speaks_for(&self, surface: Surface, model: &str) -> Option<Surface> {
        match surface {
            chat if call::is_anthropics(model) && chat.is_chat() => Some(Surface::Messages),
            counts if call::is_anthropics(model) && count::is_count(counts) => Some(Surface::CountTokens),
            _ if call::is_anthropics(model) => None,
            other => self.speaks(other),
        }
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(async move {
            let (model, key) = (call.model.clone(), call.key.clone());
            self.keys.held(&model, key.as_deref(), |key| self.post(call, key)).await
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(self.list())
    }
}

#[cfg(test)]
mod tests;
