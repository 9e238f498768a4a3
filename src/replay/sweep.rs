//! A sweep: many policies over one stream, in parallel; what none beats; what less room and shorter lives cost.

use super::money::Prices;
use super::pareto::{self, BOUNDS, Best, Point};
use super::pass::{Plan, pass};
use super::policies::{Kind, Strictness, strictness_word};
use super::report::{Found, Report, report};
use super::shelf::{Eviction, Room};
use super::stream::Stream;
use super::truth::Scoring;
use rayon::prelude::*;
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shares of the bytes that a policy takes without a bound.
const ROOMS: [f64; 4] = [0.5, 0.25, 0.1, 0.05];
/// Shares of the trace's duration that entries live.
const LIVES: [f64; 4] = [0.5, 0.2, 0.05, 0.01];

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Options {
    /// Policies.
    pub kinds: Vec<Kind>,
    /// What tokens cost.
    pub prices: Prices,
    /// Share of the judge's answers that are wrong.
    pub label_noise: f64,
    /// The bound on errors that the choice keeps to.
    pub error_budget: f64,
    /// Begins all dice.
    pub seed: u64,
}

/// What a sweep found.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// Requests in the trace.
    pub requests: usize,
    /// Requests whose group was asked before, over requests.
    pub repeat_ceiling: f64,
    /// How runs were scored.
    pub scoring: Scoring,
    /// One for each policy.
    pub runs: Vec<Report>,
    /// Places in `runs` of what nothing beats, by error.
    pub front: Vec<usize>,
    /// The best under each bound.
    pub best: Vec<Best>,
    /// The bound that the choice keeps to.
    pub error_budget: f64,
    /// Place in `runs` of the best that the gateway can do within the bound.
    pub chosen: Option<usize>,
    /// What to write into the configuration for it.
    pub config: Option<String>,
    /// What each strictness costs in hits.
    pub knobs: Vec<Knob>,
    /// The choice with less room, by every eviction policy, and with shorter lives.
    pub rooms: Vec<Report>,
}

/// What a strictness against look-alikes costs in hits at an error budget.
#[derive(Clone, Debug, Serialize)]
pub struct Knob {
    /// Wrong hits over requests that were allowed.
    pub error_budget: f64,
    /// `off`, `balanced` or `strict`.
    pub strictness: &'static str,
    /// Place in `runs`.
    pub run: usize,
    /// Hits over requests.
    pub hit_rate: f64,
    /// Wrong hits over requests.
    pub err_all: f64,
    /// Hit rate with the trap score off, less this one.
    pub costs: f64,
}

/// The knobs of the runs of `kinds`, by error budget, the loosest first.
fn knobs(kinds: &[Kind], runs: &[Report]) -> Vec<Knob> {
    let of = |budget: f64, wanted: Strictness| {
        kinds.iter().position(|kind| {
            matches!(*kind, Kind::Learned { error_budget, strictness, threshold: None }
                if error_budget == budget && strictness == wanted)
        })
    };
    let mut knobs = Vec::new();
    for kind in kinds {
        let Kind::Learned { error_budget, strictness: Strictness::Off, threshold: None } = *kind else { continue };
        let Some(loosest) = of(error_budget, Strictness::Off).map(|at| runs[at].hit_rate) else { continue };
        for strictness in [Strictness::Off, Strictness::Balanced, Strictness::Strict] {
            let Some(run) = of(error_budget, strictness) else { continue };
            let Report { hit_rate, err_all, .. } = runs[run];
            let word = strictness_word(strictness);
            knobs.push(Knob { error_budget, strictness: word, run, hit_rate, err_all, costs: loosest - hit_rate });
        }
    }
    knobs
}

/// What is swept unless the command line says otherwise: words alone, static thresholds with and without the veto,
/// vCache's rule, and the learned judgement. What learns is left out where nobody knows what is right.
pub fn kinds(scoring: Scoring) -> Vec<Kind> {
    let mut kinds = vec![Kind::Exact, Kind::Normalised];
    for veto in [false, true] {
        kinds.extend((70..100).map(|cosine| Kind::Static { threshold: f64::from(cosine) / 100.0, veto }));
    }
    for tiers in [false, true] {
        kinds.extend([0.01, 0.02, 0.03, 0.05, 0.07].map(|delta| Kind::Vcache { delta, tiers }));
    }
    for strictness in [Strictness::Balanced, Strictness::Off, Strictness::Strict] {
        let learned = |error_budget| Kind::Learned { error_budget, strictness, threshold: None };
        kinds.extend([0.005, 0.01, 0.02, 0.05].map(learned));
    }
    kinds.retain(|kind| scoring != Scoring::None || !kind.learns());
    kinds
}

