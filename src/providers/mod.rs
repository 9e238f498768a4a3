//! Floor 3: providers. A provider is address, auth and quirks, behind one trait.
//!
//! - `http`: one client per provider; every failure classified
//! - `openai`: OpenAI, and whoever speaks its wire at another address
//! - `demo`: answers from the bundled questions, without any network
//! - `catalogue`: the entries of `catalogue.yaml` that are found by their key or port; `prices.yaml` lies beside them, and
//!   `config` reads both
//! - `local`: the sentence model of this host, for embeddings
//! - `registry`: the providers of one configuration

pub mod catalogue;
mod demo;
mod http;
mod local;
mod openai;
mod registry;

pub use registry::Registry;

use crate::types::caller::Tenant;
use crate::types::error::Error;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::sync::Arc;

/// One request to one provider.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which endpoint.
    pub surface: Surface,
    /// The body, with the model's name as this provider knows it.
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
    pub headers: Vec<(::http::HeaderName, ::http::HeaderValue)>,
}

/// A provider's reply with a status of success.
pub struct Reply {
    /// `content-type`.
    pub content_type: String,
    /// Headers worth passing on to the caller.
    pub headers: Vec<(String, String)>,
    /// Usage was asked for although the caller did not want it: its event is not passed on.
    pub usage_added: bool,
    /// The body as it comes.
    pub body: BoxStream<'static, Result<Bytes, Error>>,
}

/// Somebody who answers requests.
pub trait Provider: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &Arc<str>;

    /// Sends `call`. An error status is an error; its reply is kept in it.
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>>;

    /// The models it says it has.
    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, Error>>;
}
