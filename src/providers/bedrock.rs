//! AWS Bedrock: requests signed with an access key, or sent with an API key as a bearer token.
//!
//! Its streams come in frames and leave here as server-sent events
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>).

use super::frames::events;
use super::http::{Http, Response};
use super::keys::Keys;
use super::signing::{operator_headers, secret_value};
use super::{Call, Provider, Reply};
use crate::config;
use crate::credentials::aws::{Credentials, Environment, Unsigned, domain, sign};
use crate::types::error::{Error, ErrorKind, UpstreamReply};
use crate::types::header;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::bedrock::error::{TYPE_HEADER, bare};
use crate::wire::event_stream;
use crate::wire::path::segment;
use crate::wire::{embeddings, rerank};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Asking for the models must not hold a start up.
const MODELS_TIMEOUT: Duration = Duration::from_secs(10);
/// The region where none is told and none is needed: the address is, and a bearer token.
const ANY_REGION: &str = "us-east-1";

/// AWS Bedrock.
#[derive(Debug)]
pub(super) struct Bedrock {
    http: Http,
    keys: Keys,
    /// `AWS_BEARER_TOKEN_BEDROCK`.
    bearer: Option<Secret>,
    credentials: Credentials,
    headers: HeaderMap,
    region: String,
    /// The address is AWS's own: there is one for each region.
    regional: bool,
    /// Where the models are listed, if anywhere.
    control: Option<String>,
}

/// What a request goes with.
enum Pass<'p> {
    Bearer(&'p Secret),
    Signed,
}

impl Bedrock {
    pub(super) fn new(settings: &config::Provider) -> Result<Bedrock, String> {
        Bedrock::within(settings, &Environment::of_process())
    }

    fn within(settings: &config::Provider, environment: &Environment) -> Result<Bedrock, String> {
        let regional = settings.base_url.is_empty();
        let told =
            settings.cloud.region.clone().or_else(|| region_in(&settings.base_url)).or_else(|| environment.region());
        let region = match told {
            Some(region) if region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => region,
            Some(_) => return Err(format!("provider `{}`: its region is no name of one", settings.name)),
            None if regional => {
                return Err(format!("provider `{}`: it needs a region; set `region` or AWS_REGION", settings.name));
            }
            None => ANY_REGION.to_owned(),
        };
        let base_url = if regional { runtime(&region) } else { settings.base_url.clone() };
        let told_key = settings.cloud.access_key_id.is_some();
        Ok(Bedrock {
            http: Http::new(&config::Provider { base_url, ..settings.clone() })?,
            keys: Keys::new(settings),
            // What the settings tell comes before what the environment tells.
            bearer: environment.get("AWS_BEARER_TOKEN_BEDROCK").filter(|_| !told_key).map(Secret::new),
            credentials: Credentials::find(&settings.cloud, &region, environment),
            headers: operator_headers(settings)?,
            control: regional.then(|| format!("https://bedrock.{region}.{}", domain(&region))),
            region,
            regional,
        })
    }

