//! Bytes → request, digests, policy and plan. Parses the body once; everything that borrows from it ends here.

use super::Inbound;
use super::admit::{Tokens, Wants};
use super::facts::About;
use super::guard::{Applied, Guard};
use super::insight::LeftOut;
use super::recording::Draft;
use super::serve::{Pipeline, Setup};
use super::shadow;
use super::tags;
use super::tokens::Sample;
use crate::cache::Ask;
use crate::cache::context;
use crate::cache::policy::Policy;
use crate::cache::scope::{self, Circumstances, Keys};
use crate::cache::staleness;
use crate::config::{self, Strategy};
use crate::routing::{Route, Target};
use crate::types::caller::Caller;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::outcome::BypassReason;
use crate::types::params::Param;
use crate::types::request::Request;
use crate::types::surface::Surface;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::request::{InPath, read};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request that is ready to be looked up and sent.
pub(super) struct Decoded {
    pub(super) request: Arc<Request>,
    /// What to ask the cache, or why not to.
    pub(super) ask: Result<Ask, BypassReason>,
    /// Its labels.
    pub(super) tags: Vec<String>,
    pub(super) plan: Arc<Route>,
    /// The lanes of it that take no part in this request, as far as that is known before its question is embedded.
    pub(super) out: LeftOut,
    /// For the recording, where there is one and the caller lets it.
    pub(super) draft: Option<Draft>,
    /// What a sticky choice of a target sticks to.
    pub(super) stick_to: u64,
    /// Tokens of it, and of the longest answer that it allows.
    pub(super) tokens: Tokens,
    /// What it says, where tokens of it are reserved.
    pub(super) sample: Option<Arc<Sample>>,
    /// What of it some keys may not have.
    pub(super) wants: Wants,
    /// Who pays for stored answers, where these cost something.
    pub(super) payer: Option<Caller>,
    /// Nothing of this exchange is to be kept.
    pub(super) no_store: bool,
    /// It may be sent to the shadow of its model, too.
    pub(super) mirrored: bool,
    /// What parsing and hashing took.
    pub(super) hash: Duration,
    /// Which guardrails look at it and at its answer.
    pub(super) applied: Applied,
    /// They, once they have looked at the request; `None` where there is nothing more to do.
    pub(super) guard: Option<Arc<Guard>>,
}

impl Decoded {
    /// Who may answer it, in order; late conditions may yet leave some out.
    pub(super) fn targets(&self) -> Vec<&Target> {
        self.plan.targets_left(&self.out)
    }

    /// The question as the cache compares it by meaning, and so the one that is embedded where a lookup does that.
    pub(super) fn compared(&self) -> Option<&str> {
        let condensed = self.ask.as_ref().ok().and_then(|ask| ask.compared.as_deref());
        condensed.or(self.request.question.as_deref())
    }
}

/// Does the answer depend on what the provider keeps and may change, or is it made later?
pub(super) fn depends_on_the_provider(json: &Json<'_>) -> bool {
    let is_there = |name: &str| json.get(name).is_some_and(|value| *value != Json::Null);
    let latest = json.get("prompt").is_some_and(|prompt| *prompt != Json::Null && prompt.get("version").is_none());
    is_there("conversation") || latest || json.get("background") == Some(&Json::Bool(true))
}

/// Providers keep what begins alike from about this many bytes on.
const BEGINNING: usize = 4096;

/// What requests have in common that go to the same target where a route is sticky: the session that the caller tells, or the
/// key that OpenAI's wire has for it, or how they begin.
fn stick_to(inbound: &Inbound, json: &Json<'_>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(inbound.caller.tenant.0.as_bytes());
    hasher.update(b"\0");
    let told = inbound.directives.session.as_deref();
    match told.or_else(|| json.get("prompt_cache_key").and_then(Json::as_str)) {
        Some(session) => hasher.update(session.as_bytes()),
        None => hasher.update(&inbound.body[..inbound.body.len().min(BEGINNING)]),
    };
    hasher.finalize().as_bytes().first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
}

/// What a request is compared by.
struct Compared {
    keys: Keys,
    /// The question that the keys leave out.
    question: Option<String>,
    /// The text of a condensed follow-up.
    condensed: Option<String>,
}

/// Caller headers that change what the provider does; trace headers only follow a request.
fn counting(inbound: &Inbound) -> Vec<(&str, &[u8])> {
    let counts = inbound.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "traceparent" | "tracestate"));
    counts.map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn compared(
    json: &Json<'_>,
    request: &Request,
    around: &Circumstances<'_>,
    settings: &config::Cache,
    condensed: bool,
) -> Result<Compared, BypassReason> {
    if settings.share_across_surfaces
        && let Some(body) = in_common(json, request)
        && let Ok(json) = parse(&body)
        && let Ok(request) = read(Surface::ChatCompletions, &json, &body, &InPath::default())
    {
        return compared_in(&json, &request, around, settings, condensed);
    }
    compared_in(json, request, around, settings, condensed)
}

/// The body of a conversation in the one form that all surfaces are compared in, where answers are shared between them.
/// `None` where that form cannot carry all of it: such a request has an answer of its own.
fn in_common(json: &Json<'_>, request: &Request) -> Option<Bytes> {
    let surface = Some(request.surface).filter(|surface| surface.is_chat())?;
    let mut chat = hub::decode(surface, json, &request.model, false).ok()?;
    chat.include_usage = false;
    // These have no exact word in the common form.
    let thinks = chat.reasoning.as_ref().is_some_and(|one| one.budget_tokens.is_some() || one.include.is_some());
    if thinks || json.get("include").is_some_and(|include| *include != Json::Null) {
        return None;
    }
    let encoded = hub::encode(Surface::ChatCompletions, &chat).ok()?;
    encoded.dropped.is_empty().then(|| encoded.body.into())
}

