//! `Learner`: the learned judgement of one cache, all scopes. Pure and synchronous: no clock, no I/O; what chance it needs
//! comes from a seeded generator, so that a replay can be repeated.

use super::budget::{Budget, Control};
use super::case::{Case, Change, Decision, Reason, Source, Terms, Weighed};
use super::clusters::Clusters;
use super::logistic::{self, Sample, sigmoid};
use super::question::Question;
use super::scope::Scope;
use super::shadow::{Sampling, Shadow};
use super::weights::Weights;
use std::collections::HashMap;
use std::sync::Arc;

/// How sure the trap score must be of a candidate that it is no trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    /// The trap score is not asked.
    Off,
    /// Few traps, at little cost in hits.
    #[default]
    Balanced,
    /// Hardly any trap, at a cost in hits.
    Strict,
}

/// What the operator chooses, and how the scheme is set.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Wrong hits over all requests that are allowed.
    pub error_budget: f64,
    /// How the trap score is used.
    pub strictness: Strictness,
    /// Numbers, ids, dates and units must agree.
    pub veto: bool,
    /// Which hits are checked.
    pub sampling: Sampling,
    /// How λ is steered.
    pub control: Control,
    /// Labels that one scope keeps for its calibration; older ones go.
    pub labels: usize,
    /// Requests between two calibrations of one scope.
    pub refit_every: u64,
    /// Scopes that are remembered; the one that was used longest ago goes.
    pub scopes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            error_budget: 0.01,
            strictness: Strictness::default(),
            veto: true,
            sampling: Sampling::default(),
            control: Control::default(),
            labels: 1500,
            refit_every: 200,
            scopes: 4096,
        }
    }
}

/// A candidate: an entry near the question.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The entry.
    pub entry: u64,
    /// Its question.
    pub question: &'a Question,
    /// Cosine of the two questions' vectors, in [-1, 1].
    pub similarity: f32,
}

/// What one request or scope wants otherwise than the settings.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Asked {
    /// Another error budget. Requests of one budget share one λ.
    pub error_budget: Option<f64>,
    /// Another strictness.
    pub strictness: Option<Strictness>,
    /// Another say on the veto.
    pub veto: Option<bool>,
    /// Decide, but count nothing and choose no shadow call: for explaining.
    pub dry: bool,
}

/// What is known of one scope.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScopeReport {
    /// Requests, and hits by meaning among them.
    pub requests: u64,
    /// Hits by meaning.
    pub hits: u64,
    /// Labels kept.
    pub labels: usize,
    /// Estimated wrong hits over requests; labels count as many times as they stand for.
    pub error: f64,
    /// Upper bound of it, 95 % one-sided.
    pub error_upper: f64,
    /// The λ in force.
    pub lambda: f32,
    /// It serves by words only, for now.
    pub fallback: bool,
    /// Weights of its calibration.
    pub weights: [f64; 5],
}

/// Why a state cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateError(pub(super) String);

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the state of the judgement cannot be used: {}", self.0)
    }
}

impl std::error::Error for StateError {}

/// The learned judgement of one cache.
#[derive(Clone, Debug)]
pub struct Learner {
    pub(super) settings: Settings,
    pub(super) weights: Arc<Weights>,
    pub(super) scopes: HashMap<u128, Scope>,
    pub(super) budgets: Vec<Budget>,
    pub(super) clusters: Clusters,
    pub(super) shadow: Shadow,
    /// Counts requests of all scopes: the learner's clock.
    pub(super) requests: u64,
}

impl Learner {
    /// A learner that knows what ships with the program, and nothing of this cache. `seed` begins its dice.
    pub fn new(settings: Settings, seed: u64) -> Learner {
        Learner::with_weights(settings, Arc::new(Weights::default()), seed)
    }

