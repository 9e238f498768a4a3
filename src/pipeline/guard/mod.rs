//! Guard: what the guardrails of a configuration do to one request and its answer.
//!
//! - `input`: requests, after they are decoded and before they are looked up
//! - `output`: whole answers, between their provider and the flight; `stream`: answers event by event
//! - `relayed`: requests that are passed on as they are
//! - `outside`: topics, webhooks and moderation endpoints, which somebody else is asked about
//!
//! What is replaced in a request is replaced in its bytes, so that all that follows sees nothing else: digests, targets, shadows,
//! recordings. An answer is looked at before it goes into its flight, so that whoever follows it, and the cache, get what was looked at.

mod input;
mod output;
mod outside;
mod relayed;
mod stream;

pub(super) use output::Watch;

use super::serve::Pipeline;
use crate::config::{GuardAction, GuardFailure, Guardrail, LooksFor, Resolved};
use crate::guardrails::{Guards, Looker, Rule, Seen, Vault, Whom};
use crate::routing::Route;
use crate::telemetry::metrics;
use crate::types::answer::Answer;
use crate::types::audit::{AuditEvent, AuditOutcome};
use crate::types::caller::Caller;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use bytes::Bytes;
use outside::Clients;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The code of a refusal.
pub const BLOCKED: &str = "guardrail_blocked";
/// The code where something cannot be looked at.
const UNREAD: &str = "guardrail_unread";
/// The code where somebody who is asked does not say.
const UNASKED: &str = "guardrail_unavailable";

/// The guardrails in force, and what it takes to ask others.
#[derive(Debug)]
pub struct Guardrails {
    guards: Arc<Guards>,
    clients: Option<Clients>,
}

/// Which guardrails look at one request, and at its answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Applied {
    pub(super) input: Vec<usize>,
    pub(super) output: Vec<usize>,
}

impl Applied {
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }
}

/// The guardrails of one request that is on its way, and what they did to it.
#[derive(Debug)]
pub(super) struct Guard {
    guards: Arc<Guards>,
    /// Those that look at its answer.
    output: Vec<usize>,
    looker: Looker,
    vault: Vault,
    /// Names of those that found something in the request.
    found: BTreeSet<String>,
    /// The request as it came, where it was changed.
    pub(super) original: Option<Bytes>,
    caller: Caller,
    model: String,
    request_id: String,
    surface: Surface,
}

/// Which way a text goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Input,
    Output,
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Direction::Input => "input",
            Direction::Output => "output",
        }
    }
}

impl Guardrails {
    /// The guardrails of `settings`. The error says which cannot be.
    pub fn new(settings: &Resolved) -> Result<Guardrails, String> {
        let asks = |one: &Guardrail| matches!(one.looks_for, LooksFor::Webhook(_) | LooksFor::Moderation(_));
        let clients = settings.guardrails.iter().any(asks).then(Clients::new).transpose()?;
        Ok(Guardrails { guards: Arc::new(Guards::new(settings)?), clients })
    }

    /// Those that look at a request of `caller` for `model`, which may go where `route` says, and at its answer.
    pub(super) fn applied(&self, caller: &Caller, model: &str, route: &Route) -> Applied {
        if self.guards.is_empty() {
            return Applied::default();
        }
        let at_provider: Vec<String> =
            route.targets.iter().map(|target| format!("{}/{}", target.provider, target.model)).collect();
        let mut models: Vec<&str> = vec![model];
        models.extend(route.targets.iter().map(|target| target.model.as_str()));
        models.extend(at_provider.iter().map(String::as_str));
        // A request that names none may be about any: a batch, a picture.
        if model.is_empty() {
            models.clear();
        }
        let whom = Whom { key: &caller.name, accounts: &caller.accounts, models: &models };
        Applied { input: self.guards.on_input(whom), output: self.guards.on_output(whom) }
    }

    /// What tells requests under these guardrails from others.
    pub(super) fn digest(&self, applied: &Applied) -> Option<[u8; 32]> {
        let mut all: Vec<usize> = applied.input.iter().chain(&applied.output).copied().collect();
        all.sort_unstable();
        all.dedup();
        self.guards.digest(&all)
    }

    /// May an answer of the operator's own be stored? It has to be one that guardrails would let pass as it is, and so has its
    /// question: else nobody would ever be served it. The error names the guardrail that would not.
    pub(super) fn lets_in(&self, applied: &Applied, question: &[u8], answer: &Answer) -> Result<(), String> {
        let (mut seen, mut vault) = (Seen::default(), Vault::default());
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let _ = input::looked_at(&self.guards, &applied.input, text(question), &mut vault, &mut seen);
        let _ = input::looked_at(&self.guards, &applied.output, text(&answer.body), &mut vault, &mut seen);
        let answers = crate::wire::answer::texts(answer.surface, &answer.body);
        for (at, rule) in applied.output.iter().filter_map(|at| Some((*at, self.rule(*at)?))) {
            let unfit = |schema: &crate::guardrails::Schema| answers.iter().any(|one| !schema.is_satisfied_by(one));
            if outside::is_outside(rule) || rule.schema.as_ref().is_some_and(unfit) {
                seen.note(at, GuardAction::Flag);
            }
        }
        let found = [&seen.blocked, &seen.redacted, &seen.flagged, &seen.rerouted];
        match found.into_iter().flatten().find_map(|at| self.rule(*at)) {
            Some(rule) => Err(format!("the guardrail `{}` would not let it pass as it is", rule.settings.name)),
            None => Ok(()),
        }
    }

