//! `Fetch`: the task that carries an answer from its provider into a flight, and into the cache.
//!
//! It runs apart from the request that began it: that caller may hang up, and others may read along.

use super::Inbound;
use super::admit::Tokens;
use super::attempts;
use super::decode::Decoded;
use super::dispatch::{Late, Outbound, Payer, Upstream, UpstreamBody, dispatch};
use super::guard::{self, Guard, Watch};
use super::label::{Fresh, Kept};
use super::places::{Deserted, Unawaited};
use super::recording::{Draft, Given};
use super::serve::{Pipeline, Setup};
use super::shadow::Real;
use super::tokens::Sample;
use crate::cache::flight::{End, Head, Lead, Tail};
use crate::cache::{Check, Comparison, Refresh, Ticket};
use crate::config::OnHangUp;
use crate::governance::Purse;
use crate::governance::records::Slip;
use crate::routing::{Pass, Route};
use crate::telemetry::metrics::{self, About};
use crate::types::answer::Answer;
use crate::types::caller::Caller;
use crate::types::error::{Error, ErrorKind};
use crate::types::header;
use crate::types::lost::Lost;
use crate::types::money::{MicroUsd, Price};
use crate::types::outcome::NotStored;
use crate::types::request::Request;
use crate::types::usage::Usage;
use crate::wire::fold::{Fold, Step};
use crate::wire::sse;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::HeaderMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// One event of a stream may be this large.
pub(super) const EVENT_BYTES: usize = 32 << 20;
/// How long the end of a body may come after the end of its stream.
const DRAIN: Duration = Duration::from_secs(1);

/// One fetch.
pub(super) struct Fetch {
    pipeline: Arc<Pipeline>,
    setup: Arc<Setup>,
    plan: Arc<Route>,
    outbound: Outbound,
    /// Who asks, and tokens of the request and of its longest answer: for what is reserved.
    caller: Caller,
    tokens: Tokens,
    /// What the request says, for the same.
    sample: Option<Arc<Sample>>,
    /// For the cache; `None` when it was not asked.
    ticket: Option<Ticket>,
    /// Entries whose answers the fresh one is to be compared with.
    compare: Vec<Comparison>,
    errand: Errand,
    /// For the recording.
    draft: Option<Draft>,
    arrived: Instant,
    request_id: String,
    /// The reply tells every attempt.
    trace: bool,
    /// What the target that answered costs, once that is known.
    price: OnceLock<Price>,
    /// Set where a target on trial made the answer, which is not kept.
    on_trial: OnceLock<()>,
    /// It may be sent to the shadow of its model, too.
    mirrored: bool,
    /// The guardrails that look at the answer, and what they have seen of it.
    guard: Option<Arc<Guard>>,
    watch: Watch,
    /// When the first words of a stream came, and all of the answer.
    came: OnceLock<(Option<Instant>, Instant)>,
    /// Where it is written what this took, and cost; `None` where it is nobody's.
    slip: Option<Arc<Slip>>,
}

/// What a fetch is for.
enum Errand {
    /// A caller waits for it.
    Serve,
    /// Nobody waits for it: a fresh answer in place of one that was served past its time.
    Revalidate { _place: Unawaited },
    /// Nobody waits for it: a fresh answer to compare with one that was served (a shadow call).
    Check { _place: Unawaited },
}

impl Fetch {
    /// Starts a fetch that nobody waits for, on a task of its own: a fresh answer in place of one that was served
    /// past its time.
    pub(super) fn revalidate(
        pipeline: &Arc<Pipeline>,
        setup: &Arc<Setup>,
        inbound: &Inbound,
        decoded: &Decoded,
        refresh: Refresh,
        place: Unawaited,
    ) {
        let fetch = Fetch::new(pipeline, setup, inbound, decoded, Some(refresh.ticket));
        let errand = Errand::Revalidate { _place: place };
        tokio::spawn(Fetch { errand, draft: None, ..fetch }.run(refresh.lead));
    }

