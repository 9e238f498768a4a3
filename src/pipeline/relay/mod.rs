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
use super::attempts;
use super::serve::{Pipeline, Setup, not_cached};
use super::settle::Settlement;
use crate::telemetry::metrics;
use crate::types::caller::Caller;
use crate::types::directives::Directives;
use crate::types::error::Error;
use crate::types::header;
use crate::types::outcome::BypassReason;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
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
        let about = (&parcel.caller, parcel.surface);
        // What it holds is passed on unread, and not kept either.
        let slip = self.slip(about, &parcel.request_id, true);
        slip.asked(&Bytes::new(), parcel.directives.tags.clone());
        let mut settlement = Settlement::new(parcel.surface, parcel.arrived, &parcel.request_id, slip);
        let result = self.passed_on(&parcel, &setup, &mut settlement).await;
        self.told(result, settlement, (&parcel.caller, parcel.surface, parcel.directives.trace))
    }

    async fn passed_on(&self, parcel: &Parcel, setup: &Setup, settlement: &mut Settlement) -> Result<Reply, Error> {
        for (id, right) in &parcel.directives.feedback {
            // As with conversations, an answer that is not known any more is no reason to refuse this request.
            let _ = self.feedback(&parcel.caller.tenant, id, *right);
        }
        let mut way = address::way(parcel, setup, &self.governor, &self.holders, self.cache.now_ms())?;
        let guarded = self.guard_relayed(setup, parcel, way.model.as_deref().unwrap_or_default(), &way.route)?;
        let changed = guarded.body.map(|body| Parcel { body, ..parcel.clone() });
        let parcel = changed.as_ref().unwrap_or(parcel);
        if changed.is_some() {
            // What was replaced may stand before the model's name.
            way = address::way(parcel, setup, &self.governor, &self.holders, self.cache.now_ms())?;
        }
        if let Some(model) = &way.model {
            settlement.of_model(model);
        }
        settlement.holds(self.governor.admit(&parcel.caller, &way.asked(parcel.surface), self.cache.now_ms())?);
        way.leave_out(self.barred(&parcel.caller, &way.route)?)?;
        metrics::bypass(BypassReason::Relayed);
        if parcel.directives.only_if_cached {
            return Err(not_cached());
        }
        settlement.outcome("bypass");
        let (model, most) = (way.model.as_deref().unwrap_or_default(), way.most());
        let mut purse = self.governor.reserve(&parcel.caller, model, most, || self.cache.now_ms()).await?;
        let slip = settlement.slip();
        let sent = send::send(self, parcel, setup, &way).await.inspect_err(|error| {
            slip.iter().for_each(|slip| slip.tried(attempts::made(error)));
        })?;
        // What is known of such an answer's cost is the price of a request, and that is due now.
        let price = way.price_at(sent.at);
        purse.settle(Usage::default(), price, self.cache.now_ms());
        if let Some(slip) = &slip {
            let model = way.route.leg(sent.at).map(|(target, _)| target.model.as_str()).unwrap_or_default();
            slip.begun(model, sent.tried.len(), price);
        }
        let mut reply = answer::reply(sent, parcel, setup, &self.holders).await?;
        guarded.names.into_iter().for_each(|names| header::set(&mut reply.headers, header::GUARDRAILS, names));
        Ok(reply)
    }
}
