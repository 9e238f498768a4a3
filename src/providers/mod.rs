//! Floor 3: providers. A provider is address, auth and quirks, behind one trait.
//!
//! - `http`: one client per provider; every failure classified
//! - `direct`: plain HTTP to one origin on kept connections, without a task for each
//! - `frames`: streams in frames of a vendor's own as server-sent events
//! - `outbound`: that client: its proxy and its certificates
//! - `keys`: which of a provider's keys a request goes with, within the keys' limits
//! - `signing`: the operator's headers, a key as a header, and what becomes of a refusal of it
//! - `openai`: OpenAI, and whoever speaks its wire at another address
//! - `azure`, `anthropic`, `gemini`, `vertex`, `bedrock`, `cohere`, `ollama`: those of their own wire or their own way of signing in
//! - `google`: what Google's two have in common
//! - `demo`: answers from the bundled questions, without any network
//! - `catalogue`: the entries of `catalogue.yaml` that are found by their key or port; `prices.yaml` lies beside them, and
//!   `config` reads both
//! - `local`: the sentence model of this host, for embeddings
//! - `registry`: the providers of one configuration

mod anthropic;
mod azure;
mod bedrock;
pub mod catalogue;
mod cohere;
mod demo;
mod direct;
mod frames;
mod gemini;
mod google;
#[cfg(test)]
#[path = "tests/google_stub.rs"]
pub(crate) mod google_stub;
mod http;
mod keys;
mod local;
mod ollama;
mod openai;
mod outbound;
mod registry;
mod signing;
#[cfg(test)]
pub(crate) mod stub;
mod vertex;

pub use keys::ALL_AT_LIMITS;
pub use outbound::{certificates, read as read_certificate_file};
pub use registry::Registry;

use crate::types::caller::Tenant;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::sync::Arc;

/// One request to one provider.
#[derive(Clone, Debug)]
pub struct Call {
    /// The wire of `body`: one that the provider speaks.
    pub surface: Surface,
    /// The model's name as this provider knows it.
    pub model: String,
    /// The name of the provider's key that it goes with; any, where none is named.
    pub key: Option<String>,
    /// The body, with that name in it where its wire has it there.
    pub body: Bytes,
    /// A stream is wanted.
    pub stream: bool,
    /// The caller wants usage in the stream.
    pub include_usage: bool,
    /// Whose request it is.
    pub tenant: Tenant,
    /// The caller's own bearer token, for a provider that the gateway has no key for.
    pub bearer: Option<Secret>,
    /// Caller headers that are passed on.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// One request to one provider that is passed on as it is: of a surface of which the gateway reads the model's name only.
#[derive(Clone, Debug)]
pub struct RelayCall {
    /// The door it came through.
    pub surface: Surface,
    /// How it is sent.
    pub method: Method,
    /// The path below the provider's base URL, with a slash before it.
    pub path: String,
    /// What stands behind the path's `?`.
    pub query: Option<String>,
    /// The model's name as this provider knows it; empty where the request names none.
    pub model: String,
    /// The name of the provider's key that it goes with; any, where none is named.
    pub key: Option<String>,
    /// `content-type` of the body.
    pub content_type: Option<HeaderValue>,
    /// The body, with the model's name in it where it has one.
    pub body: Bytes,
    /// Whose request it is.
    pub tenant: Tenant,
    /// The caller's own bearer token, for a provider that the gateway has no key for.
    pub bearer: Option<Secret>,
    /// Caller headers that are passed on.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A provider's reply with a status of success.
pub struct Reply {
    /// `content-type`.
    pub content_type: HeaderValue,
    /// Headers worth passing on to the caller.
    pub headers: HeaderMap,
    /// Fields of the request that the provider refuses and was not sent.
    pub dropped: Vec<String>,
    /// Usage was asked for although the caller did not want it: its event is not passed on.
    pub usage_added: bool,
    /// The body as it comes. A stream is one of server-sent events, whatever frames the provider sends.
    pub body: BoxStream<'static, Result<Bytes, Error>>,
}

/// Somebody who answers requests.
pub trait Provider: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &Arc<str>;

    /// The wire in which it is sent a request of `surface`: the same, or for conversations another one, into which it is
    /// translated. `None`: it does not serve such requests.
    fn speaks(&self, surface: Surface) -> Option<Surface>;

    /// The same for one of its models, where they differ: some sell the models of others in their makers' wires.
    fn speaks_for(&self, surface: Surface, model: &str) -> Option<Surface> {
        let _ = model;
        self.speaks(surface)
    }

    /// Sends `call`, whose surface it speaks. An error status is an error; its reply is kept in it.
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>>;

    /// Sends `call` as it is. An error status is an error; its reply is kept in it. The reply's body may be anything.
    fn relay(&self, call: RelayCall) -> BoxFuture<'_, Result<Reply, Error>> {
        let what = call.surface.as_str();
        let message = format!("Provider `{}` has nothing that requests of the kind `{what}` are sent to.", self.name());
        let error = Error::new(ErrorKind::InvalidRequest, message).with_code("unsupported_surface");
        Box::pin(std::future::ready(Err(error)))
    }

    /// The models it says it has.
    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, Error>>;
}
