//! A labelled stream through tiers 0 and 1 and the learner, with a judge who knows the truth and may err on purpose.
//!
//! Like `askonce replay`, but on neighbours that are known beforehand: a pass takes a fraction of a second.

use super::data::Data;
use crate::cache::judgement::{
    Asked, Change, LabelledCase, Learner, MOST_COMPARED, Question, Seen, Settings, Source, WORTH_COMPARING, Weights,
};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Candidates that the learner is shown.
const CANDIDATES: usize = 16;

/// All that a pass needs and does not change.
pub(super) struct World<'a> {
    pub(super) data: &'a Data,
    pub(super) questions: &'a [Question],
    pub(super) near: &'a [Vec<(f32, u32)>],
}

/// How to pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pass {
    /// Begins all dice.
    pub(super) seed: u64,
    /// Share of labels that are wrong.
    pub(super) noise: f64,
    /// Requests in another order, by the seed.
    pub(super) shuffled: bool,
}

/// What came of a pass. Rates are shares of all requests.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) requests: usize,
    pub(super) hits: usize,
    pub(super) errors: usize,
    pub(super) shadow_calls: usize,
    pub(super) judge_calls: usize,
    /// Requests, hits and errors of each scope.
    pub(super) scopes: Vec<[usize; 3]>,
    /// The best candidate of every request that had one.
    #[serde(skip)]
    pub(super) cases: Vec<LabelledCase>,
    /// Scope of every request, and 1 − p of the candidate that might be served, where there was one to judge.
    #[serde(skip)]
    pub(super) risks: Vec<(u32, Option<f32>)>,
    /// Its probability, and whether it was right.
    #[serde(skip)]
    pub(super) calibration: Vec<(f32, bool)>,
}

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The cache of a pass: what is stored, and by which request.
struct Stored<'a> {
    world: &'a World<'a>,
    /// By the place of a request, the entry that it made; an entry is named by its request, so this is a set.
    alive: Vec<bool>,
    /// The request whose answer an entry holds.
    answer: Vec<u32>,
    keys: HashMap<(u32, bool, &'a str), u32>,
}

impl<'a> Stored<'a> {
    fn new(world: &'a World<'a>) -> Stored<'a> {
        let count = world.data.stream.len();
        Stored { world, alive: vec![false; count], answer: vec![0; count], keys: HashMap::new() }
    }

    fn keys(&self, at: usize) -> impl Iterator<Item = (u32, bool, &'a str)> + use<'a> {
        let request = &self.world.data.stream[at];
        let exact = (request.scope, false, self.world.data.texts[request.text].as_str());
        std::iter::once(exact).chain(request.folded.as_deref().map(|folded| (request.scope, true, folded)))
    }

    fn put(&mut self, at: usize, answer: u32) {
        self.alive[at] = true;
        self.answer[at] = answer;
        for key in self.keys(at) {
            self.keys.insert(key, at as u32);
        }
    }

    fn find(&self, at: usize) -> Option<usize> {
        let found = self.keys(at).find_map(|key| self.keys.get(&key).copied())?;
        self.alive[found as usize].then_some(found as usize)
    }

    /// Stored requests near one, best first.
    fn near(&self, at: usize) -> impl Iterator<Item = &'a (f32, u32)> {
        self.world.near[at].iter().filter(|(_, other)| self.alive[*other as usize])
    }

    fn right(&self, entry: usize, at: usize) -> bool {
        let stream = &self.world.data.stream;
        stream[self.answer[entry] as usize].group == stream[at].group
    }
}

/// The requests of a stream in the order of a pass.
pub(super) fn order(world: &World<'_>, pass: &Pass) -> Vec<usize> {
    let mut order: Vec<usize> = (0..world.data.stream.len()).collect();
    if pass.shuffled {
        let mut dice = Dice(pass.seed ^ 0x5EED);
        (1..order.len()).rev().for_each(|at| order.swap(at, dice.next() as usize % (at + 1)));
    }
    order
}

/// One pass of the stream, from an empty cache.
pub(super) fn pass(world: &World<'_>, weights: &Arc<Weights>, settings: Settings, pass: &Pass) -> Outcome {
    pass_over(world, weights, settings, pass, &order(world, pass))
}

