//! `askonce judge eval`: pairs on folds that were not trained on, and streams.

use super::EvalArgs;
use super::cold::{self, Cold};
use super::conversations;
use super::data;
use super::fit::{Material, TRAP_CUTS, auc, questions};
use super::stream::{Outcome, Pass, World, pass};
use super::vectors::Vectors;
use crate::cache::judgement::{Asked, LabelledPair, Learner, Seen, Settings, Strictness, Weights};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

/// Cosines at which pairs are served in the tables.
const THRESHOLDS: [f32; 4] = [0.84, 0.86, 0.88, 0.90];
/// Error budgets of the stream runs.
const BUDGETS: [f64; 4] = [0.005, 0.01, 0.02, 0.05];

/// Everything that is printed.
#[derive(Serialize)]
struct Tables {
    /// AUC by set: of the cosine, and of the trap score on pairs it was not trained on.
    auc: BTreeMap<String, [f64; 2]>,
    /// Pairs served.
    pairs: Vec<Served>,
    /// Pairs of conversations served.
    conversations: Vec<conversations::Served>,
    /// Runs of the stream.
    stream: Vec<Runs>,
    /// The first requests of new caches.
    cold: Vec<Cold>,
    /// Time of a decision among 16 candidates, in microseconds: median, and what 99 of 100 stay under.
    decision_us: [f64; 2],
}

/// Shares of pairs that would be served.
#[derive(Serialize)]
struct Served {
    strictness: &'static str,
    /// The least cosine.
    threshold: f32,
    /// By set, label and kind: served, all.
    served: BTreeMap<String, [usize; 2]>,
}

/// Runs of the stream that differ in their dice.
#[derive(Serialize)]
struct Runs {
    what: String,
    error_budget: f64,
    hit_rate: f64,
    err_all: f64,
    /// The largest of any run, over the budget.
    worst: f64,
    /// Shadow calls over hits.
    shadow_rate: f64,
    /// Judge calls over requests.
    judge_rate: f64,
    /// By scope: hits and errors over its requests.
    scopes: BTreeMap<String, [f64; 2]>,
}

pub(super) fn run(args: &EvalArgs) -> Result<(), String> {
    let weights = match &args.weights {
        None => Weights::shipped(),
        Some(file) => {
            let at = |why: String| format!("{}: {why}", file.display());
            let bytes = fs::read(file).map_err(|error| at(error.to_string()))?;
            Arc::new(Weights::from_bytes(&bytes).map_err(|error| at(error.to_string()))?)
        }
    };
    let talks = conversations::read(&args.source.data)?;
    let talks = conversations::tables(&talks, &args.source, &weights)?;
    if args.conversations {
        return print_conversations(&talks, args.json);
    }
    let data = data::read(&args.source.data)?;
    let vectors = Vectors::of(&data, &args.source)?;
    let questions = questions(&data);
    let near = vectors.neighbours(&data);
    let world = World { data: &data, questions: &questions, near: &near };
    let material = Material { world: &world, vectors: &vectors };
    let (auc, pairs) = pairs(&material);
    let mut tables =
        Tables { auc, pairs, conversations: talks, stream: Vec::new(), cold: Vec::new(), decision_us: [0.0; 2] };
    if !args.json {
        tables.print_pairs();
        conversations::print(&tables.conversations);
    }
    if !data.stream.is_empty() {
        stream(&material, &weights, args, &mut tables.stream);
        tables.cold = cold::cold(&world, &weights, &BUDGETS[..3], args.seeds.min(3));
        tables.decision_us = decision_us(&world, &weights);
        if !args.json {
            cold::print(&tables.cold);
            let [median, most] = tables.decision_us;
            println!("\na decision among 16 candidates: median {median:.1} µs, 99 of 100 within {most:.1} µs");
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&tables).map_err(|error| error.to_string())?);
    }
    Ok(())
}

fn print_conversations(tables: &[conversations::Served], as_json: bool) -> Result<(), String> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(tables).map_err(|error| error.to_string())?);
    } else {
        conversations::print(tables);
    }
    Ok(())
}