    /// Starts a fetch that nobody waits for, on a task of its own: a fresh answer to compare with one that was served.
    pub(super) fn check(
        pipeline: &Arc<Pipeline>,
        setup: &Arc<Setup>,
        inbound: &Inbound,
        decoded: &Decoded,
        check: Check,
        place: Unawaited,
    ) {
        let fetch = Fetch::new(pipeline, setup, inbound, decoded, Some(check.ticket));
        let errand = Errand::Check { _place: place };
        tokio::spawn(Fetch { errand, draft: None, compare: vec![check.comparison], ..fetch }.run(Lead::alone()));
    }

    /// Starts a fetch on a task of its own.
    pub(super) fn start(
        pipeline: &Arc<Pipeline>,
        setup: &Arc<Setup>,
        inbound: &Inbound,
        decoded: &Decoded,
        (lead, slip): (Lead, Option<Arc<Slip>>),
        ticket: Option<Ticket>,
        compare: Vec<Comparison>,
    ) {
        tokio::spawn(Fetch { compare, slip, ..Fetch::new(pipeline, setup, inbound, decoded, ticket) }.run(lead));
    }

    fn new(
        pipeline: &Arc<Pipeline>,
        setup: &Arc<Setup>,
        inbound: &Inbound,
        decoded: &Decoded,
        ticket: Option<Ticket>,
    ) -> Fetch {
        Fetch {
            pipeline: pipeline.clone(),
            setup: setup.clone(),
            plan: decoded.plan.clone(),
            caller: inbound.caller.clone(),
            tokens: decoded.tokens,
            sample: decoded.sample.clone(),
            outbound: Outbound {
                request: decoded.request.clone(),
                tenant: inbound.caller.tenant.clone(),
                bearer: inbound.caller.bearer.clone(),
                headers: inbound.headers.clone(),
                out: decoded.out.clone().with_vector(ticket.as_ref().and_then(Ticket::vector)),
                stick_to: decoded.stick_to,
                no_store: decoded.no_store,
            },
            trace: inbound.directives.trace,
            price: OnceLock::new(),
            on_trial: OnceLock::new(),
            mirrored: decoded.mirrored,
            guard: decoded.guard.clone(),
            watch: Watch::default(),
            came: OnceLock::new(),
            slip: None,
            ticket,
            compare: Vec::new(),
            errand: Errand::Serve,
            draft: decoded.draft.clone(),
            arrived: inbound.arrived,
            request_id: inbound.request_id.clone(),
        }
    }

    async fn run(mut self, lead: Lead) {
        let end = {
            let carried = tokio::time::timeout(self.setup.request_timeout, self.carry(&lead));
            tokio::select! {
                end = carried => end.unwrap_or_else(|_| End::Failed(self.took_too_long())),
                () = self.given_up(&lead) => {
                    tracing::debug!(request_id = %self.request_id, "every caller hung up; the fetch is given up");
                    metrics::stored(Err(NotStored::Incomplete));
                    End::Lost
                }
            }
        };
        // Let go before the end is told: whoever has read the end is the last who holds it.
        self.slip = None;
        lead.end(end);
    }

    /// Resolves when nobody is left who wants the answer. Until then a fetch whose callers have left holds a place, of
    /// which there are only so many: asking and hanging up must not start more work than asking and waiting does.
    async fn given_up(&self, lead: &Lead) {
        if !matches!(self.errand, Errand::Serve) {
            return std::future::pending().await;
        }
        lead.deserted().await;
        if !self.finishes_alone() {
            return;
        }
        let Some(_place) = Deserted::take(&self.pipeline, self.setup.most_deserted) else { return };
        std::future::pending::<()>().await;
    }

    /// Is the answer wanted even when nobody reads it any more?
    fn finishes_alone(&self) -> bool {
        let stored = self.ticket.as_ref().is_some_and(Ticket::is_stored);
        stored && self.pipeline.cache().settings().on_hang_up == OnHangUp::Finish
    }

