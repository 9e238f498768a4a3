//! Shadows: a request that was answered is sent to another target as well, and the answers are compared. No caller sees anything of
//! it: it begins when the real answer is whole, goes on lanes of its own, and is kept nowhere but in counts.
//!
//! - `tally`: the counts
//! - `labels`: questions with whether the shadow's answer was as good, in a file, where that is asked for

mod labels;
mod tally;

pub use tally::{Counts, Quantiles, Sums};

use super::decode::depends_on_the_provider;
use super::dispatch::{self, Outbound, Upstream, UpstreamBody};
use super::fetch::{EVENT_BYTES, drain};
use super::label::{Alike, text_of};
use super::serve::{Pipeline, Setup};
use crate::config;
use crate::routing::{self, Fault, Pass, Route, Router, Turn};
use crate::telemetry::metrics::{self, OfShadow};
use crate::types::answer::{Answer, Ending};
use crate::types::caller::Tenant;
use crate::types::chat::Content;
use crate::types::error::{Error, ErrorKind, UNSUPPORTED};
use crate::types::json::Json;
use crate::types::money::MicroUsd;
use crate::types::request::Request;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::wire::fold::{Fold, Step};
use crate::wire::{hub, sse};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use labels::{Label, Labels};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tally::{Dropped, Pair, Side, Spent, Tally};

/// Whose line shadows stand in where answers are embedded: no tenant waits behind its own.
const TENANT: &str = "shadow";

/// May a request be sent a second time, elsewhere? Not what depends on what its provider keeps, and not what makes its provider use
/// tools of others: whatever they do would be done twice.
pub(super) fn may_be_repeated(surface: Surface, json: &Json<'_>) -> bool {
    let is_there = |name: &str| json.get(name).is_some_and(|value| *value != Json::Null);
    match surface {
        Surface::Responses => {
            let tools = json.get("tools").and_then(Json::as_array).unwrap_or_default();
            // A container that is named is the caller's own; one that is to be made is not.
            let named = |tool: &Json<'_>| tool.get("container").and_then(Json::as_str).is_some();
            let acts = tools.iter().any(|tool| tool.get("type").and_then(Json::as_str) == Some("mcp") || named(tool));
            !acts && !depends_on_the_provider(json) && !is_there("previous_response_id") && !is_there("prompt")
        }
        Surface::Messages => !is_there("container") && !is_there("mcp_servers"),
        Surface::GenerateContent => !is_there("cachedContent") && !is_there("cached_content"),
        _ => true,
    }
}

/// The real answer to a request.
pub(super) struct Real {
    pub(super) answer: Arc<Answer>,
    /// From sending to the first words of a stream.
    pub(super) first: Option<Duration>,
    /// From sending to the end.
    pub(super) took: Duration,
    pub(super) cost: Option<MicroUsd>,
}

/// What a shadow answered.
struct Got {
    answer: Answer,
    first: Option<Duration>,
    took: Duration,
    cost: Option<MicroUsd>,
}

/// The shadow of one model, for as long as its settings stay what they are.
struct State {
    model: String,
    settings: Arc<config::Shadow>,
    in_flight: AtomicUsize,
    tally: Mutex<Tally>,
    /// Outlives a change of the settings: what was paid today was paid.
    spent: Arc<Mutex<Spent>>,
}

/// A place among the requests to a shadow that are under way.
struct Place(Arc<State>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    fn of(&self) -> OfShadow<'_> {
        OfShadow { model: &self.model, provider: &self.settings.provider }
    }

    /// A place, where one is free and today's money is not spent.
    fn take(self: &Arc<State>, now_ms: u64) -> Result<Place, Dropped> {
        let place = Place(self.clone());
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= self.settings.max_in_flight {
            return Err(Dropped::Full);
        }
        let may = self.spent.lock().may(self.settings.usd_per_day, now_ms);
        if may { Ok(place) } else { Err(Dropped::OverBudget) }
    }

    fn dropped(&self, why: Dropped) {
        self.tally.lock().dropped(why);
        metrics::shadow_request(self.of(), why.as_str(), "");
    }
}

/// What is shown of a shadow.
#[derive(Clone, Debug)]
pub struct ShadowReport {
    /// Its settings.
    pub settings: Arc<config::Shadow>,
    /// Requests under way.
    pub in_flight: usize,
    /// What it has cost today, in millionths of a dollar.
    pub spent_today_micro_usd: u64,
    /// What was counted and compared.
    pub sums: Sums,
}

/// All shadows.
#[derive(Default)]
pub(super) struct Shadows {
    /// By the names and aliases of their models.
    states: RwLock<HashMap<String, Arc<State>>>,
    labels: Labels,
}

