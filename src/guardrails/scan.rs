//! `Looker`: what some guardrails find in a text, and what they do about it.

use super::rules::Guards;
use super::vault::{PLACEHOLDER_BYTES, Vault, masked};
use crate::config::GuardAction;
use crate::wire::spanned::{Edit, edited};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Some of the guardrails of a configuration, and the patterns that they look for.
#[derive(Clone, Debug)]
pub struct Looker {
    guards: Arc<Guards>,
    rules: Vec<usize>,
    /// Which patterns any of them looks for.
    wanted: Vec<bool>,
    /// How much of a streamed text may be the beginning of a find, with spaces in it and without.
    pub(super) reach: usize,
    pub(super) run: usize,
}

/// Something that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Find {
    pub(super) pattern: usize,
    /// What it is.
    pub(super) range: Range<usize>,
    /// What it was told by.
    pub(super) told_by: Range<usize>,
}

/// What became of texts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Rules that refuse.
    pub blocked: BTreeSet<usize>,
    /// Rules that replaced something.
    pub redacted: BTreeSet<usize>,
    /// Rules that count what they found.
    pub flagged: BTreeSet<usize>,
    /// Rules that send the request elsewhere.
    pub rerouted: BTreeSet<usize>,
}

/// What stands in place of what is found.
pub enum Hand<'v> {
    /// In requests: placeholders.
    Replaces(&'v mut Vault),
    /// In answers: what it is, and for placeholders what they stand for.
    Masks(&'v Vault),
}

impl Seen {
    /// Notes that `rule` found something.
    pub fn note(&mut self, rule: usize, action: GuardAction) {
        let all = match action {
            GuardAction::Block => &mut self.blocked,
            GuardAction::Redact => &mut self.redacted,
            GuardAction::Flag => &mut self.flagged,
            GuardAction::Reroute => &mut self.rerouted,
        };
        all.insert(rule);
    }

    /// Was nothing found?
    pub fn is_empty(&self) -> bool {
        *self == Seen::default()
    }

    /// Takes over what else was seen.
    pub fn join(&mut self, other: Seen) {
        self.blocked.extend(other.blocked);
        self.redacted.extend(other.redacted);
        self.flagged.extend(other.flagged);
        self.rerouted.extend(other.rerouted);
    }
}

impl Looker {
    /// Those of `rules` that look for patterns.
    pub fn new(guards: &Arc<Guards>, rules: &[usize]) -> Looker {
        let wanted: Vec<bool> =
            guards.patterns.iter().map(|pattern| pattern.rules.iter().any(|rule| rules.contains(rule))).collect();
        let used = || guards.patterns.iter().zip(&wanted).filter_map(|(pattern, wanted)| wanted.then_some(pattern));
        let reach = used().map(|pattern| pattern.reach).max().unwrap_or_default();
        let run = used().map(|pattern| pattern.run).max().unwrap_or_default();
        Looker { guards: guards.clone(), rules: rules.to_vec(), wanted, reach, run }
    }

    /// Is there nothing to look for?
    pub fn is_idle(&self) -> bool {
        !self.wanted.contains(&true)
    }

    /// What is found in `text` from `from` on. What stands before counts as what is around a find.
    pub(super) fn finds(&self, text: &str, from: usize) -> Vec<Find> {
        let mut finds = Vec::new();
        if self.is_idle() {
            return finds;
        }
        for at in self.guards.gated(text).into_iter().filter(|at| self.wanted.get(*at) == Some(&true)) {
            let Some(pattern) = self.guards.patterns.get(at) else { continue };
            let mut next = from;
            while let Some(found) = (next <= text.len()).then(|| pattern.regex.find_at(text, next)).flatten() {
                match (pattern.check)(found.as_str()) {
                    Some(part) => {
                        let range = found.start() + part.start..found.start() + part.end;
                        next = range.end.max(found.start() + 1);
                        finds.push(Find { pattern: at, told_by: found.start()..range.end, range });
                    }
                    // What begins here is nothing; what begins behind may be.
                    None => next = text.ceil_char_boundary(found.start() + 1),
                }
            }
        }
        finds.sort_by_key(|find| (find.range.start, std::cmp::Reverse(find.range.end), find.pattern));
        finds
    }

    /// The rules that look for what was found.
    fn rules_of(&self, find: &Find) -> impl Iterator<Item = (usize, GuardAction, bool)> {
        let all = self.guards.patterns.get(find.pattern).map(|pattern| pattern.rules.as_slice()).unwrap_or_default();
        all.iter().filter(|rule| self.rules.contains(rule)).filter_map(|rule| {
            let settings = &self.guards.rules().get(*rule)?.settings;
            Some((*rule, settings.action, settings.restore))
        })
    }

    /// Notes what is to be done about `finds`, and gives what stands in place of them. What overlaps is replaced together, under
    /// the name of what begins first.
    pub(super) fn edits(&self, text: &str, finds: &[Find], hand: &mut Hand<'_>, seen: &mut Seen) -> Vec<Edit> {
        let mut groups: Vec<(Range<usize>, usize, bool)> = Vec::new();
        for find in finds {
            let (mut redacts, mut restores) = (false, false);
            for (rule, action, restore) in self.rules_of(find) {
                seen.note(rule, action);
                redacts |= action == GuardAction::Redact;
                restores |= restore;
            }
            if !redacts {
                continue;
            }
            match groups.last_mut() {
                Some((range, _, may)) if find.range.start < range.end => {
                    range.end = range.end.max(find.range.end);
                    *may |= restores;
                }
                _ => groups.push((find.range.clone(), find.pattern, restores)),
            }
        }
        let label = |pattern: usize| self.guards.patterns.get(pattern).map_or("TEXT", |pattern| pattern.label);
        let mut edits: Vec<Edit> = Vec::with_capacity(groups.len());
        for (range, pattern, restore) in groups {
            let value = text.get(range.clone()).unwrap_or_default();
            let new = match hand {
                Hand::Replaces(vault) => vault.placeholder(label(pattern), value, restore),
                Hand::Masks(_) => masked(label(pattern)),
            };
            edits.push((range, new));
        }
        edits
    }

    /// A whole text: notes what is found in it, and gives what stands in its place, where that is something else.
    pub fn whole(&self, text: &str, hand: &mut Hand<'_>, seen: &mut Seen) -> Option<String> {
        let finds = self.finds(text, 0);
        let edits = self.edits(text, &finds, hand, seen);
        let edits = with_values(text, 0..text.len(), edits, hand);
        (!edits.is_empty()).then(|| edited(text, &edits))
    }
}

/// `edits`, and those that put back what placeholders in `range` stand for.
pub(super) fn with_values(text: &str, range: Range<usize>, mut edits: Vec<Edit>, hand: &Hand<'_>) -> Vec<Edit> {
    let Hand::Masks(vault) = hand else { return edits };
    if vault.is_empty() {
        return edits;
    }
    let overlaps = |one: &Range<usize>, other: &Range<usize>| one.start < other.end && other.start < one.end;
    let mut more: Vec<Edit> = Vec::new();
    for (at, placeholder, value) in vault.places(text) {
        let place = at..at + placeholder.len();
        let is_inside = range.start <= place.start && place.end <= range.end;
        if is_inside && !edits.iter().any(|(edit, _)| overlaps(edit, &place)) {
            more.push((place, value.to_owned()));
        }
    }
    edits.append(&mut more);
    edits.sort_by_key(|(range, _)| range.start);
    edits
}

/// How much of a text may be a placeholder that has begun.
pub(super) fn placeholder_run(vault: &Vault) -> usize {
    if vault.is_empty() { 0 } else { PLACEHOLDER_BYTES }
}
