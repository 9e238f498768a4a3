//! Stories as many-sided as what providers do: more keys than attempts, tiers and targets for what others refuse, caps with the line,
//! herds, streams beside plain answers, answers that outlast a probe's lease, rate limits told in headers, wrong requests. Towards the
//! end all are well again for a while.
//!
//! `ASKONCE_SIMULATIONS` and `ASKONCE_SIMULATION` are as for the other stories.

use super::simulation::{number_from_env, run};
use super::*;
use crate::config;
use crate::config::Strategy;
use crate::routing::{Cap, KeyState, LaneId, LaneSettings, Leg, Look, Phase, Route, Seen, Start, Target};
use crate::types::error::UpstreamReply;
use crate::types::header::Writer;
use http::HeaderName;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How long faults come and go, and how long all are well after that.
const TROUBLE: Duration = Duration::from_secs(40);
const CALM: Duration = Duration::from_secs(40);
/// Requests before the calm and in it, and those of a herd.
const REQUESTS: usize = 45;
const CALM_REQUESTS: usize = 40;
const HERD: usize = 20;
/// Whose answer does not begin within this time has failed.
const FIRST_BYTE: Duration = Duration::from_millis(2500);
/// Answers may well take longer.
const LEASE: Duration = Duration::from_secs(1);
const TOTAL: Duration = Duration::from_secs(20);
const OPEN_MAX: Duration = Duration::from_secs(4);
/// Rate limits are made whole in such steps.
const WINDOW: Duration = Duration::from_secs(5);

/// What a provider does for a while.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mood {
    Well,
    /// Well, but its answers take longer than a probe's lease.
    Long,
    Refuses,
    Hangs,
    ResetsInTheMiddle,
    Errs(u16),
    /// Asks to be left alone, with a status.
    Busy(u16, Option<u64>),
    WrongJson,
    /// Fails every second request.
    Flaps,
}

/// What a request is.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Nature {
    Plain,
    Streamed,
    /// Wrong everywhere.
    Wrong,
    TooLong,
    /// A provider has it already.
    Conflict(usize),
}

/// One provider.
struct Actor {
    moods: Vec<(Duration, Mood)>,
    /// The refusal of each key, if it is refused.
    keys: Vec<Option<u16>>,
    has_model: bool,
    /// It reads requests that are too long for others, and is asked after these only.
    large: bool,
    tier: u32,
    /// Requests that it takes of each key in a window, and tells in headers.
    limit: Option<u32>,
    /// Requests at a time on each lane.
    most: Option<u32>,
}

impl Actor {
    fn random(random: &mut StdRng, large: bool) -> Actor {
        let mut at = Duration::ZERO;
        let mut moods = Vec::new();
        while at < TROUBLE {
            let mood = match random.random_range(0..17) {
                0..6 => Mood::Well,
                6 | 7 => Mood::Long,
                8 => Mood::Refuses,
                9 => Mood::Hangs,
                10 => Mood::ResetsInTheMiddle,
                11 => Mood::Errs([500, 502, 529][random.random_range(0..3)]),
                12 => Mood::Busy(503, Some(random.random_range(1..4))),
                13 => Mood::Busy(429, Some(random.random_range(1..4))),
                14 => Mood::Busy(429, None),
                15 => Mood::WrongJson,
                _ => Mood::Flaps,
            };
            moods.push((at, mood));
            at += Duration::from_millis(random.random_range(500..15_000));
        }
        moods.push((TROUBLE, Mood::Well));
        let refused = |random: &mut StdRng| random.random_bool(0.1).then(|| [401, 403][random.random_range(0..2)]);
        Actor {
            moods,
            keys: (0..random.random_range(1..=5)).map(|_| refused(random)).collect(),
            has_model: random.random_bool(0.95),
            large,
            tier: u32::from(random.random_bool(0.3)),
            limit: random.random_bool(0.2).then(|| random.random_range(3..30)),
            most: random.random_bool(0.3).then(|| random.random_range(2..5)),
        }
    }

