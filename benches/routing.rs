//! What a choice costs: one of twenty lanes, by each strategy, from the beginning of a request's course to its place given back.
//! `cargo bench --bench routing`; nanoseconds, the median of many rounds. The target is a microsecond. And what the topic of a question
//! costs, among twenty of fifty examples; microseconds.

use askonce::config::{self, Strategy};
use askonce::routing::{
    Cap, Course, Fault, Lane, LaneId, LaneSettings, Leg, Moment, Pass, Route, Seen, Start, Step, Target, Topics,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LANES: usize = 20;
const ROUNDS: usize = 500;
/// Choices in one round, so that the clock's own time is nothing.
const CHOICES: u32 = 200;

const BREAKER: config::Breaker = config::Breaker {
    failures: 5,
    open: Duration::from_secs(1),
    open_max: Duration::from_secs(60),
    slow_start: Duration::from_secs(10),
    probe_interval: None,
};

fn main() {
    println!("| strategy | all are well | half are left alone | with caps |");
    println!("|---|---|---|---|");
    for strategy in [
        Strategy::Ordered,
        Strategy::Weighted,
        Strategy::RoundRobin,
        Strategy::LeastLatency,
        Strategy::LeastBusy,
        Strategy::LeastCost,
        Strategy::Sticky,
    ] {
        let (well, half, capped) = (route(strategy, None), route(strategy, None), route(strategy, Some(1000)));
        half.legs.iter().step_by(2).for_each(|leg| leave_alone(&leg.lane));
        let columns = [well, half, capped].map(|route| format!("{:.0}", choice(&route)));
        println!("| {} | {} |", strategy.as_str(), columns.join(" | "));
    }
    let [count, examples, width] = TOPICS;
    println!("\nthe topic of a question, of {count} of {examples} examples with {width} components: {:.1} µs", topic());
}

/// Topics, examples of each, and components of a vector.
const TOPICS: [usize; 3] = [20, 50, 384];

/// What one topic takes, microseconds.
fn topic() -> f64 {
    let [count, examples, width] = TOPICS;
    let vector = |seed: usize| -> Vec<f32> {
        let raw: Vec<f32> = (0..width).map(|at| ((seed * 7919 + at * 104_729) % 1009) as f32 - 504.0).collect();
        let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
        raw.iter().map(|value| value / length).collect()
    };
    let mut topics = Topics::new(width);
    for set in 0..count {
        let rows: Vec<Vec<f32>> = (0..examples).map(|at| vector(set * examples + at)).collect();
        topics.add(&format!("topic-{set}"), 0.6, rows.iter().map(Vec::as_slice)).expect("the vectors are of one width");
    }
    let question = vector(count * examples + 1);
    let round = || {
        let started = Instant::now();
        black_box(topics.of(black_box(&question)));
        started.elapsed().as_secs_f64() * 1e6
    };
    let mut took: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

/// A route over lanes that differ in weight, price and speed.
fn route(strategy: Strategy, most: Option<u32>) -> Arc<Route> {
    let target = |at: usize| Target::new(format!("provider-{at}"), "m");
    let targets: Vec<Target> = (0..LANES).map(target).collect();
    let leg = |(at, target): (usize, &Target)| Leg {
        when: None,
        lane: lane(target, most, at),
        target: at,
        tier: 0,
        weight: 1.0 + at as f64,
        cost: Some(1_000_000 + at as u64 / 4),
        price: None,
        after: Seen::default(),
        first_token_timeout: None,
    };
    let legs = targets.iter().enumerate().map(leg).collect();
    Arc::new(Route::new(targets, legs, strategy, None, None))
}

/// A lane that has answered some requests.
fn lane(target: &Target, most: Option<u32>, at: usize) -> Arc<Lane> {
    let settings = LaneSettings {
        breaker: BREAKER,
        probe_lease: Duration::from_secs(5),
        retry_percent: 20,
        caps: most.map(|most| Arc::new(Cap::new(most))).into_iter().collect(),
        key: None,
    };
    let id = LaneId { provider: target.provider.clone(), model: Some(target.model.clone()), key: None };
    let lane = Arc::new(Lane::new(id, settings));
    for n in 0..30 {
        begun(&lane, 1 + n).answered(Moment::from_ms(1 + n + 10 * at as u64), &http::HeaderMap::new());
    }
    lane
}

fn leave_alone(lane: &Arc<Lane>) {
    for _ in 0..BREAKER.failures {
        begun(lane, 500).failed(Fault::Passing, Moment::from_ms(500), 0.5);
    }
}

fn begun(lane: &Arc<Lane>, ms: u64) -> Pass {
    lane.begin(Moment::from_ms(ms)).expect("there is room")
}

/// What one choice takes, nanoseconds.
fn choice(route: &Arc<Route>) -> f64 {
    let settings = config::Retry {
        attempts: 3,
        backoff: Duration::from_millis(200),
        backoff_max: Duration::from_secs(5),
        retry_after_max: Duration::from_secs(20),
        budget_percent: 20,
        total_timeout: Duration::from_secs(300),
    };
    // Before anybody's pause has passed.
    let now = Moment::from_ms(600);
    let mut seed = 0u64;
    let mut once = || {
        seed += 1;
        let start = Start { now, seed, stick_to: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
        let mut course = Course::begin(route.clone(), settings.clone(), start);
        match black_box(course.next(now)) {
            Step::Send(sending) => drop(sending.pass),
            other => panic!("nobody is asked: {other:?}"),
        }
    };
    let mut round = || {
        let started = Instant::now();
        (0..CHOICES).for_each(|_| once());
        started.elapsed().as_secs_f64() * 1e9 / f64::from(CHOICES)
    };
    let mut took: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
