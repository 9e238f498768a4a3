//! Thousands of stories with a clock of their own: three providers with two keys each, faults at random, and what must hold in each.
//!
//! `ASKONCE_SIMULATIONS` sets how many; a failed one says its seed, and `ASKONCE_SIMULATION` runs that one alone.

use super::*;
use crate::config;
use crate::config::Strategy;
use crate::routing::{KeyState, LaneId, LaneSettings, Leg, Phase, Route, Seen, Start, Target};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::LazyLock;

const PROVIDERS: usize = 3;
const KEYS: usize = 2;
/// How long faults come and go.
const STORY: Duration = Duration::from_secs(60);
const REQUESTS: usize = 80;
const FIRST_BYTE: Duration = Duration::from_secs(2);

/// What a provider does for a while.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mood {
    Well,
    /// Well, and up to so many times slower.
    Slow(u32),
    Refuses,
    Hangs,
    ResetsBefore,
    ResetsInTheMiddle,
    Errs(u16),
    /// Rate limits, with and without a time to come back.
    Limits(Option<u64>),
    WrongJson,
    /// Every second request.
    Flaps,
}

/// A provider's moods, each from a moment on.
struct Script {
    moods: Vec<(Duration, Mood)>,
    /// From when on each key is refused.
    dead: [Option<Duration>; KEYS],
}

impl Script {
    fn random(random: &mut StdRng) -> Script {
        let mut at = Duration::ZERO;
        let mut moods = Vec::new();
        while at < STORY {
            let mood = match random.random_range(0..16) {
                0..6 => Mood::Well,
                6 => Mood::Slow(random.random_range(2..15)),
                7 => Mood::Refuses,
                8 => Mood::Hangs,
                9 => Mood::ResetsBefore,
                10 => Mood::ResetsInTheMiddle,
                11 => Mood::Errs([500, 502, 503, 529][random.random_range(0..4)]),
                12 => Mood::Limits(None),
                13 => Mood::Limits(Some(random.random_range(1..5))),
                14 => Mood::WrongJson,
                _ => Mood::Flaps,
            };
            moods.push((at, mood));
            at += Duration::from_millis(random.random_range(500..20_000));
        }
        let dies = |random: &mut StdRng| random.random_bool(0.1).then(|| STORY.mul_f64(random.random()));
        Script { moods, dead: [dies(random), dies(random)] }
    }

    fn mood(&self, at: Duration) -> Mood {
        self.moods.iter().rev().find(|(from, _)| *from <= at).map_or(Mood::Well, |(_, mood)| *mood)
    }

    /// Would it have answered at any time from `from` to `until`, with a key that is well all that time?
    fn is_well(&self, from: Duration, until: Duration) -> bool {
        let well = |mood| matches!(mood, Mood::Well | Mood::Slow(_));
        let begins = self.moods.iter().filter(|(at, _)| (from..until).contains(at)).all(|(_, mood)| well(*mood));
        well(self.mood(from)) && begins && self.dead.iter().any(|dies| dies.is_none_or(|at| at > until))
    }
}

/// What is seen of a lane from outside.
#[derive(Default)]
struct Seen1 {
    sent: u32,
    again: u32,
    failures_in_a_row: u32,
}

struct World {
    start: Instant,
    scripts: Vec<Script>,
    route: Arc<Route>,
    seen: Vec<Mutex<Seen1>>,
    flapped: Mutex<u64>,
    random: Mutex<StdRng>,
    queue: Arc<Queue>,
    tenant: Tenant,
}

/// One request, as the world sees it.
struct Caller {
    world: Arc<World>,
    tried: Mutex<Vec<usize>>,
    /// Attempts that are being answered.
    talking: Mutex<u32>,
}