/// Runs one plan over `stream`.
pub fn single(stream: &Stream<'_>, plan: &Plan, prices: &Prices, progress: &dyn Fn(usize)) -> Report {
    let outcome = pass(stream, plan, prices, progress);
    report(Found {
        trace: stream.trace,
        truth: &stream.truth,
        repeats: stream.repeats,
        plan: *plan,
        outcome,
        classes: stream.asked.iter().map(|asked| asked.class).collect(),
        prices,
        latency: vec![("hash", stream.hashing.clone())],
        index_bytes: 0,
        real_cache: false,
    })
}

/// How many passes `sweep` takes at most, of as many requests as the trace has.
pub fn passes(options: &Options) -> usize {
    options.kinds.len() + ROOMS.len() * Eviction::ALL.len() + LIVES.len()
}

/// Runs all. `progress` is told how many requests are done, of all passes together.
pub fn sweep(stream: &Stream<'_>, options: &Options, progress: &(dyn Fn(usize) + Sync)) -> Sweep {
    let done = AtomicUsize::new(0);
    let run = |plan: &Plan| {
        let before = std::cell::Cell::new(0);
        single(stream, plan, &options.prices, &|now| {
            let more = now - before.replace(now);
            progress(done.fetch_add(more, Ordering::Relaxed) + more);
        })
    };
    let plan = |kind| Plan { kind, room: Room::default(), label_noise: options.label_noise, seed: options.seed };
    let runs: Vec<Report> = options.kinds.par_iter().map(|kind| run(&plan(*kind))).collect();
    let points: Vec<Point> = runs.iter().map(|run| Point { error: run.err_all, hits: run.hit_rate }).collect();
    let within: Vec<Point> = points
        .iter()
        .zip(&options.kinds)
        // What the gateway cannot do is no choice.
        .map(|(point, kind)| if kind.config().is_some() { *point } else { Point { error: f64::INFINITY, ..*point } })
        .collect();
    let chosen = pareto::best(&within, options.error_budget);
    let rooms = chosen.map(|at| rooms(stream, &plan(options.kinds[at]), &runs[at])).unwrap_or_default();
    Sweep {
        requests: stream.trace.len(),
        repeat_ceiling: runs.first().map_or(0.0, |run| run.repeat_ceiling),
        scoring: stream.truth.scoring(),
        front: pareto::front(&points),
        best: BOUNDS.into_iter().map(|bound| Best { bound, run: pareto::best(&points, bound) }).collect(),
        error_budget: options.error_budget,
        chosen,
        config: chosen.and_then(|at| options.kinds[at].config()),
        knobs: knobs(&options.kinds, &runs),
        rooms: rooms.par_iter().map(run).collect(),
        runs,
    }
}

/// Plans with less room and shorter lives than `whole` had.
fn rooms(stream: &Stream<'_>, plan: &Plan, whole: &Report) -> Vec<Plan> {
    let mut plans = Vec::new();
    for share in ROOMS {
        let bytes = Some((whole.bytes as f64 * share) as u64);
        plans.extend(Eviction::ALL.map(|eviction| Plan { room: Room { bytes, eviction, ttl_ms: None }, ..*plan }));
    }
    let first = stream.asked.first().map_or(0, |asked| asked.t_ms);
    let last = stream.asked.iter().map(|asked| asked.t_ms).max().unwrap_or(0);
    let lives = LIVES.map(|share| ((last - first.min(last)) as f64 * share) as u64);
    let room = |ttl_ms| Plan { room: Room { ttl_ms: Some(ttl_ms), ..Room::default() }, ..*plan };
    plans.extend(lives.into_iter().filter(|ttl_ms| *ttl_ms > 0).map(room));
    plans
}
