//! The pass: decode, look up, fetch on a miss, respond, settle.

use super::attempts::RouterClock;
use super::decode::Decoded;
use super::fetch::Fetch;
use super::guard::Guardrails;
use super::insight::Insight;
use super::judge::Meter;
use super::label::Labels;
use super::limits;
use super::memo::Memo;
use super::places::Unawaited;
use super::queue::Queue;
use super::recording::{Draft, Given, Recorder};
use super::relay::Holders;
use super::respond::{Found, Outcome, Responder};
use super::responses::{self, Responses};
use super::settle::Settlement;
use super::shadow::Shadows;
use super::{Inbound, Reply};
use crate::cache::flight::{End, Lead, Opening, Reader};
use crate::cache::{About, Ask, Cache, Check, Hit, Lookup, Miss, Refresh};
use crate::config;
use crate::governance::records::{Records, Slip};
use crate::governance::{Estimate, Governor};
use crate::providers::Registry;
use crate::routing::Router;
use crate::telemetry::metrics;
use crate::types::audit::{Audit, AuditEvent};
use crate::types::caller::Caller;
use crate::types::error::{Error, ErrorKind};
use crate::types::money::MicroUsd;
use crate::types::outcome::{BypassReason, StaleReason, Tier};
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::time::Instant;

/// A failed flight is joined again this often before its error is passed on.
const TAKEOVERS: u32 = 2;

/// What a configuration gives the pipeline; swapped whole on a reload.
pub struct Setup {
    /// The providers.
    pub registry: Registry,
    /// Which of them has which model.
    pub router: Router,
    /// What the embedding of a question tells its conditions.
    pub insight: Insight,
    /// What is looked for in requests and answers.
    pub guardrails: Guardrails,
    /// When and how often to try again.
    pub retry: config::Retry,
    /// The router's time.
    pub clock: RouterClock,
    /// Where requests wait for a busy target.
    pub queue: Arc<Queue>,
    /// How long one request may take as a whole.
    pub request_timeout: Duration,
    /// How long requests under way get to finish at the end.
    pub shutdown_timeout: Duration,
    /// How many fetches may go on for the cache alone, after their callers have left.
    pub most_deserted: usize,
    /// How many responses are kept for later requests to go on from; that of the start holds.
    pub responses: responses::Limits,
    /// Questions may be logged.
    pub log_prompts: bool,
}

/// Serves requests.
pub struct Pipeline {
    pub(super) cache: Arc<Cache>,
    /// Fetches that go on for the cache alone.
    pub(super) deserted: AtomicUsize,
    /// Fetches that nobody waits for.
    pub(super) unawaited: AtomicUsize,
    /// Fresh answers that are to be compared with stored ones.
    pub(super) labels: Labels,
    /// What was worked out of bodies that come again.
    pub(super) memo: Memo,
    /// What the judge that is a model has cost.
    pub(super) meter: Meter,
    /// Responses that later requests may go on from.
    pub(super) responses: Responses,
    pub(super) recorder: Option<Recorder>,
    /// Who may ask for what, and how much.
    pub(super) governor: Arc<Governor>,
    /// What is kept of requests once they have ended.
    pub(super) records: Arc<Records>,
    /// Who keeps which files and batches.
    pub(super) holders: Holders,
    /// How shadows of models compare.
    pub(super) shadows: Shadows,
    /// Where goes what guardrails refuse.
    pub(super) audit: Arc<dyn Audit>,
    setup: ArcSwap<Setup>,
}

impl Pipeline {
    /// A pipeline over `cache`, which leaves a trace with `recorder`.
    pub fn new(
        cache: Arc<Cache>,
        setup: Setup,
        (governor, records): (Arc<Governor>, Arc<Records>),
        recorder: Option<Recorder>,
        audit: Arc<dyn Audit>,
    ) -> Pipeline {
        Pipeline {
            cache,
            recorder,
            governor,
            audit,
            records,
            deserted: AtomicUsize::new(0),
            unawaited: AtomicUsize::new(0),
            labels: Labels::default(),
            memo: Memo::default(),
            meter: Meter::default(),
            responses: Responses::new(setup.responses),
            holders: Holders::default(),
            shadows: Shadows::begin(&setup.router),
            setup: ArcSwap::from_pointee(setup),
        }
    }