    fn mood(&self, at: Duration) -> Mood {
        self.moods.iter().rev().find(|(from, _)| *from <= at).map_or(Mood::Well, |(_, mood)| *mood)
    }

    /// Would it have answered at any time from `from` to `until`?
    fn is_well(&self, from: Duration, until: Duration) -> bool {
        // With a cap, slow answers are the line's to tell of.
        let well = |mood: Mood| mood == Mood::Well || (mood == Mood::Long && self.most.is_none());
        let begins = self.moods.iter().filter(|(at, _)| (from..until).contains(at)).all(|(_, mood)| well(*mood));
        self.has_model && self.limit.is_none() && self.keys.contains(&None) && well(self.mood(from)) && begins
    }
}

/// A leg, as the world sees it.
#[derive(Default)]
struct Watched {
    /// Something on it failed, or was given up after longer than a lease.
    has_failed: bool,
    /// Requests that were sent while it was not closed, and have not ended, by when they began.
    finding_out: Vec<Instant>,
    /// When one of them was heard of later than within its lease: what that says of the lane lets another find out.
    late: Option<Instant>,
    /// Which window of its limit, and requests in it.
    window: (u128, u32),
}

struct World {
    start: Instant,
    clock: RouterClock,
    actors: Vec<Actor>,
    /// The provider of each leg, and its key's place there.
    of_leg: Vec<(usize, usize)>,
    caps: Vec<Option<u32>>,
    route: Arc<Route>,
    watched: Vec<Mutex<Watched>>,
    flapped: Mutex<u64>,
    random: Mutex<StdRng>,
    queue: Arc<Queue>,
    tenants: [Tenant; 2],
}

/// One request.
struct Caller {
    world: Arc<World>,
    nature: Nature,
    number: usize,
    began: Instant,
    known: Mutex<Known>,
}

/// What has become of a request so far.
#[derive(Default)]
struct Known {
    /// Attempts, and those of them that are under way.
    attempts: u32,
    talking: u32,
    /// Answers that were given to the caller.
    given: u32,
    told_wrong: bool,
    told_too_long: bool,
    /// Who wants to be left alone, and until when.
    rests: Vec<(usize, Instant)>,
}

/// An attempt under way.
struct Talk<'c> {
    caller: &'c Caller,
    at: usize,
    began: Instant,
    finds_out: bool,
    ended: bool,
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.caller.known.lock().talking -= 1;
        let mut watched = self.caller.world.watched[self.at].lock();
        watched.finding_out.retain(|began| *began != self.began);
        if self.finds_out && self.began.elapsed() >= LEASE {
            watched.late = Some(Instant::now());
        }
        watched.has_failed |= !self.ended && self.began.elapsed() >= LEASE;
    }
}

struct Reply {
    headers: HeaderMap,
    is_whole: bool,
}

fn status(status: u16) -> Error {
    Error::new(ErrorKind::UpstreamStatus(status), "x")
}

impl World {
    /// What the limit of the leg at `at` says of one request more: the headers, or how long it has to wait.
    fn limit(&self, at: usize) -> Result<HeaderMap, Duration> {
        let Some(limit) = self.actors[self.of_leg[at].0].limit else { return Ok(HeaderMap::new()) };
        let now = self.start.elapsed();
        let (window, left) =
            (now.as_millis() / WINDOW.as_millis(), WINDOW.as_millis() - now.as_millis() % WINDOW.as_millis());
        let left = Duration::from_millis(left as u64);
        let mut watched = self.watched[at].lock();
        if watched.window.0 != window {
            watched.window = (window, 0);
        }
        if watched.window.1 >= limit {
            return Err(left);
        }
        watched.window.1 += 1;
        let mut headers = HeaderMap::new();
        let mut told = Writer::new(&mut headers);
        told.set_number(HeaderName::from_static("x-ratelimit-limit-requests"), limit.into());
        told.set_number(HeaderName::from_static("x-ratelimit-remaining-requests"), (limit - watched.window.1).into());
        told.set_text(HeaderName::from_static("x-ratelimit-reset-requests"), &format!("{}ms", left.as_millis()));
        Ok(headers)
    }
}

