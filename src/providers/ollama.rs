//! Ollama by its own API (<https://github.com/ollama/ollama/blob/main/docs/api.md>), here or at ollama.com, and whoever serves it
//! at another address. Its streams come as lines and leave here as server-sent events.

use super::frames::events;
use super::http::Http;
use super::keys::Keys;
use super::signing::{operator_headers, secret_value, without_key};
use super::{Call, Provider, Reply};
use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::header;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::{embeddings, ndjson};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Asking for the models must not hold a start up.
const MODELS_TIMEOUT: Duration = Duration::from_secs(10);

/// Ollama.
#[derive(Debug)]
pub(super) struct Ollama {
    http: Http,
    /// Where it answers, without `/api`.
    address: String,
    keys: Keys,
    key_header: Option<HeaderName>,
    headers: HeaderMap,
}

impl Ollama {
    pub(super) fn new(settings: &config::Provider) -> Result<Ollama, String> {
        let key_header = settings.key_header.as_deref().map(HeaderName::try_from).transpose();
        let http = Http::new(settings)?;
        // It stands in each path.
        let address = http.base_url.strip_suffix("/api").unwrap_or(&http.base_url).to_owned();
        Ok(Ollama {
            http,
            address,
            keys: Keys::new(settings),
            key_header: key_header
                .map_err(|_| format!("provider `{}`: the header of its key has no valid name", settings.name))?,
            headers: operator_headers(settings)?,
        })
    }

    /// Puts the key where it belongs: the gateway's, or the caller's where the gateway has none. On one's own host none is
    /// wanted.
    fn sign(&self, headers: &mut HeaderMap, key: Option<&Secret>, caller: Option<&Secret>) -> Result<(), Error> {
        let Some(key) = key.or(caller.filter(|_| self.keys.is_empty())) else {
            return Ok(());
        };
        match &self.key_header {
            Some(name) => headers.insert(name.clone(), secret_value("", key)?),
            None => headers.insert(AUTHORIZATION, secret_value("Bearer", key)?),
        };
        Ok(())
    }

    async fn post(&self, call: Call, key: Option<Secret>) -> Result<Reply, Error> {
        let mut headers = HeaderMap::with_capacity(8);
        // Ollama has no headers of its own; those of other vendors are not meant for it.
        let is_trace = |name: &HeaderName| matches!(name.as_str(), "traceparent" | "tracestate");
        headers.extend(call.headers.into_iter().filter(|(name, _)| is_trace(name)));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if call.stream { ndjson::CONTENT_TYPE } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        self.sign(&mut headers, key.as_ref(), call.bearer.as_ref())?;
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        let url = format!("{}{}", self.address, call.surface.path());
        match self.http.post(&url, headers, call.body).await {
            Ok(response) => Ok(self.read(self.http.reply(response))),
            Err(error) if !self.keys.is_empty() => Err(without_key(error, &self.http.name, "`api_key`")),
            Err(error) => Err(error),
        }
    }

    fn read(&self, mut reply: Reply) -> Reply {
        if header::is_type(&reply.content_type, ndjson::CONTENT_TYPE) {
            reply.content_type = HeaderValue::from_static("text/event-stream");
            reply.body = events::<ndjson::ToSse>(self.http.name.clone(), reply.body);
        }
        reply
    }

    /// The models that are there.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let mut headers = HeaderMap::new();
        self.sign(&mut headers, self.keys.choose(""), None)?;
        headers.extend(self.headers.clone());
        let url = format!("{}/api/tags", self.address);
        let request = self.http.client.get(url).timeout(MODELS_TIMEOUT).headers(headers);
        let list: Tags = self.http.send(request).await?.json().await.map_err(|_| {
            let message = format!("Provider `{}` gave no model list in Ollama's form.", self.http.name);
            Error::new(ErrorKind::UpstreamBroken, message)
        })?;
        Ok(list.models.into_iter().map(|model| model.name).collect())
    }
}

/// The list of models.
#[derive(Deserialize)]
struct Tags {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
}