/// The pair tables: each pair by a trap score that was grown without its fold, and without the scopes of the stream that
/// were drawn from the same sets.
fn pairs(material: &Material<'_>) -> (BTreeMap<String, [f64; 2]>, Vec<Served>) {
    let data = material.world.data;
    let read: Vec<LabelledPair> = data.pairs.iter().map(|pair| material.pair(pair)).collect();
    let shared = |scope: &str| data.pairs.iter().any(|pair| scope.starts_with(pair.set.as_str()));
    let stream = material.stream_pairs(&shared);
    let of_fold = |fold: usize| {
        let kept = data.pairs.iter().zip(&read).filter(|(pair, _)| pair.fold != fold).map(|(_, read)| read.clone());
        material.trap(&kept.chain(stream.iter().cloned()).collect::<Vec<_>>())
    };
    let folds = [of_fold(0), of_fold(1)];
    let traps: Vec<f32> = data.pairs.iter().zip(&read).map(|(pair, read)| folds[pair.fold].trap(read)).collect();

    let mut scores: BTreeMap<String, [Vec<(f32, bool)>; 2]> = BTreeMap::new();
    for ((pair, read), trap) in data.pairs.iter().zip(&read).zip(&traps) {
        let [cosine, score] = scores.entry(pair.set.clone()).or_default();
        cosine.push((read.similarity, pair.same));
        score.push((-trap, pair.same));
    }
    let auc = scores.into_iter().map(|(set, scores)| (set, scores.map(|scores| auc(&scores)))).collect();

    let mut tables = Vec::new();
    for (strictness, cut) in [("off", 1.0), ("balanced", TRAP_CUTS[0]), ("strict", TRAP_CUTS[1])] {
        for threshold in THRESHOLDS {
            let mut served: BTreeMap<String, [usize; 2]> = BTreeMap::new();
            for ((pair, read), trap) in data.pairs.iter().zip(&read).zip(&traps) {
                let serves = read.similarity >= threshold && !read.is_vetoed() && *trap <= cut;
                let label = if pair.same { "same" } else { "other" };
                let set = format!("{} {label}", pair.set);
                let kind = (!pair.kind.is_empty()).then(|| format!("{set} {}", pair.kind));
                for name in [Some(set), kind].into_iter().flatten() {
                    let counts = served.entry(name).or_default();
                    counts[0] += usize::from(serves);
                    counts[1] += 1;
                }
            }
            tables.push(Served { strictness, threshold, served });
        }
    }
    (auc, tables)
}

fn stream(material: &Material<'_>, weights: &Arc<Weights>, args: &EvalArgs, rows: &mut Vec<Runs>) {
    let world = material.world;
    let mut add = |what: &str, weights: &Arc<Weights>, settings: Settings, how: Pass| {
        let runs = runs(what, world, weights, settings, how, args.seeds);
        if !args.json {
            runs.print(rows.is_empty());
        }
        rows.push(runs);
    };
    let of = |error_budget: f64| Settings { error_budget, ..Settings::default() };
    for budget in BUDGETS {
        add("balanced", weights, of(budget), Pass::default());
    }
    for budget in BUDGETS {
        add("balanced, in another order", weights, of(budget), Pass { shuffled: true, ..Pass::default() });
    }
    for budget in BUDGETS {
        add("balanced, 5 % of labels wrong", weights, of(budget), Pass { noise: 0.05, ..Pass::default() });
    }
    for (what, strictness) in [("off", Strictness::Off), ("strict", Strictness::Strict)] {
        add(what, weights, Settings { strictness, ..of(0.01) }, Pass::default());
    }
    for scope in world.data.scopes.iter().filter(|_| args.leave_out) {
        // A set of pairs and a scope of one name are one source.
        let weights = Arc::new(material.all(&|name| name == scope || scope.starts_with(name)));
        for budget in [0.005, 0.01, 0.02] {
            add(&format!("trained without {scope}"), &weights, of(budget), Pass::default());
        }
    }
}

