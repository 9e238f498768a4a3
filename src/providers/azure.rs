//! OpenAI's models at Azure (<https://learn.microsoft.com/azure/ai-foundry/openai/reference>).
//!
//! With a date as `api_version` a model is a deployment, which stands in the path; without one, or with `v1` or `preview`,
//! paths are OpenAI's own below `/openai/v1`. The key goes into `api-key`; an application signs in at Entra instead.

use super::http::Http;
use super::keys::Keys;
use super::openai::of_body;
use super::signing::{operator_headers, secret_value, without_key};
use super::{Call, Provider, RelayCall, Reply};
use crate::config;
use crate::credentials::entra::{Application, Tokens};
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::openai::stream_usage;
use crate::wire::path::{percent_encoded, segment};
use crate::wire::{count, embeddings};
use futures_util::future::BoxFuture;
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// What goes there as it came, where the settings say nothing else.
const SURFACES: [Surface; 6] = [
    Surface::ChatCompletions,
    Surface::Completions,
    Surface::Embeddings,
    Surface::Responses,
    Surface::Images,
    Surface::Audio,
];

/// The first version by a date that has responses.
const RESPONSES_SINCE: &str = "2025-03-01-preview";

/// OpenAI's models at Azure.
#[derive(Debug)]
pub(super) struct Azure {
    http: Http,
    paths: Paths,
    keys: Keys,
    /// How it is signed in to where there is no key.
    tokens: Option<Tokens>,
    key_header: HeaderName,
    headers: HeaderMap,
    stream_usage: bool,
    surfaces: Vec<Surface>,
}

/// Where each surface is.
#[derive(Debug)]
struct Paths {
    /// Up to `/openai`.
    address: String,
    version: Version,
}

#[derive(Debug)]
enum Version {
    /// `/openai/v1`, and the value of `api-version`, if there is one.
    Own(Option<String>),
    /// By deployments, and the date that is the value of `api-version`.
    Dated(String),
}

impl Paths {
    fn new(base_url: &str, api_version: Option<&str>) -> Paths {
        let stripped = base_url.strip_suffix("/v1").filter(|base| base.ends_with("/openai"));
        let address = stripped.unwrap_or(base_url);
        let address = address.strip_suffix("/openai").unwrap_or(address);
        let version = match api_version {
            // An address that says `v1` itself has no versions by dates.
            Some(date) if date.starts_with(|c: char| c.is_ascii_digit()) => match stripped {
                Some(_) => Version::Own(None),
                None => Version::Dated(date.to_owned()),
            },
            Some(word) if word != "v1" => Version::Own(Some(word.to_owned())),
            _ => Version::Own(None),
        };
        Paths { address: format!("{address}/openai"), version }
    }

    /// The address of `path` for `model`, which is a deployment's name.
    fn url(&self, surface: Surface, model: &str, path: &str) -> String {
        let address = &self.address;
        match &self.version {
            Version::Own(None) => format!("{address}/v1{path}"),
            Version::Own(Some(version)) => format!("{address}/v1{path}?api-version={}", percent_encoded(version)),
            Version::Dated(version) => {
                let version = percent_encoded(version);
                // These name the model in their body, or none.
                if matches!(surface, Surface::Responses | Surface::InputTokens | Surface::Files | Surface::Batches) {
                    return format!("{address}{path}?api-version={version}");
                }
                format!(
                    "{address}/deployments/{}{path}?api-version={version}",
                    segment(model).unwrap_or_else(|| "%00".to_owned())
                )
            }
        }
    }

    fn has_responses(&self) -> bool {
        match &self.version {
            Version::Own(_) => true,
            Version::Dated(date) => date.as_str() >= RESPONSES_SINCE,
        }
    }
}

/// The application that signs in, if the settings tell of one.
fn application(settings: &config::Provider) -> Result<Option<Application>, String> {
    let cloud = &settings.cloud;
    // Azure's own clouds have addresses of their own.
    let (entra, services) = match settings.base_url.split('/').nth(2).unwrap_or_default() {
        host if host.ends_with(".azure.us") => ("login.microsoftonline.us", "cognitiveservices.azure.us"),
        host if host.ends_with(".azure.cn") => ("login.chinacloudapi.cn", "cognitiveservices.azure.cn"),
        _ => ("login.microsoftonline.com", "cognitiveservices.azure.com"),
    };
    let own =
        cloud.tenant_id.as_ref().map(|tenant| format!("https://{entra}/{}/oauth2/v2.0/token", percent_encoded(tenant)));
    let token_url = cloud.token_url.clone().or(own);
    match (token_url, &cloud.client_id, &cloud.client_secret) {
        (Some(token_url), Some(client_id), Some(client_secret)) => Ok(Some(Application {
            token_url,
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            scope: format!("https://{services}/.default"),
        })),
        (None, None, None) => Ok(None),
        _ => Err(format!(
            "provider `{}`: signing in at Entra needs `tenant_id`, `client_id` and `client_secret` together",
            settings.name
        )),
    }
}

/// Organisations and projects are OpenAI's own.
fn is_meant(name: &HeaderName) -> bool {
    !name.as_str().starts_with("openai-")
}

