//! One pass of a policy over a stream, in order, from an empty shelf, without looking ahead.
//!
//! It follows the cache's own lookup (`src/cache/lookup.rs`) step by step, on numbers instead of requests: thousands of
//! times faster, and the same in its outcome, which a test holds it to.

use super::asking::usage;
use super::money::Prices;
use super::policies::{Candidate, Change, Choice, Kind, Policy};
use super::shelf::{Entry, Room, Shelf};
use super::stream::Stream;
use super::tally::Verdict;
use super::truth::Scoring;
use crate::cache::eviction::Spent;
use crate::cache::judgement::Question;
use crate::types::entry;
use crate::types::outcome::Tier;
use crate::types::staleness::Staleness;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// Every so many-th decision is timed.
const TIMED: usize = 7;

/// How to pass.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    /// The policy.
    pub kind: Kind,
    /// Size and lifetime of the cache.
    pub room: Room,
    /// Share of the judge's answers that are wrong.
    pub label_noise: f64,
    /// Begins all dice.
    pub seed: u64,
}

/// A hit with a wrong answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong {
    /// The request, and the one whose question was found.
    pub(super) request: u32,
    pub(super) found: u32,
    pub(super) similarity: Option<f32>,
    /// How sure the policy was.
    pub(super) p: Option<f32>,
    pub(super) tier: Tier,
    /// No judge could say that it is wrong, nor that it is right.
    pub(super) undecided: bool,
}

/// What came of a pass.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) verdicts: Vec<Verdict>,
    /// Hits that were checked by a fresh answer, by request.
    pub(super) shadows: Vec<u32>,
    /// Requests whose answer was compared with another, once for each comparison.
    pub(super) judged: Vec<u32>,
    /// Comparisons that no judge could decide: nothing is learned from them.
    pub(super) undecided: usize,
    /// Hits with wrong answers, in order.
    pub(super) wrong: Vec<Wrong>,
    pub(super) entries: usize,
    pub(super) bytes: u64,
    pub(super) evicted: usize,
    /// What choosing took, of a sample.
    pub(super) score: Vec<Duration>,
}

/// One pass under way.
struct Pass<'s> {
    stream: &'s Stream<'s>,
    prices: &'s Prices,
    plan: Plan,
    policy: Box<dyn Policy + 's>,
    shelf: Shelf,
    judge: StdRng,
    out: Outcome,
}

/// Passes once. `progress` is told now and then how many requests are done.
pub(super) fn pass(stream: &Stream<'_>, plan: &Plan, prices: &Prices, progress: &dyn Fn(usize)) -> Outcome {
    let mut pass = Pass {
        stream,
        prices,
        plan: *plan,
        policy: plan.kind.build(stream, plan.seed),
        shelf: Shelf::new(plan.room, stream.keys, &stream.nodes),
        judge: StdRng::seed_from_u64(plan.seed ^ 0x6a75_6467_6520_6e6f),
        out: Outcome::default(),
    };
    let mut seen = std::collections::HashSet::new();
    for at in 0..stream.asked.len() {
        let repeat = !seen.insert((stream.trace[at].scope.as_deref(), stream.truth.class(at)));
        let verdict = pass.request(at, repeat);
        pass.out.verdicts.push(verdict);
        if at.is_multiple_of(256) {
            progress(at);
        }
    }
    progress(stream.asked.len());
    let Pass { shelf, mut out, .. } = pass;
    (out.entries, out.bytes, out.evicted) = (shelf.count, shelf.bytes, shelf.evicted);
    out
}

