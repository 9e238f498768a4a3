//! Answers, whole and as streams: looked at between their provider and the flight.

use super::super::dispatch::UpstreamBody;
use super::super::serve::{Pipeline, Setup};
use super::input::{note_injection, thresholds, who_of};
use super::outside::{Asked, is_outside};
use super::stream::Guarded;
use super::{Direction, Guard, UNREAD};
use crate::config::LooksFor;
use crate::guardrails::{Hand, Seen, Vault};
use crate::types::answer::Answer;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use crate::wire::answer;
use crate::wire::pieces::log_probabilities;
use crate::wire::spanned::{Edit, Spanned, edited};
use crate::wire::texts::{Scope, changed, shown};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use parking_lot::Mutex;
use std::sync::Arc;

/// What was seen of an answer so far.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    /// What was seen.
    pub(in super::super) fn seen(&self) -> Seen {
        self.0.lock().clone()
    }

    pub(super) fn join(&self, seen: Seen) {
        self.0.lock().join(seen);
    }
}

impl Guard {
    /// Did any guardrail find something, in the request or in what came of the answer?
    pub(in super::super) fn is_touched(&self, watch: &Watch) -> bool {
        !self.found.is_empty() || !watch.0.lock().is_empty()
    }

    /// Do guardrails find something while a stream is on its way?
    pub(in super::super) fn looks_on(&self) -> bool {
        !self.looker.is_idle() && !self.needs_all()
    }

    /// Is the whole answer needed before any of it may go?
    pub(super) fn needs_all(&self) -> bool {
        let all = self.output.iter().filter_map(|at| self.guards.rules().get(*at));
        let by_itself = |rule: &crate::guardrails::Rule| {
            matches!(rule.settings.looks_for, LooksFor::JsonSchema(_) | LooksFor::Injection(_))
        };
        all.clone().any(|rule| is_outside(rule) || by_itself(rule))
    }

    /// Does any of them replace something, so that the probabilities of tokens may not tell it again?
    pub(super) fn hides(&self) -> bool {
        !self.vault.is_empty() || !self.looker.is_idle()
    }

    /// Holds the texts of a whole answer against schemas and signs of other instructions. `body` is masked, and nothing is put back.
    pub(super) fn note_whole(&self, texts: &[String], answers: &[String], seen: &mut Seen) {
        let thresholds = thresholds(&self.guards, &self.output);
        texts.iter().for_each(|text| note_injection(&self.guards, &thresholds, text, seen));
        for (at, rule) in self.output.iter().filter_map(|at| Some((*at, self.guards.rules().get(*at)?))) {
            let Some(schema) = &rule.schema else { continue };
            if answers.iter().any(|answer| !schema.is_satisfied_by(answer)) {
                seen.note(at, rule.settings.action);
            }
        }
    }
}

impl Pipeline {
    /// An answer as it may go on, once `guard` has looked at it; a stream is looked at as it comes. An error where a guardrail
    /// refuses.
    pub(in super::super) async fn over(
        self: &Arc<Self>,
        setup: &Arc<Setup>,
        guard: &Arc<Guard>,
        watch: &Watch,
        body: UpstreamBody,
    ) -> Result<UpstreamBody, Error> {
        match body {
            UpstreamBody::Plain { body, answer } => {
                let new = self.whole(setup, guard, watch, &body, &answer).await?;
                let Some(new) = new else { return Ok(UpstreamBody::Plain { body, answer }) };
                let read = answer::read(guard.surface, new.clone());
                let read = read.map_err(|why| Error::new(ErrorKind::Internal, format!("A guarded answer: {why}.")))?;
                let Answer { usage, lost, usage_unasked, .. } = *answer;
                let usage = read.usage.or(usage);
                Ok(UpstreamBody::Plain { body: new, answer: Box::new(Answer { usage, lost, usage_unasked, ..read }) })
            }
            UpstreamBody::Stream { begun, rest } => {
                let rest = stream::once(std::future::ready(Ok(begun))).chain(rest).boxed();
                let guarded = Guarded::new(guard.clone(), watch.clone());
                let (begun, rest) = match guard.needs_all() {
                    true => (self.gathered(setup, guard, watch, guarded, rest).await?, stream::empty().boxed()),
                    false => self.streamed(guard, guarded, rest).await?,
                };
                Ok(UpstreamBody::Stream { begun, rest })
            }
        }
    }

