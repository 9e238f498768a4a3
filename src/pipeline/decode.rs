//! Bytes → request, digests, policy and plan. Parses the body once, or not at all where the same bytes came before; everything that
//! borrows from it ends here.

use super::Inbound;
use super::admit::{Tokens, Wants};
use super::facts::{About, is_asked, unasked};
use super::guard::{Applied, Guard};
use super::insight::LeftOut;
use super::memo::{Keyed, Known, Place};
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
use crate::types::staleness::Staleness;
use crate::types::surface::Surface;
use crate::wire::hub;
use crate::wire::json::parse;
use crate::wire::request::{InPath, read};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
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
fn stick_to(inbound: &Inbound, cache_key: Option<&str>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(inbound.caller.tenant.0.as_bytes());
    hasher.update(b"\0");
    match inbound.directives.session.as_deref().or(cache_key) {
        Some(session) => hasher.update(session.as_bytes()),
        None => hasher.update(&inbound.body[..inbound.body.len().min(BEGINNING)]),
    };
    hasher.finalize().as_bytes().first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
}

/// What a request is compared by.
#[derive(Clone)]
pub(super) struct Compared {
    keys: Keys,
    /// The question that the keys leave out.
    question: Option<String>,
    /// The text of a condensed follow-up.
    condensed: Option<String>,
}

/// Caller headers that change what the provider does; trace headers only follow a request.
pub(super) fn counting(inbound: &Inbound) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
    inbound.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "traceparent" | "tracestate"))
}

/// What a body says that somebody asks for: counting all of it takes longer than parsing.
#[derive(Clone, Copy)]
struct Needs {
    tokens: bool,
    sample: bool,
    /// Tools and images matter.
    bars: (bool, bool),
}

impl Needs {
    /// Whoever asks next for the same may need all.
    const ALL: Needs = Needs { tokens: true, sample: true, bars: (true, true) };
}

/// What was worked out of a body, whoever sent it and wherever it goes.
pub(super) struct Content {
    pub(super) request: Arc<Request>,
    tags: Vec<String>,
    class: Staleness,
    /// The answer depends on what the provider keeps.
    stateful: bool,
    /// It may be sent twice.
    repeatable: bool,
    /// What OpenAI's wire has to tell requests that belong together.
    cache_key: Option<String>,
    tokens: Tokens,
    sample: Option<Arc<Sample>>,
    wants: Wants,
}

impl Content {
    fn of(
        inbound: &Inbound,
        json: &Json<'_>,
        request: Arc<Request>,
        settings: &config::Cache,
        needs: Needs,
    ) -> Content {
        let question = request.question.as_deref();
        let surface = request.surface;
        Content {
            tags: tags::of(&inbound.directives.tags, json),
            class: staleness::classify(&settings.staleness, question, json, inbound.directives.staleness),
            stateful: surface == Surface::Responses && depends_on_the_provider(json),
            repeatable: shadow::may_be_repeated(surface, json),
            cache_key: json.get("prompt_cache_key").and_then(Json::as_str).map(str::to_owned),
            tokens: if needs.tokens { Tokens::of(json, surface) } else { Tokens::default() },
            sample: needs.sample.then(|| Arc::new(Sample::of(json))),
            wants: Wants::of(json, needs.bars),
            request,
        }
    }
}

#[cfg(test)]
impl Content {
    /// Of a request as it came.
    pub(super) fn of_body(inbound: &Inbound, settings: &config::Cache) -> Result<Content, Error> {
        let json = parse(&inbound.body)?;
        let request = read(inbound.surface, &json, &inbound.body, &inbound.path)?;
        Ok(Content::of(inbound, &json, Arc::new(request), settings, Needs::ALL))
    }
}

/// Where a request goes, and what that asks of it.
struct Way {
    plan: Arc<Route>,
    out: LeftOut,
    applied: Applied,
    needs: Needs,
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
    /// In a box: it is large, and is handed on more than once.
    pub(super) fn decode(&self, inbound: &Inbound, setup: &Setup) -> Result<Box<Decoded>, Error> {
        let started = Instant::now();
        let settings = self.cache.settings();
        let place = self.memo.place(inbound, &settings);
        let mut decoded = match &place {
            Place::Known(known) => match self.way_unasked(inbound, setup, &known.content.request)? {
                Some(way) => self.decode_known(inbound, setup, known, way),
                None => self.decode_anew(inbound, setup, &settings, None),
            },
            Place::Again(hash) => self.decode_anew(inbound, setup, &settings, Some(*hash)),
            Place::New => self.decode_anew(inbound, setup, &settings, None),
        }?;
        decoded.hash = started.elapsed();
        Ok(decoded)
    }

