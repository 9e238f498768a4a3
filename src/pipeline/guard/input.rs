//! Requests: looked at after they are decoded, and decoded anew where something in them was replaced or they go elsewhere.

use super::super::Inbound;
use super::super::decode::Decoded;
use super::super::serve::{Pipeline, Setup};
use super::outside::Asked;
use super::{Direction, Guard, Who};
use crate::config::LooksFor;
use crate::guardrails::{Guards, Hand, Looker, Seen, Vault, injection};
use crate::routing::Leg;
use crate::types::error::{Error, ErrorKind};
use crate::types::outcome::BypassReason;
use crate::types::params::Param;
use crate::types::request::quoted;
use crate::types::surface::Surface;
use crate::wire::embeddings::is_embeddings;
use crate::wire::overrides;
use crate::wire::spanned::Spanned;
use crate::wire::texts::{self, Scope, Speaker};
use bytes::Bytes;
use std::sync::Arc;

/// A larger body is looked at aside.
const LARGE: usize = 128 << 10;

/// `text`, a JSON body, as it may go on; `None` where that is as it is. What is found is noted.
pub(super) fn looked_at(
    guards: &Arc<Guards>,
    rules: &[usize],
    text: &str,
    vault: &mut Vault,
    seen: &mut Seen,
) -> Option<String> {
    let looker = Looker::new(guards, rules);
    let thresholds: Vec<(usize, f64)> = thresholds(guards, rules);
    if looker.is_idle() && thresholds.is_empty() {
        return None;
    }
    vault.leave_out(text);
    texts::changed(text, Scope::Request, &mut |text, speaker| {
        // Whoever writes the system prompt gives the instructions.
        if speaker == Speaker::User {
            note_injection(guards, &thresholds, text, seen);
        }
        looker.whole(text, &mut Hand::Replaces(vault), seen)
    })
}

/// Rules that look for other instructions, and the scores that they act upon.
pub(super) fn thresholds(guards: &Guards, rules: &[usize]) -> Vec<(usize, f64)> {
    let of = |at: &usize| match guards.rules().get(*at)?.settings.looks_for {
        LooksFor::Injection(threshold) => Some((*at, threshold)),
        _ => None,
    };
    rules.iter().filter_map(of).collect()
}

/// Notes the rules that take `text` for an attempt to give other instructions.
pub(super) fn note_injection(guards: &Guards, thresholds: &[(usize, f64)], text: &str, seen: &mut Seen) {
    if thresholds.is_empty() {
        return;
    }
    let score = injection::score(text);
    for (at, threshold) in thresholds {
        if let Some(rule) = guards.rules().get(*at).filter(|_| score >= *threshold) {
            seen.note(*at, rule.settings.action);
        }
    }
}

impl Pipeline {
    /// What goes on of a request that guardrails look at: it, decoded anew where something in it is another. An error where one
    /// of them refuses.
    pub(in super::super) async fn guarded(
        &self,
        inbound: &Inbound,
        setup: &Setup,
        decoded: Box<Decoded>,
    ) -> Result<(Option<Box<Inbound>>, Box<Decoded>), Error> {
        let applied = decoded.applied.clone();
        let all = &setup.guardrails;
        let (mut vault, mut seen) = (Vault::default(), Seen::default());
        let body = self.looked(inbound, setup, &decoded, (&mut vault, &mut seen)).await?;
        let asked = Asked {
            direction: Direction::Input,
            model: &decoded.request.model,
            caller: &inbound.caller,
            body: body.as_deref().or_else(|| std::str::from_utf8(&inbound.body).ok()).unwrap_or_default(),
            scope: Scope::Request,
            about: decoded.request.question.as_deref(),
        };
        let who = Who { caller: &inbound.caller, model: &decoded.request.model, request_id: &inbound.request_id };
        if seen.blocked.is_empty() {
            self.ask_outside(setup, &applied.input, asked, &mut seen).await?;
        }
        self.judged(&all.guards, &seen, Direction::Input, &who)?;
        let to = seen.rerouted.first().and_then(|at| all.rule(*at)).and_then(|rule| rule.settings.to.clone());
        let changed = changed(inbound, body, to.as_deref());
        let touched = !seen.is_empty();
        let model = decoded.request.model.clone();
        let mut decoded = match &changed {
            Some(changed) => self.decode(changed, setup)?,
            None => decoded,
        };
        // Both the model that was asked for and the one that answers count.
        let mut output = applied.output;
        output.extend(decoded.applied.output.iter().copied());
        output.sort_unstable();
        output.dedup();
        if is_embeddings(decoded.request.surface) {
            // Numbers say nothing.
            output.clear();
        }
        let names = seen.redacted.iter().chain(&seen.flagged).chain(&seen.rerouted);
        let guard = Guard {
            looker: Looker::new(&all.guards, &output),
            guards: all.guards.clone(),
            output,
            vault,
            found: names.filter_map(|at| all.rule(*at)).map(|rule| rule.settings.name.clone()).collect(),
            original: changed.as_ref().map(|_| inbound.body.clone()),
            caller: inbound.caller.clone(),
            model,
            request_id: inbound.request_id.clone(),
            surface: decoded.request.surface,
        };
        if touched {
            decoded.ask = Err(BypassReason::Guardrail);
            (decoded.draft, decoded.mirrored) = (None, false);
        }
        if guard.surface == Surface::InvokeModel {
            // Bodies in the forms of many vendors: their texts are read, and which of them is the answer is not known.
            let is_unread =
                |at: &usize| decoded.request.stream || all.rule(*at).is_some_and(|rule| rule.schema.is_some());
            let unread: Vec<usize> = guard.output.iter().copied().filter(is_unread).collect();
            self.unread(&all.guards, &unread, "what answers of this kind say", Direction::Output, &who_of(&guard))?;
        }
        decoded.guard = (!guard.is_idle()).then(|| Arc::new(guard));
        Ok((changed.map(Box::new), decoded))
    }

