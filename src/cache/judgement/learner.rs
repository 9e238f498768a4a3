//! `Learner`: the learned judgement of one cache, all scopes. Pure and synchronous: no clock, no I/O; what chance it needs
//! comes from a seeded generator, so that a replay can be repeated.

use super::budget::{Budget, Control};
use super::case::{Case, Change, Decision, Reason, Source, TERMS, Terms, Weighed};
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

impl Strictness {
    /// What is more of a trap than this may not be served; 1 where the score is not asked.
    fn cut(self, weights: &Weights) -> f32 {
        match self {
            Strictness::Off => 1.0,
            Strictness::Balanced => weights.trap_cuts[0],
            Strictness::Strict => weights.trap_cuts[1],
        }
    }
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
    /// Labels that all scopes keep together; beyond it scopes go as if there were too many.
    pub labels_of_all: usize,
    /// Requests between two calibrations of one scope.
    pub refit_every: u64,
    /// Candidates whose trap score is asked for, the most probable ones first.
    pub trap_most: usize,
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
            labels_of_all: 1 << 18,
            refit_every: 200,
            trap_most: 4,
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
    pub weights: [f64; TERMS],
}

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
    /// Labels that all scopes keep together.
    pub(super) labels: usize,
}

impl Learner {
    /// A learner that knows what ships with the program, and nothing of this cache. `seed` begins its dice.
    pub fn new(settings: Settings, seed: u64) -> Learner {
        Learner::with_weights(settings, Weights::shipped(), seed)
    }

