//! `Guards`: the guardrails of a configuration, compiled once. All gates of what they look for are one set, so that a text in which
//! nothing is to be found is read once.

use super::detectors::{self, Check, Detector};
use super::schema::Schema;
use crate::config::{GuardOn, Guardrail, LooksFor, PATTERN_BYTES, Resolved};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::collections::HashMap;

/// Compiled patterns, and what their automata may take while they run.
const SET_BYTES: usize = 256 << 20;
const DFA_BYTES: usize = 16 << 20;
/// What an expression of the operator's matches is taken to be no longer than this, where nothing is said.
const PATTERN_REACH: usize = 256;

/// The guardrails of a configuration.
#[derive(Debug)]
pub struct Guards {
    rules: Vec<Rule>,
    pub(super) patterns: Vec<Pattern>,
    /// Gates of built-in patterns, by their places in `patterns`.
    gates: RegexSet,
    /// Patterns of the operator's, which come behind those.
    own: RegexSet,
}

/// One guardrail.
#[derive(Debug)]
pub struct Rule {
    /// Its settings.
    pub settings: Guardrail,
    /// The schema, where it has one.
    pub schema: Option<Schema>,
    /// Names that callers may use for its models.
    models: Vec<String>,
    /// Changes with its settings.
    digest: [u8; 32],
}

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Whom<'w> {
    /// The key's name.
    pub key: &'w str,
    /// Names of the accounts above it.
    pub accounts: &'w [String],
    /// What the model is called: by the caller, and by those who may answer.
    pub models: &'w [&'w str],
}

/// Something to look for, and for whom.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) label: &'static str,
    pub(super) regex: Regex,
    pub(super) check: Check,
    pub(super) reach: usize,
    pub(super) run: usize,
    /// The rules that look for it.
    pub(super) rules: Vec<usize>,
}

impl Guards {
    /// The guardrails of `settings`. The error says which cannot be compiled.
    pub fn new(settings: &Resolved) -> Result<Guards, String> {
        let mut making = Making::default();
        let mut rules = Vec::with_capacity(settings.guardrails.len());
        for (at, one) in settings.guardrails.iter().enumerate() {
            let wrong = |why: String| format!("guardrail `{}`: {why}", one.name);
            making.add(at, one).map_err(wrong)?;
            let schema = match &one.looks_for {
                LooksFor::JsonSchema(text) => Some(Schema::new(text).map_err(wrong)?),
                _ => None,
            };
            rules.push(Rule {
                schema,
                models: names(one, settings),
                digest: digest(one, settings),
                settings: one.clone(),
            });
        }
        making.done(rules).map_err(|error| format!("`guardrails`: {error}"))
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// All of them, in the order written.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Those that look at a request of `whom`.
    pub fn on_input(&self, whom: Whom<'_>) -> Vec<usize> {
        self.of(whom, |on| on != GuardOn::Output)
    }

    /// Those that look at an answer for `whom`.
    pub fn on_output(&self, whom: Whom<'_>) -> Vec<usize> {
        self.of(whom, |on| on != GuardOn::Input)
    }

    fn of(&self, whom: Whom<'_>, direction: impl Fn(GuardOn) -> bool) -> Vec<usize> {
        let all = self.rules.iter().enumerate();
        all.filter(|(_, rule)| direction(rule.settings.on) && rule.applies_to(whom)).map(|(at, _)| at).collect()
    }

    /// What tells these rules from all others; `None` of none.
    pub fn digest(&self, rules: &[usize]) -> Option<[u8; 32]> {
        if rules.is_empty() {
            return None;
        }
        let mut hasher = blake3::Hasher::new_derive_key("askonce 2026 guardrails v1");
        for rule in rules.iter().filter_map(|at| self.rules.get(*at)) {
            hasher.update(&rule.digest);
        }
        Some(*hasher.finalize().as_bytes())
    }

    /// The places of patterns that may be found in `text`.
    pub(super) fn gated(&self, text: &str) -> Vec<usize> {
        let built_in = self.gates.matches(text).into_iter();
        let own = self.own.matches(text).into_iter().map(|at| at + self.gates.len());
        built_in.chain(own).collect()
    }
}

impl Rule {
    fn applies_to(&self, whom: Whom<'_>) -> bool {
        let Guardrail { keys, accounts, .. } = &self.settings;
        let all = keys.is_empty() && accounts.is_empty();
        let by_name = keys.iter().any(|key| key == whom.key) || accounts.iter().any(|one| whom.accounts.contains(one));
        let model = self.models.is_empty()
            || whom.models.is_empty()
            || whom.models.iter().any(|model| self.models.iter().any(|one| fits(one, model)));
        (all || by_name) && model
    }
}

/// Is `model` what `pattern` says, in which one `*` stands for any text?
fn fits(pattern: &str, model: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == model,
        Some((head, tail)) => {
            model.len() >= head.len() + tail.len() && model.starts_with(head) && model.ends_with(tail)
        }
    }
}

