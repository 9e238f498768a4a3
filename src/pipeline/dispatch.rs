//! Dispatch: a conversation sent to one target after the other, as its course says, until one answers or none is left.
//!
//! A plain answer counts as an answer when it is whole and in its wire; a stream, when its first event is there and is
//! no error. Until then nothing has reached the caller, and another try or another target is free to be made.
//!
//! A target that speaks the caller's wire is sent the caller's bytes. Any other is sent a translation, and what it answers
//! is translated back here, so that all that follows sees the caller's wire only. Fields that the operator sets for a target are
//! set last, in the target's wire.

use super::admit::Tokens;
use super::attempts::{self, Answered, Sender, Tried};
use super::insight::LeftOut;
use super::invoke;
use super::serve::{Pipeline, Setup};
use crate::cache::flight::Lead;
use crate::governance::Purse;
use crate::providers::{Call, Provider, Reply};
use crate::routing::{Course, Form, Lane, Pass, Route, Start, Target};
use crate::telemetry::metrics::{self, About};
use crate::types::answer::Answer;
use crate::types::caller::{Caller, Tenant};
use crate::types::error::{Error, ErrorKind, UNSUPPORTED};
use crate::types::header;
use crate::types::lost::Lost;
use crate::types::money::Price;
use crate::types::request::Request;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::fold::{Fold, Step};
use crate::wire::hub::{self, ReplyFor};
use crate::wire::{answer, overrides, sse, translate};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
/// A plain answer may be this large; it is held in memory whole.
const PLAIN_BYTES: usize = 64 << 20;
/// The first event of a stream may be this large.
const FIRST_EVENT_BYTES: usize = 1 << 20;

/// An upstream that has answered.
pub(super) struct Upstream {
    pub(super) provider: Arc<str>,
    /// What it calls the model; empty until it is known which target answered.
    pub(super) model: String,
    pub(super) content_type: HeaderValue,
    pub(super) headers: HeaderMap,
    /// The usage event of the stream is not for the caller.
    pub(super) usage_added: bool,
    /// It came in another wire than the caller's.
    pub(super) translated: bool,
    /// Names of what is lost already.
    pub(super) lost: Lost,
    /// Names of what its stream loses, as it comes.
    pub(super) late: Late,
    pub(super) sent: Instant,
    pub(super) body: UpstreamBody,
    /// The request's place on its lane, to be held until the body has ended.
    pub(super) pass: Option<Pass>,
    /// What the target that answered costs, where that is known.
    pub(super) price: Option<Price>,
    /// All attempts.
    pub(super) tried: Vec<Tried>,
    /// What is reserved of what is counted at its provider alone.
    pub(super) purse: Purse,
}

/// Names of what a stream loses on its way into another wire, noted as it goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Late(Arc<Mutex<Vec<String>>>);

impl Late {
    /// What was lost so far.
    pub(super) fn lost(&self) -> Lost {
        Lost::new(&self.0.lock(), 0)
    }

    /// Takes over all `names`, where there are new ones.
    fn note(&self, names: &[String]) {
        if !names.is_empty() {
            let mut noted = self.0.lock();
            let known = noted.len();
            noted.extend_from_slice(names.get(known..).unwrap_or_default());
        }
    }
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
    /// The lanes of its route that take no part in it.
    pub(super) out: LeftOut,
    /// What a sticky choice sticks to.
    pub(super) stick_to: u64,
    /// Nothing of this exchange is to be kept.
    pub(super) no_store: bool,
}

/// Where an attempt goes.
#[derive(Clone, Copy)]
pub(super) struct To<'t> {
    /// The target.
    pub(super) target: &'t Target,
    /// The name of its provider's key, where that has keys.
    pub(super) key: Option<&'t str>,
}

/// Who pays for a request: what is counted at providers is reserved before each is asked.
#[derive(Clone, Copy)]
pub(super) struct Payer<'p> {
    pub(super) pipeline: &'p Pipeline,
    pub(super) caller: &'p Caller,
    pub(super) tokens: Tokens,
}

impl Payer<'_> {
    async fn reserve(&self, route: &Route, at: usize, provider: &str, model: &str) -> Result<Purse, Error> {
        let (governor, cache) = (self.pipeline.governor(), self.pipeline.cache());
        let estimate = self.tokens.at_one(route, at);
        governor.reserve_at(self.caller, provider, model, estimate, || cache.now_ms()).await
    }
}

