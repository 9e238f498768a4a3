//! Many threads on one breaker and on lanes that share their caps: one probe at a time, no cap exceeded, every place given back.

use super::super::breaker::Breaker;
use super::*;
use http::HeaderMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;
/// Longer than any of these tests: a probe that is not heard of is not what they are about.
const LEASE: Duration = Duration::from_secs(3600);

/// Runs `work` in many threads at once, each with its own random numbers.
fn hammer(work: impl Fn(&mut dyn FnMut() -> f64) + Sync) {
    let barrier = std::sync::Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                let mut random = super::super::strategy::Random::new(seed);
                barrier.wait();
                (0..ROUNDS).for_each(|_| work(&mut || random.unit()));
            });
        }
    });
}

/// Counts who is at something, and who was at most at a time.
#[derive(Default)]
struct Crowd {
    now: AtomicU32,
    most: AtomicU32,
    all: AtomicU32,
}

impl Crowd {
    fn enter(&self) {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }

    fn all(&self) -> u32 {
        self.all.load(Ordering::Relaxed)
    }
}

#[test]
fn one_probe_at_a_time_whoever_asks() {
    let (breaker, settings, clock) = (Breaker::default(), breaker(), AtomicU64::new(1));
    let (probes, opened, closed) = (Crowd::default(), AtomicU32::new(0), AtomicU32::new(0));
    let count = |turned: bool, counter: &AtomicU32| {
        counter.fetch_add(u32::from(turned), Ordering::Relaxed);
    };
    hammer(|random| {
        let now = Moment::from_ms(clock.fetch_add(1, Ordering::Relaxed));
        if breaker.take_probe(now, LEASE, random() < 0.5) {
            probes.enter();
            std::thread::yield_now();
            // Before it tells: from then on the next one may ask.
            probes.leave();
            match (random() * 3.0) as u32 {
                0 => count(breaker.succeeded(now, true, &settings), &closed),
                1 => assert!(!breaker.failed(now, Some(now.after(LEASE)), random(), &settings), "it was open"),
                _ => breaker.give_probe_back(now, LEASE),
            }
        } else if random() < 0.7 {
            count(breaker.failed(now, None, random(), &settings), &opened);
        } else {
            assert!(!breaker.succeeded(now, false, &settings), "only a probe closes it");
        }
    });
    assert_eq!(probes.most(), 1);
    let (opened, closed) = (opened.into_inner(), closed.into_inner());
    assert!(closed > 10 && probes.all() > closed, "{closed} closed, {} probes", probes.all());
    let open_now = u32::from(breaker.phase() != Phase::Closed);
    assert_eq!(opened, closed + open_now, "each time that it opened it closed, but for the last");
}

#[test]
fn lanes_under_many_threads_keep_their_caps_and_lose_no_place() {
    const EACH: u32 = 3;
    const BOTH: u32 = 4;
    let both = Arc::new(Cap::new(BOTH));
    let lane = |provider: &str| {
        let id = LaneId { provider: provider.to_owned(), model: Some("m".to_owned()), key: None };
        let settings = LaneSettings {
            breaker: breaker(),
            probe_lease: LEASE,
            retry_percent: 20,
            caps: vec![Arc::new(Cap::new(EACH)), both.clone()],
            key: None,
        };
        Arc::new(Lane::new(id, settings))
    };
    let lanes = [lane("a"), lane("b")];
    let (probes, plain, clock) = ([Crowd::default(), Crowd::default()], Crowd::default(), AtomicU64::new(1));
    hammer(|random| {
        let now = Moment::from_ms(clock.fetch_add(1, Ordering::Relaxed));
        let at = usize::from(random() < 0.5);
        let probe = lanes[at].begin_probe(now, random() < 0.5);
        let crowd = if probe.is_some() { &probes[at] } else { &plain };
        let Some(mut pass) = probe.or_else(|| lanes[at].begin(now)) else { return };
        crowd.enter();
        assert!((1..=EACH + 1).contains(&lanes[at].in_flight()), "a probe is one more than the cap, at most");
        std::thread::yield_now();
        crowd.leave();
        match (random() * 4.0) as u32 {
            0 => drop(pass.answered(now, &HeaderMap::new())),
            1 | 2 => drop(pass.failed(Fault::Passing, now, random())),
            _ => {}
        }
    });
    assert!(plain.all() > 1000 && plain.most() <= BOTH, "{} at a time", plain.most());
    for (lane, probes) in lanes.iter().zip(&probes) {
        assert_eq!((probes.most(), lane.in_flight()), (1, 0), "{} probes", probes.all());
    }
    let sent: u64 = lanes.iter().map(|lane| lane.health(Moment::from_ms(1)).sent).sum();
    assert_eq!(sent, u64::from(plain.all() + probes[0].all() + probes[1].all()));
    let now = Moment::from_ms(1);
    let places: Vec<Pass> = lanes.iter().flat_map(|lane| (0..=EACH).map_while(|_| lane.begin(now))).collect();
    assert_eq!(places.len() as u32, BOTH, "every place is free again, and no more than there are");
    assert_eq!((lanes[0].in_flight(), lanes[1].in_flight()), (EACH, BOTH - EACH));
}