    /// What a request for `model` goes with. A caller's own token is used only where nobody told of another.
    fn pass<'p>(&'p self, key: Option<&'p Secret>, caller: Option<&'p Secret>) -> Pass<'p> {
        let key = key.or(self.bearer.as_ref());
        // The id of an AWS access key is no bearer token; AWS's own keys of Bedrock begin so.
        let is_key = |caller: &&Secret| {
            let text = caller.expose();
            text.starts_with("ABSK") || text.starts_with("bedrock-api-key-")
        };
        match key.or(caller.filter(|_| self.keys.is_empty() && !self.credentials.are_told()).filter(is_key)) {
            Some(key) => Pass::Bearer(key),
            None => Pass::Signed,
        }
    }

    /// Signs `headers`, or adds the token to them.
    async fn admit(
        &self,
        pass: Pass<'_>,
        (method, url, region): (&Method, &Url, &str),
        headers: &mut HeaderMap,
        body: &[u8],
    ) -> Result<(), Error> {
        match pass {
            Pass::Bearer(key) => {
                headers.insert(AUTHORIZATION, secret_value("Bearer", key)?);
            }
            Pass::Signed => {
                let key = self.credentials.key().await.map_err(|why| self.without_credentials(&why))?;
                let unsigned = Unsigned { method, url, headers, body, region, service: "bedrock" };
                let added = sign(&unsigned, &key, SystemTime::now());
                headers.extend(added.map_err(|why| self.without_credentials(&why))?);
            }
        }
        Ok(())
    }

    fn without_credentials(&self, why: &str) -> Error {
        let message = format!("Provider `{}` cannot sign its requests: {why}.", self.http.name);
        Error::new(ErrorKind::UpstreamStatus(401), message).with_code("upstream_unauthorized")
    }

    /// The address of a call, and the region that it is in: that of an ARN, where it may be any.
    fn address<'c>(&'c self, call: &'c Call) -> Result<(Url, &'c str), Error> {
        let action = match (call.surface, call.stream) {
            (Surface::InvokeModel, false) => "invoke",
            (Surface::InvokeModel, true) => "invoke-with-response-stream",
            (_, false) => "converse",
            (_, true) => "converse-stream",
        };
        let region = region_of(&call.model).filter(|_| self.regional).unwrap_or(&self.region);
        let base = if region == self.region { self.http.base_url.clone() } else { runtime(region) };
        let url = format!("{base}/model/{}/{action}", segment(&call.model).unwrap_or_else(|| "%00".to_owned()));
        let url = Url::parse(&url).map_err(|_| {
            Error::new(ErrorKind::Internal, format!("Provider `{}` has an address that is none.", self.http.name))
        })?;
        Ok((url, region))
    }

    async fn post(&self, call: Call, key: Option<Secret>) -> Result<Reply, Error> {
        let (url, region) = self.address(&call)?;
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(call.headers.iter().cloned());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if call.stream { event_stream::CONTENT_TYPE } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        // What the operator set wins over what the caller sent.
        headers.extend(self.headers.clone());
        let pass = self.pass(key.as_ref(), call.bearer.as_ref());
        let own = !matches!(&pass, Pass::Bearer(key) if Some(*key) == call.bearer.as_ref() && self.keys.is_empty());
        self.admit(pass, (&Method::POST, &url, region), &mut headers, &call.body).await?;
        let response = self.http.post_any(url.as_str(), headers, call.body).await?;
        if !response.status.is_success() {
            return Err(self.refused(response, own).await);
        }
        Ok(self.reply(response))
    }

    fn reply(&self, response: Response) -> Reply {
        let told = passed_on(&response.headers);
        let mut reply = self.http.reply(response);
        reply.headers.extend(told);
        if header::is_type(&reply.content_type, event_stream::CONTENT_TYPE) {
            reply.content_type = HeaderValue::from_static("text/event-stream");
            reply.body = events::<event_stream::ToSse>(self.http.name.clone(), reply.body);
        }
        reply
    }

    /// An error reply. Its type stands in a header, which goes with its body from here on. A refusal of the gateway's own
    /// credentials is not the caller's fault, and its text names the operator's account.
    async fn refused(&self, response: Response, own: bool) -> Error {
        let kind = response.header(TYPE_HEADER).map(bare);
        let kind = kind.map(str::to_owned).filter(|kind| kind.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let mut error = self.http.refused(response).await;
        match error.kind {
            ErrorKind::UpstreamStatus(status @ (401 | 403)) if own => {
                let kind = kind.unwrap_or_default();
                tracing::warn!(provider = %self.http.name, status, kind, "the gateway's credentials were refused");
                error.reply = None;
                error.code = Some("upstream_unauthorized");
                error.message = format!(
                    "Provider `{}` refused the gateway's credentials (status {status}). The operator has to check them, and \
                     whether they may use this model in this region.",
                    self.http.name
                );
            }
            _ => error.reply = error.reply.map(|reply| typed(reply, kind.as_deref())),
        }
        error
    }

    /// The models that its control plane lists.
    async fn list(&self) -> Result<Vec<String>, Error> {
        let Some(control) = &self.control else { return Ok(Vec::new()) };
        let key = self.keys.choose("");
        if key.is_none() && !self.keys.is_empty() {
            // Each is for some models only; nobody else signs in their stead.
            return Ok(Vec::new());
        }
        let broken =
            |what: &str| Error::new(ErrorKind::UpstreamBroken, format!("Provider `{}` {what}.", self.http.name));
        let url = Url::parse(&format!("{control}/foundation-models")).map_err(|_| broken("has no address"))?;
        let mut headers = self.headers.clone();
        let pass = self.pass(key, None);
        self.admit(pass, (&Method::GET, &url, &self.region), &mut headers, b"").await?;
        let request = self.http.client.get(url).headers(headers).timeout(MODELS_TIMEOUT);
        let response = self.http.answered(request).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response.into(), true).await);
        }
        let list: ModelList = response.json().await.map_err(|_| broken("gave no list of models"))?;
        Ok(list.models.into_iter().map(|model| model.id).collect())
    }
}

