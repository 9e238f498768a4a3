//! Targets tried until one begins to answer. Until the first byte of a body is there, nothing has reached the caller, and
//! another try or another target is free to be made.

use super::super::attempts::{self, Answered, Sender, Tried};
use super::super::serve::{Pipeline, Setup};
use super::Parcel;
use super::address::Way;
use crate::governance::{Estimate, Purse};
use crate::providers::{Provider, RelayCall, Reply};
use crate::routing::{Course, Lane, Pass, Start, Target};
use crate::telemetry::metrics::{self, About};
use crate::types::caller::Tenant;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::Method;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A provider that has begun to answer.
pub(super) struct Sent {
    pub(super) provider: Arc<str>,
    /// The place of its lane in the route.
    pub(super) at: usize,
    /// The model, as the caller named it; for metrics.
    pub(super) model: String,
    pub(super) sent: Instant,
    /// The first piece of the body; `None` where it is empty.
    pub(super) begun: Option<Bytes>,
    pub(super) reply: Reply,
    /// The request's place on its lane, to be held until the body has ended.
    pub(super) pass: Option<Pass>,
    /// All attempts.
    pub(super) tried: Vec<Tried>,
    /// What is counted at its provider alone, to be held as long.
    pub(super) purse: Purse,
}

/// Goes the route's course until a target begins to answer.
pub(super) async fn send(pipeline: &Pipeline, parcel: &Parcel, setup: &Setup, way: &Way) -> Result<Sent, Error> {
    let start = Start { now: setup.clock.now(), seed: rand::random(), stick_to: stick_to(parcel) };
    let mut course =
        Course::begin(way.route.clone(), setup.retry.clone(), start).with_callers_key(parcel.caller.bearer.is_some());
    if changes(parcel) {
        course = course.off_trial();
    }
    way.out.iter().for_each(|at| course.leave_out(*at));
    match attempts::go(&Passing { pipeline, parcel, setup, way }, course, &setup.queue, setup.clock).await {
        Ok(Answered { answer, at, pass, tried }) => Ok(Sent { at, pass: Some(pass), tried, ..answer }),
        Err((error, tried)) => Err(attempts::tell(error, &tried)),
    }
}

/// Requests of one tenant stick together.
fn stick_to(parcel: &Parcel) -> u64 {
    let hash = blake3::hash(parcel.caller.tenant.0.as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
}

/// One request, to be passed on to whichever target its course says.
struct Passing<'p> {
    pipeline: &'p Pipeline,
    parcel: &'p Parcel,
    setup: &'p Setup,
    way: &'p Way,
}

impl Passing<'_> {
    /// A request, one under way, and its price: more is not known of what passes unread.
    async fn reserve(&self, at: usize, provider: &str) -> Result<Purse, Error> {
        let (governor, cache) = (self.pipeline.governor(), self.pipeline.cache());
        let estimate = Estimate { cost: self.way.price_at(at), ..Estimate::default() };
        let (caller, model) = (&self.parcel.caller, self.way.model.as_deref().unwrap_or_default());
        governor.reserve_at(caller, provider, model, estimate, || cache.now_ms()).await
    }
}

impl Sender for Passing<'_> {
    type Answer = Sent;

    fn attempt<'s>(&'s self, at: usize, lane: &'s Lane) -> BoxFuture<'s, Result<Sent, Error>> {
        Box::pin(async move {
            let (target, timeout) = self.way.route.leg(at)?;
            let Some(provider) = self.setup.registry.get(&target.provider) else {
                let message = format!("The route names a provider `{}` that there is not.", target.provider);
                return Err(Error::new(ErrorKind::Internal, message));
            };
            let purse = self.reserve(at, &target.provider).await?;
            let attempt = attempt(self.parcel, self.way, (provider.as_ref(), target), lane.id.key.clone());
            match timeout {
                Some(timeout) => attempts::in_time(timeout, &target.provider, attempt).await,
                None => attempt.await,
            }
            .map(|sent| Sent { purse, ..sent })
        })
    }

    fn headers<'a>(&self, answer: &'a Sent) -> &'a HeaderMap {
        &answer.reply.headers
    }

    fn failed(&self, lane: &Lane, error: &Error, took: Duration) {
        let model = self.way.model.as_deref().unwrap_or("unknown");
        let about = About { surface: self.parcel.surface, model, provider: &lane.id.provider };
        metrics::upstream_ended(about, took, Some(error));
        tracing::info!(provider = %lane.id.provider, key = lane.id.key.as_deref(), error = %error, "an attempt failed");
    }

    fn tenant(&self) -> &Tenant {
        &self.parcel.caller.tenant
    }

    fn may_hedge(&self) -> bool {
        !changes(self.parcel)
    }

    fn may_repeat(&self, error: &Error) -> bool {
        may_be_repeated(self.parcel, error)
    }
}

/// Does it change something there?
fn changes(parcel: &Parcel) -> bool {
    matches!(parcel.surface, Surface::Files | Surface::Batches) && parcel.method != Method::GET
}

/// A second try must not make a second file, or pay for a second batch: what changes something there is sent again only
/// where it cannot have been taken the first time.
fn may_be_repeated(parcel: &Parcel, error: &Error) -> bool {
    !changes(parcel)
        || matches!(error.kind, ErrorKind::UpstreamUnreachable | ErrorKind::UpstreamStatus(401..=404 | 429))
}

async fn attempt(
    parcel: &Parcel,
    way: &Way,
    (provider, target): (&dyn Provider, &Target),
    key: Option<String>,
) -> Result<Sent, Error> {
    let sent = Instant::now();
    let (path, body) = way.renamed(parcel, &target.model)?;
    let call = RelayCall {
        surface: parcel.surface,
        method: parcel.method.clone(),
        path,
        query: parcel.query.clone(),
        model: target.model.clone(),
        key,
        content_type: parcel.content_type.clone(),
        body,
        tenant: parcel.caller.tenant.clone(),
        bearer: parcel.caller.bearer.clone(),
        headers: parcel.headers.clone(),
    };
    let mut reply = provider.relay(call).await?;
    let begun = reply.body.next().await.transpose()?;
    let model = way.model.clone().unwrap_or_else(|| "unknown".to_owned());
    Ok(Sent {
        provider: provider.name().clone(),
        at: 0,
        model,
        sent,
        begun,
        reply,
        pass: None,
        tried: Vec::new(),
        purse: Purse::default(),
    })
}
