//! What a run comes to, and its JSON. Keys are stable: snake_case, with units.

use super::money::{Prices, Savings, savings};
use super::pass::{Outcome, Plan, Wrong};
use super::shelf::Eviction;
use super::tally::{Part, Tally, intervals, ratio};
use super::trace::Request;
use super::truth::{Scoring, Truth};
use crate::cache::{question::fold, verify};
use crate::types::outcome::Tier;
use crate::types::staleness::Staleness;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Bootstrap resamples for the intervals.
const RESAMPLES: usize = 200;
/// Wrong hits that are shown.
const SHOWN: usize = 24;

/// The figures of one run. Rates are shares of all requests, unless they say otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The policy that was replayed.
    pub policy: String,
    /// What it is a setting of.
    pub family: String,
    /// How it was scored.
    pub scoring: Scoring,
    /// Errors are an estimate: recorded answers were compared, there are no groups.
    pub estimated: bool,
    /// It went through the real cache; else through a pass that agrees with it.
    pub real_cache: bool,
    /// The least similarity of a semantic hit; none without a fixed one.
    pub threshold: Option<f64>,
    /// The error budget of a policy that has one.
    pub error_budget: Option<f64>,
    /// Numbers, ids, dates and units had to agree.
    pub veto: bool,
    /// Bound on the bytes of entries; none where there is none.
    pub room_bytes: Option<u64>,
    /// Seconds that an entry is served; none for ever.
    pub ttl_s: Option<u64>,
    /// Who leaves when there is no room.
    pub eviction: Eviction,
    /// Requests in the trace.
    pub requests: usize,
    /// Served from the cache.
    pub hits: usize,
    /// Of those, with a wrong answer.
    pub errors: usize,
    /// Of the errors, those that no judge could decide. Without recorded answers to compare there are none.
    pub undecided_hits: usize,
    /// Hits over requests.
    pub hit_rate: f64,
    /// Its 95 % interval, by resampling groups.
    pub hit_rate_interval: [f64; 2],
    /// Wrong hits over requests.
    pub err_all: f64,
    /// Its 95 % interval, by resampling groups.
    pub err_all_interval: [f64; 2],
    /// Wrong hits over hits.
    pub err_hit: f64,
    /// Right hits over hits.
    pub precision: f64,
    /// Right hits over right hits and misses whose nearest entry would have been right.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Requests whose group was asked before, over requests: no cache can serve more rightly.
    pub repeat_ceiling: f64,
    /// Right hits over those.
    pub recall_of_ceiling: f64,
    /// Hits less shadow calls, over requests.
    pub net_hit_rate: f64,
    /// Shadow calls over hits.
    pub shadow_rate: f64,
    /// Judge calls over requests.
    pub judge_rate: f64,
    /// Judge calls that came to nothing: no judge could decide, and nothing was learned.
    pub undecided_judgements: usize,
    /// Hits of the exact and the normalised tier over requests.
    pub exact_hit_rate: f64,
    /// Hits and errors by tier.
    pub by_tier: BTreeMap<String, Part>,
    /// By scope.
    pub by_scope: BTreeMap<String, Part>,
    /// By how soon answers are out of date; `never` is neither looked up nor stored.
    pub by_class: BTreeMap<String, Part>,
    /// By tenth of the trace, in order.
    pub by_decile: Vec<Part>,
    /// By forty-eighth of the trace, in order.
    pub by_time: Vec<Part>,
    /// What hits spared.
    pub savings: Savings,
    /// Entries at the end.
    pub entries: usize,
    /// Bytes they are charged with.
    pub bytes: usize,
    /// Entries that left for room.
    pub evicted: usize,
    /// Bytes of the index, about; 0 where the real cache was not used.
    pub index_bytes: usize,
    /// Quantiles by step, in microseconds. `embed` is measured one text at a time on a sample.
    pub latency_us: BTreeMap<String, Latency>,
    /// Wrong hits, the surest first.
    pub false_hits: Vec<FalseHit>,
}

