//! Cohere (<https://docs.cohere.com/reference/about>), and whoever serves its wire at another address.

use super::http::Http;
use super::keys::Keys;
use super::signing::{operator_headers, secret_value, without_key};
use super::{Call, Provider, Reply};
use crate::config;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::path::percent_encoded;
use crate::wire::{embeddings, rerank};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Asking for the models must not hold a start up.
const MODELS_TIMEOUT: Duration = Duration::from_secs(10);

/// The most pages of models that are asked for, 1,000 models each.
const MODEL_PAGES: usize = 10;

/// What goes there as it came, where the settings say nothing else.
const SURFACES: [Surface; 3] = [Surface::CohereChat, Surface::CohereEmbed, Surface::Rerank];

/// Cohere.
#[derive(Debug)]
pub(super) struct Cohere {
    http: Http,
    /// Where it answers, without the version.
    address: String,
    keys: Keys,
    key_header: Option<HeaderName>,
    headers: HeaderMap,
    surfaces: Vec<Surface>,
}

impl Cohere {
    pub(super) fn new(settings: &config::Provider) -> Result<Cohere, String> {
        let http = Http::new(settings)?;
        let base = http.base_url.as_str();
        // The version stands in each path: chat is of the second, the list of models of the first.
        let address = base.strip_suffix("/v2").or_else(|| base.strip_suffix("/v1")).unwrap_or(base).to_owned();
        let key_header = settings.key_header.as_deref().map(HeaderName::try_from).transpose();
        Ok(Cohere {
            http,
            address,
            keys: Keys::new(settings),
            key_header: key_header
                .map_err(|_| format!("provider `{}`: the header of its key has no valid name", settings.name))?,
            headers: operator_headers(settings)?,
            surfaces: if settings.surfaces.is_empty() { SURFACES.to_vec() } else { settings.surfaces.clone() },
        })
    }

    /// Puts the key where it belongs: the gateway's, or the caller's where the gateway has none.
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
        let is_meant = |name: &HeaderName| !name.as_str().starts_with("openai-");
        headers.extend(call.headers.into_iter().filter(|(name, _)| is_meant(name)));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if call.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        self.sign(&mut headers, key.as_ref(), call.bearer.as_ref())?;
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        let url = format!("{}/v2{}", self.address, call.surface.path());
        match self.http.post(&url, headers, call.body).await {
            Ok(response) => Ok(self.http.reply(response)),
            Err(error) if !self.keys.is_empty() => Err(without_key(error, &self.http.name, "`api_key`")),
            Err(error) => Err(error),
        }
    }

    /// The models it lists, page by page.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let mut headers = HeaderMap::new();
        self.sign(&mut headers, self.keys.choose(""), None)?;
        headers.extend(self.headers.clone());
        let first = format!("{}/v1/models?page_size=1000", self.address);
        let mut url = first.clone();
        let mut models = Vec::new();
        for _ in 0..MODEL_PAGES {
            let request = self.http.client.get(&url).timeout(MODELS_TIMEOUT).headers(headers.clone());
            let page: Models = self.http.send(request).await?.json().await.map_err(|_| self.no_list())?;
            models.extend(page.models.into_iter().map(|model| model.name));
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(token) => url = format!("{first}&page_token={}", percent_encoded(&token)),
                None => break,
            }
        }
        Ok(models)
    }

    fn no_list(&self) -> Error {
        let message = format!("Provider `{}` gave no model list in Cohere's form.", self.http.name);
        Error::new(ErrorKind::UpstreamBroken, message)
    }
}

/// A page of models.
#[derive(Deserialize)]
struct Models {
    models: Vec<Model>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
}

