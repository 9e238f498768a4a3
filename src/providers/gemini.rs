//! Google's Gemini, by key (<https://ai.google.dev/api>).

use super::google::{self, MODEL_PAGES, MODELS_TIMEOUT};
use super::http::Http;
use super::keys::Keys;
use super::signing::operator_headers;
use super::{Call, Provider, Reply};
use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::gemini::embed;
use crate::wire::{count, embeddings};
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::sync::Arc;

/// Where the key goes.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Google's Gemini, by key.
#[derive(Debug)]
pub(super) struct Gemini {
    http: Http,
    keys: Keys,
    headers: HeaderMap,
    /// The base URL with its version.
    base: String,
}

impl Gemini {
    pub(super) fn new(settings: &config::Provider) -> Result<Gemini, String> {
        let (base, version) = google::versioned(&settings.base_url, "v1beta");
        Ok(Gemini {
            http: Http::new(settings)?,
            keys: Keys::new(settings),
            headers: operator_headers(settings)?,
            base: format!("{base}/{version}"),
        })
    }

    /// The header that holds the key: the gateway's, or the caller's where it has none.
    fn authorization(
        &self,
        key: Option<&Secret>,
        caller: Option<&Secret>,
    ) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        let Some(key) = key.or(caller.filter(|_| self.keys.is_empty())) else {
            return Ok(None);
        };
        let key = key.expose();
        // So begin the access tokens of Google's OAuth, which are no keys.
        let (name, value) = match key.starts_with("ya29.") {
            true => (AUTHORIZATION, google::key_value(&format!("Bearer {key}"))?),
            false => (KEY_HEADER, google::key_value(key)?),
        };
        Ok(Some((name, value)))
    }

    async fn post(&self, mut call: Call, key: Option<Secret>) -> Result<Reply, Error> {
        let mut headers = google::call_headers(&mut call, !self.keys.is_empty());
        if let Some((name, value)) = self.authorization(key.as_ref(), call.bearer.as_ref())? {
            headers.insert(name, value);
        }
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        let path = match call.model.contains('/') {
            true => google::in_path(&call.model)?,
            false => format!("models/{}", google::in_path(&call.model)?),
        };
        let url = format!("{}/{path}:{}", self.base, google::method(&call)?);
        let body = match call.surface {
            Surface::GenerateContent => call.body,
            // These name the model in the body once more.
            _ => embed::with_model(&call.body, &call.model).into(),
        };
        match self.http.post(&url, headers, body).await {
            Ok(response) => Ok(self.http.reply(response)),
            Err(error) if !self.keys.is_empty() => Err(google::without_key(error, &self.http.name)),
            Err(error) => Err(error),
        }
    }

    /// The models it lists, page by page.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let mut models = Vec::new();
        let mut page = String::new();
        for _ in 0..MODEL_PAGES {
            let url = format!("{}/models?pageSize=1000{page}", self.base);
            let mut request = self.http.client.get(url).timeout(MODELS_TIMEOUT);
            if let Some((name, value)) = self.authorization(self.keys.choose(""), None)? {
                request = request.header(name, value);
            }
            let response = self.http.send(request.headers(self.headers.clone())).await;
            let response = response.map_err(|error| google::without_key(error, &self.http.name))?;
            let list: ModelList = response.json().await.map_err(|_| {
                let message = format!("Provider `{}` gave no model list in Google's form.", self.http.name);
                Error::new(ErrorKind::UpstreamBroken, message)
            })?;
            let name = |model: Model| model.name.strip_prefix("models/").map(str::to_owned).unwrap_or(model.name);
            models.extend(list.models.into_iter().map(name));
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
    models: Vec<Model>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
}

impl Provider for Gemini {
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
mod tests {
    use super::*;
    use crate::providers::google_stub::{Stub, body_of, call, settings};

    fn gemini(base_url: &str, key: Option<&str>) -> Gemini {
        Gemini::new(&settings(base_url, key)).unwrap()
    }

