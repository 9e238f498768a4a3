//! Dispatch: targets tried until one answers, or none is left.
//!
//! A plain answer counts as an answer when it is whole and in its wire; a stream, when its first event is there and is
//! no error. Until then nothing has reached the caller, and another try or another target is free to be made.

use super::serve::Setup;
use crate::providers::{Call, Provider, Reply};
use crate::routing::{Next, Plan, Target, Tried, next};
use crate::telemetry::metrics::{self, About};
use crate::types::answer::Answer;
use crate::types::caller::Tenant;
use crate::types::error::{Error, ErrorKind};
use crate::types::request::Request;
use crate::types::secret::Secret;
use crate::wire::openai::answer;
use crate::wire::openai::fold::{Fold, Step};
use crate::wire::sse;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::time::Instant;

/// A plain answer may be this large; it is held in memory whole.
const PLAIN_BYTES: usize = 64 << 20;
/// The first event of a stream may be this large.
const FIRST_EVENT_BYTES: usize = 1 << 20;

/// An upstream that has answered.
pub(super) struct Upstream {
    pub(super) provider: Arc<str>,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    /// The usage event of the stream is not for the caller.
    pub(super) usage_added: bool,
    pub(super) sent: Instant,
    pub(super) body: UpstreamBody,
}

/// Its answer.
pub(super) enum UpstreamBody {
    Plain { body: Bytes, answer: Box<Answer> },
    Stream { begun: Bytes, rest: BoxStream<'static, Result<Bytes, Error>> },
}

/// What goes to every target.
pub(super) struct Outbound {
    pub(super) request: Arc<Request>,
    pub(super) tenant: Tenant,
    pub(super) bearer: Option<Secret>,
    pub(super) headers: Vec<(http::HeaderName, http::HeaderValue)>,
}

/// Tries the plan's targets in order.
pub(super) async fn dispatch(setup: &Setup, plan: &Plan, outbound: &Outbound) -> Result<Upstream, Error> {
    let started = Instant::now();
    let total = setup.retry.total_timeout;
    setup.budget.earn();
    let tried = async {
        let mut last = Error::new(ErrorKind::Internal, "The plan has no targets.");
        for (at, target) in plan.targets.iter().enumerate() {
            let more_targets = at + 1 < plan.targets.len();
            match try_target(setup, target, outbound, started, more_targets).await {
                Ok(upstream) => return Ok(upstream),
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

/// Tries one target until it answers, or the choice is to leave it.
async fn try_target(
    setup: &Setup,
    target: &Target,
    outbound: &Outbound,
    started: Instant,
    more_targets: bool,
) -> Result<Upstream, (Error, Next)> {
    let Some(provider) = setup.registry.get(&target.provider) else {
        let message = format!("The plan names a provider `{}` that there is not.", target.provider);
        return Err((Error::new(ErrorKind::Internal, message), Next::GiveUp));
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let sent = Instant::now();
        let error = match attempt(provider.as_ref(), target, outbound, sent).await {
            Ok(upstream) => return Ok(upstream),
            Err(error) => error,
        };
        let about =
            About { surface: outbound.request.surface, model: &outbound.request.model, provider: provider.name() };
        metrics::upstream_ended(about, sent.elapsed(), Some(&error));
        let tried = Tried { tries, more_targets, elapsed: started.elapsed(), jitter: rand::random() };
        match next(&error, tried, &setup.retry) {
            Next::Retry(wait) if setup.budget.take() => {
                tracing::info!(provider = %target.provider, error = %error, wait_ms = wait.as_millis() as u64, "trying again");
                tokio::time::sleep(wait).await;
            }
            Next::Retry(_) => {
                return Err((error, if more_targets { Next::NextTarget } else { Next::GiveUp }));
            }
            other => return Err((error, other)),
        }
    }
}

async fn attempt(
    provider: &dyn Provider,
    target: &Target,
    outbound: &Outbound,
    sent: Instant,
) -> Result<Upstream, Error> {
    let request = &outbound.request;
    let call = Call {
        surface: request.surface,
        body: request.body_for(&target.model),
        stream: request.stream,
        include_usage: request.include_usage,
        tenant: outbound.tenant.clone(),
        bearer: outbound.bearer.clone(),
        headers: outbound.headers.clone(),
    };
    let Reply { content_type, headers, usage_added, body } = provider.send(call).await?;
    let body = if content_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream") {
        begin_stream(provider, request, body).await?
    } else {
        plain(provider, request, body).await?
    };
    Ok(Upstream { provider: provider.name().clone(), content_type, headers, usage_added, sent, body })
}

/// Takes a plain answer whole, and refuses what is not its wire.
async fn plain(
    provider: &dyn Provider,
    request: &Request,
    mut pieces: BoxStream<'static, Result<Bytes, Error>>,
) -> Result<UpstreamBody, Error> {
    let mut body = Bytes::new();
    let mut joined: Vec<u8> = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if body.is_empty() && joined.is_empty() {
            body = piece;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&body);
        }
        joined.extend_from_slice(&piece);
        if joined.len() > PLAIN_BYTES {
            return Err(broken(provider, &format!("sent more than {PLAIN_BYTES} bytes without streaming")));
        }
    }
    if !joined.is_empty() {
        body = joined.into();
    }
    let answer = answer::read(request.surface, body.clone())
        .map_err(|why| broken(provider, &format!("sent an answer that is not in its wire: {why}")))?;
    Ok(UpstreamBody::Plain { body, answer: Box::new(answer) })
}

/// Waits for the first event, and refuses a stream that begins with an error.
async fn begin_stream(
    provider: &dyn Provider,
    request: &Request,
    mut rest: BoxStream<'static, Result<Bytes, Error>>,
) -> Result<UpstreamBody, Error> {
    let mut begun: Vec<u8> = Vec::new();
    let mut splitter = sse::Splitter::default();
    loop {
        while let Some(event) = splitter.next_event() {
            let Some(data) = sse::data(&event) else { continue };
            return match Fold::new(request.surface, 0).push(&data) {
                Step::Failed(why) => Err(broken(provider, &format!("began its stream wrongly: {why}"))),
                _ => Ok(UpstreamBody::Stream { begun: begun.into(), rest }),
            };
        }
        if splitter.pending() > FIRST_EVENT_BYTES {
            return Err(broken(provider, "sent a first event without an end"));
        }
        match rest.next().await {
            Some(piece) => {
                let piece = piece?;
                splitter.push(&piece);
                begun.extend_from_slice(&piece);
            }
            None => return Err(broken(provider, "ended its stream before the first event")),
        }
    }
}

fn broken(provider: &dyn Provider, what: &str) -> Error {
    Error::new(ErrorKind::UpstreamBroken, format!("Provider `{}` {what}.", provider.name()))
}