    /// One with other weights than those that ship.
    pub fn with_weights(settings: Settings, weights: Arc<Weights>, seed: u64) -> Learner {
        Learner {
            budgets: vec![Budget::new(settings.error_budget as f32, &settings.control)],
            settings,
            weights,
            scopes: HashMap::new(),
            clusters: Clusters::default(),
            shadow: Shadow::new(seed),
            requests: 0,
            labels: 0,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Puts other settings in force; what was learned stays.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
        let at = self.budget(settings.error_budget);
        self.budgets.swap(0, at);
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

        self.set_traps(question, seen, &mut weighed, strictness, &weights);
        let cut = strictness.cut(&self.weights);
        let hard = strictness == Strictness::Strict;
        let allowed = |one: &Weighed| !one.vetoed && !(hard && one.trap.is_some_and(|trap| trap > cut));
        let most_probable = |at: &usize, other: &usize| weighed[*at].p.total_cmp(&weighed[*other].p);
        let best = (0..weighed.len()).rev().filter(|at| !weighed[*at].vetoed).max_by(most_probable);
        let servable = (0..weighed.len()).rev().filter(|at| allowed(&weighed[*at])).max_by(most_probable);
        let serve = servable.filter(|at| 1.0 - weighed[*at].p <= lambda && !fallback);
        let trapped = best.is_some_and(|at| weighed[at].trap.is_some_and(|trap| trap > cut));
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
        let mut decision = Decision {
            serve,
            best,
            p,
            lambda,
            reason,
            shadow: None,
            weighed,
            scope,
            budget: self.budgets[at].delta as f32,
        };
        if !asked.dry {
            let would = risk.is_some_and(|risk| risk <= lambda);
            self.count(scope, at, risk, (serve.is_some(), would));
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
        if case.best || case.served {
            self.label(case, right, source);
        }
        // The entry may have left the cache meanwhile.
        if self.clusters.knows(case.entry) {
            if let Some(stored) = stored.filter(|_| right) {
                self.clusters.join(stored, case.entry);
            }
            self.remember(case, right, source, &mut changes);
        }
        changes
    }

    /// Remembers the label with the entry, and says what is to be done.
    fn remember(&mut self, case: &Case, right: bool, source: Source, changes: &mut Vec<Change>) {
        let served = u16::from(case.served);
        let row = self.clusters.row(case.entry);
        if right {
            row.right = row.right.saturating_add(served);
            if source == Source::Shadow {
                changes.push(Change::Alias(case.entry));
            }
            return;
        }
        row.worst = row.worst.max(case.similarity);
        row.wrong = row.wrong.saturating_add(served);
        let wrong = row.wrong;
        if case.served {
            self.clusters.blame(case.entry);
            if wrong >= 2 || source == Source::Feedback {
                self.clusters.forget(case.entry);
                changes.push(Change::Evict(case.entry));
            }
        }
    }

    /// Gives the label to calibration, to λ and to the estimate of the error.
    fn label(&mut self, case: &Case, right: bool, source: Source) {
        let (prior, settings, now) = (self.weights.prior, self.settings, self.requests);
        let at = self.budget(f64::from(case.budget));
        let (risk, lambda, delta) = (1.0 - case.p, self.budgets[at].lambda(), self.budgets[at].delta);
        let scope = self.scopes.entry(case.scope).or_insert_with(|| Scope::new(&prior, now));
        let weight = case.weight.min(settings.control.heavy);
        let more = scope.label(Sample { terms: case.terms, right, weight }, settings.labels);
        self.labels += usize::from(more);
        match source {
            Source::Shadow => scope.checks.check(!right, f64::from(case.weight)),
            // Who serves by words only gets a label for every hit it would have made.
            Source::Miss if scope.fallback && risk <= lambda => scope.checks.check(!right, 1.0),
            Source::Miss | Source::Feedback => {}
        }
        scope.fall_back(delta, settings.control.tolerance);
        scope.refit(&prior, settings.refit_every);
        // Who gives feedback chose what to look at: it says nothing of all hits.
        if source != Source::Feedback {
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
        Some(ScopeReport {
            requests: known.requests,
            hits: known.hits,
            labels: known.samples.len(),
            error: known.checks.error(),
            error_upper: known.checks.upper(),
            lambda: self.budgets.first().map_or(0.0, Budget::lambda),
            fallback: known.fallback,
            weights: known.weights,
        })
    }

    fn count(&mut self, scope: u128, at: usize, risk: Option<f32>, (hit, would): (bool, bool)) {
        self.requests += 1;
        if let Some(known) = self.scopes.get_mut(&scope) {
            known.used_at = self.requests;
            known.requests += 1;
            known.hits += u64::from(hit);
            known.checks.request(would);
        }
        self.budgets[at].count(risk, &self.settings.control);
        self.drop_scopes();
    }

    /// The place of the controller of this budget.
    fn budget(&mut self, delta: f64) -> usize {
        if let Some(at) = self.budgets.iter().position(|budget| budget.delta as f32 == delta as f32) {
            return at;
        }
        self.budgets.push(Budget::new(delta as f32, &self.settings.control));
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
                terms: [0.0; TERMS],
                p: 0.0,
            })
            .collect();
        for at in 0..weighed.len() {
            let terms = terms(&weighed, at);
            weighed[at].terms = terms;
            weighed[at].p = self.probability(weights, &terms);
        }
        weighed
    }

    /// Asks the trap score about the most probable candidates, and lowers their probability by what it says.
    fn set_traps(
        &self,
        question: &Question,
        seen: &[Seen<'_>],
        weighed: &mut [Weighed],
        strictness: Strictness,
        weights: &logistic::Weights,
    ) {
        if strictness == Strictness::Off {
            return;
        }
        let allowed = logistic::logit(f64::from(strictness.cut(&self.weights))) as f32;
        let mut order: Vec<usize> = (0..weighed.len()).filter(|at| !weighed[*at].vetoed).collect();
        order.sort_by(|one, other| weighed[*other].p.total_cmp(&weighed[*one].p));
        for at in order.into_iter().take(self.settings.trap_most) {
            let one = &mut weighed[at];
            let features = super::pair::features(question, seen[at].question, one.similarity, &self.weights.idf);
            let trap = self.weights.trap.predict(&features).clamp(1e-4, 1.0 - 1e-4);
            one.trap = Some(trap);
            one.terms[5] = -((trap / (1.0 - trap)).ln() - allowed).max(0.0);
            one.p = self.probability(weights, &one.terms);
        }
    }

    fn probability(&self, weights: &logistic::Weights, terms: &Terms) -> f32 {
        (1.0 - self.settings.control.doubt) * sigmoid(logistic::dot(weights, terms)) as f32
    }

    /// Forgets the scopes that were used longest ago, when there are too many, or too many labels in them.
    pub(super) fn drop_scopes(&mut self) {
        let crowded = self.scopes.len() > self.settings.scopes.max(1);
        if !crowded && (self.labels <= self.settings.labels_of_all || self.scopes.len() < 2) {
            return;
        }
        // A sixteenth at once, so that the search is rare.
        let mut ages: Vec<(u64, u128)> = self.scopes.iter().map(|(name, scope)| (scope.used_at, *name)).collect();
        ages.sort_unstable();
        for (_, name) in ages.iter().take(self.scopes.len() / 16 + 1) {
            let gone = self.scopes.remove(name).map_or(0, |scope| scope.samples.len());
            self.labels = self.labels.saturating_sub(gone);
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
    [1.0, logit, ahead, fellows.ln_1p(), f32::from(u8::from(other > 0.3)), 0.0]
}