    /// Puts a new configuration in force; requests under way keep theirs.
    pub fn reconfigure(&self, setup: Setup) {
        self.shadows.renew(&setup.router);
        self.setup.store(Arc::new(setup));
        self.memo.clear();
    }

    /// Keeps no body any longer of what was asked until now. What was purged from the cache is to be gone from here, too.
    pub fn forget(&self) {
        self.memo.clear();
    }

    /// The configuration in force.
    pub fn setup(&self) -> Arc<Setup> {
        self.setup.load_full()
    }

    /// What records the traffic, if anything does.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Records how a request was answered, where it is to be recorded.
    pub(super) fn record(&self, draft: Option<&Draft>, given: impl FnOnce(&Draft) -> Given) {
        if let (Some(recorder), Some(draft)) = (&self.recorder, draft) {
            recorder.record(draft.clone(), given(draft));
        }
    }

    /// Who may ask for what, and how much.
    pub fn governor(&self) -> &Arc<Governor> {
        &self.governor
    }

    /// What is kept of requests once they have ended.
    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// The cache.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// One request, one pass. What few requests go through on their way is in boxes of its own: the future of a request is made for each,
    /// and the others need not carry room for that.
    pub async fn serve(self: &Arc<Self>, inbound: Inbound) -> Result<Reply, Error> {
        let setup = self.setup();
        let about = (&inbound.caller, inbound.surface);
        let slip = self.slip(about, &inbound.request_id, inbound.directives.no_store);
        let mut settlement = Settlement::new(inbound.surface, inbound.arrived, &inbound.request_id, slip);
        let result = self.pass(&inbound, &setup, &mut settlement).await;
        self.told(result, settlement, (&inbound.caller, inbound.surface, inbound.directives.trace))
    }

    /// What is to be kept of a request that has just come.
    pub(super) fn slip(&self, about: (&Caller, Surface), request_id: &str, no_store: bool) -> Arc<Slip> {
        Slip::new(&self.records, about, (request_id, self.cache.now_ms()), !no_store)
    }

    /// What a request came to, with what is left of its caller's limits.
    pub(super) fn told(
        &self,
        result: Result<Reply, Error>,
        mut settlement: Settlement,
        (caller, surface, trace): (&Caller, Surface, bool),
    ) -> Result<Reply, Error> {
        let now_ms = self.cache.now_ms();
        let standing = settlement.model().map(|model| self.governor.standing(caller, model, now_ms));
        let standing = standing.unwrap_or_default();
        match result {
            Ok(mut reply) => {
                limits::tell(&mut reply.headers, &standing, surface, now_ms);
                Ok(settlement.ride(reply))
            }
            Err(error) => {
                self.tell_refusal(&error, caller, settlement.request_id());
                settlement.failed(&error);
                let mut error = error.untold(trace);
                if !standing.is_empty() {
                    limits::tell(error.headers.get_or_insert_default(), &standing, surface, now_ms);
                }
                Err(error)
            }
        }
    }

    /// Tells the audit log of what this gateway refused: not of what a provider did, nor of what a guardrail did, which tells itself.
    fn tell_refusal(&self, error: &Error, caller: &Caller, request_id: &str) {
        let is_ours = matches!(error.kind, ErrorKind::OverBudget | ErrorKind::Forbidden | ErrorKind::TooMany);
        if is_ours && error.code != Some("guardrail_blocked") {
            let from = caller.address.map(|from| from.to_string()).unwrap_or_default();
            self.audit.record(AuditEvent::refused(&format!("key `{}`", caller.name), error, request_id, &from));
        }
    }