/// A hit with a wrong answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FalseHit {
    /// The request, by its place in the trace from 1.
    pub request: usize,
    /// Its question.
    pub question: String,
    /// The question whose answer was served.
    pub served: String,
    /// The scope, where the trace names one.
    pub scope: Option<String>,
    /// The tier that served it.
    pub tier: &'static str,
    /// Cosine of the two questions.
    pub similarity: Option<f32>,
    /// How sure the policy was, where it can say.
    pub p: Option<f32>,
    /// Words of both over words of either.
    pub shared_words: f64,
    /// Words of the shorter over words of the longer.
    pub length_ratio: f64,
    /// Numbers, ids, dates or units differ.
    pub facts_differ: bool,
    /// No judge could say that it is wrong, nor that it is right.
    pub undecided: bool,
    /// The group that was asked and the one that was served; or the two recorded answers.
    pub wanted_and_given: [String; 2],
}

/// Quantiles of a step, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// Nine in ten are below.
    pub p90: f64,
    /// Ninety-nine in a hundred are below.
    pub p99: f64,
}

impl Latency {
    pub(super) fn of(mut took: Vec<Duration>) -> Latency {
        took.sort_unstable();
        let at = |share: f64| {
            let place = ((took.len().saturating_sub(1)) as f64 * share).round() as usize;
            took.get(place).map_or(0.0, |took| took.as_nanos() as f64 / 1000.0)
        };
        Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
    }
}

/// What a run is reported on.
pub(super) struct Found<'a> {
    pub(super) trace: &'a [Request],
    pub(super) truth: &'a Truth,
    pub(super) repeats: usize,
    pub(super) plan: Plan,
    pub(super) outcome: Outcome,
    /// The staleness class of each request.
    pub(super) classes: Vec<Staleness>,
    pub(super) prices: &'a Prices,
    /// By step; empty ones are left out.
    pub(super) latency: Vec<(&'static str, Vec<Duration>)>,
    pub(super) index_bytes: usize,
    pub(super) real_cache: bool,
}

/// Adds up.
pub(super) fn report(found: Found<'_>) -> Report {
    let Found { trace, truth, repeats, plan, outcome, classes, prices, latency, index_bytes, real_cache } = found;
    let verdicts = &outcome.verdicts;
    let tally = Tally::of(verdicts, |at| trace[at].scope.as_deref(), |at| classes[at].as_str());
    let (hit_rate_interval, err_all_interval) = intervals(verdicts, &groups(trace, truth), RESAMPLES);
    let (requests, hits, errors) = (tally.all.requests, tally.all.hits, tally.all.errors);
    let (precision, recall) =
        (ratio(hits - errors, hits), ratio(tally.true_positives, tally.true_positives + tally.false_negatives));
    let exact = [Tier::Exact, Tier::Normalised].map(Tier::as_str);
    let exact_hits: usize = exact.iter().filter_map(|tier| tally.by_tier.get(tier)).map(|part| part.hits).sum();
    let (threshold, error_budget, veto) = plan.kind.settings();
    Report {
        policy: plan.kind.name(),
        family: plan.kind.family().to_owned(),
        scoring: truth.scoring(),
        estimated: truth.scoring() == Scoring::Answers,
        real_cache,
        threshold,
        error_budget,
        veto,
        room_bytes: plan.room.bytes,
        ttl_s: plan.room.ttl_ms.map(|ttl_ms| ttl_ms / 1000),
        eviction: plan.room.eviction,
        requests,
        hits,
        errors,
        undecided_hits: outcome.wrong.iter().filter(|wrong| wrong.undecided).count(),
        hit_rate: ratio(hits, requests),
        hit_rate_interval,
        err_all: ratio(errors, requests),
        err_all_interval,
        err_hit: ratio(errors, hits),
        precision,
        recall,
        f1: if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 },
        repeat_ceiling: ratio(repeats, requests),
        recall_of_ceiling: ratio(tally.true_positives, repeats),
        net_hit_rate: (hits as f64 - outcome.shadows.len() as f64) / requests.max(1) as f64,
        shadow_rate: ratio(outcome.shadows.len(), hits),
        judge_rate: ratio(outcome.judged.len(), requests),
        undecided_judgements: outcome.undecided,
        exact_hit_rate: ratio(exact_hits, requests),
        savings: savings(trace, verdicts, &outcome.shadows, &outcome.judged, prices),
        false_hits: false_hits(trace, &outcome),
        by_tier: tally.by_tier.into_iter().map(|(tier, part)| (tier.to_owned(), part)).collect(),
        by_scope: tally.by_scope,
        by_class: tally.by_class.into_iter().map(|(class, part)| (class.to_owned(), part)).collect(),
        by_decile: tally.by_decile,
        by_time: tally.by_time,
        entries: outcome.entries,
        bytes: outcome.bytes as usize,
        evicted: outcome.evicted,
        index_bytes,
        latency_us: latency
            .into_iter()
            .chain([("score", outcome.score)])
            .filter(|(_, took)| !took.is_empty())
            .map(|(step, took)| (step.to_owned(), Latency::of(took)))
            .collect(),
    }
}