impl Caller {
    async fn answer(&self, at: usize) -> Result<bool, Error> {
        let world = &self.world;
        let (provider, key) = (at / KEYS, at % KEYS);
        let now = world.start.elapsed();
        let script = &world.scripts[provider];
        let jitter: f64 = world.random.lock().random();
        let usual = Duration::from_millis(30).mul_f64(1.0 + jitter);
        let failed = |kind| Err(Error::new(kind, "x"));
        if script.dead[key].is_some_and(|dies| dies <= now) {
            tokio::time::sleep(usual / 4).await;
            return failed(ErrorKind::UpstreamStatus(401));
        }
        let mut mood = script.mood(now);
        if mood == Mood::Flaps {
            let mut flapped = world.flapped.lock();
            *flapped += 1;
            mood = if flapped.is_multiple_of(2) { Mood::Well } else { Mood::Errs(500) };
        }
        match mood {
            Mood::Well | Mood::Flaps => tokio::time::sleep(usual).await,
            Mood::Slow(times) => tokio::time::sleep(usual * times).await,
            Mood::ResetsInTheMiddle => {
                tokio::time::sleep(usual).await;
                return Ok(false);
            }
            Mood::Hangs => {
                tokio::time::sleep(FIRST_BYTE).await;
                return failed(ErrorKind::UpstreamTimeout);
            }
            Mood::Refuses | Mood::ResetsBefore => {
                tokio::time::sleep(usual / 10).await;
                return failed(ErrorKind::UpstreamUnreachable);
            }
            Mood::Errs(status) => {
                tokio::time::sleep(usual / 2).await;
                return failed(ErrorKind::UpstreamStatus(status));
            }
            Mood::WrongJson => {
                tokio::time::sleep(usual).await;
                return failed(ErrorKind::UpstreamBroken);
            }
            Mood::Limits(after) => {
                tokio::time::sleep(usual / 4).await;
                let error = Error::new(ErrorKind::UpstreamStatus(429), "x");
                return Err(Error { retry_after: after.map(Duration::from_secs), ..error });
            }
        }
        Ok(true)
    }
}

impl Sender for Caller {
    /// Will the answer end well?
    type Answer = bool;

    fn attempt<'s>(&'s self, at: usize, _lane: &'s Lane) -> BoxFuture<'s, Result<bool, Error>> {
        let again = {
            let mut tried = self.tried.lock();
            let again = tried.contains(&at);
            tried.push(at);
            again
        };
        let mut seen = self.world.seen[at].lock();
        seen.sent += 1;
        seen.again += u32::from(again);
        assert!(seen.again <= 10 + seen.sent / 5, "more retries than the budget has");
        drop(seen);
        *self.talking.lock() += 1;
        assert!(*self.talking.lock() <= 2, "no more than one attempt beside another");
        Box::pin(async move {
            let outcome = self.answer(at).await;
            *self.talking.lock() -= 1;
            outcome
        })
    }

    fn headers<'a>(&self, _answer: &'a bool) -> &'a HeaderMap {
        nothing_told()
    }

    fn tenant(&self) -> &Tenant {
        &self.world.tenant
    }

    fn failed(&self, lane: &Lane, error: &Error, _took: Duration) {
        let at = self.world.route.legs.iter().position(|leg| leg.lane.id == lane.id).unwrap();
        let mut seen = self.world.seen[at].lock();
        if Fault::of(error) == Fault::Passing {
            seen.failures_in_a_row += 1;
            if lane.health(Moment::from_ms(1)).phase != Phase::Closed {
                seen.failures_in_a_row = 0;
            }
            assert!(seen.failures_in_a_row < 10, "its breaker should have opened");
        } else {
            seen.failures_in_a_row = 0;
        }
    }
}

fn retry() -> config::Retry {
    config::Retry {
        attempts: 3,
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_secs(1),
        retry_after_max: Duration::from_secs(5),
        budget_percent: 20,
        total_timeout: Duration::from_secs(20),
    }
}

fn line() -> config::Queue {
    config::Queue { most: 1000, most_per_tenant: 250, timeout: Duration::from_secs(10) }
}