    async fn carry(&self, lead: &Lead) -> End {
        let wanted = matches!(self.errand, Errand::Serve).then_some(lead);
        let (mut purse, reserved, payer) = match self.reserve().await {
            Ok(reserved) => reserved,
            Err(error) => return End::Failed(error),
        };
        let upstream = match dispatch(&self.setup, &self.plan, &self.outbound, wanted, payer).await {
            Ok(upstream) => upstream,
            Err(error) => {
                self.slip.iter().for_each(|slip| slip.tried(attempts::made(&error)));
                return End::Failed(error);
            }
        };
        let Upstream { provider, content_type, mut headers, usage_added, translated, lost, late, sent, .. } = upstream;
        let Upstream { body, pass, price, tried, model, purse: at_provider, .. } = upstream;
        purse.join(at_provider);
        if let Some(price) = price {
            let _ = self.price.set(price);
        }
        purse.begun();
        self.slip.iter().for_each(|slip| slip.begun(&model, tried.len(), reserved));
        if pass.as_ref().is_some_and(Pass::is_canary) {
            let _ = self.on_trial.set(());
        }
        if self.trace {
            header::set(&mut headers, header::ATTEMPTS, attempts::all(&tried));
        }
        let request = &self.outbound.request;
        let about = About { surface: request.surface, model: &request.model, provider: &provider };
        let mut head = Head {
            surface: request.surface,
            cost: None,
            content_type,
            stream: matches!(body, UpstreamBody::Stream { .. }),
            include_usage: request.include_usage,
            provider: provider.clone(),
            headers,
            id: None,
            lost: lost.clone(),
            translated,
            priced: price.is_some(),
            guarded: self.guard.as_ref().is_some_and(|guard| guard.looks_on()),
        };
        let (end, usage) = match self.guarded(body).await {
            Err((error, usage)) => (End::Failed(error), usage),
            Ok(UpstreamBody::Plain { body, mut answer }) => {
                let _ = self.came.set((None, Instant::now()));
                answer.lost = lost.clone();
                self.store(&answer, &provider).await;
                self.tell_guards(&mut head.headers);
                head.cost = price.zip(answer.usage).map(|(price, usage)| price.of(usage));
                head.id = answer.own_id();
                lead.begin(head);
                lead.push(body).await;
                let usage = answer.usage;
                (End::Whole(Arc::from(answer)), usage)
            }
            Ok(UpstreamBody::Stream { begun, rest }) => {
                self.relay(lead, head, (begun, rest), usage_added, &late, about).await
            }
        };
        let usage = usage.map(Usage::plausible);
        if let (End::Whole(answer), true) = (&end, translated) {
            let id = answer.own_id();
            let Outbound { tenant, no_store, .. } = &self.outbound;
            let original = self.guard.as_ref().and_then(|guard| guard.original.clone());
            let told = original.map(|body| Request { body, ..(**request).clone() });
            let request = told.as_ref().unwrap_or(request);
            self.pipeline.keep_response(tenant, request, *no_store, &id.unwrap_or_default(), answer);
        }
        self.record(&end, usage);
        let error = match &end {
            // A guardrail is no fault of the target's.
            End::Failed(error) if !guard::is_refusal(error) => Some(error),
            _ => None,
        };
        if let (Some(mut pass), Some(_)) = (pass, error) {
            attempts::broke(&mut pass, self.setup.clock);
        }
        metrics::upstream_ended(about, sent.elapsed(), error);
        let cost = self.count(usage, about, lead);
        if let Some(usage) = usage {
            // A stream that broke off has told a part of what it used: it costs what was reserved.
            if error.is_none() {
                let of_each = self.tokens.of_each(usage.output_tokens);
                self.pipeline.governor().learn_tokens(&self.outbound.request.model, of_each);
                purse.settle(usage, cost.unwrap_or_default(), self.pipeline.cache().now_ms());
            }
            self.slip.iter().for_each(|slip| slip.paid(usage, cost.unwrap_or_default()));
        }
        let guardrails = self.guard_names();
        // What a guardrail has touched is nobody's to read later.
        if let (Some(slip), End::Whole(answer), None) = (&self.slip, &end, &guardrails) {
            slip.answered(&answer.body);
        }
        lead.tell(Tail { cost, usage, lost: lost.clone().joined(&late.lost()).beyond(&lost), guardrails });
        self.mirror(&end, &provider, sent, cost);
        end
    }