/// Goes the route's course until a target answers. Where the readers of `lead` have all left before the request could be sent, it is
/// not sent any more.
pub(super) async fn dispatch(
    setup: &Setup,
    route: &Arc<Route>,
    outbound: &Outbound,
    lead: Option<&Lead>,
    payer: Option<Payer<'_>>,
) -> Result<Upstream, Error> {
    let out = outbound.out.settled(setup, route, outbound).await?;
    let start = Start { now: setup.clock.now(), seed: rand::random(), stick_to: outbound.stick_to };
    let mut course =
        Course::begin(route.clone(), setup.retry.clone(), start).with_callers_key(outbound.bearer.is_some());
    let form = if outbound.request.stream { Form::Stream } else { Form::Plain };
    course = course.asks_for(form);
    out.iter().for_each(|at| course.leave_out(*at));
    let sender = Conversation { setup, route, outbound, lead, payer };
    match attempts::go(&sender, course, &setup.queue, setup.clock).await {
        Ok(Answered { answer, at, pass, tried }) => {
            let price = route.legs.get(at).and_then(|leg| leg.price).or(route.price);
            let model = route.leg(at).map(|(target, _)| target.model.clone()).unwrap_or_default();
            Ok(Upstream { pass: Some(pass), price, tried, model, ..answer })
        }
        Err((error, tried)) => Err(attempts::tell(error, &tried)),
    }
}

/// Sends to the target of the leg at `at`, once, and waits for nobody else. Nothing is counted.
pub(super) async fn once(setup: &Setup, route: &Route, at: usize, outbound: &Outbound) -> Result<Upstream, Error> {
    let Some(leg) = route.legs.get(at) else {
        return Err(Error::new(ErrorKind::Internal, "The route has no such leg."));
    };
    let upstream = Conversation { setup, route, outbound, lead: None, payer: None }.attempt(at, &leg.lane).await?;
    Ok(Upstream { price: leg.price, ..upstream })
}

/// One conversation, to be sent to whichever target its course says.
struct Conversation<'d> {
    setup: &'d Setup,
    route: &'d Route,
    outbound: &'d Outbound,
    /// Whose readers want the answer; `None` where nobody reads it, and it is wanted all the same.
    lead: Option<&'d Lead>,
    payer: Option<Payer<'d>>,
}

impl Sender for Conversation<'_> {
    type Answer = Upstream;

    fn attempt<'s>(&'s self, at: usize, lane: &'s Lane) -> BoxFuture<'s, Result<Upstream, Error>> {
        Box::pin(async move {
            let (target, timeout) = self.route.leg(at)?;
            let Some(provider) = self.setup.registry.get(&target.provider) else {
                let message = format!("The route names a provider `{}` that there is not.", target.provider);
                return Err(Error::new(ErrorKind::Internal, message));
            };
            let to = To { target, key: lane.id.key.as_deref() };
            let purse = match &self.payer {
                Some(payer) => payer.reserve(self.route, at, &target.provider, &self.outbound.request.model).await?,
                None => Purse::default(),
            };
            let attempt = attempt(provider.as_ref(), to, self.outbound, Instant::now());
            // Of an answer that does not stream nothing is seen before it is whole.
            match timeout.filter(|_| self.outbound.request.stream) {
                Some(timeout) => attempts::in_time(timeout, &target.provider, attempt).await,
                None => attempt.await,
            }
            .map(|upstream| Upstream { purse, ..upstream })
        })
    }

    fn headers<'a>(&self, answer: &'a Upstream) -> &'a HeaderMap {
        &answer.headers
    }

    fn tenant(&self) -> &Tenant {
        &self.outbound.tenant
    }

    fn gone(&self) -> BoxFuture<'_, ()> {
        match self.lead {
            Some(lead) => Box::pin(lead.deserted()),
            None => Box::pin(std::future::pending()),
        }
    }

    fn failed(&self, lane: &Lane, error: &Error, took: Duration) {
        let request = &self.outbound.request;
        let about = About { surface: request.surface, model: &request.model, provider: &lane.id.provider };
        metrics::upstream_ended(about, took, Some(error));
        tracing::info!(provider = %lane.id.provider, key = lane.id.key.as_deref(), error = %error, "an attempt failed");
    }
}

