//! `Learner`: the learned judgement of one cache, all scopes. Pure and synchronous: no clock, no I/O; what chance it needs
//! comes from a seeded generator, so that a replay can be repeated.

use super::budgets::Budgets;
use super::case::{Case, Change, Decision, Reason, Source, Weighed};
use super::clusters::{Clusters, TEMPORARY};
use super::logistic::Sample;
use super::question::Question;
use super::scope::Scope;
use super::settings::{Asked, Seen, Settings, Strictness};
use super::shadow::Shadow;
use super::weights::Weights;
use std::collections::HashMap;
use std::sync::Arc;

/// The learned judgement of one cache.
#[derive(Clone, Debug)]
pub struct Learner {
    pub(super) settings: Settings,
    pub(super) weights: Arc<Weights>,
    pub(super) scopes: HashMap<u128, Arc<Scope>>,
    pub(super) budgets: Budgets,
    pub(super) clusters: Clusters,
    pub(super) shadow: Shadow,
    /// Counts requests of all scopes: the learner's clock.
    pub(super) requests: u64,
    /// Hits by meaning among them.
    pub(super) hits: u64,
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
            budgets: Budgets::new(settings.error_budget, &settings.control, &weights.usual),
            settings,
            weights,
            scopes: HashMap::new(),
            clusters: Clusters::default(),
            shadow: Shadow::new(seed),
            requests: 0,
            hits: 0,
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
        self.budgets.set_default(settings.error_budget, &settings.control);
    }

    /// Counts a request that an earlier tier answered (`hit`), or that may not be answered by meaning.
    pub fn pass(&mut self, scope: u128, hit: bool, asked: &Asked) {
        if asked.dry {
            return;
        }
        if hit {
            self.shadow.count();
        }
        if !asked.again {
            self.count_request(scope, None, false, asked);
        }
    }

    /// Decides about a question of `scope` that no earlier tier answered, and counts it. `seen` are its nearest entries,
    /// best first; there may be none.
    pub fn decide(&mut self, scope: u128, question: &Question, seen: &[Seen<'_>], asked: &Asked) -> Decision {
        // A dry decision leaves no trace: entries that nothing is known of are each alone in a cluster for its time.
        let clusters: Vec<u32> = if asked.dry {
            let alone = |at: usize| TEMPORARY.saturating_add(at as u32);
            seen.iter().enumerate().map(|(at, one)| self.clusters.of(one.entry).unwrap_or(alone(at))).collect()
        } else {
            seen.iter().map(|one| self.clusters.cluster(one.entry)).collect()
        };
        let mut decision = self.choose(scope, question, seen, &clusters, asked);
        if asked.dry {
            return decision;
        }
        let served = decision.serve.and_then(|at| decision.weighed.get(at)).copied();
        let would = decision.risk.is_some_and(|risk| risk <= decision.lambda);
        if !asked.again {
            self.count_request(scope, decision.risk, would, asked);
        }
        if let Some(one) = served {
            let hits = self.count_hit(scope, asked);
            let chance = match asked.unchecked {
                true => None,
                false => self.shadow.choose(one.p, hits, &self.settings.sampling),
            };
            decision.shadow = chance.map(|chance| decision.case(&one, 1.0 / chance));
        }
        decision
    }

    /// Which candidate is served, and why. `clusters` are the candidates' own.
    fn choose(&self, scope: u128, question: &Question, seen: &[Seen<'_>], clusters: &[u32], asked: &Asked) -> Decision {
        let known = self.scopes.get(&scope);
        let weights = known.map_or(self.weights.prior.mean, |known| known.weights);
        let fallback = known.is_some_and(|known| known.fallback);
        let strictness = asked.strictness.unwrap_or(self.settings.strictness);
        let mut weighed = self.weigh(question, seen, clusters, asked.veto.unwrap_or(self.settings.veto), &weights);
        self.set_traps(question, seen, &mut weighed, strictness, &weights);

        let delta = asked.error_budget.unwrap_or(self.settings.error_budget);
        let lambda = self.budgets.lambda(delta, &self.settings.control);
        let cut = strictness.cut(&self.weights);
        let hard = strictness == Strictness::Strict;
        let allowed = |one: &Weighed| !one.vetoed && (!hard || one.trap.is_none_or(|trap| trap <= cut));
        let most_probable = |at: &usize, other: &usize| weighed[*at].p.total_cmp(&weighed[*other].p);
        let best = (0..weighed.len()).rev().filter(|at| !weighed[*at].vetoed).max_by(most_probable);
        let servable = (0..weighed.len()).rev().filter(|at| allowed(&weighed[*at])).max_by(most_probable);
        let serve = servable.filter(|at| 1.0 - weighed[*at].p <= lambda && !fallback);
        let trapped = best.is_some_and(|at| {
            let one = &weighed[at];
            one.trap.is_some_and(|trap| trap > cut) && 1.0 - self.probability_untrapped(&weights, &one.terms) <= lambda
        });
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
        Decision { serve, best, p, lambda, reason, shadow: None, weighed, scope, budget: delta as f32, risk }
    }

    /// Learns whether the answer of a case was right. `stored` is the entry that now holds the fresh answer.
    pub fn learn(&mut self, case: &Case, right: bool, source: Source, stored: Option<u64>) -> Vec<Change> {
        let mut changes = Vec::new();
        if case.best || case.served {
            self.label(case, right, source);
        }
        // The entry may have left the cache meanwhile.
        if self.clusters.of(case.entry).is_some() {
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
        let Some(row) = self.clusters.rows.get_mut(case.entry) else { return };
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
        let budget = self.budgets.of(f64::from(case.budget), now, &settings.control);
        let (risk, lambda, delta) = (1.0 - case.p, budget.lambda(), budget.delta);
        let scope = self.scopes.entry(case.scope).or_insert_with(|| Arc::new(Scope::new(&prior, now, case.budget)));
        let scope = Arc::make_mut(scope);
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
            budget.learn(risk, !right, case.weight, &settings.control);
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

    /// Forgets the entries that the cache no longer holds: for after a restart.
    pub fn retain(&mut self, holds: impl Fn(u64) -> bool) {
        self.clusters.retain(holds);
    }

    /// Counts a request with its scope and its budget. `risk` is that of the candidate that may be served, and `would`
    /// says that it is low enough.
    fn count_request(&mut self, scope: u128, risk: Option<f32>, would: bool, asked: &Asked) {
        self.requests += 1;
        let (prior, settings, now) = (self.weights.prior, self.settings, self.requests);
        let delta = asked.error_budget.unwrap_or(settings.error_budget);
        let known = self.scopes.entry(scope).or_insert_with(|| Arc::new(Scope::new(&prior, now, delta as f32)));
        let known = Arc::make_mut(known);
        (known.used_at, known.budget) = (now, delta as f32);
        known.requests += 1;
        known.checks.request(would);
        self.budgets.of(delta, now, &settings.control).count(risk, &settings.control);
        self.drop_scopes();
    }

    /// Counts a hit by meaning. Gives how many its scope had before.
    fn count_hit(&mut self, scope: u128, asked: &Asked) -> u64 {
        self.hits += 1;
        let Some(known) = self.scopes.get_mut(&scope).map(Arc::make_mut) else { return 0 };
        if asked.again {
            known.checks.hit();
        }
        known.hits += 1;
        known.hits - 1
    }

    /// Forgets scopes when there are too many, or too many labels in them: those of which nothing was learned first, then
    /// those that were used longest ago. So nobody who makes up scopes can have others forgotten.
    pub(super) fn drop_scopes(&mut self) {
        let crowded = self.scopes.len() > self.settings.scopes.max(1);
        if !crowded && (self.labels <= self.settings.labels_of_all || self.scopes.len() < 2) {
            return;
        }
        // A sixteenth at once, so that the search is rare.
        let taught = |scope: &Scope| crowded && (!scope.samples.is_empty() || scope.fallback);
        let mut ages: Vec<(bool, u64, u128)> =
            self.scopes.iter().map(|(name, scope)| (taught(scope), scope.used_at, *name)).collect();
        ages.sort_unstable();
        for (_, _, name) in ages.iter().take(self.scopes.len() / 16 + 1) {
            let gone = self.scopes.remove(name).map_or(0, |scope| scope.samples.len());
            self.labels = self.labels.saturating_sub(gone);
        }
    }
}

#[cfg(test)]
mod tests;