impl Pass<'_> {
    fn request(&mut self, at: usize, repeat: bool) -> Verdict {
        let asked = &self.stream.asked[at];
        if asked.class == Staleness::Never {
            return Verdict::TrueNegative;
        }
        let [exact, normalised] = self.plan.kind.tiers();
        let keys = [
            Some((asked.key, Tier::Exact)).filter(|_| exact),
            asked.normalised.map(|key| (key, Tier::Normalised)).filter(|_| normalised),
        ];
        for (key, tier) in keys.into_iter().flatten() {
            if let Some(id) = self.shelf.by_key(key, asked.t_ms, asked.keeps_ms) {
                self.policy.pass(asked.scope, true);
                return self.hit(at, id, tier, None, None);
            }
        }
        let Some(node) = asked.node.filter(|_| self.plan.kind.is_semantic()) else {
            self.policy.pass(asked.scope, false);
            self.store(at, at);
            // Without a semantic tier nothing is near: then any stored answer of the group counts.
            let missed = repeat && !self.plan.kind.is_semantic();
            return if missed { Verdict::FalseNegative } else { Verdict::TrueNegative };
        };
        let near = self.near(at);
        let nearest_right = near.first().is_some_and(|(candidate, _)| self.right(at, candidate.entry));
        let fresh: Vec<Candidate> = near.iter().filter(|(_, fresh)| *fresh).map(|(candidate, _)| *candidate).collect();
        let started = at.is_multiple_of(TIMED).then(Instant::now);
        let choice = self.policy.choose(self.stream, asked.scope, node, &fresh);
        self.out.score.extend(started.map(|started| started.elapsed()));
        match choice.serve.and_then(|place| fresh.get(place)).copied() {
            Some(served) => {
                let verdict = self.hit(at, served.entry, Tier::Semantic, Some(served.similarity), choice.p);
                if choice.shadow {
                    self.shadow(at, &fresh, &choice);
                }
                verdict
            }
            None => {
                self.miss(at, &fresh, &choice);
                if nearest_right { Verdict::FalseNegative } else { Verdict::TrueNegative }
            }
        }
    }

    /// Stored entries near the request, each with whether it may still be served.
    fn near(&self, at: usize) -> Vec<(Candidate, bool)> {
        let (shelf, asked) = (&self.shelf, &self.stream.asked[at]);
        let stored = |node: u32| shelf.by_node(node).is_some();
        let near = self.stream.nearest(at, self.policy.candidates(), stored, |scope| shelf.stored(scope));
        let candidate = |near: super::near::Neighbour| {
            let entry = shelf.by_node(near.node)?;
            let fresh = shelf.is_fresh(entry, asked.t_ms, asked.keeps_ms);
            Some((Candidate { entry, node: near.node, similarity: near.similarity }, fresh))
        };
        near.into_iter().filter_map(candidate).collect()
    }

    fn hit(&mut self, at: usize, id: u32, tier: Tier, similarity: Option<f32>, p: Option<f32>) -> Verdict {
        self.shelf.used(id);
        let said = self.judge(at, id);
        // Where nothing is known, nothing is wrong; the report says so.
        if self.stream.truth.scoring() == Scoring::None || said == Some(true) || self.is_same_question(at, id, tier) {
            return Verdict::TruePositive(tier);
        }
        let found = self.shelf.entry(id).map_or(0, |entry| entry.request);
        self.out.wrong.push(Wrong { request: at as u32, found, similarity, p, tier, undecided: said.is_none() });
        Verdict::FalsePositive(tier)
    }

    /// The very same question: where only recorded answers are known, a model that says it otherwise is no error.
    fn is_same_question(&self, at: usize, id: u32, tier: Tier) -> bool {
        self.stream.truth.scoring() == Scoring::Answers
            && tier == Tier::Exact
            && self.shelf.entry(id).is_some_and(|entry| entry.key == self.stream.asked[at].key)
    }

    fn shadow(&mut self, at: usize, near: &[Candidate], choice: &Choice) {
        self.out.shadows.push(at as u32);
        for &place in &choice.compare {
            let Some(same) = self.compare(at, near[place].entry) else { continue };
            let changes = self.policy.learn(near, place, same, None);
            self.apply(at, changes);
        }
    }

    fn miss(&mut self, at: usize, near: &[Candidate], choice: &Choice) {
        let results: Vec<(usize, Option<bool>)> =
            choice.compare.iter().map(|&place| (place, self.compare(at, near[place].entry))).collect();
        let stores = results.is_empty() || self.policy.stores(results.iter().any(|(_, same)| *same == Some(true)));
        let stored = if stores { self.store(at, at) } else { None };
        for (place, same) in results {
            let Some(same) = same else { continue };
            let changes = self.policy.learn(near, place, same, stored);
            self.apply(at, changes);
        }
    }

    fn apply(&mut self, at: usize, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Evict(entry) => self.shelf.remove(entry, &self.stream.nodes),
                Change::Alias(other) => {
                    let Some(answer) = self.shelf.entry(other).map(|entry| entry.answer as usize) else { continue };
                    if let Some(entry) = self.store(at, answer) {
                        self.policy.aliased(entry, other);
                    }
                }
            }
        }
    }

    /// Stores the question at `at` with the answer of the request at `answer`.
    fn store(&mut self, at: usize, answer: usize) -> Option<u32> {
        let (asked, given) = (&self.stream.asked[at], &self.stream.trace[answer]);
        let node = asked.node.filter(|_| self.plan.kind.is_semantic());
        let vector = node.and_then(|node| self.stream.nodes[node as usize].vector.as_ref());
        let text = asked.question_bytes;
        let vector_bytes = vector.map_or(0, |vector| size_of_val::<[f32]>(vector) + Question::expected_bytes(text));
        let body_bytes = self.stream.asked[answer].body_bytes;
        let bytes = entry::Entry::bytes_of(body_bytes + asked.text_bytes) + vector_bytes;
        let spent = Spent {
            usage: usage(given).unwrap_or_else(|| Spent::estimate(asked.text_bytes, body_bytes)),
            cost: self.prices.cost(given),
            waited_ms: given.took_ms.map_or(0, |ms| ms as u64),
        };
        let entry = Entry {
            key: asked.key,
            normalised: asked.normalised.filter(|_| self.plan.kind.tiers()[1]),
            node,
            keeps_ms: asked.ttl_ms,
            ..Entry::new(at as u32, answer as u32, bytes as u64, spent.worth(bytes, self.stream.wait_usd_per_hour))
        };
        let (id, gone) = self.shelf.store(entry, &self.stream.nodes, asked.t_ms);
        gone.iter().for_each(|gone| self.policy.forget(*gone));
        (!gone.contains(&id)).then_some(id)
    }

    /// Would the answer of the entry `id` be right for the request at `at`?
    fn right(&self, at: usize, id: u32) -> bool {
        self.judge(at, id) == Some(true)
    }

    fn judge(&self, at: usize, id: u32) -> Option<bool> {
        self.shelf.entry(id).map_or(Some(false), |entry| self.stream.truth.judge(at, entry.answer as usize))
    }

    /// The judge's answer to the same question: mostly the truth.
    fn compare(&mut self, at: usize, id: u32) -> Option<bool> {
        self.out.judged.push(at as u32);
        let Some(right) = self.judge(at, id) else {
            self.out.undecided += 1;
            return None;
        };
        Some(right != (self.plan.label_noise > 0.0 && self.judge.random_bool(self.plan.label_noise)))
    }
}