async fn attempt(provider: &dyn Provider, to: To<'_>, outbound: &Outbound, sent: Instant) -> Result<Upstream, Error> {
    let (request, target) = (&outbound.request, to.target);
    let wire = wire(provider, request.surface, &target.model);
    let wire = wire.ok_or_else(|| unserved(provider, request, &target.model))?;
    let same = wire == request.surface;
    if wire == Surface::InvokeModel && !same {
        return invoke::attempt(provider, to, outbound, sent).await;
    }
    let (body, mut names): (Bytes, Vec<String>) = if same {
        (request.body_for(&target.model), Vec::new())
    } else {
        translate::request(request, wire, &target.model)
            .map(|encoded| (Bytes::from(encoded.body), encoded.dropped))
            .map_err(|error| unserved_field(provider, error))?
    };
    let (body, taken_out) = overrides::set(&body, &target.params);
    names.extend(taken_out);
    let sending = provider.send(call(outbound, wire, to, body)).await;
    let Reply { content_type, headers, dropped, usage_added, body } =
        sending.map_err(|error| if same { error } else { in_words(error, wire) })?;
    names.extend(dropped);
    let late = Late::default();
    let streamed = header::is_events(&content_type);
    let (content_type, usage_added, body) = match (streamed, same) {
        (true, true) => (content_type, usage_added, begin_stream(provider, request, body).await?),
        (false, true) => (content_type, usage_added, plain(provider, outbound, wire, body, &mut names).await?),
        (true, false) => {
            let body = translated(provider.name().clone(), outbound, wire, body, late.clone());
            // It is told by the translation in any case, so that it is kept with the answer.
            let usage_added = request.surface == Surface::ChatCompletions && !request.include_usage;
            (EVENT_STREAM, usage_added, begin_stream(provider, request, body).await?)
        }
        (false, false) => (header::JSON, false, plain(provider, outbound, wire, body, &mut names).await?),
    };
    Ok(Upstream {
        model: String::new(),
        provider: provider.name().clone(),
        content_type,
        headers,
        usage_added,
        translated: !same,
        lost: Lost::new(&names, 0),
        late,
        sent,
        body,
        pass: None,
        price: None,
        tried: Vec::new(),
        purse: Purse::default(),
    })
}

/// One call in the wire of `wire`. Another wire than the caller's is sent none of the caller's headers but the trace.
pub(super) fn call(outbound: &Outbound, wire: Surface, to: To<'_>, body: Bytes) -> Call {
    let request = &outbound.request;
    let same = wire == request.surface;
    Call {
        surface: wire,
        model: to.target.model.clone(),
        key: to.key.map(str::to_owned),
        body,
        stream: request.stream,
        include_usage: request.include_usage,
        tenant: outbound.tenant.clone(),
        bearer: outbound.bearer.clone(),
        headers: outbound.headers.iter().filter(|(name, _)| same || is_trace(name)).cloned().collect(),
    }
}

/// The wire in which a provider is sent a request of `surface`. Bodies of InvokeModel are conversations in the forms of many
/// vendors: who does not serve them is sent what they say.
fn wire(provider: &dyn Provider, surface: Surface, model: &str) -> Option<Surface> {
    let spoken = provider.speaks_for(surface, model);
    let instead = || provider.speaks_for(Surface::ChatCompletions, model).filter(|_| surface == Surface::InvokeModel);
    spoken.or_else(instead)
}

/// What an answer in the caller's wire says beside what was answered.
pub(super) fn reply_for(outbound: &Outbound) -> ReplyFor {
    let request = &outbound.request;
    ReplyFor {
        id: hub::new_id(request.surface),
        model: request.model.clone(),
        created_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        include_usage: request.include_usage,
        request: request.body.clone(),
        no_store: outbound.no_store,
        ..ReplyFor::default()
    }
}