impl Caller {
    /// What is wrong with the request itself, at this provider.
    fn refusal(&self, provider: usize) -> Option<Error> {
        let body = match self.nature {
            Nature::Wrong => r#"{"error":{"code":"invalid_value"}}"#,
            Nature::TooLong if !self.world.actors[provider].large => r#"{"error":{"code":"context_length_exceeded"}}"#,
            Nature::Conflict(one) if one == provider => return Some(status(409)),
            _ => return None,
        };
        let reply = UpstreamReply { status: 400, content_type: None, body: body.into() };
        Some(Error { reply: Some(reply), ..status(400) })
    }

    fn assert_it_may_be_sent(&self, at: usize, now: Instant) {
        let (legs, mut known) = (&self.world.route.legs, self.known.lock());
        known.attempts += 1;
        known.talking += 1;
        assert!(!known.told_wrong, "a wrong request is sent once");
        assert_eq!(known.given, 0, "sent again, although it was answered");
        assert!(known.talking <= 2, "no more than one attempt beside another");
        assert!(!known.rests.iter().any(|(of, until)| *of == at && *until > now), "it wants to be left alone");
        assert_eq!(known.told_too_long, legs[at].after.context_length, "who is asked when");
        if known.attempts == 1 && self.began == now {
            let before = legs.iter().filter(|leg| leg.tier < legs[at].tier && !leg.after.context_length);
            let ready = |leg: &&Leg| matches!(leg.lane.look(self.world.clock.now()), Look::Ready(_));
            assert_eq!(before.filter(ready).count(), 0, "a lower tier takes requests");
        }
    }

    async fn answer(&self, at: usize) -> Result<Reply, Error> {
        let world = &self.world;
        let (provider, key) = world.of_leg[at];
        let actor = &world.actors[provider];
        let jitter: f64 = world.random.lock().random();
        let usual = Duration::from_millis(30).mul_f64(1.0 + jitter);
        let soon = tokio::time::sleep(usual / 4);
        if let Some(refused) = actor.keys[key] {
            soon.await;
            return Err(status(refused));
        }
        let mut mood = actor.mood(world.start.elapsed());
        if mood == Mood::Flaps {
            let mut flapped = world.flapped.lock();
            *flapped += 1;
            mood = if flapped.is_multiple_of(2) { Mood::Well } else { Mood::Errs(500) };
        }
        match mood {
            Mood::Hangs => {
                tokio::time::sleep(FIRST_BYTE).await;
                return Err(Error::new(ErrorKind::UpstreamTimeout, "x"));
            }
            Mood::Refuses => {
                soon.await;
                return Err(Error::new(ErrorKind::UpstreamUnreachable, "x"));
            }
            Mood::Errs(code) => {
                soon.await;
                return Err(status(code));
            }
            Mood::Busy(code, after) => {
                soon.await;
                return Err(Error { retry_after: after.map(Duration::from_secs), ..status(code) });
            }
            Mood::WrongJson => {
                soon.await;
                return Err(Error::new(ErrorKind::UpstreamBroken, "x"));
            }
            Mood::Well | Mood::Long | Mood::ResetsInTheMiddle | Mood::Flaps => {}
        }
        if !actor.has_model {
            soon.await;
            return Err(status(404));
        }
        if let Some(error) = self.refusal(provider) {
            soon.await;
            let mut known = self.known.lock();
            known.told_wrong |= self.nature == Nature::Wrong;
            known.told_too_long |= self.nature == Nature::TooLong;
            return Err(error);
        }
        let headers = match world.limit(at) {
            Ok(headers) => headers,
            Err(left) => {
                soon.await;
                return Err(Error { retry_after: Some(left), ..status(429) });
            }
        };
        // A plain answer begins when it is whole.
        let times = if self.nature == Nature::Streamed { 1 } else { 5 };
        tokio::time::sleep(if mood == Mood::Long { LEASE.mul_f64(1.2 + jitter) } else { usual * times }).await;
        Ok(Reply { headers, is_whole: mood != Mood::ResetsInTheMiddle || self.nature != Nature::Streamed })
    }
}

impl Sender for Caller {
    type Answer = Reply;