    /// What is to be kept is put into the memo under `keep`.
    fn decode_anew(
        &self,
        inbound: &Inbound,
        setup: &Setup,
        settings: &Arc<config::Cache>,
        keep: Option<u64>,
    ) -> Result<Box<Decoded>, Error> {
        // What is kept must not hold on to the buffer of a connection.
        let body = keep.map_or_else(|| inbound.body.clone(), |_| Bytes::copy_from_slice(&inbound.body));
        let json = parse(&body)?;
        let request = read(inbound.surface, &json, &body, &inbound.path)?;
        let planned = About::new(inbound, &self.governor, (&json, &request), self.cache.now_ms()).plan(setup)?;
        let way = self.way(inbound, setup, planned, &request.model)?;
        // Conditions ask about the body each time: nothing would come of keeping it.
        let keep = keep.filter(|_| !is_asked(&way.plan));
        let needs = if keep.is_some() { Needs::ALL } else { way.needs };
        let content = Content::of(inbound, &json, Arc::new(request), settings, needs);
        let compare = |targets: &[&Target], around: &Circumstances<'_>, condensed: bool| {
            let compared = compared(&json, &content.request, around, settings, condensed)?;
            let circumstances = keep.map(|_| Keyed::new(inbound, targets, around, (condensed, compared.clone())));
            Ok((compared, circumstances))
        };
        let (decoded, keyed) = self.assembled(inbound, setup, settings, (way, &content), compare);
        if let Some(hash) = keep {
            self.memo.keep(hash, Known::new(inbound, settings, content, keyed));
        }
        Ok(decoded)
    }

    fn decode_known(&self, inbound: &Inbound, setup: &Setup, known: &Known, way: Way) -> Result<Box<Decoded>, Error> {
        let (settings, content) = (&known.settings, &known.content);
        let compare = |targets: &[&Target], around: &Circumstances<'_>, condensed: bool| {
            if let Some(compared) = known.compared(inbound, targets, around, condensed) {
                return Ok((compared, None::<Keyed>));
            }
            // It was read before.
            let json = parse(&inbound.body).map_err(|_| BypassReason::InexactNumber)?;
            Ok((compared(&json, &content.request, around, settings, condensed)?, None))
        };
        Ok(self.assembled(inbound, setup, settings, (way, content), compare).0)
    }

    /// Where a request goes whose conditions were asked.
    fn way(
        &self,
        inbound: &Inbound,
        setup: &Setup,
        (plan, out): (Arc<Route>, LeftOut),
        model: &str,
    ) -> Result<Way, Error> {
        let out = self.without_barred(inbound, (&plan, model), out)?;
        let applied = setup.guardrails.applied(&inbound.caller, model, &plan);
        let needs = Needs {
            tokens: !applied.input.is_empty() || self.governor.knows(&inbound.caller),
            sample: self.governor.counts_answers(&inbound.caller),
            bars: self.governor.bars(&inbound.caller),
        };
        Ok(Way { plan, out, applied, needs })
    }

    /// Where a request goes whose route has no conditions; `None` where it has some, which ask about the body.
    fn way_unasked(&self, inbound: &Inbound, setup: &Setup, request: &Request) -> Result<Option<Way>, Error> {
        match unasked(&request.model, setup)? {
            Some(planned) => self.way(inbound, setup, planned, &request.model).map(Some),
            None => Ok(None),
        }
    }

    /// All of a request, and what is to be kept of how it is compared.
    fn assembled<K>(
        &self,
        inbound: &Inbound,
        setup: &Setup,
        settings: &config::Cache,
        (way, content): (Way, &Content),
        compare: impl FnOnce(&[&Target], &Circumstances<'_>, bool) -> Result<(Compared, Option<K>), BypassReason>,
    ) -> (Box<Decoded>, Option<K>) {
        let Way { plan, out, applied, needs } = way;
        let left = plan.targets_left(&out);
        let request = &content.request;
        let mut kept = None;
        let policy = self.policy(inbound, setup, settings, (&left, content));
        let ask = policy.and_then(|policy| {
            let targets: Vec<(&str, &str, &[Param])> =
                left.iter().map(|target| (target.provider.as_str(), target.model.as_str(), &*target.params)).collect();
            let headers: Vec<(&str, &[u8])> =
                counting(inbound).map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            let around = Circumstances {
                tenant: &inbound.caller.tenant,
                sub_scope: inbound.directives.scope.as_deref(),
                targets: &targets,
                headers: &headers,
                guardrails: setup.guardrails.digest(&applied),
            };
            let (Compared { keys, question, condensed }, keep) = compare(&left, &around, policy.condensed)?;
            kept = keep;
            Ok(Ask {
                keys,
                policy,
                question,
                compared: condensed,
                tenant: inbound.caller.tenant.clone(),
                surface: request.surface,
                model: request.model.clone(),
                tags: content.tags.clone(),
                needs_usage: request.stream && request.include_usage,
            })
        });
        let draft = self.draft(inbound, request, &ask);
        let no_store = inbound.directives.no_store;
        let sticky = plan.strategy == Strategy::Sticky;
        let condensed = ask.as_ref().ok().and_then(|ask| ask.compared.as_deref());
        let out = out.about(condensed.or(request.question.as_deref()));
        let decoded = Box::new(Decoded {
            request: request.clone(),
            ask,
            tags: content.tags.clone(),
            draft,
            stick_to: if sticky { stick_to(inbound, content.cache_key.as_deref()) } else { 0 },
            tokens: if needs.tokens { content.tokens } else { Tokens::default() },
            sample: content.sample.clone().filter(|_| needs.sample),
            wants: content.wants.among(needs.bars),
            payer: (settings.hit_cost_percent > 0).then(|| inbound.caller.clone()),
            no_store,
            mirrored: !no_store && setup.router.has_shadows() && content.repeatable,
            hash: Duration::ZERO,
            applied,
            guard: None,
            plan,
            out,
        });
        (decoded, kept)
    }

    /// How the cache is asked, or why it is not.
    fn policy(
        &self,
        inbound: &Inbound,
        setup: &Setup,
        settings: &config::Cache,
        (left, content): (&[&Target], &Content),
    ) -> Result<Policy, BypassReason> {
        if left.iter().all(|target| setup.registry.is_local(&target.provider)) {
            return Err(BypassReason::Local);
        }
        if content.request.surface == Surface::InvokeModel {
            return Err(BypassReason::Surface);
        }
        if content.stateful {
            return Err(BypassReason::Stateful);
        }
        let tenant = inbound.caller.tenant.name();
        Policy::decide(settings, tenant, &content.request.model, &inbound.directives)?
            .of_class(content.class, &settings.staleness)
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
