//! OpenAI, and whoever speaks its wire at another address: vLLM, Ollama, llama.cpp and the hosted compatible ones.

use super::http::Http;
use super::keys::{Keys, Taken};
use super::signing::{operator_headers, without_key};
use super::{Call, Provider, RelayCall, Reply};
use crate::config::{self, LimitField, ProviderKind, StreamUsage};
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::openai::quirks::Quirks;
use crate::wire::openai::stream_usage;
use crate::wire::{count, embeddings, rerank};
use futures_util::future::BoxFuture;
use http::Method;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Asking for the models must not hold a start up.
const MODELS_TIMEOUT: Duration = Duration::from_secs(10);

/// The version of Anthropic's API, which its wire wants in every request.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A provider that speaks the OpenAI wire.
#[derive(Debug)]
pub(super) struct OpenAi {
    http: Http,
    keys: Keys,
    /// Where the key goes, if not into a bearer token.
    key_header: Option<HeaderName>,
    /// Where the models are listed, below the base URL.
    models_path: Option<String>,
    headers: HeaderMap,
    /// Ask for the usage of a stream where the caller did not.
    stream_usage: bool,
    quirks: Quirks,
    /// What goes there as it came.
    surfaces: Vec<Surface>,
}

/// What everyone has who speaks OpenAI's wire, as far as is known.
const SURFACES: [Surface; 3] = [Surface::ChatCompletions, Surface::Completions, Surface::Embeddings];

/// What is passed on as it is. OpenAI itself has all of it.
const RELAYED: [Surface; 5] = [Surface::Moderations, Surface::Images, Surface::Audio, Surface::Files, Surface::Batches];

/// Headers of a relayed reply that belong to its body.
const OF_BODY: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_DISPOSITION, CONTENT_ENCODING];

/// What a reply's head tells of its body.
pub(super) fn of_body(headers: &HeaderMap) -> HeaderMap {
    OF_BODY.into_iter().filter_map(|name| headers.get(&name).cloned().map(|value| (name, value))).collect()
}

/// What a provider is sent as it came.
fn surfaces(settings: &config::Provider) -> Vec<Surface> {
    let told = &settings.surfaces;
    let beside: &[Surface] = match settings.kind {
        ProviderKind::OpenAi => &RELAYED,
        // Nobody knows; who does not have it says so.
        _ if told.is_empty() => &RELAYED,
        // The catalogue does not tell who keeps files.
        _ if settings.catalogue.is_some() => &[Surface::Files, Surface::Batches],
        _ => &[],
    };
    let mut all = if told.is_empty() { SURFACES.to_vec() } else { told.clone() };
    all.extend(beside.iter().filter(|surface| !told.contains(surface)));
    all
}

impl OpenAi {
    pub(super) fn new(settings: &config::Provider) -> Result<OpenAi, String> {
        let headers = operator_headers(settings)?;
        let key_header = settings.key_header.as_deref().map(HeaderName::try_from).transpose();
        Ok(OpenAi {
            http: Http::new(settings)?,
            keys: Keys::new(settings),
            key_header: key_header
                .map_err(|_| format!("provider `{}`: the header of its key has no valid name", settings.name))?,
            models_path: settings.models_path.clone(),
            headers,
            // It is of use to ask only where it is told when it is asked for.
            stream_usage: settings.stream_usage
                && matches!(settings.quirks.stream_usage, None | Some(StreamUsage::Asked)),
            quirks: Quirks::new(&settings.quirks.refuses, settings.quirks.limit_field.map(LimitField::as_str)),
            surfaces: surfaces(settings),
        })
    }