    fn attempt<'s>(&'s self, at: usize, lane: &'s Lane) -> BoxFuture<'s, Result<Reply, Error>> {
        let now = Instant::now();
        let world = &self.world;
        self.assert_it_may_be_sent(at, now);
        let is_dead = lane.look(world.clock.now()) == Look::Dead;
        let mut watched = world.watched[at].lock();
        // Who was handed a place in line has had it since before the lane was left alone.
        let finds_out = lane.phase() != Phase::Closed && world.caps[at].is_none();
        if finds_out {
            // Who has waited for two leases for what another finds out waits no more.
            let may = is_dead || self.began.elapsed() >= LEASE * 2;
            let of_late = |began: &&Instant| watched.late.is_none_or(|late| late < **began);
            let others = watched.finding_out.iter().filter(|began| began.elapsed() < LEASE).filter(of_late).count();
            let ages: Vec<Duration> = watched.finding_out.iter().map(|began| began.elapsed()).collect();
            assert!(
                may || others == 0,
                "two find out about {:?}, the others since {ages:?}, one late at {:?}, {:?} old",
                lane.id,
                watched.late.map(|late| late.elapsed()),
                self.began.elapsed()
            );
            watched.finding_out.extend(Some(now).filter(|_| !may));
        }
        if let Some(most) = world.caps[at].filter(|_| !watched.has_failed && !is_dead) {
            assert!(lane.in_flight() <= most, "{} where {most} are allowed", lane.in_flight());
        }
        assert!(watched.has_failed || lane.phase() == Phase::Closed, "nothing failed on {:?}", lane.id);
        drop(watched);
        let talk = Talk { caller: self, at, began: now, finds_out, ended: false };
        Box::pin(async move {
            // All of it, which is dropped with the attempt.
            let mut talk = talk;
            let outcome = self.answer(at).await;
            talk.ended = true;
            match &outcome {
                Ok(_) => self.known.lock().given += 1,
                Err(error) => {
                    self.world.watched[at].lock().has_failed |= Fault::of(error) == Fault::Passing;
                    let until = error.retry_after.map(|after| (at, Instant::now() + after));
                    self.known.lock().rests.extend(until);
                }
            }
            outcome
        })
    }

    fn headers<'a>(&self, reply: &'a Reply) -> &'a HeaderMap {
        &reply.headers
    }

    fn tenant(&self) -> &Tenant {
        &self.world.tenants[self.number % 2]
    }

    fn failed(&self, _: &Lane, _: &Error, _: Duration) {}
}

fn leg(actor: &Actor, provider: usize, key: usize, weight: f64) -> Leg {
    let breaker = config::Breaker {
        failures: 5,
        open: Duration::from_secs(1),
        open_max: OPEN_MAX,
        slow_start: Duration::from_secs(2),
        probe_interval: None,
    };
    let settings = LaneSettings {
        breaker,
        probe_lease: LEASE,
        retry_percent: 20,
        caps: actor.most.map(|most| Arc::new(Cap::new(most))).into_iter().collect(),
        key: Some(Arc::new(KeyState::default())),
    };
    let id = LaneId { provider: format!("p{provider}"), model: Some("m".to_owned()), key: Some(format!("k{key}")) };
    Leg {
        lane: Arc::new(Lane::new(id, settings)),
        target: provider,
        tier: actor.tier,
        weight,
        cost: None,
        price: None,
        after: Seen { context_length: actor.large, content_filter: false },
        when: None,
        first_token_timeout: None,
    }
}