fn world(scripts: Vec<Script>, strategy: Strategy, seed: u64) -> Arc<World> {
    let breaker = config::Breaker {
        failures: 5,
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(30),
        slow_start: Duration::from_secs(2),
        probe_interval: None,
    };
    let target = |at: usize| Target::new(format!("p{at}"), "m");
    let leg = |at: usize| {
        let id = LaneId {
            provider: format!("p{}", at / KEYS),
            model: Some("m".to_owned()),
            key: Some(format!("k{}", at % KEYS)),
        };
        let settings = LaneSettings {
            breaker,
            probe_lease: FIRST_BYTE,
            retry_percent: 20,
            caps: Vec::new(),
            key: Some(Arc::new(KeyState::default())),
        };
        let lane = Lane::new(id, settings);
        let weight = [3.0, 2.0, 1.0][at / KEYS];
        Leg {
            lane: Arc::new(lane),
            target: at / KEYS,
            tier: 0,
            weight,
            cost: None,
            price: None,
            after: Seen::default(),
            when: None,
            first_token_timeout: None,
        }
    };
    let targets: Vec<Target> = (0..PROVIDERS).map(target).collect();
    let legs = (0..PROVIDERS * KEYS).map(leg).collect();
    let hedge = seed.is_multiple_of(2).then_some(config::Hedge {
        share: 0.95,
        at_least: Duration::from_millis(10),
        budget_percent: 5,
    });
    Arc::new(World {
        start: Instant::now(),
        scripts,
        route: Arc::new(Route::new(targets, legs, strategy, hedge, None)),
        seen: (0..PROVIDERS * KEYS).map(|_| Mutex::default()).collect(),
        flapped: Mutex::default(),
        random: Mutex::new(StdRng::seed_from_u64(seed)),
        queue: Queue::new(line(), RouterClock::begin()),
        tenant: Tenant::configured("t"),
    })
}

/// One request from its arrival to its end. True if it was answered.
async fn ask(world: &Arc<World>, clock: RouterClock, seed: u64) -> bool {
    let arrived = world.start.elapsed();
    let start = Start { now: clock.now(), seed, stick_to: seed };
    let course = Course::begin(world.route.clone(), retry(), start);
    let caller = Caller { world: world.clone(), tried: Mutex::default(), talking: Mutex::default() };
    let answered = go(&caller, course, &world.queue, clock).await;
    let until = arrived + retry().total_timeout;
    match answered {
        Ok(mut answered) => {
            if answered.pass.is_probe() {
                let phase = answered.pass.lane().health(clock.now()).phase;
                assert_eq!(phase, Phase::Closed, "one answered probe brings it back");
            }
            world.seen[answered.at].lock().failures_in_a_row = 0;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if !answered.answer {
                answered.pass.broke(clock.now(), 0.5);
            }
            true
        }
        Err((error, tried)) => {
            let well = world.scripts.iter().position(|script| script.is_well(arrived, until));
            assert_eq!(well, None, "lost at {arrived:?} after {tried:?}, although a provider was well: {error:?}");
            false
        }
    }
}

async fn story(seed: u64) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let scripts = (0..PROVIDERS).map(|_| Script::random(&mut random)).collect();
    let strategy = Strategy::WORDS[seed as usize % Strategy::WORDS.len()].parse().unwrap();
    let world = world(scripts, strategy, seed);
    let clock = RouterClock::begin();
    let mut asked = Vec::new();
    for number in 0..REQUESTS {
        let pause = STORY.mul_f64(random.random::<f64>() * 2.0 / REQUESTS as f64);
        tokio::time::sleep(pause).await;
        let world = world.clone();
        let leaves = random.random_bool(0.05).then(|| Duration::from_millis(random.random_range(1..3000)));
        asked.push(tokio::spawn(async move {
            let asking = ask(&world, clock, seed ^ number as u64);
            match leaves {
                // Some callers do not wait.
                Some(after) => tokio::time::timeout(after, asking).await.unwrap_or(true),
                None => asking.await,
            }
        }));
    }
    let mut answered = 0;
    for one in asked {
        answered += usize::from(one.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())));
    }
    for leg in &world.route.legs {
        assert_eq!(leg.lane.in_flight(), 0, "a place was not given back");
    }
    answered
}

std::thread_local! {
    static CHANCE: std::cell::RefCell<StdRng> = std::cell::RefCell::new(StdRng::seed_from_u64(0));
}

/// Chance that depends on the story's seed alone.
pub(super) fn chance() -> f64 {
    CHANCE.with_borrow_mut(|chance| chance.random())
}

/// Runs the story in a runtime whose time stands still while anything can go on.
pub(super) fn run<T>(seed: u64, story: impl Future<Output = T>) -> T {
    CHANCE.set(StdRng::seed_from_u64(seed));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(story)));
    outcome.unwrap_or_else(|panic| {
        eprintln!("the story of seed {seed} went wrong: ASKONCE_SIMULATION={seed} runs it alone");
        std::panic::resume_unwind(panic)
    })
}

