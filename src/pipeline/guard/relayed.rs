//! Requests that are passed on as they are. Bodies of JSON are looked at; what cannot be is refused, unless its guardrails let it
//! pass.

use super::super::relay::Parcel;
use super::super::serve::{Pipeline, Setup};
use super::{Direction, Who, input};
use crate::config::LooksFor;
use crate::guardrails::{Seen, Vault};
use crate::routing::Route;
use crate::types::error::Error;
use crate::types::surface::Surface;
use bytes::Bytes;

/// What guardrails make of such a request.
#[derive(Debug, Default)]
pub(in super::super) struct Relayed {
    /// Another body.
    pub(in super::super) body: Option<Bytes>,
    /// Who found something.
    pub(in super::super) names: Option<String>,
}

impl Pipeline {
    /// What guardrails make of a request that is passed on as it is. An error where one refuses it.
    pub(in super::super) fn guard_relayed(
        &self,
        setup: &Setup,
        parcel: &Parcel,
        model: &str,
        route: &Route,
    ) -> Result<Relayed, Error> {
        let all = &setup.guardrails;
        let applied = all.applied(&parcel.caller, model, route);
        let who = Who { caller: &parcel.caller, model, request_id: &parcel.request_id };
        if let Some(what) = unread_answer(parcel) {
            self.unread(&all.guards, &applied.output, what, Direction::Output, &who)?;
        }
        if parcel.body.is_empty() || applied.input.is_empty() {
            return Ok(Relayed::default());
        }
        let text = is_read(parcel).then(|| std::str::from_utf8(&parcel.body).ok()).flatten();
        let Some(text) = text else {
            self.unread(&all.guards, &applied.input, "what a body of this kind says", Direction::Input, &who)?;
            return Ok(Relayed::default());
        };
        // Who has to be asked elsewhere is asked about conversations only.
        let looks_alone = |at: &usize| {
            let looks_for = all.rule(*at).map(|rule| &rule.settings.looks_for);
            looks_for.is_some_and(|one| one.has_places() || matches!(one, LooksFor::Injection(_)))
        };
        let others: Vec<usize> = applied.input.iter().copied().filter(|at| !looks_alone(at)).collect();
        self.unread(&all.guards, &others, "what requests of this kind say or cost", Direction::Input, &who)?;
        // Nothing is put back: the answer is not read.
        let mut seen = Seen::default();
        let new = input::looked_at(&all.guards, &applied.input, text, &mut Vault::default(), &mut seen);
        self.judged(&all.guards, &seen, Direction::Input, &who)?;
        let found = seen.redacted.union(&seen.flagged).filter_map(|at| all.rule(*at));
        let names: Vec<&str> = found.map(|rule| rule.settings.name.as_str()).collect();
        let names = (!names.is_empty()).then(|| names.join(", "));
        Ok(Relayed { body: new.map(Bytes::from), names })
    }
}

/// Is its body JSON that holds texts? Files and batches name what was said elsewhere.
fn is_read(parcel: &Parcel) -> bool {
    let kind = parcel.content_type.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = kind.trim_start().to_ascii_lowercase().starts_with("application/json");
    is_json && !matches!(parcel.surface, Surface::Files | Surface::Batches)
}

/// What of its answer a model may have said, where nobody reads that.
fn unread_answer(parcel: &Parcel) -> Option<&'static str> {
    match parcel.surface {
        Surface::Audio => Some("what sound says"),
        Surface::Images => Some("what pictures show"),
        Surface::Files if parcel.path.ends_with("/content") => Some("what files say"),
        _ => None,
    }
}