/// The models of a guardrail, under all their names: nobody gets around it by an alias.
fn names(one: &Guardrail, settings: &Resolved) -> Vec<String> {
    let mut names = one.models.clone();
    for model in &settings.models {
        let mut own = model.aliases.iter().chain([&model.name]);
        if own.any(|name| one.models.iter().any(|pattern| fits(pattern, name))) {
            names.extend(model.aliases.iter().chain([&model.name]).cloned());
        }
    }
    names
}

/// Secrets show as such in it.
fn digest(one: &Guardrail, settings: &Resolved) -> [u8; 32] {
    let mut text = format!("{one:?}");
    if let LooksFor::Topics(topics) = &one.looks_for {
        let named = |name: &String| topics.allow.contains(name) || topics.deny.contains(name);
        settings
            .topics
            .iter()
            .filter(|topic| named(&topic.name))
            .for_each(|topic| text.push_str(&format!("{topic:?}")));
    }
    blake3::derive_key("askonce 2026 guardrail v1", text.as_bytes())
}

/// The patterns of all rules, in the making.
#[derive(Default)]
struct Making {
    patterns: Vec<Pattern>,
    gates: Vec<&'static str>,
    /// Places of built-in patterns, by their labels.
    known: HashMap<&'static str, usize>,
    own: Vec<Pattern>,
    written: Vec<String>,
}

impl Making {
    fn add(&mut self, rule: usize, one: &Guardrail) -> Result<(), String> {
        match &one.looks_for {
            LooksFor::Pii(kinds) => {
                kinds.iter().try_for_each(|kind| self.built_in(rule, one, detectors::of_pii(*kind)))
            }
            LooksFor::Secrets(kinds) => {
                kinds.iter().try_for_each(|kind| self.built_in(rule, one, detectors::of_secret(*kind)))
            }
            LooksFor::Words(words) => self.words(rule, one, words),
            LooksFor::Regex(all) => {
                let reach = one.window_bytes.unwrap_or(PATTERN_REACH);
                all.iter().try_for_each(|text| self.written(rule, "MATCH", text.clone(), reach))
            }
            _ => Ok(()),
        }
    }

    fn built_in(&mut self, rule: usize, one: &Guardrail, detector: Detector) -> Result<(), String> {
        let Detector { label, gate, pattern, check, reach, run } = detector;
        let (reach, run) = one.window_bytes.map_or((reach, run), |bytes| (reach.max(bytes), run.max(bytes)));
        if let Some(known) = self.known.get(label).and_then(|at| self.patterns.get_mut(*at)) {
            known.rules.push(rule);
            (known.reach, known.run) = (known.reach.max(reach), known.run.max(run));
            return Ok(());
        }
        let regex = RegexBuilder::new(pattern).unicode(false).size_limit(SET_BYTES).dfa_size_limit(DFA_BYTES).build();
        let regex = regex.map_err(|error| error.to_string())?;
        self.known.insert(label, self.patterns.len());
        self.gates.push(gate);
        self.patterns.push(Pattern { label, regex, check, reach, run, rules: vec![rule] });
        Ok(())
    }

    /// One expression for all words, the longest first, so that no word hides one that begins like it.
    fn words(&mut self, rule: usize, one: &Guardrail, words: &[String]) -> Result<(), String> {
        let mut words: Vec<&str> = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let edge = |c: Option<char>| if is_word(c) { r"\b" } else { "" };
        let bounded = |word: &&str| {
            let (first, last) = (word.chars().next(), word.chars().next_back());
            let spaced = regex::escape(word).split_whitespace().collect::<Vec<_>>().join(r"\s+");
            format!("{}{spaced}{}", edge(first), edge(last))
        };
        let all: Vec<String> = words.iter().map(bounded).collect();
        // In other cases letters may take more bytes.
        let longest = words.first().map_or(0, |word| word.len() * 3 + 16);
        let reach = one.window_bytes.unwrap_or(longest);
        self.written(rule, "WORD", format!("(?i:{})", all.join("|")), reach)
    }

    fn written(&mut self, rule: usize, label: &'static str, text: String, reach: usize) -> Result<(), String> {
        let limit = PATTERN_BYTES.max(text.len().saturating_mul(2048));
        let regex = RegexBuilder::new(&text).size_limit(limit).dfa_size_limit(DFA_BYTES).build();
        let regex = regex.map_err(|error| error.to_string())?;
        self.own.push(Pattern {
            label,
            regex,
            check: |found| Some(0..found.len()),
            reach,
            run: reach,
            rules: vec![rule],
        });
        self.written.push(text);
        Ok(())
    }

    fn done(mut self, rules: Vec<Rule>) -> Result<Guards, regex::Error> {
        let mut gates = RegexSetBuilder::new(&self.gates);
        let gates = gates.unicode(false).size_limit(SET_BYTES).dfa_size_limit(DFA_BYTES).build()?;
        let own = RegexSetBuilder::new(&self.written).size_limit(SET_BYTES).dfa_size_limit(DFA_BYTES).build()?;
        self.patterns.append(&mut self.own);
        Ok(Guards { rules, patterns: self.patterns, gates, own })
    }
}