    /// The header that holds the key.
    fn authorization(&self, key: Option<&str>) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        let Some(key) = key else { return Ok(None) };
        let (name, value) = match &self.key_header {
            Some(name) => (name.clone(), HeaderValue::from_str(key)),
            None => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
        };
        let mut value =
            value.map_err(|_| Error::new(ErrorKind::Unauthenticated, "The key holds characters that HTTP forbids."))?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    /// The headers of a request: the caller's, the key, and the operator's.
    fn headers(
        &self,
        callers: Vec<(HeaderName, HeaderValue)>,
        taken: Option<&Taken>,
        bearer: Option<&Secret>,
    ) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(callers);
        if !self.keys.is_empty() {
            // Who is billed under the gateway's key is the operator's word, in `headers`.
            headers.remove("openai-organization");
            headers.remove("openai-project");
        }
        let caller = bearer.filter(|_| self.keys.is_empty()).map(Secret::expose);
        if let Some((name, value)) = self.authorization(taken.map(Taken::expose).or(caller))? {
            headers.insert(name, value);
        }
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        Ok(headers)
    }

    /// The surface at which tokens are counted for one who asks at `surface`: that one, if it is there.
    fn counts(&self, surface: Surface) -> Option<Surface> {
        // Who has the one has the other.
        let beside = |counts: &Surface| match counts {
            Surface::InputTokens => self.surfaces.contains(&Surface::Responses),
            Surface::CountTokens => self.surfaces.contains(&Surface::Messages),
            _ => false,
        };
        let there = |counts: &Surface| self.surfaces.contains(counts) || beside(counts);
        [surface].into_iter().chain(count::SURFACES).find(there)
    }

    /// The address of what goes there as it came.
    fn address(&self, surface: Surface) -> String {
        let base = self.http.base_url.as_str();
        let base = match surface {
            // Text Embeddings Inference has it beside OpenAI's `/v1`, not below.
            Surface::RerankTexts => base.strip_suffix("/v1").unwrap_or(base),
            _ => base,
        };
        format!("{base}{}", surface.path())
    }

    async fn post(&self, call: Call) -> Result<Reply, Error> {
        let accept = if call.stream { "text/event-stream" } else { "application/json" };
        let mut callers = call.headers;
        callers.push((ACCEPT, HeaderValue::from_static(accept)));
        let taken = self.keys.take(&call.model, call.key.as_deref())?;
        if call.surface == Surface::Messages && !callers.iter().any(|(name, _)| *name == ANTHROPIC_VERSION) {
            callers.push((ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01")));
        }
        let mut headers = self.headers(callers, taken.as_ref(), call.bearer.as_ref())?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let url = self.address(call.surface);
        let openai = matches!(call.surface, Surface::ChatCompletions | Surface::Completions);
        let usage_added = openai && self.stream_usage && call.stream && !call.include_usage;
        let body = if usage_added { stream_usage::asked(&call.body) } else { call.body };
        let (body, dropped) = if openai { self.quirks.apply(&body) } else { (body, Vec::new()) };
        match self.http.post(&url, headers, body).await {
            Ok(response) => {
                let mut reply = Reply { usage_added, dropped, ..self.http.reply(response) };
                if let Some(taken) = taken {
                    reply.body = taken.hold(reply.body);
                }
                Ok(reply)
            }
            Err(error) if !self.keys.is_empty() => Err(without_key(error, &self.http.name, "`api_key`")),
            Err(error) => Err(error),
        }
    }

    /// Sends a request as it is.
    async fn pass(&self, call: RelayCall) -> Result<Reply, Error> {
        let taken = self.keys.take(&call.model, call.key.as_deref())?;
        let mut headers = self.headers(call.headers, taken.as_ref(), call.bearer.as_ref())?;
        let mut url = format!("{}{}", self.http.base_url, call.path);
        if let Some(query) = &call.query {
            url.push('?');
            url.push_str(query);
        }
        if let Some(kind) = call.content_type {
            headers.insert(CONTENT_TYPE, kind);
        }
        let mut request = self.http.client.request(call.method.clone(), url).headers(headers);
        if call.method == Method::POST {
            request = request.body(call.body);
        }
        let response = match self.http.send(request).await {
            Ok(response) => response,
            Err(error) if !self.keys.is_empty() => return Err(without_key(error, &self.http.name, "`api_key`")),
            Err(error) => return Err(error),
        };
        let of_body = of_body(response.headers());
        let mut reply = self.http.reply(response);
        reply.headers.extend(of_body);
        if let Some(taken) = taken {
            reply.body = taken.hold(reply.body);
        }
        Ok(reply)
    }

    /// The models it lists; none where it has no list.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let Some(path) = &self.models_path else { return Ok(Vec::new()) };
        let mut request = self.http.client.get(format!("{}{path}", self.http.base_url)).timeout(MODELS_TIMEOUT);
        if let Some((name, value)) = self.authorization(self.keys.choose("").map(Secret::expose))? {
            request = request.header(name, value);
        }
        let response = self.http.send(request.headers(self.headers.clone())).await?;
        let list: ModelList = response.json().await.map_err(|_| {
            let message = format!("Provider `{}` gave no model list in OpenAI's form.", self.http.name);
            Error::new(ErrorKind::UpstreamBroken, message)
        })?;
        Ok(list.models().into_iter().map(|model| model.id).collect())
    }
}

/// A list of models: in OpenAI's form, or bare, as a few send it.
#[derive(Deserialize)]
#[serde(untagged)]
enum ModelList {
    OpenAi { data: Vec<Model> },
    Bare(Vec<Model>),
}

impl ModelList {
    fn models(self) -> Vec<Model> {
        match self {
            ModelList::OpenAi { data } => data,
            ModelList::Bare(models) => models,
        }
    }
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Provider for OpenAi {
    fn name(&self) -> &Arc<str> {
        &self.http.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        match surface {
            one if self.surfaces.contains(&one) => Some(one),
            counts if count::is_count(counts) => self.counts(counts),
            // OpenAI's older wire first: it loses the least on the way.
            chat if chat.is_chat() => Surface::CHATS.into_iter().find(|known| self.surfaces.contains(known)),
            vectors if embeddings::is_embeddings(vectors) => {
                self.surfaces.contains(&Surface::Embeddings).then_some(Surface::Embeddings)
            }
            orders if rerank::is_rerank(orders) => {
                rerank::SURFACES.into_iter().find(|known| self.surfaces.contains(known))
            }
            _ => None,
        }
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(self.post(call))
    }

    fn relay(&self, call: RelayCall) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(self.pass(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(self.list())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_a_model_list() {
        for text in [r#"{"object":"list","data":[{"id":"a","x":1}]}"#, r#"[{"id":"a","object":"model"}]"#] {
            let list: ModelList = serde_json::from_str(text).unwrap();
            assert_eq!(list.models()[0].id, "a");
        }
        assert!(serde_json::from_str::<ModelList>(r#"{"models":[]}"#).is_err());
    }
}