/// The group of each request within its scope, by number: what is resampled together.
fn groups(trace: &[Request], truth: &Truth) -> Vec<usize> {
    let mut numbers: HashMap<(Option<&str>, u32), usize> = HashMap::new();
    let mut number = |(at, request): (usize, &'_ Request)| {
        let next = numbers.len();
        // Without groups or answers every request is a witness of its own.
        let class = if truth.scoring() == Scoring::None { at as u32 } else { truth.class(at) };
        *numbers.entry((trace[at].scope.as_deref().filter(|_| request.scope.is_some()), class)).or_insert(next)
    };
    trace.iter().enumerate().map(&mut number).collect()
}

/// The surest of the wrong hits, each pair of questions once; those that nobody could decide come last.
fn false_hits(trace: &[Request], outcome: &Outcome) -> Vec<FalseHit> {
    let mut wrong = outcome.wrong.clone();
    let sure = |of: &Wrong| of.p.or(of.similarity).unwrap_or(1.0);
    wrong.sort_by(|one, other| one.undecided.cmp(&other.undecided).then(sure(other).total_cmp(&sure(one))));
    let mut seen = HashSet::new();
    wrong.retain(|of| seen.insert((&trace[of.request as usize].text, &trace[of.found as usize].text)));
    let shown = |of: &Wrong| {
        let (request, other) = (&trace[of.request as usize], &trace[of.found as usize]);
        let (shared_words, length_ratio) = overlap(&request.text, &other.text);
        let label = |of: &Request| of.group.clone().or(of.answer.clone()).unwrap_or_default();
        FalseHit {
            request: of.request as usize + 1,
            question: request.text.clone(),
            served: other.text.clone(),
            scope: request.scope.clone(),
            tier: of.tier.as_str(),
            similarity: of.similarity,
            p: of.p,
            shared_words,
            length_ratio,
            facts_differ: verify::differs(&request.text, &other.text),
            undecided: of.undecided,
            wanted_and_given: [label(request), label(other)],
        }
    };
    wrong.iter().take(SHOWN).map(shown).collect()
}

/// Shared words over all words, and the shorter length over the longer, in words.
fn overlap(one: &str, other: &str) -> (f64, f64) {
    let fold = |text: &str| fold(text).unwrap_or_else(|| text.to_lowercase());
    let (one, other) = (fold(one), fold(other));
    let words = |text: &'_ str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let (one, other) = (words(&one), words(&other));
    let (ones, others): (HashSet<&String>, HashSet<&String>) = (one.iter().collect(), other.iter().collect());
    let (shared, all) = (ones.intersection(&others).count(), ones.union(&others).count());
    (ratio(shared, all), ratio(one.len().min(other.len()), one.len().max(other.len())))
}