    async fn pass(
        self: &Arc<Self>,
        inbound: &Inbound,
        setup: &Arc<Setup>,
        settlement: &mut Settlement,
    ) -> Result<Reply, Error> {
        for (id, right) in &inbound.directives.feedback {
            // An answer that is not known any more is no reason to refuse the next one; it is counted.
            let _ = self.feedback(&inbound.caller.tenant, id, *right);
        }
        let expanded = self.with_earlier_turns(inbound, setup)?.map(Box::new);
        let inbound = expanded.as_deref().unwrap_or(inbound);
        let decoded = self.decode(inbound, setup)?;
        settlement.of_model(&decoded.request.model);
        settlement.asks(&Bytes::new(), &decoded.tags);
        settlement.holds(self.admit(&inbound.caller, &decoded.request, decoded.tokens, decoded.wants)?);
        let (changed, decoded) = match decoded.applied.is_empty() {
            true => (None, decoded),
            false => Box::pin(self.guarded(inbound, setup, decoded)).await?,
        };
        let inbound = changed.as_deref().unwrap_or(inbound);
        // What a guardrail has replaced is nobody's to read later.
        settlement.asks(&inbound.body, &decoded.tags);
        metrics::lookup_step("hash", decoded.hash);
        if setup.log_prompts {
            let question = decoded.request.question.as_deref().unwrap_or_default();
            tracing::info!(request_id = %inbound.request_id, question, "asked");
        }
        match &decoded.ask {
            Err(reason) => Box::pin(self.bypass(*reason, inbound, setup, &decoded, settlement)).await,
            Ok(ask) => self.ask(ask, inbound, setup, &decoded, settlement).await,
        }
    }

    async fn bypass(
        self: &Arc<Self>,
        reason: BypassReason,
        inbound: &Inbound,
        setup: &Arc<Setup>,
        decoded: &Decoded,
        settlement: &mut Settlement,
    ) -> Result<Reply, Error> {
        metrics::bypass(reason);
        if inbound.directives.only_if_cached {
            return Err(not_cached());
        }
        settlement.outcome(Outcome::Bypass(reason).word());
        let lead = Lead::alone();
        let reader = lead.reader();
        Fetch::start(self, setup, inbound, decoded, (lead, settlement.slip()), None, Vec::new());
        let responder = Responder::new(decoded, Outcome::Bypass(reason));
        match reader.opening().await {
            Opening::Begun(head) => Ok(responder.read(reader, head, None).await?.0),
            Opening::Ended(end) => responder.ended(end),
        }
    }

    async fn ask(
        self: &Arc<Self>,
        ask: &Ask,
        inbound: &Inbound,
        setup: &Arc<Setup>,
        decoded: &Decoded,
        settlement: &mut Settlement,
    ) -> Result<Reply, Error> {
        let deadline = Instant::now() + self.cache.settings().flight_wait;
        let mut takeovers = 0;
        let (mut join, mut again) = (true, false);
        loop {
            match self.cache.lookup(ask, join, std::mem::replace(&mut again, true)).await {
                Lookup::Hit(hit) => return self.hit(hit, ask, decoded, settlement).await,
                Lookup::Checked(hit, check) => {
                    self.check(*check, inbound, setup, decoded);
                    return self.hit(hit, ask, decoded, settlement).await;
                }
                Lookup::Stale(stale) => {
                    if let Some(refresh) = stale.refresh {
                        self.revalidate(refresh, inbound, setup, decoded);
                    }
                    metrics::stale(stale.hit.tier, StaleReason::WhileRevalidate);
                    let about = About::hit(&stale.hit);
                    let found = Found::stale(stale.hit, StaleReason::WhileRevalidate);
                    return self.found(found, about, ask, decoded, settlement).await;
                }
                Lookup::Follow(reader) => match Box::pin(self.follow(reader, ask, decoded, deadline, settlement)).await
                {
                    Followed::Reply(reply) => return Ok(reply),
                    Followed::Failed(error) if error.is_target_fault() => {
                        // Whoever waited for this is spared waiting for the next failure, where that can be.
                        if let Some(reply) = Box::pin(self.stand_in(ask, decoded, settlement)).await {
                            return Ok(reply);
                        }
                        if takeovers == TAKEOVERS {
                            return Err(error);
                        }
                        // Somebody has to try again; whoever comes first takes the lead.
                        takeovers += 1;
                    }
                    Followed::Failed(error) => return Err(error),
                    Followed::Alone => join = false,
                },
                Lookup::Miss(miss) => {
                    return Box::pin(self.miss(miss, ask, inbound, setup, decoded, settlement)).await;
                }
            }
        }
    }

    /// A hit goes out.
    async fn hit(&self, hit: Hit, ask: &Ask, decoded: &Decoded, settlement: &mut Settlement) -> Result<Reply, Error> {
        count_steps(hit.timing.embed, hit.timing.search);
        metrics::hit(hit.tier, hit.similarity);
        let about = About::hit(&hit);
        self.found(Found::entry(hit), about, ask, decoded, settlement).await
    }

