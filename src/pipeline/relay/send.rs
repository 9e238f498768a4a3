//! Targets tried until one begins to answer. Until the first byte of a body is there, nothing has reached the caller, and
//! another try or another target is free to be made.

use super::super::serve::Setup;
use super::Parcel;
use super::address::Way;
use crate::providers::{Provider, RelayCall, Reply};
use crate::routing::{Next, Target, Tried, next};
use crate::telemetry::metrics::{self, About};
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use bytes::Bytes;
use futures_util::StreamExt;
use http::Method;
use std::sync::Arc;
use std::time::Instant;

/// A provider that has begun to answer.
pub(super) struct Sent {
    pub(super) provider: Arc<str>,
    /// The model, as the caller named it; for metrics.
    pub(super) model: String,
    pub(super) sent: Instant,
    /// The first piece of the body; `None` where it is empty.
    pub(super) begun: Option<Bytes>,
    pub(super) reply: Reply,
}

/// Tries the targets in order.
pub(super) async fn send(parcel: &Parcel, setup: &Setup, way: &Way) -> Result<Sent, Error> {
    let started = Instant::now();
    let total = setup.retry.total_timeout;
    setup.budget.earn();
    let tried = async {
        let mut last = Error::new(ErrorKind::Internal, "The request has no targets.");
        for (at, (provider, target)) in way.targets.iter().enumerate() {
            let more_targets = at + 1 < way.targets.len();
            match try_target(parcel, setup, way, (provider.as_ref(), target), started, more_targets).await {
                Ok(sent) => return Ok(sent),
                Err((error, Next::NextTarget)) => {
                    tracing::info!(provider = %target.provider, error = %error, "going on to the next target");
                    last = error;
                }
                Err((error, _)) => return Err(error),
            }
        }
        Err(last)
    };
    tokio::time::timeout(total, tried).await.unwrap_or_else(|_| {
        let message = format!("No provider answered within {} ms (`retry.total_timeout_ms`).", total.as_millis());
        Err(Error::new(ErrorKind::UpstreamTimeout, message))
    })
}

/// Tries one target until it begins to answer, or the choice is to leave it.
async fn try_target(
    parcel: &Parcel,
    setup: &Setup,
    way: &Way,
    (provider, target): (&dyn Provider, &Target),
    started: Instant,
    more_targets: bool,
) -> Result<Sent, (Error, Next)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let sent = Instant::now();
        let error = match attempt(parcel, way, (provider, target), sent).await {
            Ok(begun) => return Ok(begun),
            Err(error) => error,
        };
        let model = way.model.as_deref().unwrap_or("unknown");
        metrics::upstream_ended(
            About { surface: parcel.surface, model, provider: provider.name() },
            sent.elapsed(),
            Some(&error),
        );
        if !may_be_repeated(parcel, &error) {
            return Err((error, Next::GiveUp));
        }
        let tried = Tried { tries, more_targets, elapsed: started.elapsed(), jitter: rand::random() };
        match next(&error, tried, &setup.retry) {
            Next::Retry(wait) if setup.budget.take() => {
                tracing::info!(provider = %target.provider, error = %error, wait_ms = wait.as_millis() as u64, "trying again");
                tokio::time::sleep(wait).await;
            }
            Next::Retry(_) => return Err((error, if more_targets { Next::NextTarget } else { Next::GiveUp })),
            other => return Err((error, other)),
        }
    }
}

/// A second try must not make a second file, or pay for a second batch: what changes something there is sent again only
/// where it cannot have been taken the first time.
fn may_be_repeated(parcel: &Parcel, error: &Error) -> bool {
    let changes = matches!(parcel.surface, Surface::Files | Surface::Batches) && parcel.method != Method::GET;
    !changes || matches!(error.kind, ErrorKind::UpstreamUnreachable | ErrorKind::UpstreamStatus(401..=404 | 429))
}

async fn attempt(
    parcel: &Parcel,
    way: &Way,
    (provider, target): (&dyn Provider, &Target),
    sent: Instant,
) -> Result<Sent, Error> {
    let (path, body) = way.renamed(parcel, &target.model)?;
    let call = RelayCall {
        surface: parcel.surface,
        method: parcel.method.clone(),
        path,
        query: parcel.query.clone(),
        model: target.model.clone(),
        content_type: parcel.content_type.clone(),
        body,
        tenant: parcel.caller.tenant.clone(),
        bearer: parcel.caller.bearer.clone(),
        headers: parcel.headers.clone(),
    };
    let mut reply = provider.relay(call).await?;
    let begun = reply.body.next().await.transpose()?;
    let model = way.model.clone().unwrap_or_else(|| "unknown".to_owned());
    Ok(Sent { provider: provider.name().clone(), model, sent, begun, reply })
}