impl Shadows {
    /// Shadows of which nothing is known.
    pub(super) fn begin(router: &Router) -> Shadows {
        let shadows = Shadows::default();
        shadows.renew(router);
        shadows
    }

    /// Takes over new settings: who is not named any more goes, who has others begins anew.
    pub(super) fn renew(&self, router: &Router) {
        let mut states = self.states.write();
        let old = std::mem::take(&mut *states);
        let mut made: HashMap<&str, Arc<State>> = HashMap::new();
        for (name, shadow) in router.shadows() {
            let state = made.entry(shadow.model.as_str()).or_insert_with(|| {
                let known = old.get(&shadow.model);
                let same = known.filter(|state| state.settings == shadow.settings);
                same.cloned().unwrap_or_else(|| {
                    Arc::new(State {
                        model: shadow.model.clone(),
                        settings: shadow.settings.clone(),
                        in_flight: AtomicUsize::new(0),
                        tally: Mutex::default(),
                        spent: known.map(|state| state.spent.clone()).unwrap_or_default(),
                    })
                })
            });
            states.insert(name.to_owned(), state.clone());
        }
    }

    /// That of a model, as long as it is the one that these settings want.
    fn of(&self, shadow: &routing::Shadow) -> Option<Arc<State>> {
        let state = self.states.read().get(&shadow.model).cloned();
        state.filter(|state| state.settings == shadow.settings)
    }
}

impl Pipeline {
    /// Keeps the labels of shadows below `folder`, where they are asked for.
    pub fn keep_shadow_labels(&self, folder: PathBuf) {
        self.shadows.labels.keep_in(folder);
    }

    /// Names the keys that may not stand among the labels of shadows.
    pub fn keep_out_of_shadow_labels(&self, secrets: Vec<Secret>) {
        self.shadows.labels.keep_out(secrets);
    }

    /// Writes the labels of shadows that wait. For an orderly end.
    pub async fn flush_shadow_labels(&self) {
        self.shadows.labels.flush().await;
    }

    /// What is known of the shadow of a model, by a name or alias as it is configured.
    pub fn shadow(&self, name: &str) -> Option<ShadowReport> {
        let state = self.shadows.states.read().get(name).cloned()?;
        let snapshot = state.tally.lock().snapshot();
        let spent_today_micro_usd = state.spent.lock().today(self.cache.now_ms());
        Some(ShadowReport {
            settings: state.settings.clone(),
            in_flight: state.in_flight.load(Ordering::Relaxed),
            spent_today_micro_usd,
            sums: snapshot.sums(),
        })
    }

    /// A request has its answer: by chance it is sent to the shadow of its model as well, on a task of its own.
    pub(super) fn mirror(self: &Arc<Self>, setup: &Arc<Setup>, outbound: &Outbound, real: Real) {
        let Some((shadow, stands_for)) = setup.router.shadow(&outbound.request.model) else { return };
        let Some(state) = self.shadows.of(shadow) else { return };
        if !is_drawn(state.settings.percent, rand::random()) {
            return;
        }
        let place = match state.take(self.cache.now_ms()) {
            Ok(place) => place,
            Err(why) => return state.dropped(why),
        };
        let route = shadow.route(stands_for);
        let Some((at, pass)) = routing::Shadow::begin(&route, setup.clock.now(), rand::random()) else {
            return state.dropped(Dropped::LeftAlone);
        };
        let bearer = outbound.bearer.clone();
        let outbound = Outbound {
            request: outbound.request.clone(),
            tenant: Tenant(TENANT.to_owned()),
            // What is asked in nobody's name is not paid with anybody's key.
            bearer: None,
            headers: outbound.headers.clone(),
            out: Vec::new().into(),
            stick_to: 0,
            no_store: true,
        };
        state.tally.lock().asked();
        let mirrored =
            Mirrored { pipeline: self.clone(), setup: setup.clone(), state, route, at, outbound, bearer, real };
        tokio::spawn(mirrored.run(pass, place));
    }
}

/// Is a request among so many percent? `chance` is in [0, 1).
fn is_drawn(percent: f64, chance: f64) -> bool {
    chance * 100.0 < percent
}

/// One request on its way to a shadow.
struct Mirrored {
    pipeline: Arc<Pipeline>,
    setup: Arc<Setup>,
    state: Arc<State>,
    route: Route,
    at: usize,
    outbound: Outbound,
    /// The caller's own token: it is not sent, and may not be kept.
    bearer: Option<Secret>,
    real: Real,
}