/// The headers of an answer that has none.
pub(super) fn nothing_told() -> &'static HeaderMap {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    &NONE
}

pub(super) fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_request_is_lost_that_a_target_could_have_answered() {
    let one = number_from_env("ASKONCE_SIMULATION");
    let seeds = one.map_or(0..number_from_env("ASKONCE_SIMULATIONS").unwrap_or(1000), |seed| seed..seed + 1);
    let stories = seeds.end - seeds.start;
    let answered: usize = seeds.map(|seed| run(seed, story(seed))).sum();
    let share = answered as f64 / (stories as f64 * REQUESTS as f64);
    println!("{stories} stories, {:.2} % of their requests answered", share * 100.0);
    assert!(one.is_some() || share > 0.9, "{share}");
}

#[test]
fn load_follows_weights_while_all_are_well() {
    let scripts = (0..PROVIDERS).map(|_| Script { moods: Vec::new(), dead: [None; KEYS] }).collect();
    let (sent, total) = run(1, async {
        let world = world(scripts, Strategy::Weighted, 1);
        let clock = RouterClock::begin();
        for number in 0..12_000 {
            assert!(ask(&world, clock, number).await);
        }
        let sent: Vec<u32> = world.seen.iter().map(|seen| seen.lock().sent).collect();
        (sent.clone(), sent.iter().sum::<u32>())
    });
    for (at, sent) in sent.into_iter().enumerate() {
        let expected = [3.0, 2.0, 1.0][at / KEYS] / 12.0;
        assert!((f64::from(sent) / f64::from(total) - expected).abs() < 0.02, "{at}: {sent} of {total}");
    }
}

#[test]
fn a_second_attempt_cuts_the_tail() {
    /// Two targets of which every fiftieth answer takes twenty times as long.
    struct Tail<'w>(&'w World);
    impl Sender for Tail<'_> {
        type Answer = bool;
        fn attempt<'s>(&'s self, at: usize, _: &'s Lane) -> BoxFuture<'s, Result<bool, Error>> {
            self.0.seen[at].lock().sent += 1;
            let (slow, jitter) = {
                let mut random = self.0.random.lock();
                (random.random_bool(0.02), random.random::<f64>())
            };
            let usual = Duration::from_millis(50).mul_f64(1.0 + 0.3 * jitter);
            Box::pin(async move {
                tokio::time::sleep(if slow { usual * 20 } else { usual }).await;
                Ok(true)
            })
        }
        fn headers<'a>(&self, _: &'a bool) -> &'a HeaderMap {
            nothing_told()
        }
        fn tenant(&self) -> &Tenant {
            &self.0.tenant
        }
        fn failed(&self, _: &Lane, _: &Error, _: Duration) {}
    }
    let p99 = |hedged: bool| {
        run(7, async move {
            let scripts = (0..PROVIDERS).map(|_| Script { moods: Vec::new(), dead: [None; KEYS] }).collect();
            let world = world(scripts, Strategy::Weighted, if hedged { 2 } else { 3 });
            let clock = RouterClock::begin();
            let mut took = Vec::new();
            for number in 0..6000 {
                let start = Start { now: clock.now(), seed: number, stick_to: number };
                let began = Instant::now();
                let course = Course::begin(world.route.clone(), retry(), start);
                assert!(go(&Tail(&world), course, &world.queue, clock).await.is_ok_and(|answered| answered.answer));
                took.push(began.elapsed());
            }
            took.sort_unstable();
            let sent: u32 = world.seen.iter().map(|seen| seen.lock().sent).sum();
            (took[took.len() * 99 / 100], f64::from(sent) / took.len() as f64 - 1.0)
        })
    };
    let ((alone, none), (hedged, extra)) = (p99(false), p99(true));
    println!("p99 {alone:?} alone, {hedged:?} hedged at {:.1} % more requests", extra * 100.0);
    assert_eq!(none, 0.0);
    assert!(hedged * 5 <= alone, "{alone:?} → {hedged:?}");
    assert!(extra <= 0.05 + 10.0 / 6000.0, "{extra}");
}