    /// Reserves what the answer may cost, where somebody pays for it: what is fetched for the cache's own sake is nobody's.
    async fn reserve(&self) -> Result<(Purse, MicroUsd, Option<Payer<'_>>), Error> {
        if !matches!(self.errand, Errand::Serve) {
            return Ok((Purse::default(), MicroUsd(0), None));
        }
        let cache = self.pipeline.cache();
        let (governor, model) = (self.pipeline.governor(), &self.outbound.request.model);
        if !governor.counts_answers(&self.caller) {
            return Ok((Purse::default(), MicroUsd(0), None));
        }
        let counted = match &self.sample {
            Some(sample) => sample.count().await,
            None => None,
        };
        let tokens = self.tokens.counted(counted);
        let tokens = tokens.usually(governor.usual_tokens(model));
        let estimate = tokens.at(&self.plan, &self.outbound.out);
        let purse = governor.reserve(&self.caller, model, estimate, || cache.now_ms()).await?;
        let payer = governor.counts_at_providers(&self.caller);
        let payer = payer.then_some(Payer { pipeline: &self.pipeline, caller: &self.caller, tokens });
        Ok((purse, estimate.cost, payer))
    }

    /// Has the request sent to the shadow of its model as well, now that it was answered.
    fn mirror(&self, end: &End, provider: &str, sent: Instant, cost: Option<MicroUsd>) {
        let (End::Whole(answer), Errand::Serve, Some((first, whole))) = (end, &self.errand, self.came.get()) else {
            return;
        };
        // What a target on trial answered is no measure.
        let is_steady = self.on_trial.get().is_none() && !self.is_touched();
        let most = usize::try_from(self.pipeline.cache().settings().max_answer_bytes).unwrap_or(usize::MAX);
        let is_small = answer.body.len() <= most;
        if self.mirrored && is_steady && is_small && !self.setup.registry.is_local(provider) {
            let (first, took) = (first.map(|at| at.duration_since(sent)), whole.duration_since(sent));
            let real = Real { answer: answer.clone(), first, took, cost };
            self.pipeline.mirror(&self.setup, &self.outbound, real);
        }
    }

    /// Counts what the answer took. What nobody reads any more has no line of a request that could tell its cost.
    fn count(&self, usage: Option<Usage>, about: About<'_>, lead: &Lead) -> Option<MicroUsd> {
        let usage = usage?;
        metrics::token_usage(about, usage);
        let cost = self.price.get()?.of(usage);
        metrics::cost(about, cost);
        if lead.is_deserted() {
            tracing::info!(
                request_id = %self.request_id, surface = about.surface.as_str(), model = about.model,
                provider = about.provider, cost_usd = %cost, "fetched while nobody waits"
            );
        }
        Some(cost)
    }