impl Mirrored {
    async fn run(self, mut pass: Pass, place: Place) {
        let mut begun = false;
        let asked = tokio::time::timeout(self.setup.request_timeout, self.ask(&mut pass, &mut begun)).await;
        let asked = asked.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::UpstreamTimeout, "The shadow took too long (`limits.request_timeout_ms`)."))
        });
        let got = match asked {
            Ok(got) => got,
            Err(error) => return self.failed(&mut pass, begun, &error),
        };
        drop(pass);
        let of = self.state.of();
        metrics::shadow_request(of, "answered", "");
        metrics::shadow_answered(of, got.answer.usage, got.cost);
        self.state.tally.lock().answered(got.cost);
        self.state.spent.lock().pay(got.cost.unwrap_or_default(), self.pipeline.cache.now_ms());
        self.compare(&got).await;
        // What is compared is under way, too: answers do not pile up before a slow judge.
        drop(place);
    }

    /// Sends the request and takes the answer whole. `begun` tells whether it had begun.
    async fn ask(&self, pass: &mut Pass, begun: &mut bool) -> Result<Got, Error> {
        let upstream = dispatch::once(&self.setup, &self.route, self.at, &self.outbound).await?;
        let Upstream { provider, headers, body, price, sent, .. } = upstream;
        *begun = true;
        if pass.answered(self.setup.clock.now(), &headers) {
            self.turned(pass, Turn::Closed);
        }
        let (answer, first, whole) = match body {
            UpstreamBody::Plain { answer, .. } if answer.body.len() > self.most_bytes() => return Err(too_large()),
            UpstreamBody::Plain { answer, .. } => (*answer, None, Instant::now()),
            UpstreamBody::Stream { begun, rest } => self.gather(&provider, begun, rest).await?,
        };
        let cost = price.zip(answer.usage).map(|(price, usage)| price.of(usage));
        Ok(Got { answer, first: first.map(|at| at.duration_since(sent)), took: whole.duration_since(sent), cost })
    }

    /// A stream as one answer, when its first words came, and when its end did.
    async fn gather(
        &self,
        provider: &str,
        begun: Bytes,
        mut rest: BoxStream<'static, Result<Bytes, Error>>,
    ) -> Result<(Answer, Option<Instant>, Instant), Error> {
        let broken = |why: String| {
            let message = format!("Provider `{provider}`: {}.", why.trim_end_matches('.'));
            Error::new(ErrorKind::UpstreamBroken, message)
        };
        let request = &self.outbound.request;
        let mut fold = Fold::new(request.surface, request.body.clone(), self.most_bytes());
        let mut splitter = sse::Splitter::default();
        let mut first = None;
        let mut piece = begun;
        let whole = 'stream: loop {
            splitter.push(&piece);
            while let Some(event) = splitter.next_event() {
                match sse::event(&event).map_or(Step::Quiet, |event| fold.push(&event)) {
                    Step::Quiet | Step::Usage => {}
                    Step::Content => first = first.or_else(|| Some(Instant::now())),
                    Step::Done => break 'stream Instant::now(),
                    Step::Failed(why) => return Err(broken(why)),
                }
            }
            if splitter.pending() > EVENT_BYTES || fold.is_too_large() {
                return Err(too_large());
            }
            piece = match rest.next().await {
                Some(piece) => piece?,
                None => break Instant::now(),
            };
        };
        tokio::spawn(drain(rest));
        let usage = fold.usage();
        let answer = fold.finish().map_err(broken)?;
        Ok((Answer { usage: answer.usage.or(usage), ..answer }, first, whole))
    }

    /// Larger answers are not compared.
    fn most_bytes(&self) -> usize {
        usize::try_from(self.pipeline.cache.settings().max_answer_bytes).unwrap_or(usize::MAX)
    }

    /// What an answer costs that was not heard of to its end: about what one as long as the real one does.
    fn likely_cost(&self) -> MicroUsd {
        let price = self.route.legs.get(self.at).and_then(|leg| leg.price);
        price.zip(self.real.answer.usage).map_or(MicroUsd::default(), |(price, usage)| price.of(usage))
    }

    /// It failed, before its answer had begun or in the midst of it.
    fn failed(&self, pass: &mut Pass, begun: bool, error: &Error) {
        let now = self.setup.clock.now();
        if begun || error.kind == ErrorKind::UpstreamTimeout {
            self.state.spent.lock().pay(self.likely_cost(), self.pipeline.cache.now_ms());
        }
        let turn = match (begun, error.kind) {
            // It is we who do not take it.
            (true, ErrorKind::TooLarge) => None,
            (true, _) => pass.broke(now, rand::random()).0,
            (false, _) => pass.failed(Fault::of(error), now, rand::random()),
        };
        if let Some(turn) = turn {
            self.turned(pass, turn);
        }
        let kind = if error.code == Some(UNSUPPORTED) { "unsupported".into() } else { error.word() };
        self.state.tally.lock().failed(&kind);
        metrics::shadow_request(self.state.of(), "failed", &kind);
        tracing::debug!(model = %self.state.model, provider = %self.state.settings.provider, %error, "a shadow failed");
    }

    fn turned(&self, pass: &Pass, turn: Turn) {
        let (model, id) = (&self.state.model, &pass.lane().id);
        match turn {
            Turn::Opened => tracing::warn!(
                %model, provider = %id.provider, key = id.key.as_deref(), "the shadow keeps failing: it is left alone for a while"
            ),
            Turn::Closed => tracing::info!(
                %model, provider = %id.provider, key = id.key.as_deref(), "the shadow is well again"
            ),
        }
    }

    /// Compares the two answers, and counts what comes of it.
    async fn compare(&self, got: &Got) {
        let Real { answer, first, took, cost } = &self.real;
        let side = |answer: &Answer, took, first, cost| Side {
            took,
            first,
            is_cut_off: answer.ending != Ending::Whole,
            usage: answer.usage,
            cost,
        };
        let Verdict { by, same, cosine } = self.verdict(answer, &got.answer).await;
        let pair = Pair {
            real: side(answer, *took, *first, *cost),
            shadow: side(&got.answer, got.took, got.first, got.cost),
            same,
            cosine,
        };
        self.state.tally.lock().compared(&pair);
        let result = match same {
            Some(true) => "same",
            Some(false) => "different",
            None => "undecided",
        };
        metrics::shadow_compared(self.state.of(), by, result);
        if let (true, Some(same), Some(question)) = (self.state.settings.labels, same, self.question()) {
            self.pipeline.shadows.labels.keep(Label {
                model: self.state.model.clone(),
                question: question.to_owned(),
                hard: !same,
                similarity: cosine,
                at_ms: self.pipeline.cache.now_ms(),
                bearer: self.bearer.clone(),
            });
        }
    }

    fn question(&self) -> Option<&str> {
        let Request { question, .. } = &*self.outbound.request;
        question.as_deref().filter(|question| !question.trim().is_empty())
    }

    /// Do both say the same? What calls tools is compared by its calls; of what was cut off nobody can tell.
    async fn verdict(&self, real: &Answer, shadow: &Answer) -> Verdict {
        if real.ending != Ending::Whole || shadow.ending != Ending::Whole {
            return Verdict::default();
        }
        if real.tool_calls || shadow.tool_calls {
            return Verdict { by: "calls", same: same_calls(real, shadow), cosine: None };
        }
        let texts = [text_of(real), text_of(shadow)];
        match [&texts[0], &texts[1]].map(|text| text.trim().is_empty()) {
            [false, false] => {}
            [true, true] => return Verdict::default(),
            _ => return Verdict { by: "words", same: Some(false), cosine: None },
        }
        let question = self.question().unwrap_or_default();
        let ask_model = self.state.settings.judge;
        let tenant = &self.outbound.tenant;
        let alike = self.pipeline.alike([question; 2], [&texts[0], &texts[1]], tenant, ask_model).await;
        Verdict::of(alike)
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge, "The shadow's answer is too large to be compared.")
}

