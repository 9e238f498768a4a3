//! `Learner`: the learned judgement of one cache, all scopes. Pure and synchronous: no clock, no I/O; what chance it needs
//! comes from a seeded generator, so that a replay can be repeated.

use super::budget::Budget;
use super::case::{Case, Change, Decision, Reason, Source, TERMS, Terms, Weighed};
use super::clusters::Clusters;
use super::logistic::{self, Sample, sigmoid};
use super::question::Question;
use super::scope::Scope;
use super::settings::{Asked, ScopeReport, Seen, Settings, Strictness};
use super::shadow::Shadow;
use super::weights::Weights;
use std::collections::HashMap;
use std::sync::Arc;

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
        let allowed = |one: &Weighed| !one.vetoed && (!hard || one.trap.is_none_or(|trap| trap <= cut));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in [0, 1), the same every time.
    fn dice(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        }
    }

    /// Traffic of one scope in which an answer is right with a probability that rises with the cosine. Gives hits, wrong
    /// hits and shadow calls over requests.
    fn traffic(learner: &mut Learner, requests: u64, right: impl Fn(f32) -> f32, seed: u64) -> [f64; 3] {
        let (mut dice, question) = (dice(seed), Question::read("where is my parcel"));
        let mut counts = [0.0; 3];
        for at in 0..requests {
            let similarity = 0.6 + 0.4 * dice();
            let is_right = dice() < right(similarity);
            let seen = [Seen { entry: at, question: &question, similarity }];
            let decision = learner.decide(1, &question, &seen, &Asked::default());
            let label = match (&decision.shadow, decision.serve) {
                (Some(case), _) => Some((*case, Source::Shadow)),
                (None, Some(_)) => None,
                (None, None) => decision.cases(0.05, 1).first().map(|case| (*case, Source::Miss)),
            };
            counts[0] += f64::from(u8::from(decision.serve.is_some()));
            counts[1] += f64::from(u8::from(decision.serve.is_some() && !is_right));
            counts[2] += f64::from(u8::from(decision.shadow.is_some()));
            if let Some((case, source)) = label {
                learner.learn(&case, is_right, source, None);
            }
        }
        counts.map(|count| count / requests as f64)
    }

    fn settings(error_budget: f64) -> Settings {
        Settings { error_budget, strictness: Strictness::Off, ..Settings::default() }
    }

    #[test]
    fn keeps_to_the_budget_where_cosines_mean_much_and_where_they_mean_little() {
        type Right = fn(f32) -> f32;
        let kinds: [(&str, Right); 3] = [
            ("kind", |s| ((s - 0.6) * 5.0).clamp(0.0, 0.995)),
            ("hard", |s| ((s - 0.85) * 6.0).clamp(0.0, 0.97)),
            ("hopeless", |_| 0.02),
        ];
        for (name, right) in kinds {
            for budget in [0.01, 0.03] {
                // Six thousand requests are few: single runs scatter by a third.
                let runs = (1..7).map(|seed| traffic(&mut Learner::new(settings(budget), seed), 6000, right, seed));
                let [hits, wrong] = runs.fold([0.0; 2], |sum, run| [sum[0] + run[0] / 6.0, sum[1] + run[1] / 6.0]);
                assert!(wrong < 1.15 * budget, "{name}: {wrong} of {budget}, hits {hits}");
                assert!(name != "kind" || hits > 0.2, "{name}: hits {hits}");
            }
        }
    }

    #[test]
    fn checks_about_as_many_hits_as_agreed() {
        let mut learner = Learner::new(settings(0.02), 3);
        let [hits, _, checks] = traffic(&mut learner, 8000, |s| ((s - 0.6) * 5.0).clamp(0.0, 0.995), 9);
        assert!(checks / hits < 0.07 && checks / hits > 0.03, "{} of hits", checks / hits);
        let report = learner.report(1).unwrap();
        assert!(report.error <= report.error_upper && report.error_upper < 0.1 && report.labels <= 1500);
    }

    #[test]
    fn a_scope_that_turns_bad_falls_back_and_comes_again() {
        let mut learner = Learner::new(settings(0.01), 5);
        traffic(&mut learner, 3000, |s| if s > 0.8 { 0.995 } else { 0.1 }, 1);
        let mut fell = false;
        for seed in 0..40 {
            traffic(&mut learner, 100, |_| 0.2, seed);
            fell |= learner.report(1).is_some_and(|report| report.fallback);
        }
        let after = traffic(&mut learner, 500, |_| 0.2, 77);
        assert!(fell || after[1] < 0.02, "wrong hits {} and no fall-back", after[1]);
        let good = (0..20).map(|seed| traffic(&mut learner, 500, |s| if s > 0.8 { 0.995 } else { 0.1 }, seed)[0]);
        assert!(good.last().is_some_and(|hits| hits > 0.1), "it never comes again");
    }

    #[test]
    fn the_veto_and_strictness_hold_whatever_the_labels_say() {
        let mut learner = Learner::new(settings(0.05), 1);
        traffic(&mut learner, 4000, |_| 0.999, 1);
        let [asked, other] = ["pay 20 dollars", "pay 30 dollars"].map(Question::read);
        let seen = [Seen { entry: 1, question: &other, similarity: 0.99 }];
        let decision = learner.decide(1, &asked, &seen, &Asked::default());
        assert_eq!((decision.serve, decision.reason), (None, Reason::Vetoed));
        let lax = Asked { veto: Some(false), ..Asked::default() };
        assert_eq!(learner.decide(1, &asked, &seen, &lax).serve, Some(0));
        let [asked, other] = ["how do I mute my phone", "how do I unmute my phone"].map(Question::read);
        let seen = [Seen { entry: 1, question: &other, similarity: 0.95 }];
        let strict = Asked { strictness: Some(Strictness::Strict), ..Asked::default() };
        let decision = learner.decide(1, &asked, &seen, &strict);
        assert_eq!((decision.serve, decision.reason), (None, Reason::Trap));
    }

    #[test]
    fn two_wrong_hits_evict_and_feedback_evicts_at_once() {
        let mut learner = Learner::new(settings(0.01), 1);
        let question = Question::read("where is my parcel");
        let seen = [Seen { entry: 7, question: &question, similarity: 0.99 }];
        let dry = Asked { dry: true, ..Asked::default() };
        let mut case = learner.decide(1, &question, &seen, &dry).cases(0.0, 1)[0];
        assert_eq!(learner.report(1).map(|report| report.requests), Some(0), "a dry decision counts nothing");
        case.served = true;
        assert_eq!(learner.learn(&case, true, Source::Shadow, None), [Change::Alias(7)]);
        assert_eq!(learner.learn(&case, false, Source::Shadow, None), []);
        assert_eq!(learner.learn(&case, false, Source::Shadow, None), [Change::Evict(7)]);
        assert_eq!(learner.learn(&case, false, Source::Shadow, None), [], "it is gone");
        learner.decide(1, &question, &seen, &dry);
        assert_eq!(learner.learn(&case, false, Source::Feedback, None), [Change::Evict(7)]);
    }

    #[test]
    fn scopes_are_bounded() {
        let mut learner = Learner::new(Settings { scopes: 100, ..settings(0.01) }, 1);
        (0..1000).for_each(|scope| learner.pass(scope, false));
        assert!(learner.scopes.len() <= 100 && learner.report(999).is_some() && learner.report(0).is_none());
    }
}