    /// A whole answer as it may go on, where that is another.
    async fn whole(
        &self,
        setup: &Setup,
        guard: &Guard,
        watch: &Watch,
        body: &Bytes,
        told: &Answer,
    ) -> Result<Option<Bytes>, Error> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let scope = Scope::Answer(guard.surface);
        let mut seen = Seen::default();
        // Masks first, so that nobody who is asked sees what is hidden from them.
        let nothing = Vault::default();
        let masked =
            changed(text, scope, &mut |text, _| guard.looker.whole(text, &mut Hand::Masks(&nothing), &mut seen));
        let now = masked.as_deref().unwrap_or(text);
        if guard.needs_all() {
            let mut texts = Vec::new();
            shown(now, scope, &mut |text, _| texts.push(text.to_owned()));
            let answers = answer::texts(guard.surface, &Bytes::copy_from_slice(now.as_bytes()));
            // Who calls a tool has not answered yet.
            let answers: Vec<String> =
                answers.into_iter().filter(|text| !(told.tool_calls && text.trim().is_empty())).collect();
            guard.note_whole(&texts, &answers, &mut seen);
            if seen.blocked.is_empty() {
                self.ask_outside(setup, &guard.output, asked(guard, now, scope), &mut seen).await?;
            }
        }
        watch.join(seen.clone());
        self.judged(&guard.guards, &seen, Direction::Output, &who_of(guard))?;
        let restored = changed(now, Scope::Whole, &mut |text, _| guard.vault.restored(text));
        let out = restored.or(masked);
        let bare = if guard.hides() { without_tokens(out.as_deref().unwrap_or(text)) } else { None };
        Ok(bare.or(out).map(Bytes::from))
    }

    /// A stream that is let go when all of it was looked at.
    async fn gathered(
        &self,
        setup: &Setup,
        guard: &Guard,
        watch: &Watch,
        mut guarded: Guarded,
        mut rest: BoxStream<'static, Result<Bytes, Error>>,
    ) -> Result<Bytes, Error> {
        let mut out: Vec<u8> = Vec::new();
        while let Some(piece) = rest.next().await {
            let step = guarded.push(&piece?, &mut out);
            self.judged_so_far(guard, &mut guarded, step)?;
        }
        let step = guarded.finish(&mut out);
        self.judged_so_far(guard, &mut guarded, step)?;
        let (texts, answers) = guarded.said();
        let mut seen = Seen::default();
        guard.note_whole(&texts, &answers, &mut seen);
        if seen.blocked.is_empty() {
            let body = serde_json::json!({"content": texts}).to_string();
            let asked = asked(guard, &body, Scope::Answer(Surface::Messages));
            self.ask_outside(setup, &guard.output, asked, &mut seen).await?;
        }
        watch.join(seen.clone());
        self.judged(&guard.guards, &seen, Direction::Output, &who_of(guard))?;
        Ok(out.into())
    }

    /// A stream that is let go as far as nothing can be found in it any more.
    async fn streamed(
        self: &Arc<Self>,
        guard: &Arc<Guard>,
        mut guarded: Guarded,
        mut rest: BoxStream<'static, Result<Bytes, Error>>,
    ) -> Result<(Bytes, BoxStream<'static, Result<Bytes, Error>>), Error> {
        let mut out: Vec<u8> = Vec::new();
        // The head of an answer tells its id: it waits for the first event that goes.
        while out.is_empty() {
            let (step, is_last) = match rest.next().await {
                Some(piece) => (guarded.push(&piece?, &mut out), false),
                None => (guarded.finish(&mut out), true),
            };
            self.judged_so_far(guard, &mut guarded, step)?;
            if is_last {
                return Ok((out.into(), stream::empty().boxed()));
            }
        }
        let state = Some((self.clone(), guard.clone(), guarded, rest));
        let rest = stream::unfold(state, |state| async move {
            let (pipeline, guard, mut guarded, mut rest) = state?;
            loop {
                let mut out: Vec<u8> = Vec::new();
                let (step, is_last) = match rest.next().await {
                    Some(Ok(piece)) => (guarded.push(&piece, &mut out), false),
                    Some(Err(error)) => return Some((Err(error), None)),
                    None => (guarded.finish(&mut out), true),
                };
                if let Err(error) = pipeline.judged_so_far(&guard, &mut guarded, step) {
                    return Some((Err(error), None));
                }
                match (out.is_empty(), is_last) {
                    (true, true) => return None,
                    (true, false) => {}
                    (false, true) => return Some((Ok(out.into()), None)),
                    (false, false) => return Some((Ok(out.into()), Some((pipeline, guard, guarded, rest)))),
                }
            }
        });
        Ok((out.into(), rest.boxed()))
    }

    fn judged_so_far(&self, guard: &Guard, guarded: &mut Guarded, step: Result<(), String>) -> Result<(), Error> {
        step.map_err(|why| Error::new(ErrorKind::Internal, why).with_code(UNREAD))?;
        self.judged(&guard.guards, &guarded.news(), Direction::Output, &who_of(guard))
    }
}

fn asked<'a>(guard: &'a Guard, body: &'a str, scope: Scope) -> Asked<'a> {
    Asked { direction: Direction::Output, model: &guard.model, caller: &guard.caller, body, scope, about: None }
}

/// A body without the probabilities of its tokens, which tell the text again; `None` where there are none.
fn without_tokens(body: &str) -> Option<String> {
    let tree = Spanned::read(body)?;
    let mut found = Vec::new();
    log_probabilities(body, &tree, &mut found);
    let edits: Vec<Edit> = found.into_iter().map(|span| no_tokens(body, span)).collect();
    (!edits.is_empty()).then(|| edited(body, &edits))
}

/// What stands in place of probabilities: nothing, in their form.
pub(super) fn no_tokens(document: &str, span: std::ops::Range<usize>) -> Edit {
    let is_list = document.get(span.clone()).is_some_and(|text| text.starts_with('['));
    (span, if is_list { "[]" } else { "null" }.to_owned())
}