/// Whether two answers say the same, and who could tell.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Verdict {
    by: &'static str,
    same: Option<bool>,
    cosine: Option<f32>,
}

impl Verdict {
    fn of(Alike { told, cosine }: Alike) -> Verdict {
        let (by, same) = told.map_or(("", None), |(judge, same)| (judge.as_str(), Some(same)));
        Verdict { by, same, cosine }
    }
}

/// Do two answers call the same tools with the same arguments, in their order? `None` where one cannot be read.
fn same_calls(one: &Answer, other: &Answer) -> Option<bool> {
    let calls = |answer: &Answer| {
        let completion = hub::decode_answer(answer.surface, &answer.body).ok()?;
        let of_choice = |choice: &crate::types::completion::Choice| {
            let calls = choice.parts.iter().filter_map(|part| match &part.content {
                // What is no JSON is compared as the text that it is.
                Content::ToolCall(call) => {
                    let arguments = serde_json::from_str(&call.arguments);
                    Some((call.name.clone(), arguments.unwrap_or_else(|_| Value::from(call.arguments.as_str()))))
                }
                _ => None,
            });
            calls.collect::<Vec<(String, Value)>>()
        };
        Some(completion.choices.iter().map(of_choice).collect::<Vec<_>>())
    };
    Some(calls(one)? == calls(other)?)
}

#[cfg(test)]
mod tests;
