//! The one pass: each request is looked up in the real cache, judged, and on a miss its answer is stored.

use super::report::{Latency, Report, Savings};
use super::tally::{Tally, Verdict, intervals, ratio};
use super::trace::Request;
use crate::cache::policy::Policy;
use crate::cache::scope::{self, Circumstances};
use crate::cache::{Ask, Cache, Lookup, Ticket};
use crate::types::answer::Answer;
use crate::types::caller::Tenant;
use crate::types::clock::Clock;
use crate::types::directives::Directives;
use crate::types::ids::EntryId;
use crate::types::money::Price;
use crate::types::outcome::Tier;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::json::parse;
use crate::wire::openai::{answer, decode::decode};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bootstrap resamples for the intervals.
const RESAMPLES: usize = 200;
/// Texts that are embedded one at a time for the latency figure.
const TIMED_TEXTS: usize = 100;

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The policy's name, for the report.
    pub policy: String,
    /// What a token costs.
    pub price: Option<Price>,
}

/// What the pass took, step by step.
#[derive(Default)]
struct Took {
    hash: Vec<Duration>,
    search: Vec<Duration>,
}

/// Replays `trace` through `cache`, which must be empty and run on `clock`. `progress` is told how many requests are
/// done.
pub async fn run(
    cache: &Arc<Cache>,
    clock: &Clock,
    trace: &[Request],
    options: &Options,
    progress: &dyn Fn(usize),
) -> Result<Report, String> {
    let began_ms = clock.now_ms();
    let mut groups_of: HashMap<EntryId, &str> = HashMap::new();
    let mut stored: HashSet<(Option<&str>, &str)> = HashSet::new();
    let mut verdicts = Vec::with_capacity(trace.len());
    let mut took = Took::default();
    let mut savings = Savings::default();
    let mut repeats = 0;
    for (at, request) in trace.iter().enumerate() {
        let now_ms = began_ms + (request.t * 1000.0) as u64;
        clock.advance(Duration::from_millis(now_ms.saturating_sub(clock.now_ms())));
        let repeat = stored.contains(&(request.scope.as_deref(), request.group.as_str()));
        repeats += usize::from(repeat);
        let started = Instant::now();
        let ask = ask(cache, request).map_err(|why| format!("request {}: {why}", at + 1))?;
        took.hash.push(started.elapsed());
        let looked_up = match cache.lookup(&ask, false).await {
            Lookup::Stale(stale) => Lookup::Hit(stale.hit),
            other => other,
        };
        let verdict = match looked_up {
            Lookup::Hit(hit) => {
                took.search.extend(hit.timing.search);
                let right = groups_of.get(&hit.entry.id).is_some_and(|group| *group == request.group);
                savings.add(request, options.price);
                if right { Verdict::TruePositive(hit.tier) } else { Verdict::FalsePositive(hit.tier) }
            }
            Lookup::Miss(miss) => {
                took.search.extend(miss.timing.search);
                // Without a semantic tier no entry is near: then any stored one of the group counts.
                let missed = match miss.nearest {
                    Some(id) => groups_of.get(&id).is_some_and(|group| *group == request.group),
                    None => repeat && !ask.policy.semantic,
                };
                let entry = store(cache, &miss.ticket, request).await?;
                groups_of.insert(entry, &request.group);
                stored.insert((request.scope.as_deref(), &request.group));
                if missed { Verdict::FalseNegative } else { Verdict::TrueNegative }
            }
            Lookup::Stale(_) | Lookup::Follow(_) => {
                return Err("a replay has one request at a time, and yet one waited".to_owned());
            }
        };
        verdicts.push(verdict);
        progress(at + 1);
    }
    let embed = cache.time_embedding(&sample(trace)).await;
    Ok(report(cache, trace, options, &verdicts, repeats, savings, &took, embed))
}

