//! Stories of more requests than targets take at a time: one tenant with hundreds, others with one after the other, callers who hang
//! up, attempts that fail. Nobody starves, no target gets more than it takes, and nothing is left over.
//!
//! `ASKONCE_SIMULATIONS` and `ASKONCE_SIMULATION` are as for the other stories.

use super::simulation::{nothing_told, number_from_env, run};
use super::*;
use crate::config;
use crate::config::Strategy;
use crate::routing::{Cap, LaneId, LaneSettings, Leg, Route, Seen, Start, Target};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const GREEDY: usize = 150;
/// A request is under way no longer than this.
const SERVICE: Duration = Duration::from_millis(200);

struct Crowd {
    route: Arc<Route>,
    /// Every cap, with what it allows and the lanes that share it.
    caps: Vec<(Arc<Cap>, u32, Vec<Arc<Lane>>)>,
    queue: Arc<Queue>,
    clock: RouterClock,
    random: Mutex<StdRng>,
    /// Whose attempts began, in their order.
    begun: Mutex<Vec<usize>>,
    /// The share of attempts that fail.
    failing: f64,
    /// How long all attempts took together, with what was read of their answers.
    busy: Mutex<Duration>,
}

struct Caller<'c> {
    crowd: &'c Crowd,
    number: usize,
    tenant: Tenant,
    /// How many attempts had begun when it asked, and when its own began.
    asked: usize,
    waited: Mutex<Option<usize>>,
}

impl Sender for Caller<'_> {
    type Answer = ();

    fn attempt<'s>(&'s self, _: usize, _: &'s Lane) -> BoxFuture<'s, Result<(), Error>> {
        for (_, most, lanes) in &self.crowd.caps {
            let under_way: u32 = lanes.iter().map(|lane| lane.in_flight()).sum();
            assert!(under_way <= *most, "{under_way} where {most} are allowed");
        }
        let mut begun = self.crowd.begun.lock();
        let others = begun[self.asked..].iter().filter(|number| **number != self.number).count();
        self.waited.lock().get_or_insert(others);
        begun.push(self.number);
        let (fails, took) = {
            let mut random = self.crowd.random.lock();
            (random.random_bool(self.crowd.failing), SERVICE.mul_f64(random.random_range(0.05..0.5)))
        };
        *self.crowd.busy.lock() += took;
        Box::pin(async move {
            tokio::time::sleep(took).await;
            if fails { Err(Error::new(ErrorKind::UpstreamStatus(500), "x")) } else { Ok(()) }
        })
    }

    fn headers<'a>(&self, (): &'a ()) -> &'a HeaderMap {
        nothing_told()
    }

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn failed(&self, _: &Lane, _: &Error, _: Duration) {}
}

impl Crowd {
    /// Some lanes, each with a cap of its own; with `shared`, of two caps, one of which it shares with others.
    fn new(seed: u64, shared: bool, failing: f64) -> Arc<Crowd> {
        let mut random = StdRng::seed_from_u64(seed);
        let breaker = config::Breaker {
            failures: 1000,
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(1),
            slow_start: Duration::ZERO,
            probe_interval: None,
        };
        let common: Vec<(Arc<Cap>, u32)> = [2, 3].map(|most| (Arc::new(Cap::new(most)), most)).into();
        let mut caps: Vec<(Arc<Cap>, u32, Vec<Arc<Lane>>)> = Vec::new();
        let mut legs = Vec::new();
        for at in 0..random.random_range(1..=4) {
            let most = random.random_range(1..=3);
            let mut own = vec![(Arc::new(Cap::new(most)), most)];
            own.extend(shared.then(|| common[random.random_range(0..2)].clone()));
            let settings = LaneSettings {
                breaker,
                probe_lease: SERVICE,
                retry_percent: 50,
                caps: own.iter().map(|(cap, _)| cap.clone()).collect(),
                key: None,
            };
            let id = LaneId { provider: format!("p{at}"), model: None, key: None };
            let lane = Arc::new(Lane::new(id, settings));
            for (cap, most) in own {
                match caps.iter_mut().find(|(known, ..)| known.number() == cap.number()) {
                    Some((.., lanes)) => lanes.push(lane.clone()),
                    None => caps.push((cap, most, vec![lane.clone()])),
                }
            }
            let (weight, after) = (1.0, Seen::default());
            legs.push(Leg {
                when: None,
                lane,
                target: at,
                tier: 0,
                weight,
                cost: None,
                price: None,
                after,
                first_token_timeout: None,
            });
        }
        let target = |at: usize| Target::new(format!("p{at}"), "m");
        let targets = (0..legs.len()).map(target).collect();
        let clock = RouterClock::begin();
        let line = config::Queue { most: 1000, most_per_tenant: 1000, timeout: Duration::from_secs(600) };
        Arc::new(Crowd {
            route: Arc::new(Route::new(targets, legs, Strategy::Weighted, None, None)),
            caps,
            queue: Queue::new(line, clock),
            clock,
            random: Mutex::new(random),
            begun: Mutex::default(),
            failing,
            busy: Mutex::default(),
        })
    }