/// A stream in the wire of `wire`, as one in the caller's. What it loses is noted in `late` before what follows it is
/// passed on.
fn translated(
    provider: Arc<str>,
    outbound: &Outbound,
    wire: Surface,
    rest: BoxStream<'static, Result<Bytes, Error>>,
    late: Late,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let reply = ReplyFor { include_usage: true, ..reply_for(outbound) };
    let stream = translate::Stream::new(wire, outbound.request.surface, reply);
    let failed = move |why: String| {
        Error::new(ErrorKind::UpstreamBroken, format!("Provider `{provider}`: {}.", why.trim_end_matches('.')))
    };
    futures_util::stream::unfold(Some((stream, rest, failed, late)), |state| async move {
        let (mut stream, mut rest, failed, late) = state?;
        loop {
            let pushed = match rest.next().await {
                Some(Ok(piece)) => stream.push(&piece),
                Some(Err(error)) => return Some((Err(error), None)),
                None if stream.is_done() => return None,
                None => {
                    let ended = stream.end();
                    late.note(stream.dropped());
                    return match ended {
                        Ok(out) => Some((Ok(out), None)),
                        Err(why) => Some((Err(failed(why)), None)),
                    };
                }
            };
            late.note(stream.dropped());
            match pushed {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Some((Ok(out), Some((stream, rest, failed, late)))),
                Err(why) => return Some((Err(failed(why)), None)),
            }
        }
    })
    .boxed()
}

/// Trace headers follow a request in every wire; all others belong to the caller's.
fn is_trace(name: &http::HeaderName) -> bool {
    matches!(name.as_str(), "traceparent" | "tracestate")
}

/// The error of a provider that speaks another wire than the caller: its words, without its bytes.
pub(super) fn in_words(mut error: Error, wire: Surface) -> Error {
    if let (Some(reply), ErrorKind::UpstreamStatus(_)) = (error.reply.take(), error.kind)
        && let Some(told) = hub::told(wire, &reply.body)
    {
        error.message = format!("{} It says: {}", error.message, told.message);
    }
    error
}

pub(super) fn unserved(provider: &dyn Provider, request: &Request, model: &str) -> Error {
    if provider.speaks(request.surface).is_some() {
        let (name, surface) = (provider.name(), request.surface.as_str());
        let message = format!(
            "Provider `{name}` serves the surface `{surface}`, but not with its model `{model}`, as far as is known."
        );
        return Error::invalid("model", message).with_code(UNSUPPORTED);
    }
    let serves = Surface::ALL.into_iter().filter(|surface| provider.speaks(*surface) == Some(*surface));
    let serves: Vec<&str> = serves.map(Surface::as_str).collect();
    let message = format!(
        "Provider `{}`, which `{}` is routed to, does not serve the surface `{}`; it serves {}.",
        provider.name(),
        request.model,
        request.surface.as_str(),
        serves.join(", ")
    );
    Error::invalid("model", message).with_code(UNSUPPORTED)
}

pub(super) fn unserved_field(provider: &dyn Provider, error: Error) -> Error {
    if error.code != Some(UNSUPPORTED) {
        return error;
    }
    Error { message: format!("Provider `{}`: {}", provider.name(), error.message), ..error }
}

/// Takes a plain answer whole.
pub(super) async fn whole(
    provider: &dyn Provider,
    mut pieces: BoxStream<'static, Result<Bytes, Error>>,
) -> Result<Bytes, Error> {
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
    Ok(if joined.is_empty() { body } else { joined.into() })
}

/// Takes a plain answer whole, and refuses what is not its wire.
async fn plain(
    provider: &dyn Provider,
    outbound: &Outbound,
    wire: Surface,
    pieces: BoxStream<'static, Result<Bytes, Error>>,
    dropped: &mut Vec<String>,
) -> Result<UpstreamBody, Error> {
    let surface = outbound.request.surface;
    let mut body = whole(provider, pieces).await?;
    let strange = |why: String| broken(provider, &format!("sent an answer that is not in its wire: {why}"));
    let mut usage = None;
    if wire != surface {
        let own = translate::answer(&body, wire, surface, &reply_for(outbound)).map_err(strange)?;
        body = own.body.into();
        usage = own.usage;
        dropped.extend(own.dropped);
    }
    let unread = |why: String| match wire == surface {
        true => strange(why),
        false => Error::new(
            ErrorKind::Internal,
            format!("The translated answer of `{}` could not be read: {why}", provider.name()),
        ),
    };
    let mut answer = answer::read(surface, body.clone()).map_err(unread)?;
    // What the caller's wire does not tell is counted all the same.
    answer.usage = answer.usage.or(usage).map(Usage::plausible);
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
            let Some(read) = sse::event(&event) else { continue };
            return match Fold::new(request.surface, Bytes::new(), 0).push(&read) {
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

pub(super) fn broken(provider: &dyn Provider, what: &str) -> Error {
    Error::new(ErrorKind::UpstreamBroken, format!("Provider `{}` {what}.", provider.name()))
}