impl Provider for Cohere {
    fn name(&self) -> &Arc<str> {
        &self.http.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        let has = |own: Surface| self.surfaces.contains(&own).then_some(own);
        match surface {
            one if self.surfaces.contains(&one) => Some(one),
            chat if chat.is_chat() => has(Surface::CohereChat),
            vectors if embeddings::is_embeddings(vectors) => has(Surface::CohereEmbed),
            orders if rerank::is_rerank(orders) => has(Surface::Rerank),
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

    fn provider(url: &str, key: Option<&str>) -> Cohere {
        let settings = Settings {
            api_key: key.map(Secret::new),
            ..Settings::plain("co", ProviderKind::Cohere, format!("{url}/v2"))
        };
        Cohere::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn each_surface_has_its_path_and_the_key_goes_with_it() {
        let stub = Stub::start(vec![(200, "{}"); 3]).await;
        let cohere = provider(&stub.url, Some("k-1"));
        for surface in SURFACES {
            cohere.send(Call { stream: true, ..call(surface, "m", "{\"model\":\"m\"}") }).await.unwrap();
        }
        let seen = stub.seen();
        let lines: Vec<&str> = seen.iter().map(|one| one.line.as_str()).collect();
        assert_eq!(lines, ["POST /v2/chat HTTP/1.1", "POST /v2/embed HTTP/1.1", "POST /v2/rerank HTTP/1.1"]);
        assert_eq!(seen[0].header("authorization"), Some("Bearer k-1"));
        assert_eq!(seen[0].header("accept"), Some("text/event-stream"));
        assert_eq!(seen[0].body, "{\"model\":\"m\"}");
    }

    #[tokio::test]
    async fn a_callers_key_is_for_a_gateway_without_one() {
        let stub =
            Stub::start(vec![(200, "{}"), (401, "{\"message\":\"bad k-1\"}"), (401, "{\"message\":\"no\"}")]).await;
        let of_caller = || Call { bearer: Some(Secret::new("theirs")), ..call(Surface::CohereChat, "m", "{}") };
        provider(&stub.url, None).send(of_caller()).await.unwrap();
        let error = provider(&stub.url, Some("k-1")).send(of_caller()).await.err().unwrap();
        assert_eq!((error.code, error.reply.is_none()), (Some("upstream_unauthorized"), true));
        assert!(!format!("{error:?}").contains("k-1"));
        let error = provider(&stub.url, None).send(of_caller()).await.err().unwrap();
        assert_eq!(error.reply.unwrap().status, 401);
        let keys: Vec<_> = stub.seen().iter().map(|one| one.header("authorization").map(str::to_owned)).collect();
        assert_eq!(keys, ["Bearer theirs", "Bearer k-1", "Bearer theirs"].map(|key| Some(key.to_owned())));
    }

    #[tokio::test]
    async fn lists_its_models_page_by_page() {
        let pages = [
            (200, r#"{"models":[{"name":"command-a"}],"next_page_token":"a/b"}"#),
            (200, r#"{"models":[{"name":"rerank-v3.5"}],"next_page_token":""}"#),
            (200, "[]"),
        ];
        let stub = Stub::start(pages.to_vec()).await;
        let cohere = provider(&stub.url, Some("k-1"));
        assert_eq!(cohere.models().await.unwrap(), ["command-a", "rerank-v3.5"]);
        assert_eq!(stub.seen()[1].line, "GET /v1/models?page_size=1000&page_token=a%2Fb HTTP/1.1");
        assert_eq!(cohere.models().await.unwrap_err().kind, ErrorKind::UpstreamBroken);
    }

    #[test]
    fn speaks_its_own_wires() {
        crate::install_tls();
        let cohere = provider("http://127.0.0.1:1", None);
        let table = [
            (Surface::CohereChat, Some(Surface::CohereChat)),
            (Surface::Messages, Some(Surface::CohereChat)),
            (Surface::Embeddings, Some(Surface::CohereEmbed)),
            (Surface::Rerank, Some(Surface::Rerank)),
            (Surface::RerankTexts, Some(Surface::Rerank)),
            (Surface::Completions, None),
            (Surface::Images, None),
        ];
        for (asked, spoken) in table {
            assert_eq!(cohere.speaks(asked), spoken, "{asked:?}");
        }
    }
}