    /// Passes a stream on, event by event, and folds it on the side.
    async fn relay(
        &self,
        lead: &Lead,
        mut head: Head,
        (begun, mut rest): (Bytes, BoxStream<'static, Result<Bytes, Error>>),
        hide_usage: bool,
        late: &Late,
        about: About<'_>,
    ) -> (End, Option<Usage>) {
        let max_bytes = usize::try_from(self.pipeline.cache().settings().max_answer_bytes).unwrap_or(usize::MAX);
        let mut relay = Relay {
            splitter: sse::Splitter::default(),
            fold: Fold::new(self.outbound.request.surface, self.outbound.request.body.clone(), max_bytes),
            hide_usage,
            lost: head.lost.clone(),
            late: late.clone(),
            first_words: None,
            done: false,
        };
        let mut piece = begun;
        let mut opened = false;
        loop {
            let (out, failed) = relay.take(&piece);
            if relay.saw_words() {
                metrics::first_token(about, self.arrived.elapsed(), "miss");
            }
            if !opened {
                head.id = relay.fold.id().map(str::to_owned);
                self.tell_guards(&mut head.headers);
                lead.begin(head.clone());
                opened = true;
            }
            if relay.fold.is_too_large() {
                lead.stop_keeping();
            }
            if let Some(why) = failed {
                lead.push(out).await;
                metrics::stored(Err(NotStored::Incomplete));
                return (End::Failed(self.broke(about.provider, &why)), relay.fold.usage());
            }
            if relay.done {
                tokio::spawn(drain(rest));
                return self.close(lead, relay, out, about).await;
            }
            if !out.is_empty() {
                lead.push(out).await;
            }
            piece = match rest.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    metrics::stored(Err(NotStored::Incomplete));
                    return (End::Failed(error), relay.fold.usage());
                }
                None => {
                    let out = relay.splitter.rest();
                    return self.close(lead, relay, out, about).await;
                }
            };
        }
    }

    /// The stream has ended: keep the answer first, then let the last bytes go, so that whoever has read the end finds
    /// the answer stored.
    async fn close(&self, lead: &Lead, relay: Relay, last: Bytes, about: About<'_>) -> (End, Option<Usage>) {
        let usage = relay.fold.usage();
        if let (Some((at, _)), Some(usage)) = (relay.first_words, usage) {
            metrics::per_token(about, at.elapsed(), usage.output_tokens);
        }
        let too_large = relay.fold.is_too_large();
        let done = relay.done;
        let Relay { fold, lost, late, .. } = relay;
        let end = match fold.finish() {
            Ok(mut answer) => {
                answer.usage = answer.usage.map(Usage::plausible);
                let _ = self.came.set((relay.first_words.map(|(at, _)| at), Instant::now()));
                answer.usage_unasked = answer.usage.is_none() && !self.outbound.request.include_usage;
                answer.lost = lost.joined(&late.lost()).joined(&answer.lost);
                self.store(&answer, about.provider).await;
                End::Whole(Arc::new(answer))
            }
            Err(_) if too_large => {
                metrics::stored(Err(NotStored::TooLarge));
                End::Opaque
            }
            Err(_) if done => {
                metrics::stored(Err(NotStored::Incomplete));
                End::Opaque
            }
            Err(why) => {
                metrics::stored(Err(NotStored::Incomplete));
                End::Failed(self.broke(about.provider, &why))
            }
        };
        // Half an event would swallow the error event that follows a failure.
        if !last.is_empty() && !matches!(end, End::Failed(_)) {
            lead.push(last).await;
        }
        (end, usage)
    }

    fn record(&self, end: &End, usage: Option<Usage>) {
        if self.is_touched() {
            return;
        }
        let answer = match end {
            End::Whole(answer) => Some(answer.body.clone()),
            End::Opaque => None,
            End::Failed(_) | End::Lost | End::Found(_) => return,
        };
        let read = self.ticket.as_ref().is_some_and(Ticket::is_read);
        self.pipeline.record(self.draft.as_ref(), |draft| Given {
            cache: if read { "miss" } else { "bypass" }.to_owned(),
            answer,
            usage,
            took_ms: self.pipeline.cache().now_ms().saturating_sub(draft.at_ms),
        });
    }

    /// The answer as guardrails let it go; where they do not, why, and the tokens as far as they are known.
    async fn guarded(&self, body: UpstreamBody) -> Result<UpstreamBody, (Error, Option<Usage>)> {
        let Some(guard) = &self.guard else { return Ok(body) };
        let usage = match &body {
            UpstreamBody::Plain { answer, .. } => answer.usage,
            UpstreamBody::Stream { .. } => None,
        };
        self.pipeline.over(&self.setup, guard, &self.watch, body).await.map_err(|error| (error, usage))
    }

    /// Did a guardrail find something? Then nothing of it is kept, recorded or compared.
    fn is_touched(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.is_touched(&self.watch))
    }

    /// The guardrails that found something so far.
    fn guard_names(&self) -> Option<String> {
        self.guard.as_ref().and_then(|guard| guard.names(&self.watch.seen()))
    }

    fn tell_guards(&self, headers: &mut HeaderMap) {
        self.guard_names().into_iter().for_each(|names| header::set(headers, header::GUARDRAILS, names));
    }

    async fn store(&self, answer: &Answer, provider: &str) {
        let Some(ticket) = &self.ticket else { return };
        if self.is_touched() {
            return metrics::stored(Err(NotStored::Guardrail));
        }
        if self.on_trial.get().is_some() {
            return metrics::stored(Err(NotStored::Canary));
        }
        let cost = self.price.get().zip(answer.usage).map(|(price, usage)| price.of(usage));
        if let Errand::Check { .. } = self.errand {
            metrics::checked(cost);
            return self.label(answer, provider, cost, Kept::By(Box::new(ticket.clone())));
        }
        let stored = self.pipeline.cache().admit(ticket, answer, provider, cost).await;
        match &stored {
            Ok(entry) => tracing::debug!(request_id = %self.request_id, entry = %entry.id, "stored"),
            Err(why) => tracing::debug!(request_id = %self.request_id, why = why.as_str(), "not stored"),
        }
        let kept = stored.as_ref().map_or(Kept::Nowhere, |entry| Kept::As(entry.id));
        self.label(answer, provider, cost, kept);
        metrics::stored(stored.map(drop));
    }

    /// Has the answer compared with those of near entries.
    fn label(&self, answer: &Answer, provider: &str, cost: Option<MicroUsd>, kept: Kept) {
        if self.compare.is_empty() {
            return;
        }
        self.pipeline.label_later(Fresh {
            compare: self.compare.clone(),
            tenant: self.outbound.tenant.clone(),
            question: self.ticket.as_ref().and_then(Ticket::question).unwrap_or_default().to_owned(),
            answer: answer.clone(),
            provider: provider.to_owned(),
            cost,
            kept,
        });
    }

    fn broke(&self, provider: &str, why: &str) -> Error {
        Error::new(ErrorKind::UpstreamBroken, format!("Provider `{provider}`: {}.", why.trim_end_matches('.')))
    }

    fn took_too_long(&self) -> Error {
        let message = format!(
            "The request took longer than {} ms (`limits.request_timeout_ms`).",
            self.setup.request_timeout.as_millis()
        );
        Error::new(ErrorKind::UpstreamTimeout, message)
    }
}

