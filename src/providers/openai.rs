//! OpenAI, and whoever speaks its wire at another address: vLLM, Ollama, llama.cpp and the hosted compatible ones.

use super::http::Http;
use super::{Call, Provider, Reply};
use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::wire::openai::stream_usage;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Asking for the models must not hold a start up.
const MODELS_TIMEOUT: Duration = Duration::from_secs(10);

/// A provider that speaks the OpenAI wire.
#[derive(Debug)]
pub(super) struct OpenAi {
    http: Http,
    api_key: Option<Secret>,
    /// Where the key goes, if not into a bearer token.
    key_header: Option<HeaderName>,
    /// Where the models are listed, below the base URL.
    models_path: Option<String>,
    headers: HeaderMap,
    stream_usage: bool,
}

impl OpenAi {
    pub(super) fn new(settings: &config::Provider) -> Result<OpenAi, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let wrong = |what: &str| format!("provider `{}`: header `{name}` has {what}", settings.name);
            let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong("no valid name"))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong("a value that HTTP forbids"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        let key_header = settings.key_header.as_deref().map(HeaderName::try_from).transpose();
        Ok(OpenAi {
            http: Http::new(settings)?,
            api_key: settings.api_key.clone(),
            key_header: key_header
                .map_err(|_| format!("provider `{}`: the header of its key has no valid name", settings.name))?,
            models_path: settings.models_path.clone(),
            headers,
            stream_usage: settings.stream_usage,
        })
    }

    /// The header that holds the key.
    fn authorization(&self, caller: Option<&Secret>) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        let Some(key) = self.api_key.as_ref().or(caller) else {
            return Ok(None);
        };
        let (name, value) = match &self.key_header {
            Some(name) => (name.clone(), HeaderValue::from_str(key.expose())),
            None => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", key.expose()))),
        };
        let mut value =
            value.map_err(|_| Error::new(ErrorKind::Unauthenticated, "The key holds characters that HTTP forbids."))?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    async fn post(&self, call: Call) -> Result<Reply, Error> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(call.headers);
        if self.api_key.is_some() {
            // Who is billed under the gateway's key is the operator's word, in `headers`.
            headers.remove("openai-organization");
            headers.remove("openai-project");
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if call.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some((name, value)) = self.authorization(call.bearer.as_ref())? {
            headers.insert(name, value);
        }
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        let url = format!("{}{}", self.http.base_url, call.surface.path());
        let usage_added = self.stream_usage && call.stream && !call.include_usage;
        let body = if usage_added { stream_usage::asked(&call.body) } else { call.body };
        let request = self.http.client.post(url).headers(headers).body(body);
        match self.http.send(request).await {
            Ok(response) => Ok(Reply { usage_added, ..self.http.reply(response) }),
            Err(error) if self.api_key.is_some() => Err(self.without_key(error)),
            Err(error) => Err(error),
        }
    }

    /// A refusal of the gateway's own key is not the caller's fault, and its text may quote the key.
    fn without_key(&self, mut error: Error) -> Error {
        if let ErrorKind::UpstreamStatus(status @ (401 | 403)) = error.kind {
            error.reply = None;
            error.code = Some("upstream_unauthorized");
            error.message = format!(
                "Provider `{}` refused the gateway's key (status {status}). The operator has to check its `api_key`.",
                self.http.name
            );
        }
        error
    }

    /// The models it lists; none where it has no list.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let Some(path) = &self.models_path else { return Ok(Vec::new()) };
        let mut request = self.http.client.get(format!("{}{path}", self.http.base_url)).timeout(MODELS_TIMEOUT);
        if let Some((name, value)) = self.authorization(None)? {
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

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(self.post(call))
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