fn world(actors: Vec<Actor>, weights: &[f64], strategy: Strategy, hedged: bool, seed: u64) -> Arc<World> {
    let mut legs = Vec::new();
    for (provider, actor) in actors.iter().enumerate() {
        let weight = weights[provider] / actor.keys.len() as f64;
        legs.extend((0..actor.keys.len()).map(|key| leg(actor, provider, key, weight)));
    }
    let targets = (0..actors.len()).map(|at| Target::new(format!("p{at}"), "m")).collect();
    let hedge = hedged.then_some(config::Hedge { share: 0.95, at_least: Duration::from_millis(10), budget_percent: 5 });
    let route = Arc::new(Route::new(targets, legs, strategy, hedge, None));
    let key = |leg: &Leg| leg.lane.id.key.as_ref().and_then(|key| key[1..].parse().ok()).unwrap_or(0);
    let clock = RouterClock::begin();
    let line = config::Queue { most: 1000, most_per_tenant: 500, timeout: Duration::from_secs(15) };
    Arc::new(World {
        start: Instant::now(),
        clock,
        of_leg: route.legs.iter().map(|leg| (leg.target, key(leg))).collect(),
        caps: route.legs.iter().map(|leg| actors[leg.target].most).collect(),
        watched: route.legs.iter().map(|_| Mutex::default()).collect(),
        actors,
        route,
        flapped: Mutex::default(),
        random: Mutex::new(StdRng::seed_from_u64(seed)),
        queue: Queue::new(line, clock),
        tenants: [Tenant::configured("one"), Tenant::configured("two")],
    })
}

fn retry() -> config::Retry {
    config::Retry {
        attempts: 3,
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_secs(1),
        retry_after_max: Duration::from_secs(5),
        budget_percent: 20,
        total_timeout: TOTAL,
    }
}

/// One request from its arrival to its end; the leg that answered.
async fn ask(world: Arc<World>, number: usize, nature: Nature, seed: u64) -> Option<usize> {
    let arrived = world.start.elapsed();
    let start = Start { now: world.clock.now(), seed, stick_to: seed };
    let course = Course::begin(world.route.clone(), retry(), start);
    let began = Instant::now();
    let caller = Caller { world: world.clone(), nature, number, began, known: Mutex::default() };
    let outcome = go(&caller, course, &world.queue, world.clock).await;
    let took = began.elapsed();
    assert!(took <= TOTAL + Duration::from_millis(50), "it ended after {took:?}");
    let Known { talking, given, .. } = caller.known.into_inner();
    assert_eq!(talking, 0, "an attempt goes on that nobody waits for");
    assert_eq!(given, u32::from(outcome.is_ok()), "an answer too many");
    match outcome {
        Ok(mut answered) => {
            if answered.pass.is_probe() {
                assert_eq!(answered.pass.lane().phase(), Phase::Closed, "one answered probe brings it back");
            }
            if nature == Nature::Streamed {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            if !answered.answer.is_whole {
                world.watched[answered.at].lock().has_failed = true;
                answered.pass.broke(world.clock.now(), 0.5);
            }
            Some(answered.at)
        }
        Err((error, tried)) => {
            let well = world.lost(nature, arrived);
            if nature == Nature::Wrong && world.lost(Nature::Plain, arrived).is_some() {
                assert_eq!(error.status(), 400, "{error:?} after {tried:?}");
            }
            assert_eq!(well, None, "{nature:?} of {arrived:?} lost after {tried:?}, although one was well: {error:?}");
            None
        }
    }
}

impl World {
    /// A provider that would have answered such a request at any time.
    fn lost(&self, nature: Nature, arrived: Duration) -> Option<usize> {
        let well = |large: bool, not: Option<usize>| {
            let fits = |(at, actor): &(usize, &Actor)| {
                actor.large == large && Some(*at) != not && actor.is_well(arrived, arrived + TOTAL)
            };
            self.actors.iter().enumerate().find(fits).map(|(at, _)| at)
        };
        match nature {
            Nature::Plain | Nature::Streamed => well(false, None),
            Nature::Conflict(one) => well(false, Some(one)),
            Nature::TooLong => well(false, None).and_then(|_| well(true, None)),
            Nature::Wrong => None,
        }
    }

    /// The legs that are asked before all others.
    fn first_legs(&self) -> impl Iterator<Item = usize> + '_ {
        let legs = &self.route.legs;
        let first = legs.iter().filter(|leg| !leg.after.context_length).map(|leg| leg.tier).min();
        (0..legs.len()).filter(move |at| Some(legs[*at].tier) == first && !legs[*at].after.context_length)
    }

    fn assert_all_is_well_again(&self) {
        assert_eq!(self.queue.waiting(), 0);
        for (at, leg) in self.route.legs.iter().enumerate() {
            assert_eq!(leg.lane.in_flight(), 0, "a place was not given back");
            let phase = leg.lane.phase();
            assert!(
                phase == Phase::Closed || self.watched[at].lock().has_failed,
                "nothing failed on {:?}",
                leg.lane.id
            );
        }
        let of_first = |at: usize| self.route.strategy != Strategy::Ordered || self.of_leg[at].0 == self.first();
        for at in self.first_legs().filter(|at| of_first(*at)) {
            let (provider, key) = self.of_leg[at];
            let actor = &self.actors[provider];
            if actor.has_model && actor.keys[key].is_none() {
                let lane = &self.route.legs[at].lane;
                assert_eq!(lane.phase(), Phase::Closed, "{:?} is well again, and nobody has found out", lane.id);
            }
        }
    }

    /// The provider that an order begins with.
    fn first(&self) -> usize {
        self.first_legs().next().map_or(0, |at| self.of_leg[at].0)
    }
}