fn ask(cache: &Cache, request: &Request) -> Result<Ask, String> {
    let body = Bytes::copy_from_slice(request.body.as_bytes());
    let json = parse(&body).map_err(|error| error.message)?;
    let decoded = decode(Surface::ChatCompletions, &json, &body).map_err(|error| error.message)?;
    let settings = cache.settings();
    let tenant = Tenant::configured("replay");
    let policy = Policy::decide(&settings, tenant.name(), &decoded.model, &Directives::default())
        .map_err(|reason| format!("the cache is not used: {}", reason.as_str()))?;
    let around = Circumstances { tenant: &tenant, sub_scope: request.scope.as_deref(), targets: &[], headers: &[] };
    let keys =
        scope::keys(&json, &decoded, &around, &settings.harmless_fields).ok_or("a number in it has no exact form")?;
    Ok(Ask {
        keys,
        policy,
        question: decoded.question.clone(),
        tenant,
        surface: decoded.surface,
        model: decoded.model.clone(),
        tags: Vec::new(),
        needs_usage: false,
    })
}

/// Stores an answer for a miss, as a provider would have given one.
async fn store(cache: &Cache, ticket: &Ticket, request: &Request) -> Result<EntryId, String> {
    let body = serde_json::json!({
        "id": "replay", "object": "chat.completion", "created": 0, "model": "replay",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": request.group}}],
    });
    let answer: Answer = answer::read(Surface::ChatCompletions, body.to_string().into())?;
    let usage = Usage { input_tokens: request.in_tok, output_tokens: request.out_tok };
    let answer = Answer { usage: Some(usage), ..answer };
    let entry = cache.admit(ticket, &answer, "replay", None).await;
    entry.map(|entry| entry.id).map_err(|why| format!("an answer was not stored: {}", why.as_str()))
}

/// Evenly spread texts.
fn sample(trace: &[Request]) -> Vec<&str> {
    let step = (trace.len() / TIMED_TEXTS).max(1);
    trace.iter().step_by(step).take(TIMED_TEXTS).map(|request| request.text.as_str()).collect()
}

#[allow(clippy::too_many_arguments)] // What one pass found, handed over once.
fn report(
    cache: &Cache,
    trace: &[Request],
    options: &Options,
    verdicts: &[Verdict],
    repeats: usize,
    savings: Savings,
    took: &Took,
    embed: Vec<Duration>,
) -> Report {
    let tally = Tally::of(verdicts, |at| trace[at].scope.as_deref());
    let mut numbers: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    let groups: Vec<usize> = trace
        .iter()
        .map(|request| {
            let next = numbers.len();
            *numbers.entry((&request.group, request.scope.as_deref())).or_insert(next)
        })
        .collect();
    let (hit_rate_interval, err_all_interval) = intervals(verdicts, &groups, RESAMPLES);
    let (requests, hits, errors) = (tally.all.requests, tally.all.hits, tally.all.errors);
    let (precision, recall) =
        (ratio(hits - errors, hits), ratio(tally.true_positives, tally.true_positives + tally.false_negatives));
    let stats = cache.stats();
    let settings = cache.settings();
    let exact = [Tier::Exact, Tier::Normalised].map(Tier::as_str);
    let exact_hits: usize = exact.iter().filter_map(|tier| tally.by_tier.get(tier)).map(|part| part.hits).sum();
    Report {
        policy: options.policy.clone(),
        threshold: settings.semantic.enabled.then_some(settings.semantic.threshold),
        veto: settings.semantic.veto,
        requests,
        hits,
        errors,
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
        // A static threshold asks nobody: no shadow calls, no judge.
        net_hit_rate: ratio(hits, requests),
        shadow_rate: 0.0,
        judge_rate: 0.0,
        exact_hit_rate: ratio(exact_hits, requests),
        by_tier: tally.by_tier.into_iter().map(|(tier, part)| (tier.to_owned(), part)).collect(),
        by_scope: tally.by_scope,
        by_decile: tally.by_decile,
        savings,
        entries: stats.entries,
        bytes: stats.bytes,
        index_bytes: stats.index_bytes,
        latency_us: [("hash", took.hash.clone()), ("embed", embed), ("search", took.search.clone())]
            .into_iter()
            .filter(|(_, took)| !took.is_empty())
            .map(|(step, took)| (step.to_owned(), Latency::of(took)))
            .collect(),
    }
}