    #[tokio::test]
    async fn paths_keys_and_bodies() {
        let stub = Stub::start(vec![(200, r#"{"candidates":[]}"#); 7]).await;
        let ours = gemini(&stub.url, Some("k-1"));
        let theirs = gemini(&format!("{}/v1", stub.url), None);
        let embed = r#"{"requests":[{"model":"models/other"}]}"#;
        for (provider, one) in [
            (&ours, call(Surface::GenerateContent, "m", "{\"x\": 1.0}")),
            (&ours, Call { stream: true, ..call(Surface::GenerateContent, "tunedModels/t", "{}") }),
            (&ours, call(Surface::EmbedContent, "e", r#"{"content":{}}"#)),
            (&ours, call(Surface::EmbedContent, "e", embed)),
            (&theirs, call(Surface::CountContent, "models/m", "{}")),
            (&theirs, Call { bearer: Some(Secret::new("ya29.x")), ..call(Surface::GenerateContent, "m", "{}") }),
            (&theirs, Call { bearer: None, ..call(Surface::GenerateContent, "m", "{}") }),
        ] {
            let reply = provider.send(one).await.unwrap();
            assert_eq!(body_of(reply).await, r#"{"candidates":[]}"#);
        }
        let seen = stub.seen();
        let paths: Vec<_> = seen.iter().map(|one| one.line.as_str()).collect();
        assert_eq!(
            paths,
            [
                "POST /v1beta/models/m:generateContent HTTP/1.1",
                "POST /v1beta/tunedModels/t:streamGenerateContent?alt=sse HTTP/1.1",
                "POST /v1beta/models/e:embedContent HTTP/1.1",
                "POST /v1beta/models/e:batchEmbedContents HTTP/1.1",
                "POST /v1/models/m:countTokens HTTP/1.1",
                "POST /v1/models/m:generateContent HTTP/1.1",
                "POST /v1/models/m:generateContent HTTP/1.1",
            ]
        );
        let keys: Vec<_> = seen.iter().map(|one| one.header("x-goog-api-key")).collect();
        assert_eq!(keys, [Some("k-1"), Some("k-1"), Some("k-1"), Some("k-1"), Some("caller"), None, None]);
        assert_eq!(seen[5].header("authorization"), Some("Bearer ya29.x"));
        assert_eq!(seen[0].body, "{\"x\": 1.0}", "as it came");
        assert_eq!(seen[3].body, r#"{"requests":[{"model":"models/e"}]}"#);
        assert!(seen.iter().all(|one| one.header("x-goog-user-project").is_none() || one.line.contains("/v1/")));
    }

    #[tokio::test]
    async fn a_refused_key_is_the_operators_matter_and_is_not_told() {
        let body = r#"{"error":{"code":400,"message":"API key not valid. k-1","status":"INVALID_ARGUMENT"}}"#;
        let stub = Stub::start(vec![(400, body), (403, body), (429, "{}"), (400, body)]).await;
        let ours = gemini(&stub.url, Some("k-1"));
        for status in [401, 403] {
            let error = ours.send(call(Surface::GenerateContent, "m", "{}")).await.err().unwrap();
            assert_eq!((error.kind, error.code), (ErrorKind::UpstreamStatus(status), Some("upstream_unauthorized")));
            assert!(!format!("{error:?} {ours:?}").contains("k-1"));
        }
        let busy = ours.send(call(Surface::GenerateContent, "m", "{}")).await.err().unwrap();
        assert_eq!((busy.status(), busy.reply.is_some()), (429, true));
        let theirs = gemini(&stub.url, None).send(call(Surface::GenerateContent, "m", "{}")).await.err().unwrap();
        assert_eq!((theirs.status(), theirs.reply.is_some()), (400, true));
        let away = ours.send(call(Surface::GenerateContent, "../files", "{}")).await.err().unwrap();
        assert_eq!(away.status(), 400);
    }

    #[tokio::test]
    async fn models_are_listed_page_by_page() {
        let stub = Stub::start(vec![
            (200, r#"{"models":[{"name":"models/a","version":"1"}],"nextPageToken":"p/2"}"#),
            (200, r#"{"models":[{"name":"tunedModels/b"}]}"#),
            (200, "[]"),
        ])
        .await;
        let gemini = gemini(&stub.url, Some("k"));
        assert_eq!(gemini.models().await.unwrap(), ["a", "tunedModels/b"]);
        assert!(gemini.models().await.is_err());
        assert_eq!(stub.seen()[1].line, "GET /v1beta/models?pageSize=1000&pageToken=p%2F2 HTTP/1.1");
    }
}