fn runs(what: &str, world: &World<'_>, weights: &Arc<Weights>, settings: Settings, how: Pass, seeds: u64) -> Runs {
    let outcomes: Vec<Outcome> =
        (1..=seeds.max(1)).into_par_iter().map(|seed| pass(world, weights, settings, &Pass { seed, ..how })).collect();
    let count = outcomes.len() as f64;
    let mean = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / count;
    let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
    let scopes = world.data.scopes.iter().enumerate().map(|(at, name)| {
        let of = |which: usize| mean(&|outcome| share(outcome.scopes[at][which], outcome.scopes[at][0]));
        (name.clone(), [of(1), of(2)])
    });
    Runs {
        what: what.to_owned(),
        error_budget: settings.error_budget,
        hit_rate: mean(&Outcome::hit_rate),
        err_all: mean(&Outcome::error),
        worst: outcomes.iter().map(|one| one.error() / settings.error_budget).fold(0.0, f64::max),
        shadow_rate: mean(&|one| share(one.shadow_calls, one.hits)),
        judge_rate: mean(&|one| share(one.judge_calls, one.requests)),
        scopes: scopes.collect(),
    }
}

impl Runs {
    fn print(&self, head: bool) {
        if head {
            println!(
                "\n{:<34} {:>7} {:>7} {:>7} {:>9} {:>7} {:>7}",
                "stream", "budget", "hits", "wrong", "worst/bud", "shadow", "judged"
            );
        }
        println!(
            "{:<34} {:>6.1}% {:>6.2}% {:>6.3}% {:>9.2} {:>6.1}% {:>6.1}%",
            self.what,
            100.0 * self.error_budget,
            100.0 * self.hit_rate,
            100.0 * self.err_all,
            self.worst,
            100.0 * self.shadow_rate,
            100.0 * self.judge_rate
        );
    }
}

impl Tables {
    fn print_pairs(&self) {
        println!("{:<12} {:>10} {:>10}", "AUC", "cosine", "trap score");
        for (set, [cosine, trap]) in &self.auc {
            println!("{set:<12} {cosine:>10.3} {trap:>10.3}");
        }
        println!("\npairs served, %; the veto on, the trap score grown on the other fold");
        let heads: Vec<String> =
            self.pairs.iter().map(|one| format!("{}>{:.2}", &one.strictness[..3], one.threshold)).collect();
        println!("{:<44} {:>6} {}", "", "pairs", heads.join(" "));
        let Some(first) = self.pairs.first() else { return };
        for (name, [_, all]) in &first.served {
            let shares: Vec<String> = self
                .pairs
                .iter()
                .map(|one| {
                    let [served, all] = one.served.get(name).copied().unwrap_or_default();
                    format!("{:>8.1}", 100.0 * served as f64 / all.max(1) as f64)
                })
                .collect();
            println!("{name:<44} {all:>6} {}", shares.join(" "));
        }
    }
}

/// How long decisions take, one after another on one core, by a learner that has seen the stream once.
fn decision_us(world: &World<'_>, weights: &Arc<Weights>) -> [f64; 2] {
    let mut learner = Learner::with_weights(Settings::default(), weights.clone(), 1);
    let mut took = Vec::new();
    for (request, near) in world.data.stream.iter().zip(world.near).filter(|(_, near)| near.len() >= 16) {
        let text = |at: u32| world.data.stream[at as usize].text;
        let seen: Vec<Seen<'_>> = near[..16]
            .iter()
            .map(|(similarity, at)| Seen {
                entry: u64::from(*at),
                question: &world.questions[text(*at)],
                similarity: *similarity,
            })
            .collect();
        let question = &world.questions[request.text];
        let started = Instant::now();
        let decision = learner.decide(u128::from(request.scope), question, &seen, &Asked::default());
        took.push(started.elapsed());
        std::hint::black_box(decision);
    }
    took.sort_unstable();
    [0.5, 0.99].map(|share| {
        let at = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
        took.get(at).map_or(0.0, |took| took.as_nanos() as f64 / 1000.0)
    })
}

/// Cases by their probability: from, to, how many, mean probability, share that was right.
pub(super) fn calibration(cases: &[(f32, bool)]) -> Vec<[f64; 5]> {
    const EDGES: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0];
    EDGES
        .windows(2)
        .filter_map(|edges| {
            let within: Vec<&(f32, bool)> =
                cases.iter().filter(|(p, _)| (edges[0]..edges[1]).contains(&f64::from(*p))).collect();
            let count = within.len() as f64;
            let predicted = within.iter().map(|(p, _)| f64::from(*p)).sum::<f64>() / count;
            let right = within.iter().filter(|(_, right)| *right).count() as f64 / count;
            (count > 0.0).then_some([edges[0], edges[1], count, predicted, right])
        })
        .collect()
}