    /// The body as patterns leave it, where that is another.
    async fn looked(
        &self,
        inbound: &Inbound,
        setup: &Setup,
        decoded: &Decoded,
        (vault, seen): (&mut Vault, &mut Seen),
    ) -> Result<Option<String>, Error> {
        let (all, rules) = (&setup.guardrails, &decoded.applied.input);
        let text = std::str::from_utf8(&inbound.body).unwrap_or_default();
        let has_tokens = Spanned::read(text).is_none_or(|tree| texts::has_tokens(text, &tree));
        if has_tokens && !rules.is_empty() {
            let who = Who { caller: &inbound.caller, model: &decoded.request.model, request_id: &inbound.request_id };
            let prices =
                |at: &usize| all.rule(*at).is_some_and(|rule| matches!(rule.settings.looks_for, LooksFor::MaxCost(_)));
            let readers: Vec<usize> = rules.iter().copied().filter(|at| !prices(at)).collect();
            self.unread(&all.guards, &readers, "what lists of tokens say", Direction::Input, &who)?;
        }
        self.note_cost(inbound, setup, decoded, seen)?;
        if inbound.body.len() < LARGE {
            return Ok(looked_at(&all.guards, rules, text, vault, seen));
        }
        // Not on a thread that serves others meanwhile.
        let (guards, rules, body) = (all.guards.clone(), rules.clone(), inbound.body.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let (mut vault, mut seen) = (Vault::default(), Seen::default());
            let text = std::str::from_utf8(&body).unwrap_or_default();
            let new = looked_at(&guards, &rules, text, &mut vault, &mut seen);
            (new, vault, seen)
        });
        let (new, own, more) =
            looked.await.map_err(|_| Error::new(ErrorKind::Internal, "The request could not be looked at."))?;
        *vault = own;
        seen.join(more);
        Ok(new)
    }

    /// Notes what may cost too much.
    fn note_cost(&self, inbound: &Inbound, setup: &Setup, decoded: &Decoded, seen: &mut Seen) -> Result<(), Error> {
        let (all, route) = (&setup.guardrails, &decoded.plan);
        let cost = decoded.tokens.at(route, &decoded.out).cost;
        let costs = |leg: &Leg| {
            let target = route.targets.get(leg.target);
            leg.price.or(route.price).is_some()
                || target.is_some_and(|target| setup.registry.is_local(&target.provider))
        };
        let legs = route.legs.iter().enumerate().filter(|(at, _)| !decoded.out.contains(at));
        let is_known = legs.into_iter().all(|(_, leg)| costs(leg));
        for (at, rule) in decoded.applied.input.iter().filter_map(|at| Some((*at, all.rule(*at)?))) {
            match rule.settings.looks_for {
                LooksFor::MaxCost(usd) if cost.0 as f64 / 1e6 > usd => seen.note(at, rule.settings.action),
                LooksFor::MaxCost(_) if !is_known => {
                    let model = &decoded.request.model;
                    let who = Who { caller: &inbound.caller, model, request_id: &inbound.request_id };
                    self.unread(&all.guards, &[at], "what this model costs", Direction::Input, &who)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

pub(super) fn who_of(guard: &Guard) -> Who<'_> {
    Who { caller: &guard.caller, model: &guard.model, request_id: &guard.request_id }
}

/// The request with another body, or for another model; `None` where it is the same.
fn changed(inbound: &Inbound, body: Option<String>, to: Option<&str>) -> Option<Inbound> {
    if body.is_none() && to.is_none() {
        return None;
    }
    let body = body.map_or_else(|| inbound.body.clone(), Bytes::from);
    let Some(to) = to else { return Some(Inbound { body, ..inbound.clone() }) };
    let mut path = inbound.path.clone();
    let body = match &mut path.model {
        Some(model) => {
            *model = to.to_owned();
            body
        }
        // A wire whose servers have one model takes a name all the same.
        None => {
            let named = Param { name: "model".to_owned(), value: Some(quoted(to)) };
            overrides::set(&body, &[named]).0
        }
    };
    Some(Inbound { body, path, ..inbound.clone() })
}
