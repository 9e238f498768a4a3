//! The pass through the real cache: each request is looked up, judged, and on a miss its answer is stored.

use super::asking::{Asking, PROVIDER, asking, body, usage};
use super::money::Prices;
use super::pass::{Outcome, Plan, Wrong};
use super::policies::Kind;
use super::report::{Found, Report, report};
use super::shelf::Room;
use super::stream::{Vectors, repeats};
use super::tally::Verdict;
use super::trace::Request;
use super::truth::{Scoring, Truth};
use crate::cache::{Ask, Cache, Hit, Lookup, Ticket};
use crate::config::DEFAULT_THRESHOLD;
use crate::types::answer::Answer;
use crate::types::clock::Clock;
use crate::types::ids::EntryId;
use crate::types::staleness::Staleness;
use crate::types::surface::Surface;
use crate::wire::openai::answer;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Texts that are embedded one at a time for the latency figure.
const TIMED_TEXTS: usize = 100;

/// One pass under way.
struct Run<'t> {
    cache: &'t Arc<Cache>,
    trace: &'t [Request],
    truth: &'t Truth,
    prices: &'t Prices,
    /// How soon each answer is out of date.
    classes: Vec<Staleness>,
    /// The request that stored each entry.
    stored_by: HashMap<EntryId, usize>,
    stored: HashSet<(Option<&'t str>, u32)>,
    out: Outcome,
    hash: Vec<Duration>,
    search: Vec<Duration>,
}

/// Replays `trace` through `cache`, which must be empty and run on `clock`. `vectors` holds those of recorded answers,
/// where the trace has no groups. `progress` is told how many requests are done.
pub async fn run(
    cache: &Arc<Cache>,
    clock: &Clock,
    trace: &[Request],
    vectors: &Vectors,
    prices: &Prices,
    progress: &dyn Fn(usize),
) -> Result<Report, String> {
    let began_ms = clock.now_ms();
    let truth = Truth::of(trace, vectors);
    let mut run = Run {
        cache,
        trace,
        truth: &truth,
        prices,
        classes: Vec::with_capacity(trace.len()),
        stored_by: HashMap::new(),
        stored: HashSet::new(),
        out: Outcome::default(),
        hash: Vec::with_capacity(trace.len()),
        search: Vec::new(),
    };
    for (at, request) in trace.iter().enumerate() {
        let now_ms = began_ms + (request.t * 1000.0) as u64;
        clock.advance(Duration::from_millis(now_ms.saturating_sub(clock.now_ms())));
        run.request(at).await.map_err(|why| format!("request {}: {why}", at + 1))?;
        progress(at + 1);
    }
    let Run { mut out, classes, hash, search, .. } = run;
    let embed = cache.time_embedding(&sample(trace)).await;
    let stats = cache.stats();
    (out.entries, out.bytes, out.evicted) = (
        stats.entries,
        stats.bytes as u64,
        (stats.evicted.memory + stats.evicted.scope + stats.evicted.tenant) as usize,
    );
    Ok(report(Found {
        trace,
        truth: &truth,
        repeats: repeats(trace, &truth),
        plan: Plan { kind: kind(cache), room: Room::default(), label_noise: 0.0, seed: 0 },
        outcome: out,
        classes,
        prices,
        latency: vec![("hash", hash), ("embed", embed), ("search", search)],
        index_bytes: stats.index_bytes,
        real_cache: true,
    }))
}

impl Run<'_> {
    async fn request(&mut self, at: usize) -> Result<(), String> {
        let request = &self.trace[at];
        let started = Instant::now();
        let (ask, class) = ask(self.cache, request)?;
        self.hash.push(started.elapsed());
        self.classes.push(class);
        let Some(ask) = ask else {
            self.out.verdicts.push(Verdict::TrueNegative);
            return Ok(());
        };
        let looked_up = match self.cache.lookup(&ask, false, false).await {
            Lookup::Stale(stale) => Lookup::Hit(stale.hit),
            other => other,
        };
        let verdict = match looked_up {
            Lookup::Hit(hit) | Lookup::Checked(hit, _) => {
                self.search.extend(hit.timing.search);
                self.hit(at, &hit)
            }
            Lookup::Miss(miss) => {
                self.search.extend(miss.timing.search);
                let group = (request.scope.as_deref(), self.truth.class(at));
                // Without a semantic tier no entry is near: then any stored one of the group counts.
                let missed = match miss.nearest.and_then(|id| self.stored_by.get(&id)) {
                    Some(other) => self.truth.same(at, *other),
                    None => !ask.policy.semantic && self.stored.contains(&group),
                };
                let entry = store(self.cache, &miss.ticket, request, self.prices).await?;
                self.stored_by.insert(entry, at);
                self.stored.insert(group);
                if missed { Verdict::FalseNegative } else { Verdict::TrueNegative }
            }
            Lookup::Stale(_) | Lookup::Follow(_) => {
                return Err("a replay has one request at a time, and yet one waited".to_owned());
            }
        };
        self.out.verdicts.push(verdict);
        Ok(())
    }

    fn hit(&mut self, at: usize, hit: &Hit) -> Verdict {
        let from = self.stored_by.get(&hit.entry.id).copied().unwrap_or(at);
        let same_words = self.truth.scoring() == Scoring::Answers && self.trace[at].body == self.trace[from].body;
        let said = self.truth.judge(at, from);
        if self.truth.scoring() == Scoring::None || same_words || said == Some(true) {
            return Verdict::TruePositive(hit.tier);
        }
        self.out.wrong.push(Wrong {
            request: at as u32,
            found: from as u32,
            similarity: hit.similarity,
            p: None,
            tier: hit.tier,
            undecided: said.is_none(),
        });
        Verdict::FalsePositive(hit.tier)
    }
}

/// What the cache's settings amount to.
fn kind(cache: &Cache) -> Kind {
    let settings = cache.settings();
    match (settings.semantic.enabled, settings.normalised) {
        (true, _) => Kind::Static {
            threshold: settings.semantic.threshold.unwrap_or(DEFAULT_THRESHOLD),
            veto: settings.semantic.veto,
        },
        (false, true) => Kind::Normalised,
        (false, false) => Kind::Exact,
    }
}

/// What the cache is asked, and of which class it is; nothing where the cache is passed by.
fn ask(cache: &Cache, request: &Request) -> Result<(Option<Ask>, Staleness), String> {
    let Asking { decoded, keys, policy, class, tenant, question } = asking(request, &cache.settings())?;
    let ask = policy.map(|policy| Ask {
        keys,
        policy,
        question,
        compared: None,
        tenant,
        surface: decoded.surface,
        model: decoded.model,
        tags: Vec::new(),
        needs_usage: false,
    });
    Ok((ask, class))
}

/// Stores an answer for a miss, as a provider would have given one.
async fn store(cache: &Cache, ticket: &Ticket, request: &Request, prices: &Prices) -> Result<EntryId, String> {
    let answer: Answer = answer::read(Surface::ChatCompletions, body(request).into())?;
    let answer = Answer { usage: usage(request), ..answer };
    let entry = cache.admit(ticket, &answer, PROVIDER, prices.cost(request)).await;
    entry.map(|entry| entry.id).map_err(|why| format!("an answer was not stored: {}", why.as_str()))
}

/// Evenly spread texts.
fn sample(trace: &[Request]) -> Vec<&str> {
    let step = (trace.len() / TIMED_TEXTS).max(1);
    trace.iter().step_by(step).take(TIMED_TEXTS).map(|request| request.text.as_str()).collect()
}