fn nature(random: &mut StdRng) -> Nature {
    match random.random_range(0..20) {
        0 => Nature::Wrong,
        1 => Nature::TooLong,
        2 => Nature::Conflict(random.random_range(0..4)),
        3..12 => Nature::Plain,
        _ => Nature::Streamed,
    }
}

/// How many were asked, and how many answered.
async fn story(seed: u64) -> (usize, usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let count = random.random_range(1..=4);
    let large = random.random_bool(0.5).then_some(count);
    let actors: Vec<Actor> =
        (0..count + usize::from(large.is_some())).map(|at| Actor::random(&mut random, large == Some(at))).collect();
    let weights: Vec<f64> = actors.iter().map(|_| f64::from(random.random_range(1..=5))).collect();
    let strategy: Strategy = Strategy::WORDS[seed as usize % Strategy::WORDS.len()].parse().unwrap();
    let world = world(actors, &weights, strategy, random.random_bool(0.5), seed);
    let mut asked = Vec::new();
    let (herd, calm_herd) = (random.random_range(0..REQUESTS), REQUESTS + CALM_REQUESTS / 4);
    for number in 0..REQUESTS + CALM_REQUESTS {
        let is_calm = number >= REQUESTS;
        if number == REQUESTS {
            tokio::time::sleep((TROUBLE + Duration::from_secs(2)).saturating_sub(world.start.elapsed())).await;
        }
        let mean =
            if is_calm { CALM.mul_f64(0.9 / CALM_REQUESTS as f64) } else { TROUBLE.mul_f64(1.0 / REQUESTS as f64) };
        tokio::time::sleep(mean.mul_f64(random.random::<f64>() * 2.0)).await;
        for one in 0..if number == herd || number == calm_herd { HERD } else { 1 } {
            let nature = if is_calm { [Nature::Plain, Nature::Streamed][one % 2] } else { nature(&mut random) };
            let leaves = random
                .random_bool(0.05 * f64::from(u8::from(!is_calm)))
                .then(|| Duration::from_millis(random.random_range(1..3000)));
            let asking = ask(world.clone(), number + one, nature, seed ^ ((number * HERD + one) as u64));
            asked.push(tokio::spawn(async move {
                match leaves {
                    Some(after) => tokio::time::timeout(after, asking).await.unwrap_or(Some(0)),
                    None => asking.await,
                }
                .is_some()
            }));
        }
    }
    let (count, mut answered) = (asked.len(), 0);
    for one in asked {
        answered += usize::from(one.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())));
    }
    world.assert_all_is_well_again();
    (count, answered)
}

#[test]
fn whatever_providers_do_what_must_hold_holds() {
    let one = number_from_env("ASKONCE_SIMULATION");
    let seeds = one.map_or(0..number_from_env("ASKONCE_SIMULATIONS").unwrap_or(1000), |seed| seed..seed + 1);
    let (mut asked, mut answered) = (0, 0);
    for seed in seeds {
        let (count, good) = run(seed, story(seed));
        asked += count;
        answered += good;
    }
    let share = answered as f64 / asked as f64;
    println!("{asked} requests, {:.2} % answered", share * 100.0);
    assert!(one.is_some() || share > 0.8, "{share}");
}

