//! Relay: requests that are no conversations go to their provider as they are, and its bytes come back as they come.
//!
//! Nothing of them is read but the model's name, nor anything of the answers but the ids of files and batches. Nothing is
//! cached. They are tried, counted and logged like all others.
//!
//! - `address`: which targets a request goes to
//! - `holders`: which provider keeps a file or batch, and whose it is
//! - `send`: targets tried until one begins to answer
//! - `answer`: the answer on its way to the caller

mod address;
mod answer;
mod holders;
mod send;

pub(super) use holders::Holders;

use super::Reply;
use super::serve::{Pipeline, Setup, not_cached};
use super::settle::Settlement;
use crate::telemetry::metrics;
use crate::types::caller::Caller;
use crate::types::directives::Directives;
use crate::types::error::Error;
use crate::types::outcome::BypassReason;
use crate::types::surface::Surface;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use std::time::Instant;

/// Stands in [`Parcel::path`] for the model's name, where the wire tells it in the path.
pub const MODEL: &str = "{model}";

/// A request that is passed on as it is, as the doors hand it in.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The door.
    pub surface: Surface,
    /// What a provider has to speak itself to be sent this: the surface, or the one whose requests it is about, as where
    /// the tokens of a request are counted.
    pub wire: Surface,
    /// How it is sent.
    pub method: Method,
    /// The path below the provider's base URL, with a slash before it. [`MODEL`] in it becomes the model's name.
    pub path: String,
    /// What stands behind the path's `?`.
    pub query: Option<String>,
    /// Where it goes, as far as the head of the request says.
    pub to: Address,
    /// What of its answer is remembered.
    pub ids: Ids,
    /// `content-type`.
    pub content_type: Option<HeaderValue>,
    /// The body, whole: JSON, a form, or none.
    pub body: Bytes,
    /// Who asks.
    pub caller: Caller,
    /// What they asked of the cache.
    pub directives: Directives,
    /// Headers that go on to the provider.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers that conditions of targets may ask about.
    pub told: Vec<(HeaderName, HeaderValue)>,
    /// For the log.
    pub request_id: String,
    /// When it arrived.
    pub arrived: Instant,
}

/// Where a request goes, as far as its head says. What is not said here is looked for in the body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Address {
    /// The provider that the caller names.
    pub provider: Option<String>,
    /// The model, where the path tells it.
    pub model: Option<String>,
    /// The file, batch or upload that it is about.
    pub id: Option<String>,
}

/// What of an answer is remembered, so that later requests find the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ids {
    /// Nothing.
    None,
    /// The ids in it, of what is there.
    Told,
    /// The ids in it, of what the request made: it belongs to the caller's tenant.
    Made,
}

impl Pipeline {
    /// Passes one request on.
    pub async fn relay(&self, parcel: Parcel) -> Result<Reply, Error> {
        let setup = self.setup();
        let mut settlement = Settlement::new(parcel.surface, parcel.arrived, &parcel.request_id);
        match self.passed_on(&parcel, &setup, &mut settlement).await {
            Ok(reply) => Ok(settlement.ride(reply)),
            Err(error) => {
                settlement.failed(&error);
                Err(error.untold(parcel.directives.trace))
            }
        }
    }

    async fn passed_on(&self, parcel: &Parcel, setup: &Setup, settlement: &mut Settlement) -> Result<Reply, Error> {
        for (id, right) in &parcel.directives.feedback {
            // As with conversations, an answer that is not known any more is no reason to refuse this request.
            let _ = self.feedback(&parcel.caller.tenant, id, *right);
        }
        let way = address::way(parcel, setup, &self.holders, self.cache.now_ms())?;
        if let Some(model) = &way.model {
            settlement.of_model(model);
        }
        metrics::bypass(BypassReason::Relayed);
        if parcel.directives.only_if_cached {
            return Err(not_cached());
        }
        settlement.outcome("bypass");
        let sent = send::send(parcel, setup, &way).await?;
        answer::reply(sent, parcel, setup, &self.holders).await
    }
}