fn compared_in(
    json: &Json<'_>,
    request: &Request,
    around: &Circumstances<'_>,
    settings: &config::Cache,
    condensed: bool,
) -> Result<Compared, BypassReason> {
    let harmless = &settings.harmless_fields;
    let mut keys = scope::keys(json, request, around, harmless).ok_or(BypassReason::InexactNumber)?;
    let condensed = if condensed { context::condense(json, request) } else { None };
    if let Some(condensed) = &condensed {
        let meaning = scope::meaning(json, request, around, harmless, &condensed.turns);
        keys.meaning = meaning.ok_or(BypassReason::InexactNumber)?;
    }
    let question = request.question.clone();
    Ok(Compared { keys, question, condensed: condensed.map(|condensed| condensed.text) })
}

impl Pipeline {
    pub(super) fn decode(&self, inbound: &Inbound, setup: &Setup) -> Result<Decoded, Error> {
        let started = Instant::now();
        let json = parse(&inbound.body)?;
        let request = read(inbound.surface, &json, &inbound.body, &inbound.path)?;
        let (plan, out) = About::new(inbound, &self.governor, (&json, &request), self.cache.now_ms()).plan(setup)?;
        let out = self.without_barred(inbound, (&plan, &request.model), out)?;
        let left = plan.targets_left(&out);
        let applied = setup.guardrails.applied(&inbound.caller, &request.model, &plan);
        let labels = tags::of(&inbound.directives.tags, &json);
        let settings = self.cache.settings();
        let tenant = &inbound.caller.tenant;
        let policy = if left.iter().all(|target| setup.registry.is_local(&target.provider)) {
            Err(BypassReason::Local)
        } else if request.surface == Surface::InvokeModel {
            Err(BypassReason::Surface)
        } else if request.surface == Surface::Responses && depends_on_the_provider(&json) {
            Err(BypassReason::Stateful)
        } else {
            Policy::decide(&settings, tenant.name(), &request.model, &inbound.directives)
        };
        let class =
            staleness::classify(&settings.staleness, request.question.as_deref(), &json, inbound.directives.staleness);
        let policy = policy.and_then(|policy| policy.of_class(class, &settings.staleness));
        let ask = policy.and_then(|policy| {
            let left = left.iter().copied();
            let targets: Vec<(&str, &str, &[Param])> =
                left.map(|target| (target.provider.as_str(), target.model.as_str(), &*target.params)).collect();
            let headers = counting(inbound);
            let sub_scope = inbound.directives.scope.as_deref();
            let guardrails = setup.guardrails.digest(&applied);
            let around = Circumstances { tenant, sub_scope, targets: &targets, headers: &headers, guardrails };
            let Compared { keys, question, condensed } =
                compared(&json, &request, &around, &settings, policy.condensed)?;
            Ok(Ask {
                keys,
                policy,
                question,
                compared: condensed,
                tenant: tenant.clone(),
                surface: request.surface,
                model: request.model.clone(),
                tags: labels.clone(),
                needs_usage: request.stream && request.include_usage,
            })
        });
        let draft = self.draft(inbound, &request, &ask);
        let stick_to = if plan.strategy == Strategy::Sticky { stick_to(inbound, &json) } else { 0 };
        let no_store = inbound.directives.no_store;
        let mirrored = !no_store && setup.router.has_shadows() && shadow::may_be_repeated(request.surface, &json);
        let request = Arc::new(request);
        let tokens = self.tokens(&inbound.caller, &json, request.surface, !applied.input.is_empty());
        let sample = self.governor.counts_answers(&inbound.caller).then(|| Arc::new(Sample::of(&json)));
        let wants = self.wants(&inbound.caller, &json);
        let hash = started.elapsed();
        let guard = None;
        let decoded = Decoded {
            request,
            ask,
            tags: labels,
            plan,
            out,
            draft,
            stick_to,
            tokens,
            sample,
            wants,
            payer: (self.cache.settings().hit_cost_percent > 0).then(|| inbound.caller.clone()),
            no_store,
            mirrored,
            hash,
            applied,
            guard,
        };
        let out = decoded.out.clone().about(decoded.compared());
        Ok(Decoded { out, ..decoded })
    }

    /// The lanes that are left out, and those that the caller may not be answered by.
    fn without_barred(&self, inbound: &Inbound, (plan, model): (&Route, &str), out: LeftOut) -> Result<LeftOut, Error> {
        let barred = self.barred(&inbound.caller, plan)?;
        if barred.is_empty() {
            return Ok(out);
        }
        let out = out.and(barred);
        plan.some_are_left(&out, model)?;
        Ok(out)
    }

    /// What the recording keeps of a request: nothing of an exchange of which nothing is to be kept, nor of requests
    /// that the cache is not asked for.
    fn draft(&self, inbound: &Inbound, request: &Request, ask: &Result<Ask, BypassReason>) -> Option<Draft> {
        self.recorder.as_ref()?;
        let ask = ask.as_ref().ok().filter(|_| !inbound.directives.no_store)?;
        Some(Draft {
            id: inbound.request_id.clone(),
            at_ms: self.cache.now_ms(),
            scope: ask.keys.scope,
            surface: request.surface,
            model: request.model.clone(),
            question: request.question.clone()?,
            body: request.body.clone(),
            bearer: inbound.caller.bearer.clone(),
        })
    }
}