    /// One with other weights than those that ship.
    pub fn with_weights(settings: Settings, weights: Arc<Weights>, seed: u64) -> Learner {
        Learner {
            budgets: vec![Budget::new(settings.error_budget, &settings.control)],
            settings,
            weights,
            scopes: HashMap::new(),
            clusters: Clusters::default(),
            shadow: Shadow::new(seed),
            requests: 0,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Puts other settings in force; what was learned stays.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
        if !self.budgets.iter().any(|budget| budget.delta == settings.error_budget) {
            self.budgets.insert(0, Budget::new(settings.error_budget, &settings.control));
        }
    }

    /// Counts a request that an earlier tier answered (`hit`), or that may not be answered by meaning.
    pub fn pass(&mut self, scope: u128, hit: bool) {
        self.requests += 1;
        if hit {
            self.shadow.count();
        }
        let (prior, now) = (self.weights.prior, self.requests);
        let scope = self.scopes.entry(scope).or_insert_with(|| Scope::new(&prior, now));
        scope.used_at = now;
        scope.requests += 1;
        scope.checks.request(false);
        let at = self.budget(self.settings.error_budget);
        self.budgets[at].count(None, &self.settings.control);
        self.drop_scopes();
    }

    /// Decides about a question of `scope` that no earlier tier answered, and counts it. `seen` are its nearest entries,
    /// best first; there may be none.
    pub fn decide(&mut self, scope: u128, question: &Question, seen: &[Seen<'_>], asked: &Asked) -> Decision {
        let (prior, now) = (self.weights.prior, self.requests + 1);
        let known = self.scopes.entry(scope).or_insert_with(|| Scope::new(&prior, now));
        let (weights, fallback, hits) = (known.weights, known.fallback, known.hits);
        let veto = asked.veto.unwrap_or(self.settings.veto);
        let strictness = asked.strictness.unwrap_or(self.settings.strictness);
        let mut weighed = self.weigh(question, seen, veto, &weights);
        let at = self.budget(asked.error_budget.unwrap_or(self.settings.error_budget));
        let lambda = self.budgets[at].lambda();

        let mut order: Vec<usize> = (0..weighed.len()).filter(|at| !weighed[*at].vetoed).collect();
        order.sort_by(|one, other| weighed[*other].p.total_cmp(&weighed[*one].p));
        let best = order.first().copied();
        let (mut serve, mut servable, mut trapped) = (None, None, false);
        for at in order {
            let one = &mut weighed[at];
            // What is far too improbable need not be scored; λ never gets there.
            if 1.0 - one.p > self.settings.control.most {
                break;
            }
            if self.is_trap(question, seen[at].question, one, strictness) {
                trapped |= 1.0 - one.p <= lambda;
                continue;
            }
            servable = Some(at);
            serve = (1.0 - one.p <= lambda && !fallback).then_some(at);
            break;
        }
        let risk = servable.map(|at| 1.0 - weighed[at].p);
        let reason = match serve {
            Some(_) => Reason::Served,
            None if weighed.is_empty() => Reason::Nothing,
            None if fallback && risk.is_some_and(|risk| risk <= lambda) => Reason::Fallback,
            None if trapped => Reason::Trap,
            None if best.is_none() => Reason::Vetoed,
            None => Reason::Budget,
        };
        let p = best.map_or(0.0, |at| weighed[at].p);
        let mut decision = Decision { serve, best, p, lambda, reason, shadow: None, weighed, scope };
        if !asked.dry {
            self.count(scope, at, risk, serve.is_some());
            if let Some(one) = serve.and_then(|at| decision.weighed.get(at)).copied() {
                let chance = self.shadow.choose(one.p, hits, &self.settings.sampling);
                decision.shadow = chance.map(|chance| decision.case(&one, 1.0 / chance));
            }
        }
        decision
    }

    /// Learns whether the answer of a case was right. `stored` is the entry that now holds the fresh answer.
    pub fn learn(&mut self, case: &Case, right: bool, source: Source, stored: Option<u64>) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(stored) = stored {
            let row = self.clusters.row(stored);
            let _ = row;
            if right {
                self.clusters.join(stored, case.entry);
            }
        }
        let row = self.clusters.row(case.entry);
        if right {
            row.right = row.right.saturating_add(u16::from(case.served));
        } else {
            row.worst = row.worst.max(case.similarity);
            row.wrong = row.wrong.saturating_add(u16::from(case.served));
        }
        let wrong = row.wrong;
        if !right && case.served {
            self.clusters.blame(case.entry);
            if wrong >= 2 || source == Source::Feedback {
                self.clusters.forget(case.entry);
                changes.push(Change::Evict(case.entry));
            }
        }
        if right && source == Source::Shadow {
            changes.push(Change::Alias(case.entry));
        }
        self.label(case, right, source);
        changes
    }

    fn label(&mut self, case: &Case, right: bool, source: Source) {
        let (prior, settings, now) = (self.weights.prior, self.settings, self.requests);
        let scope = self.scopes.entry(case.scope).or_insert_with(|| Scope::new(&prior, now));
        scope.label(Sample { terms: case.terms, right, weight: case.weight }, settings.labels);
        if source == Source::Shadow {
            scope.checks.check(!right, f64::from(case.weight));
        }
        scope.refit(&prior, settings.refit_every);
        let risk = 1.0 - case.p;
        let at = self.budget(settings.error_budget);
        if risk <= 2.0 * self.budgets[at].lambda() {
            self.budgets[at].learn(risk, !right, case.weight, &settings.control);
        }
    }

    /// `entry` holds the same answer as `other`.
    pub fn alias(&mut self, entry: u64, other: u64) {
        self.clusters.join(entry, other);
    }

    /// The entry has left the cache.
    pub fn forget(&mut self, entry: u64) {
        self.clusters.forget(entry);
    }

    /// What is known of `scope`.
    pub fn report(&self, scope: u128) -> Option<ScopeReport> {
        let known = self.scopes.get(&scope)?;
        let (error_upper, _) = known.checks.bounds();
        Some(ScopeReport {
            requests: known.requests,
            hits: known.hits,
            labels: known.samples.len(),
            error: known.checks.error(),
            error_upper,
            lambda: self.budgets.first().map_or(0.0, Budget::lambda),
            fallback: known.fallback,
            weights: known.weights,
        })
    }

    fn count(&mut self, scope: u128, at: usize, risk: Option<f32>, hit: bool) {
        self.requests += 1;
        if let Some(known) = self.scopes.get_mut(&scope) {
            known.used_at = self.requests;
            known.requests += 1;
            known.hits += u64::from(hit);
            known.checks.request(hit);
        }
        self.budgets[at].count(risk, &self.settings.control);
        self.drop_scopes();
    }

    /// The place of the controller of this budget.
    fn budget(&mut self, delta: f64) -> usize {
        if let Some(at) = self.budgets.iter().position(|budget| budget.delta == delta) {
            return at;
        }
        self.budgets.push(Budget::new(delta, &self.settings.control));
        self.budgets.len() - 1
    }

    fn weigh(
        &mut self,
        question: &Question,
        seen: &[Seen<'_>],
        veto: bool,
        weights: &logistic::Weights,
    ) -> Vec<Weighed> {
        let mut weighed: Vec<Weighed> = seen
            .iter()
            .map(|one| Weighed {
                entry: one.entry,
                similarity: one.similarity,
                stream: self.weights.stream(one.similarity),
                vetoed: veto && question.facts != one.question.facts,
                trap: None,
                cluster: self.clusters.row(one.entry).cluster,
                terms: [0.0; 5],
                p: 0.0,
            })
            .collect();
        for at in 0..weighed.len() {
            let terms = terms(&weighed, at);
            weighed[at].terms = terms;
            weighed[at].p = sigmoid(logistic::dot(weights, &terms)) as f32;
        }
        weighed
    }

    /// Asks the trap score, if it is to be asked.
    fn is_trap(&self, question: &Question, stored: &Question, one: &mut Weighed, strictness: Strictness) -> bool {
        let cut = match strictness {
            Strictness::Off => return false,
            Strictness::Balanced => self.weights.trap_cuts[0],
            Strictness::Strict => self.weights.trap_cuts[1],
        };
        let features = super::pair::features(question, stored, one.similarity, &self.weights.idf);
        let trap = self.weights.trap.predict(&features);
        one.trap = Some(trap);
        trap > cut
    }

    /// Forgets the scope that was used longest ago, when there are too many.
    fn drop_scopes(&mut self) {
        if self.scopes.len() <= self.settings.scopes.max(1) {
            return;
        }
        // A sixteenth at once, so that the search is rare.
        let mut ages: Vec<(u64, u128)> = self.scopes.iter().map(|(name, scope)| (scope.used_at, *name)).collect();
        ages.sort_unstable();
        for (_, name) in ages.iter().take(self.settings.scopes / 16 + 1) {
            self.scopes.remove(name);
        }
    }
}

/// The terms of the candidate at `at` among all.
fn terms(all: &[Weighed], at: usize) -> Terms {
    let one = &all[at];
    let (mut other, mut fellows) = (0.0f32, 0.0f32);
    for (i, two) in all.iter().enumerate() {
        if two.vetoed || i == at {
            continue;
        }
        if two.cluster == one.cluster {
            fellows += two.stream;
        } else {
            other = other.max(two.stream);
        }
    }
    let logit = (one.stream / (1.0 - one.stream)).ln();
    let ahead = ((one.stream + 0.02) / (other + 0.02)).ln();
    [1.0, logit, ahead, fellows.ln_1p(), f32::from(u8::from(other > 0.3))]
}