/// A pass of these requests of the stream, in this order.
pub(super) fn pass_over(
    world: &World<'_>,
    weights: &Arc<Weights>,
    settings: Settings,
    pass: &Pass,
    order: &[usize],
) -> Outcome {
    let mut learner = Learner::with_weights(settings, weights.clone(), pass.seed);
    let mut stored = Stored::new(world);
    let mut dice = Dice(pass.seed ^ 0x5EED);
    let scopes = vec![[0; 3]; world.data.scopes.len()];
    let mut outcome = Outcome { requests: order.len(), scopes, ..Outcome::default() };
    for &at in order {
        let scope = world.data.stream[at].scope;
        outcome.scopes[scope as usize][0] += 1;
        let served = step(world, &mut learner, &mut stored, &mut dice, at, pass.noise, &mut outcome);
        if let Some(entry) = served {
            let wrong = usize::from(!stored.right(entry, at));
            outcome.hits += 1;
            outcome.errors += wrong;
            outcome.scopes[scope as usize][1] += 1;
            outcome.scopes[scope as usize][2] += wrong;
        }
    }
    outcome
}

/// One request. Gives the entry that served it, if one did.
fn step(
    world: &World<'_>,
    learner: &mut Learner,
    stored: &mut Stored<'_>,
    dice: &mut Dice,
    at: usize,
    noise: f64,
    outcome: &mut Outcome,
) -> Option<usize> {
    let scope = world.data.stream[at].scope;
    if let Some(entry) = stored.find(at) {
        learner.pass(u128::from(scope), true, &Asked::default());
        outcome.risks.push((scope, None));
        return Some(entry);
    }
    let seen: Vec<Seen<'_>> = stored
        .near(at)
        .take(CANDIDATES)
        .map(|(similarity, other)| Seen {
            entry: u64::from(*other),
            question: &world.questions[world.data.stream[*other as usize].text],
            similarity: *similarity,
        })
        .collect();
    let question = &world.questions[world.data.stream[at].text];
    let decision = learner.decide(u128::from(scope), question, &seen, &Asked::default());
    outcome.risks.push((scope, decision.risk));
    if let Some(best) = decision.best.and_then(|best| decision.weighed.get(best)) {
        let right = stored.right(best.entry as usize, at);
        outcome.cases.push(LabelledCase { scope, similarity: best.similarity, terms: best.terms, right });
        outcome.calibration.push((best.p, right));
    }
    let mut said = |entry: u64, stored: &Stored<'_>| stored.right(entry as usize, at) ^ (dice.share() < noise);
    let Some(served) = decision.serve.and_then(|at| seen.get(at)).map(|one| one.entry as usize) else {
        stored.put(at, at as u32);
        for case in decision.cases(WORTH_COMPARING, MOST_COMPARED) {
            outcome.judge_calls += 1;
            let right = said(case.entry, stored);
            apply(learner.learn(&case, right, Source::Miss, Some(at as u64)), learner, stored, at);
        }
        return None;
    };
    if let Some(case) = &decision.shadow {
        outcome.shadow_calls += 1;
        outcome.judge_calls += 1;
        let right = said(case.entry, stored);
        apply(learner.learn(case, right, Source::Shadow, None), learner, stored, at);
    }
    Some(served)
}

fn apply(changes: Vec<Change>, learner: &mut Learner, stored: &mut Stored<'_>, at: usize) {
    for change in changes {
        match change {
            Change::Evict(entry) => stored.alive[entry as usize] = false,
            Change::Alias(entry) => {
                stored.put(at, stored.answer[entry as usize]);
                learner.alias(at as u64, entry);
            }
        }
    }
}

/// A pass with a fixed threshold and the veto behind tiers 0 and 1, for comparing.
pub(super) fn fixed(world: &World<'_>, threshold: f32, order: &[usize]) -> Outcome {
    let mut stored = Stored::new(world);
    let mut outcome = Outcome { requests: order.len(), ..Outcome::default() };
    let question = |at: usize| &world.questions[world.data.stream[at].text];
    for &at in order {
        let near = || {
            let mut near = stored.near(at).take(CANDIDATES).take_while(|(similarity, _)| *similarity >= threshold);
            near.find(|(_, other)| !question(at).is_vetoed(question(*other as usize))).map(|(_, other)| *other as usize)
        };
        match stored.find(at).or_else(near) {
            Some(entry) => {
                outcome.hits += 1;
                outcome.errors += usize::from(!stored.right(entry, at));
            }
            None => stored.put(at, at as u32),
        }
    }
    outcome
}

impl Outcome {
    pub(super) fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.requests.max(1) as f64
    }

    pub(super) fn error(&self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }
}