    /// Has a hit checked in the background, if there is a place for it; else its label is lost.
    fn check(self: &Arc<Self>, check: Check, inbound: &Inbound, setup: &Arc<Setup>, decoded: &Decoded) {
        let place = Unawaited::take(self, self.cache.settings().revalidations);
        metrics::check(place.is_some());
        if let Some(place) = place {
            Fetch::check(self, setup, inbound, decoded, check, place);
        }
    }

    async fn miss(
        self: &Arc<Self>,
        miss: Box<Miss>,
        ask: &Ask,
        inbound: &Inbound,
        setup: &Arc<Setup>,
        decoded: &Decoded,
        settlement: &mut Settlement,
    ) -> Result<Reply, Error> {
        count_steps(miss.timing.embed, miss.timing.search);
        let outcome = if miss.ticket.is_read() {
            metrics::miss(miss.reason, miss.similarity);
            Outcome::Miss { reason: miss.reason, similarity: miss.similarity, p: miss.p, timing: miss.timing }
        } else {
            metrics::bypass(BypassReason::NoCache);
            Outcome::Bypass(BypassReason::NoCache)
        };
        if inbound.directives.only_if_cached {
            return Err(not_cached());
        }
        settlement.outcome(outcome.word());
        let reader = miss.lead.reader();
        let (lead, ticket) = ((miss.lead, settlement.slip()), Some(miss.ticket));
        Fetch::start(self, setup, inbound, decoded, lead, ticket, miss.compare);
        let responder = Responder::new(decoded, outcome);
        match reader.opening().await {
            Opening::Begun(head) => {
                let (reply, id) = responder.read(reader, head, None).await?;
                self.cache.answered(&ask.tenant, [settlement.request_id(), &id], About::fresh(ask));
                Ok(reply)
            }
            Opening::Ended(End::Failed(error)) if error.is_target_fault() => {
                self.stand_in(ask, decoded, settlement).await.ok_or(error)
            }
            Opening::Ended(end) => responder.ended(end),
        }
    }

    /// Reads along with an identical request, until `deadline`.
    async fn follow(
        &self,
        reader: Reader,
        ask: &Ask,
        decoded: &Decoded,
        deadline: Instant,
        settlement: &mut Settlement,
    ) -> Followed {
        let responder = Responder::new(decoded, Outcome::Flight);
        let waited = tokio::time::timeout_at(deadline, async {
            match reader.opening().await {
                Opening::Begun(head) if responder.can_follow_live(&head) => Ok(head),
                Opening::Begun(_) => Err(reader.end().await),
                Opening::Ended(end) => Err(end),
            }
        })
        .await;
        let followed = match waited {
            Err(_) => Followed::Alone,
            Ok(Ok(head)) => {
                settlement.outcome(Outcome::Flight.word());
                settlement.follows(reader.later());
                metrics::hit(Tier::Flight, None);
                // Its answer is recorded with the request that fetches it.
                self.record(decoded.draft.as_ref(), |draft| Given {
                    cache: "hit/flight".to_owned(),
                    answer: None,
                    usage: None,
                    took_ms: self.cache.now_ms().saturating_sub(draft.at_ms),
                });
                match responder.read(reader, head, Some(&decoded.request)).await {
                    Ok((reply, id)) => {
                        self.cache.answered(&ask.tenant, [settlement.request_id(), &id], About::fresh(ask));
                        Followed::Reply(reply)
                    }
                    Err(error) => Followed::Failed(error),
                }
            }
            Ok(Err(End::Found(hit))) if self.cache.suits(&hit, ask) => {
                Followed::of(self.hit(hit, ask, decoded, settlement).await)
            }
            Ok(Err(End::Whole(answer))) if ask.is_met_by(&answer) => {
                metrics::hit(Tier::Flight, None);
                let found = Found::flight(answer);
                Followed::of(self.found(found, About::fresh(ask), ask, decoded, settlement).await)
            }
            // What the one who asked first may not have, this one perhaps may.
            Ok(Err(End::Failed(error))) if is_of_its_caller(&error) => Followed::Alone,
            Ok(Err(End::Failed(error))) if self.cache.settings().share_across_surfaces => {
                // Its bytes may be in another wire than this caller's.
                Followed::Failed(Error { reply: None, ..error })
            }
            Ok(Err(End::Failed(error))) => Followed::Failed(error),
            Ok(Err(End::Lost)) => Followed::Failed(Error::new(ErrorKind::UpstreamBroken, "The fetch was lost.")),
            Ok(Err(End::Found(_) | End::Opaque | End::Whole(_))) => Followed::Alone,
        };
        metrics::flight_wait(followed.word());
        followed
    }