    fn rule(&self, at: usize) -> Option<&Rule> {
        self.guards.rules().get(at)
    }
}

impl Guard {
    /// Is there nothing left to do, and was nothing done?
    fn is_idle(&self) -> bool {
        self.output.is_empty() && self.found.is_empty() && self.vault.is_empty()
    }

    /// Who found something, in the request and in what was `seen` of the answer: the value of `x-askonce-guardrails`.
    pub(super) fn names(&self, seen: &Seen) -> Option<String> {
        let mut names = self.found.clone();
        let all = seen.redacted.iter().chain(&seen.flagged);
        names.extend(all.filter_map(|at| self.guards.rules().get(*at)).map(|rule| rule.settings.name.clone()));
        let names: Vec<String> = names.into_iter().collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// Who asks, for the audit log.
struct Who<'w> {
    caller: &'w Caller,
    model: &'w str,
    request_id: &'w str,
}

impl Pipeline {
    /// Counts what was seen; an error where a guardrail refuses.
    fn judged(&self, guards: &Guards, seen: &Seen, direction: Direction, who: &Who<'_>) -> Result<(), Error> {
        let actions = [
            (GuardAction::Redact, &seen.redacted),
            (GuardAction::Flag, &seen.flagged),
            (GuardAction::Reroute, &seen.rerouted),
            (GuardAction::Block, &seen.blocked),
        ];
        for (action, rules) in actions {
            for rule in rules.iter().filter_map(|at| guards.rules().get(*at)) {
                metrics::guardrail(&rule.settings.name, action.as_str(), direction.as_str());
            }
        }
        let Some(rule) = seen.blocked.first().and_then(|at| guards.rules().get(*at)) else { return Ok(()) };
        self.tell(&rule.settings, direction, who, "guardrail.blocked");
        Err(blocked(&rule.settings.name, direction))
    }

    /// Tells the audit log of a refusal.
    fn tell(&self, rule: &Guardrail, direction: Direction, who: &Who<'_>, action: &str) {
        let detail = serde_json::json!({
            "direction": direction.as_str(), "kind": rule.looks_for.kind(), "model": who.model,
        });
        self.audit.record(AuditEvent {
            actor: format!("key `{}`", who.caller.name),
            action: action.to_owned(),
            target: rule.name.clone(),
            outcome: AuditOutcome::Refused,
            detail: detail.to_string(),
            request_id: who.request_id.to_owned(),
            address: who.caller.address.map(|from| from.to_string()).unwrap_or_default(),
            ..AuditEvent::default()
        });
    }

    /// An error where one of `rules` does not let pass what it cannot look at.
    fn unread(
        &self,
        guards: &Guards,
        rules: &[usize],
        what: &str,
        direction: Direction,
        who: &Who<'_>,
    ) -> Result<(), Error> {
        for rule in rules.iter().filter_map(|at| guards.rules().get(*at)) {
            if rule.settings.unread == GuardFailure::Refuse {
                metrics::guardrail(&rule.settings.name, "unread", direction.as_str());
                self.tell(&rule.settings, direction, who, "guardrail.unread");
                let message = format!(
                    "The guardrail `{}` looks at {}, and cannot tell {what}. The operator may let it pass with `unread: pass`.",
                    rule.settings.name,
                    if direction == Direction::Input { "requests" } else { "answers" },
                );
                return Err(Error::new(ErrorKind::InvalidRequest, message).with_code(UNREAD));
            }
        }
        Ok(())
    }
}

/// The refusal of a guardrail. What it found is not told.
fn blocked(name: &str, direction: Direction) -> Error {
    let what = if direction == Direction::Input { "request" } else { "answer to this request" };
    let message = format!("The guardrail `{name}` does not let the {what} pass ({BLOCKED}).");
    Error::new(ErrorKind::InvalidRequest, message).with_code(BLOCKED)
}

/// Is it the refusal of a guardrail, of which nobody upstream is at fault?
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error.code, Some(BLOCKED | UNREAD | UNASKED))
}

/// The error where somebody who is asked does not say.
fn failed(name: &str) -> Error {
    let message = format!("The guardrail `{name}` could not be asked, and nothing passes without it. Try again later.");
    Error::new(ErrorKind::Overloaded, message).with_code(UNASKED)
}

#[cfg(test)]
mod tests;