/// Reads what follows `[DONE]`, which is the end of the body and nothing else: a connection is used again only when its
/// last reply was read to the end.
pub(super) async fn drain(mut rest: BoxStream<'static, Result<Bytes, Error>>) {
    let read = async { while let Some(Ok(_)) = rest.next().await {} };
    // A provider that says more is left alone, and its connection closed.
    let _ = tokio::time::timeout(DRAIN, read).await;
}

/// The state of one stream on its way.
struct Relay {
    splitter: sse::Splitter,
    fold: Fold,
    /// The usage was asked for on the gateway's behalf: its event is not passed on.
    hide_usage: bool,
    /// What was lost before the stream began, and what its translation loses.
    lost: Lost,
    late: Late,
    /// When the first words came, and whether that is news.
    first_words: Option<(Instant, bool)>,
    done: bool,
}

impl Relay {
    /// Takes a piece; gives the whole events in it, and why the stream failed if it did.
    fn take(&mut self, piece: &[u8]) -> (Bytes, Option<String>) {
        self.splitter.push(piece);
        let mut events: Vec<Bytes> = Vec::new();
        let mut failed = None;
        if self.splitter.pending() > EVENT_BYTES {
            return (Bytes::new(), Some(format!("an event of the stream is larger than {EVENT_BYTES} bytes")));
        }
        while let Some(event) = self.splitter.next_event() {
            if let Some(read) = sse::event(&event) {
                match self.fold.push(&read) {
                    Step::Quiet => {}
                    Step::Usage if self.hide_usage => continue,
                    Step::Usage => {}
                    Step::Content => {
                        self.first_words.get_or_insert_with(|| (Instant::now(), true));
                    }
                    Step::Done => self.done = true,
                    Step::Failed(why) => failed = Some(why),
                }
            }
            if failed.is_some() {
                break;
            }
            events.push(event);
        }
        let out = match events.len() {
            1 => events.swap_remove(0),
            _ => events.concat().into(),
        };
        (out, failed)
    }

    /// Have the first words come since this was last asked?
    fn saw_words(&mut self) -> bool {
        match &mut self.first_words {
            Some((_, news)) => std::mem::take(news),
            None => false,
        }
    }
}