/// The address of a region's runtime.
fn runtime(region: &str) -> String {
    format!("https://bedrock-runtime.{region}.{}", domain(region))
}

/// The region in an address of AWS's own, as in `https://bedrock-runtime.eu-west-1.amazonaws.com`.
fn region_in(base_url: &str) -> Option<String> {
    let url = Url::parse(base_url).ok()?;
    let mut words = url.host_str()?.split('.').skip_while(|word| !word.starts_with("bedrock"));
    let (_, region, owner) = (words.next()?, words.next()?, words.next()?);
    (owner == "amazonaws" || owner == "vpce").then(|| region.to_owned())
}

/// The region in the ARN of a model.
fn region_of(model: &str) -> Option<&str> {
    let region = model.strip_prefix("arn:")?.split(':').nth(2)?;
    let is_name = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then_some(region)
}

/// What of a reply's head helps the caller: token counts of InvokeModel, and AWS's id of the request.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amzn-bedrock-"));
    let id = headers.get("x-amzn-requestid").map(|id| (header::UPSTREAM_REQUEST_ID, id.clone()));
    kept.map(|(name, value)| (name.clone(), value.clone())).chain(id).collect()
}

/// The reply with its type in the body, where an object is there that has none.
fn typed(reply: UpstreamReply, kind: Option<&str>) -> UpstreamReply {
    let rest = reply.body.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    let (Some(kind), Some(rest)) = (kind, rest) else { return reply };
    if memchr::memmem::find(rest, b"\"__type\"").is_some() {
        return reply;
    }
    let comma = if rest.starts_with(b"}") { "" } else { "," };
    let mut body = format!("{{\"__type\":\"{kind}\"{comma}").into_bytes();
    body.extend_from_slice(rest);
    UpstreamReply { body: body.into(), ..reply }
}

/// The control plane's list.
#[derive(Deserialize)]
struct ModelList {
    #[serde(rename = "modelSummaries")]
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "modelId")]
    id: String,
}

impl Provider for Bedrock {
    fn name(&self) -> &Arc<str> {
        &self.http.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        match surface {
            Surface::InvokeModel => Some(Surface::InvokeModel),
            // In the bodies of the model, which not every one has.
            one if embeddings::is_embeddings(one) || rerank::is_rerank(one) => Some(Surface::InvokeModel),
            chat => chat.is_chat().then_some(Surface::Converse),
        }
    }

    fn speaks_for(&self, surface: Surface, model: &str) -> Option<Surface> {
        match surface {
            vectors if embeddings::is_embeddings(vectors) => {
                embeddings::bedrock::is_known(model).then_some(Surface::InvokeModel)
            }
            orders if rerank::is_rerank(orders) => rerank::bedrock::is_known(model).then_some(Surface::InvokeModel),
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