impl Provider for Ollama {
    fn name(&self) -> &Arc<str> {
        &self.http.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        match surface {
            chat if chat.is_chat() => Some(Surface::OllamaChat),
            vectors if embeddings::is_embeddings(vectors) => Some(Surface::OllamaEmbed),
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
    use super::super::stub::{Stub, call};
    use super::*;
    use crate::config::{Provider as Settings, ProviderKind};
    use bytes::Bytes;
    use futures_util::StreamExt;

    fn provider(url: &str, key: Option<&str>) -> Ollama {
        let settings = Settings {
            api_key: key.map(Secret::new),
            ..Settings::plain("own", ProviderKind::Ollama, format!("{url}/api"))
        };
        Ollama::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn each_surface_has_its_path_and_a_key_is_not_needed() {
        let stub = Stub::start(vec![(200, "{}"); 3]).await;
        let trace = (HeaderName::from_static("traceparent"), HeaderValue::from_static("00-1"));
        let other = (HeaderName::from_static("openai-beta"), HeaderValue::from_static("x"));
        let headers = vec![trace, other];
        let own = provider(&stub.url, None);
        let chat = || call(Surface::OllamaChat, "m", "{\"model\":\"m\"}");
        own.send(Call { stream: true, headers, ..chat() }).await.unwrap();
        own.send(call(Surface::OllamaEmbed, "m", "{}")).await.unwrap();
        provider(&stub.url, Some("k-1")).send(chat()).await.unwrap();
        let seen = stub.seen();
        let lines: Vec<&str> = seen.iter().map(|one| one.line.as_str()).collect();
        assert_eq!(lines, ["POST /api/chat HTTP/1.1", "POST /api/embed HTTP/1.1", "POST /api/chat HTTP/1.1"]);
        assert_eq!((seen[0].header("authorization"), seen[2].header("authorization")), (None, Some("Bearer k-1")));
        assert_eq!((seen[0].header("traceparent"), seen[0].header("openai-beta")), (Some("00-1"), None));
        assert_eq!(seen[0].header("accept"), Some("application/x-ndjson"));
        assert_eq!(seen[0].body, "{\"model\":\"m\"}");
    }

    #[tokio::test]
    async fn lists_its_models_and_hides_a_refused_key() {
        let replies = [
            (200, r#"{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","size":1},{"name":"qwen3:8b"}]}"#),
            (200, "[]"),
            (401, r#"{"error":"bad k-1"}"#),
        ];
        let stub = Stub::start(replies.to_vec()).await;
        let own = provider(&stub.url, Some("k-1"));
        assert_eq!(own.models().await.unwrap(), ["llama3.2:latest", "qwen3:8b"]);
        assert_eq!(stub.seen()[0].line, "GET /api/tags HTTP/1.1");
        assert_eq!(own.models().await.unwrap_err().kind, ErrorKind::UpstreamBroken);
        let error = own.send(call(Surface::OllamaChat, "m", "{}")).await.err().unwrap();
        assert_eq!((error.code, error.reply.is_none()), (Some("upstream_unauthorized"), true));
        assert!(!format!("{error:?}").contains("k-1"));
    }

    #[tokio::test]
    async fn lines_are_events_and_a_cut_one_is_an_error_after_them() {
        crate::install_tls();
        let own = provider("http://127.0.0.1:1", None);
        let lines = ["{\"a\"", ":1}\n{\"b\":2}\n{\"c", "\":"].map(|piece| Ok(Bytes::from(piece)));
        let reply = Reply {
            content_type: HeaderValue::from_static("application/x-ndjson; charset=utf-8"),
            dropped: Vec::new(),
            headers: HeaderMap::new(),
            usage_added: false,
            body: futures_util::stream::iter(lines).boxed(),
        };
        let reply = own.read(reply);
        assert_eq!(reply.content_type, "text/event-stream");
        let pieces: Vec<_> = reply.body.collect().await;
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].as_ref().unwrap(), "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n");
        let error = pieces[1].as_ref().unwrap_err();
        assert_eq!(error.kind, ErrorKind::UpstreamBroken);
        assert!(error.message.contains("in the middle of a line"), "{}", error.message);
    }

    #[test]
    fn speaks_its_own_wires() {
        crate::install_tls();
        let own = provider("http://127.0.0.1:1", None);
        let table = [
            (Surface::OllamaChat, Some(Surface::OllamaChat)),
            (Surface::ChatCompletions, Some(Surface::OllamaChat)),
            (Surface::Embeddings, Some(Surface::OllamaEmbed)),
            (Surface::Rerank, None),
            (Surface::Completions, None),
        ];
        for (asked, spoken) in table {
            assert_eq!(own.speaks(asked), spoken, "{asked:?}");
        }
    }
}