/// A provider with so many keys that is well but for these moods.
fn actor(keys: usize, moods: &[(Duration, Mood)]) -> Actor {
    let (keys, moods) = (vec![None; keys], moods.to_vec());
    Actor { moods, keys, has_model: true, large: false, tier: 0, limit: None, most: None }
}

#[test]
fn an_open_lane_is_asked_once_in_a_pause_and_used_as_soon_as_it_is_well() {
    const DEAD: Duration = Duration::from_secs(60);
    for (seed, word) in Strategy::WORDS.iter().enumerate() {
        let strategy: Strategy = word.parse().unwrap();
        run(seed as u64, async move {
            let moods = [(Duration::ZERO, Mood::Errs(500)), (DEAD, Mood::Well)];
            let world = world(vec![actor(1, &moods), actor(2, &[])], &[1.0, 1.0], strategy, false, seed as u64);
            let sent = || world.route.legs[0].lane.health(world.clock.now()).sent;
            let (mut last, mut pauses, mut opened) = (sent(), Vec::new(), None);
            for number in 0..8000 {
                let _ = ask(world.clone(), number, Nature::Streamed, number as u64).await;
                let now = world.start.elapsed();
                let lane = &world.route.legs[0].lane;
                if let Some(since) = opened
                    && sent() > last
                {
                    assert_eq!(sent(), last + 1, "{strategy:?}: more than one in a pause");
                    pauses.push(now - since);
                }
                if sent() > last || opened.is_none() {
                    opened = (lane.phase() == Phase::Open).then_some(now);
                }
                last = sent();
                if now > DEAD + OPEN_MAX.mul_f64(1.2) + Duration::from_secs(1) {
                    break;
                }
            }
            let lane = &world.route.legs[0].lane;
            assert_eq!(lane.phase(), Phase::Closed, "{strategy:?}: nobody has found out");
            assert!(pauses.len() > 10, "{strategy:?}: {pauses:?}");
            for (at, pause) in pauses.iter().enumerate() {
                let least = Duration::from_secs(1 << at.min(10)).min(OPEN_MAX).mul_f64(0.8);
                // An answer takes a quarter of a second, and a pause is seen to begin at the end of one.
                assert!(*pause + Duration::from_millis(500) >= least, "{strategy:?}: {pauses:?}");
                assert!(*pause <= OPEN_MAX.mul_f64(1.2) + Duration::from_secs(1), "{strategy:?}: {pauses:?}");
            }
        });
    }
}

#[test]
fn load_follows_weights_in_herds_too() {
    const ALL: usize = 20_000;
    for (strategy, most) in [(Strategy::Weighted, None), (Strategy::Weighted, Some(40))] {
        let shares = run(3, async move {
            let capped = |keys: usize| Actor { most, ..actor(keys, &[]) };
            let weights = [5.0, 3.0, 2.0];
            let world = world(vec![capped(5), capped(1), capped(3)], &weights, strategy, false, 3);
            for herd in 0..ALL / 40 {
                let asking = (0..40).map(|one| {
                    let (world, number) = (world.clone(), herd * 40 + one);
                    tokio::spawn(ask(world, number, [Nature::Plain, Nature::Streamed][one % 2], number as u64))
                });
                for one in asking.collect::<Vec<_>>() {
                    assert!(one.await.is_ok_and(|answered| answered.is_some()));
                }
            }
            let now = world.clock.now();
            let sent = |leg: &Leg| leg.lane.health(now).sent as f64;
            let of = |target: usize| world.route.legs.iter().filter(|leg| leg.target == target).map(sent).sum::<f64>();
            [0, 1, 2].map(|target| of(target) / ALL as f64)
        });
        for (share, expected) in shares.into_iter().zip([0.5, 0.3, 0.2]) {
            assert!((share - expected).abs() < 0.01, "{strategy:?}: {shares:?}");
        }
    }
}
