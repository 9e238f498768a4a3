//! Bytes → request, digests, policy and plan. Parses the body once; everything that borrows from it ends here.

use super::Inbound;
use super::recording::Draft;
use super::serve::{Pipeline, Setup};
use super::tags;
use crate::cache::Ask;
use crate::cache::context;
use crate::cache::policy::Policy;
use crate::cache::scope::{self, Circumstances};
use crate::cache::staleness;
use crate::routing::Plan;
use crate::types::error::Error;
use crate::types::outcome::BypassReason;
use crate::types::request::Request;
use crate::wire::json::parse;
use crate::wire::openai::decode::decode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request that is ready to be looked up and sent.
pub(super) struct Decoded {
    pub(super) request: Arc<Request>,
    /// What to ask the cache, or why not to.
    pub(super) ask: Result<Ask, BypassReason>,
    pub(super) plan: Plan,
    /// For the recording, where there is one and the caller lets it.
    pub(super) draft: Option<Draft>,
    /// What parsing and hashing took.
    pub(super) hash: Duration,
}

impl Pipeline {
    pub(super) fn decode(&self, inbound: &Inbound, setup: &Setup) -> Result<Decoded, Error> {
        let started = Instant::now();
        let json = parse(&inbound.body)?;
        let request = decode(inbound.surface, &json, &inbound.body)?;
        let plan = setup.router.plan(&request.model, |model| setup.registry.having(model))?;
        let settings = self.cache.settings();
        let tenant = &inbound.caller.tenant;
        let policy = if plan.targets.iter().all(|target| setup.registry.is_local(&target.provider)) {
            Err(BypassReason::Local)
        } else {
            Policy::decide(&settings, tenant.name(), &request.model, &inbound.directives)
        };
        let class =
            staleness::classify(&settings.staleness, request.question.as_deref(), &json, inbound.directives.staleness);
        let policy = policy.and_then(|policy| policy.of_class(class, &settings.staleness));
        let ask = policy.and_then(|policy| {
            let targets: Vec<(&str, &str)> =
                plan.targets.iter().map(|target| (target.provider.as_str(), target.model.as_str())).collect();
            // Trace headers only follow a request; all others change it.
            let headers: Vec<(&str, &[u8])> = inbound
                .headers
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("openai-"))
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            let sub_scope = inbound.directives.scope.as_deref();
            let around = Circumstances { tenant, sub_scope, targets: &targets, headers: &headers };
            let keys = scope::keys(&json, &request, &around, &settings.harmless_fields);
            let mut keys = keys.ok_or(BypassReason::InexactNumber)?;
            let condensed = if policy.condensed { context::condense(&json, &request) } else { None };
            if let Some(condensed) = &condensed {
                let meaning = scope::meaning(&json, &request, &around, &settings.harmless_fields, &condensed.turns);
                keys.meaning = meaning.ok_or(BypassReason::InexactNumber)?;
            }
            Ok(Ask {
                keys,
                policy,
                question: request.question.clone(),
                compared: condensed.map(|condensed| condensed.text),
                tenant: tenant.clone(),
                surface: request.surface,
                model: request.model.clone(),
                tags: tags::of(&inbound.directives.tags, &json),
                needs_usage: request.stream && request.include_usage,
            })
        });
        let draft = self.draft(inbound, &request, &ask);
        Ok(Decoded { request: Arc::new(request), ask, plan, draft, hash: started.elapsed() })
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
            model: request.model.clone(),
            question: request.question.clone()?,
            body: request.body.clone(),
            bearer: inbound.caller.bearer.clone(),
        })
    }
}