    /// One request of a tenant, to the end of its answer: how many attempts of others began before its first, and after what time
    /// it was answered; `None` where it was not.
    async fn ask(&self, number: usize, seed: u64) -> Option<(usize, Duration)> {
        let retry = config::Retry {
            attempts: 5,
            backoff: Duration::from_millis(20),
            backoff_max: Duration::from_millis(100),
            retry_after_max: Duration::from_secs(5),
            budget_percent: 50,
            total_timeout: Duration::from_secs(600),
        };
        let start = Start { now: self.clock.now(), seed, stick_to: seed };
        let course = Course::begin(self.route.clone(), retry, start);
        let (asked, began) = (self.begun.lock().len(), Instant::now());
        let tenant = Tenant::configured(&number.to_string());
        let caller = Caller { crowd: self, number, tenant, asked, waited: Mutex::default() };
        let answered = go(&caller, course, &self.queue, self.clock).await;
        let took = began.elapsed();
        let answered = answered.map_err(|(error, _)| assert_eq!(error.status(), 500, "{error:?}")).ok()?;
        let reading = SERVICE.mul_f64(self.random.lock().random_range(0.0..0.5));
        *self.busy.lock() += reading;
        tokio::time::sleep(reading).await;
        drop(answered.pass);
        caller.waited.into_inner().map(|others| (others, took))
    }

    fn assert_nothing_is_left(&self) {
        assert_eq!(self.queue.waiting(), 0);
        for (cap, _, lanes) in &self.caps {
            assert!(lanes.iter().all(|lane| lane.in_flight() == 0), "a place was not given back");
            assert!(cap.waiting() == 0 && !cap.is_full());
        }
    }
}

/// A greedy tenant, and polite ones, each of which asks again once it has its answer. What those waited for, and how long all of it
/// took.
async fn story(seed: u64, crowd: &Arc<Crowd>, hang_up: f64) -> (Vec<(usize, Duration)>, Duration, usize) {
    let mut random = StdRng::seed_from_u64(!seed);
    let polite = random.random_range(1..=3);
    let began = Instant::now();
    let mut asked = Vec::new();
    for number in 0..GREEDY {
        let leaves = random.random_bool(hang_up).then(|| Duration::from_millis(random.random_range(1..3000)));
        let crowd = crowd.clone();
        asked.push(tokio::spawn(async move {
            let asking = crowd.ask(0, seed ^ number as u64);
            match leaves {
                Some(after) => tokio::time::timeout(after, asking).await.ok().flatten(),
                None => asking.await,
            }
            .is_some()
        }));
    }
    let mut others = Vec::new();
    for number in 1..=polite {
        let crowd = crowd.clone();
        let pause = Duration::from_millis(random.random_range(1..500));
        others.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            for round in 0..8 {
                tokio::time::sleep(pause).await;
                waits.extend(crowd.ask(number, seed ^ (round * 1000 + number as u64)).await);
            }
            waits
        }));
    }
    let mut waits = Vec::new();
    for one in others {
        waits.extend(one.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())));
    }
    let mut answered = 0;
    for one in asked {
        answered += usize::from(one.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())));
    }
    crowd.assert_nothing_is_left();
    assert!(waits.len() <= polite * 8);
    (waits, began.elapsed(), answered)
}

fn seeds() -> std::ops::Range<u64> {
    let one = number_from_env("ASKONCE_SIMULATION");
    one.map_or(0..number_from_env("ASKONCE_SIMULATIONS").unwrap_or(1000) / 25, |seed| seed..seed + 1)
}

#[test]
fn tenants_have_turns_and_no_place_is_empty_while_somebody_waits() {
    for seed in seeds() {
        run(seed, async move {
            let crowd = Crowd::new(seed, false, 0.0);
            let (waits, took, answered) = story(seed, &crowd, 0.0).await;
            assert_eq!(answered, GREEDY);
            assert!(!waits.is_empty() && waits.len() % 8 == 0, "every polite request is answered");
            // At each cap every other tenant may have had its turn: three at most.
            let most = crowd.caps.len() * 3;
            for (others, took) in waits {
                assert!(others <= most, "{others} attempts of others came first; {most} may");
                assert!(took <= SERVICE * 5, "{took:?}");
            }
            let places: u32 = crowd.caps.iter().map(|(_, most, _)| most).sum();
            let needed = *crowd.busy.lock() / places;
            // The polite ones may still ask when the greedy one has all its answers.
            let slack = SERVICE * 4 + Duration::from_secs(8);
            assert!(took <= needed.mul_f64(1.1) + slack, "{took:?}, where {needed:?} is needed");
        });
    }
}

#[test]
fn callers_that_hang_up_and_attempts_that_fail_leave_nothing_behind() {
    for seed in seeds() {
        run(seed, async move {
            let crowd = Crowd::new(seed, seed.is_multiple_of(2), 0.05);
            let (_, _, answered) = story(seed, &crowd, 0.2).await;
            assert!(answered > GREEDY / 2, "{answered}");
        });
    }
}
