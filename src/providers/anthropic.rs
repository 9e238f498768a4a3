//! Anthropic (<https://platform.claude.com/docs/en/api/overview>), and whoever serves its wire at another address.
//!
//! Its key goes into `x-api-key`, but an OAuth token is a bearer token. Every request names a version of the API: the
//! operator's (`api_version`), or the caller's, whose body it is about, or the first that everyone serves.

use super::http::Http;
use super::keys::Keys;
use super::signing::{operator_headers, without_key};
use super::{Call, Provider, Reply};
use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::count;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// The version that requests are of where nobody says another.
const USUAL_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The beta that an OAuth token belongs to.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// Asking for the models must not hold a start up.
const MODELS_TIMEOUT: Duration = Duration::from_secs(10);

/// The most pages of models that are asked for, 1,000 models each.
const MODEL_PAGES: usize = 10;

/// What goes there as it came, where the settings say nothing else.
const SURFACES: [Surface; 2] = [Surface::Messages, Surface::CountTokens];

/// A provider that speaks Anthropic's wire.
#[derive(Debug)]
pub(super) struct Anthropic {
    http: Http,
    keys: Keys,
    /// Where the key goes, if not where Anthropic wants it.
    key_header: Option<HeaderName>,
    version: Option<HeaderValue>,
    headers: HeaderMap,
    /// What goes there as it came.
    surfaces: Vec<Surface>,
}

impl Anthropic {
    pub(super) fn new(settings: &config::Provider) -> Result<Anthropic, String> {
        let wrong = |what: &str| format!("provider `{}`: {what}", settings.name);
        let key_header = settings.key_header.as_deref().map(HeaderName::try_from).transpose();
        let version = settings.cloud.api_version.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Anthropic {
            http: Http::new(settings)?,
            keys: Keys::new(settings),
            key_header: key_header.map_err(|_| wrong("the header of its key has no valid name"))?,
            version: version.map_err(|_| wrong("`api_version` holds characters that HTTP forbids"))?,
            headers: operator_headers(settings)?,
            surfaces: if settings.surfaces.is_empty() { SURFACES.to_vec() } else { settings.surfaces.clone() },
        })
    }

    /// A path below the API's own; the base URL may end in `/v1` or not.
    fn url(&self, path: &str) -> String {
        let base = &self.http.base_url;
        let version = if base.ends_with("/v1") { "" } else { "/v1" };
        format!("{base}{version}{path}")
    }

    /// Puts the key where it belongs: the gateway's, or the caller's where the gateway has none.
    fn sign(&self, headers: &mut HeaderMap, key: Option<&Secret>, caller: Option<&Secret>) -> Result<(), Error> {
        let Some(key) = key.or(caller.filter(|_| self.keys.is_empty())) else {
            return Ok(());
        };
        let key = key.expose();
        let is_token = is_token(key);
        let (name, value) = match &self.key_header {
            Some(name) => (name.clone(), HeaderValue::from_str(key)),
            None if is_token => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
            None => (API_KEY, HeaderValue::from_str(key)),
        };
        let mut value =
            value.map_err(|_| Error::new(ErrorKind::Unauthenticated, "The key holds characters that HTTP forbids."))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        if is_token {
            add_beta(headers, OAUTH_BETA);
        }
        Ok(())
    }

    async fn post(&self, call: Call, key: Option<Secret>) -> Result<Reply, Error> {
        let mut headers = HeaderMap::with_capacity(8);
        let is_meant = |name: &HeaderName| !name.as_str().starts_with("openai-");
        headers.extend(call.headers.into_iter().filter(|(name, _)| is_meant(name)));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if call.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        self.sign(&mut headers, key.as_ref(), call.bearer.as_ref())?;
        if let Some(version) = &self.version {
            headers.insert(VERSION, version.clone());
        }
        headers.entry(VERSION).or_insert(USUAL_VERSION);
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        match self.http.post(&self.url(call.surface.path()), headers, call.body).await {
            Ok(response) => Ok(self.http.reply(response)),
            Err(error) if !self.keys.is_empty() => Err(without_key(error, &self.http.name, "`api_key`")),
            Err(error) => Err(error),
        }
    }

    /// The models it lists, page by page.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let mut headers = HeaderMap::new();
        self.sign(&mut headers, self.keys.choose(""), None)?;
        headers.insert(VERSION, self.version.clone().unwrap_or(USUAL_VERSION));
        headers.extend(self.headers.clone());
        let mut models = Vec::new();
        let mut url = self.url("/models?limit=1000");
        for _ in 0..MODEL_PAGES {
            let request = self.http.client.get(&url).timeout(MODELS_TIMEOUT).headers(headers.clone());
            let page: Models = self.http.send(request).await?.json().await.map_err(|_| self.no_list())?;
            models.extend(page.data.into_iter().map(|model| model.id));
            let is_plain = |id: &String| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            match page.last_id.filter(|id| page.has_more && is_plain(id)) {
                Some(last) => url = self.url(&format!("/models?limit=1000&after_id={last}")),
                None => break,
            }
        }
        Ok(models)
    }

    fn no_list(&self) -> Error {
        let message = format!("Provider `{}` gave no model list in Anthropic's form.", self.http.name);
        Error::new(ErrorKind::UpstreamBroken, message)
    }
}

/// An OAuth token, by its beginning, or that of any other token that is made of JSON.
fn is_token(key: &str) -> bool {
    key.starts_with("sk-ant-oat") || key.starts_with("eyJ")
}

/// Adds a beta to those that the caller wants.
fn add_beta(headers: &mut HeaderMap, beta: &'static str) {
    let lines: Vec<&str> = headers.get_all(BETA).iter().filter_map(|value| value.to_str().ok()).collect();
    let wanted = lines.join(",");
    if wanted.split(',').any(|one| one.trim() == beta) {
        return;
    }
    let value = match wanted.as_str() {
        "" => Ok(HeaderValue::from_static(beta)),
        wanted => HeaderValue::from_str(&format!("{wanted},{beta}")),
    };
    if let Ok(value) = value {
        headers.insert(BETA, value);
    }
}

/// A page of models.
#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
    #[serde(default)]
    has_more: bool,
    last_id: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Provider for Anthropic {
    fn name(&self) -> &Arc<str> {
        &self.http.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        match surface {
            one if self.surfaces.contains(&one) => Some(one),
            chat if chat.is_chat() => Some(Surface::Messages),
            counts if count::is_count(counts) => {
                self.surfaces.contains(&Surface::CountTokens).then_some(Surface::CountTokens)
            }
            _ => None,
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