impl Azure {
    pub(super) fn new(settings: &config::Provider) -> Result<Azure, String> {
        let http = Http::new(settings)?;
        let paths = Paths::new(&http.base_url, settings.cloud.api_version.as_deref());
        let mut surfaces = if settings.surfaces.is_empty() { SURFACES.to_vec() } else { settings.surfaces.clone() };
        surfaces.retain(|surface| *surface != Surface::Responses || paths.has_responses());
        let key_header = settings.key_header.as_deref().map(HeaderName::try_from).transpose();
        let tokens = application(settings)?
            .map(|one| Tokens::new(one, http.client.clone(), &format!("provider `{}`", http.name)));
        Ok(Azure {
            paths,
            keys: Keys::new(settings),
            tokens,
            key_header: key_header
                .map_err(|_| format!("provider `{}`: the header of its key has no valid name", settings.name))?
                .unwrap_or(API_KEY),
            headers: operator_headers(settings)?,
            stream_usage: settings.stream_usage,
            surfaces,
            http,
        })
    }

    /// Puts the key, a token, or what the caller came with where it belongs. Gives the token, if it is one.
    async fn sign(
        &self,
        headers: &mut HeaderMap,
        key: Option<&Secret>,
        caller: Option<&Secret>,
    ) -> Result<Option<Secret>, Error> {
        if let Some(key) = key {
            headers.insert(self.key_header.clone(), secret_value("", key)?);
            return Ok(None);
        }
        if let Some(tokens) = self.tokens.as_ref().filter(|_| self.keys.is_empty()) {
            let token = tokens.token().await?;
            headers.insert(AUTHORIZATION, secret_value("Bearer", &token)?);
            return Ok(Some(token));
        }
        if let Some(own) = caller.filter(|_| self.keys.is_empty()) {
            // A token of Entra is one of JSON; everything else is a key.
            if own.expose().starts_with("eyJ") {
                headers.insert(AUTHORIZATION, secret_value("Bearer", own)?);
            } else {
                headers.insert(self.key_header.clone(), secret_value("", own)?);
            }
        }
        Ok(None)
    }

    async fn post(&self, call: Call, key: Option<Secret>) -> Result<Reply, Error> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(call.headers.into_iter().filter(|(name, _)| is_meant(name)));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if call.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let token = self.sign(&mut headers, key.as_ref(), call.bearer.as_ref()).await?;
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        let url = self.paths.url(call.surface, &call.model, call.surface.path());
        let counted = matches!(call.surface, Surface::ChatCompletions | Surface::Completions);
        let usage_added = counted && self.stream_usage && call.stream && !call.include_usage;
        let body = if usage_added { stream_usage::asked(&call.body) } else { call.body };
        match self.http.post(&url, headers, body).await {
            Ok(response) => Ok(Reply { usage_added, ..self.http.reply(response) }),
            Err(error) => Err(self.refused(error, token).await),
        }
    }

    /// Sends a request as it is.
    async fn pass(&self, call: RelayCall, key: Option<Secret>) -> Result<Reply, Error> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(call.headers.into_iter().filter(|(name, _)| is_meant(name)));
        headers.extend(call.content_type.map(|kind| (CONTENT_TYPE, kind)));
        let token = self.sign(&mut headers, key.as_ref(), call.bearer.as_ref()).await?;
        headers.extend(self.headers.clone());
        let mut url = self.paths.url(call.surface, &call.model, &call.path);
        if let Some(query) = call.query.filter(|query| !query.is_empty()) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&query);
        }
        let mut request = self.http.client.request(call.method.clone(), url).headers(headers);
        if call.method == Method::POST {
            request = request.body(call.body);
        }
        let response = match self.http.send(request).await {
            Ok(response) => response,
            Err(error) => return Err(self.refused(error, token).await),
        };
        let of_body = of_body(response.headers());
        let mut reply = self.http.reply(response);
        reply.headers.extend(of_body);
        Ok(reply)
    }

    async fn refused(&self, error: Error, token: Option<Secret>) -> Error {
        match (token, &self.tokens) {
            (Some(token), Some(tokens)) => {
                if error.kind == ErrorKind::UpstreamStatus(401) {
                    tokens.forget(&token).await;
                }
                without_key(error, &self.http.name, "application's role at this resource")
            }
            _ if !self.keys.is_empty() => without_key(error, &self.http.name, "`api_key`"),
            _ => error,
        }
    }
}

impl Provider for Azure {
    fn name(&self) -> &Arc<str> {
        &self.http.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        let has = |own: Surface| self.surfaces.contains(&own).then_some(own);
        match surface {
            one if self.surfaces.contains(&one) => Some(one),
            chat if chat.is_chat() => has(Surface::ChatCompletions).or(has(Surface::Responses)),
            vectors if embeddings::is_embeddings(vectors) => has(Surface::Embeddings),
            counts if count::is_count(counts) => has(Surface::InputTokens),
            _ => None,
        }
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(async move {
            let (model, key) = (call.model.clone(), call.key.clone());
            self.keys.held(&model, key.as_deref(), |key| self.post(call, key)).await
        })
    }

    fn relay(&self, call: RelayCall) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(async move {
            let (model, key) = (call.model.clone(), call.key.clone());
            self.keys.held(&model, key.as_deref(), |key| self.pass(call, key)).await
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        // What it lists are models that could be deployed; deployments are listed to administrators only.
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[cfg(test)]
mod tests;