    /// Fetches a fresh answer in the background, if there is a place for it; else the next who asks may.
    fn revalidate(self: &Arc<Self>, refresh: Refresh, inbound: &Inbound, setup: &Arc<Setup>, decoded: &Decoded) {
        let place = Unawaited::take(self, self.cache.settings().revalidations);
        metrics::revalidation(place.is_some());
        if let Some(place) = place {
            Fetch::revalidate(self, setup, inbound, decoded, refresh, place);
        }
    }

    /// An expired answer goes out, where there is one and the settings allow it.
    async fn stand_in(&self, ask: &Ask, decoded: &Decoded, settlement: &mut Settlement) -> Option<Reply> {
        let entry = self.cache.stand_in(ask)?;
        metrics::stale(Tier::Exact, StaleReason::IfError);
        let hit = Hit::by_words(entry, Tier::Exact);
        let about = About::hit(&hit);
        self.found(Found::stale(hit, StaleReason::IfError), about, ask, decoded, settlement).await.ok()
    }

    /// What a stored answer costs who asks, and takes it from their budgets. An error where these have not enough left.
    async fn charge(&self, found: &Found, decoded: &Decoded) -> Result<MicroUsd, Error> {
        let Some(payer) = &decoded.payer else { return Ok(MicroUsd(0)) };
        let whole = found.cost(decoded.plan.price).unwrap_or_default();
        let cost = whole.percent(self.cache.settings().hit_cost_percent);
        if cost > MicroUsd(0) {
            let estimate = Estimate { cost, ..Estimate::default() };
            let now = || self.cache.now_ms();
            let mut purse = Box::pin(self.governor.reserve(payer, &decoded.request.model, estimate, now)).await?;
            purse.settle(Usage::default(), cost, now());
        }
        Ok(cost)
    }

    /// A stored answer goes out.
    async fn found(
        &self,
        found: Found,
        about: About,
        ask: &Ask,
        decoded: &Decoded,
        settlement: &mut Settlement,
    ) -> Result<Reply, Error> {
        let cost = self.charge(&found, decoded).await?;
        settlement.outcome(found.word());
        settlement.saved(&found, decoded.plan.price, cost);
        let now_ms = self.cache.now_ms();
        self.record(decoded.draft.as_ref(), |draft| found.given(now_ms.saturating_sub(draft.at_ms)));
        let (reply, id) = found.reply(decoded, cost, now_ms)?;
        self.keep_response(&ask.tenant, &decoded.request, decoded.no_store, &id, found.answer());
        self.cache.answered(&ask.tenant, [settlement.request_id(), &id], about);
        Ok(reply)
    }
}

/// How waiting for another's fetch ended.
enum Followed {
    Reply(Reply),
    Failed(Error),
    /// Too long, or of no use: fetch without waiting.
    Alone,
}

impl Followed {
    fn of(reply: Result<Reply, Error>) -> Followed {
        reply.map_or_else(Followed::Failed, Followed::Reply)
    }

    fn word(&self) -> &'static str {
        match self {
            Followed::Reply(_) => "shared",
            Followed::Failed(_) => "failed",
            Followed::Alone => "alone",
        }
    }
}

/// Was it refused for what its caller may spend, or for what could not be written down of that?
fn is_of_its_caller(error: &Error) -> bool {
    matches!(error.code, Some("budget_exceeded" | "rate_limit_exceeded" | "store_unavailable"))
        && matches!(error.kind, ErrorKind::OverBudget | ErrorKind::TooMany | ErrorKind::Overloaded)
}

fn count_steps(embed: Option<Duration>, search: Option<Duration>) {
    for (step, took) in [("embed", embed), ("search", search)] {
        if let Some(took) = took {
            metrics::lookup_step(step, took);
        }
    }
}

pub(super) fn not_cached() -> Error {
    Error::new(ErrorKind::NotCached, "`Cache-Control: only-if-cached` was asked, and no stored answer fits.")
        .with_code("not_cached")
}
