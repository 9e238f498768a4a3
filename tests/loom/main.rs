//! What threads that share a lane can do to it, in every order in which they can meet (loom): no place, no probe, no token and no word
//! is given twice or lost.
//!
//! The very files of `src/routing` are compiled once more here, over atomics that loom steps through. What a model counts itself is
//! in atomics of the standard library, which are no steps.

#[allow(dead_code, missing_docs)]
pub mod atomic;
#[allow(dead_code, missing_docs)]
mod routing;

pub use askonce::{config, types};

use atomic::model;
use http::HeaderMap;
use loom::thread::{JoinHandle, spawn};
use routing::Moment;
use routing::breaker::{Admission, Breaker, Phase};
use routing::canary::Canary;
use routing::cap::{Cap, Usher};
use routing::fault::Fault;
use routing::headroom::{Headroom, Room};
use routing::lane::{KeyState, Lane, LaneId, LaneSettings, Look, Turn};
use routing::latency::{Latency, Spread};
use routing::retry_budget::RetryBudget;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(5);
/// Behind every pause and every lease.
const MUCH_LATER: u64 = 1_000_000;

fn at(ms: u64) -> Moment {
    Moment::from_ms(ms)
}

fn settings() -> config::Breaker {
    config::Breaker {
        failures: 2,
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(30),
        slow_start: Duration::from_secs(10),
        probe_interval: None,
    }
}

/// A breaker that has opened at 0.
fn open() -> Breaker {
    let breaker = Breaker::default();
    (0..2).for_each(|_| {
        breaker.failed(at(0), None, 0.5, &settings());
    });
    assert_eq!(breaker.phase(), Phase::Open);
    breaker
}

fn lane(caps: &[&Arc<Cap>]) -> Arc<Lane> {
    let id = LaneId { provider: "p".to_owned(), model: None, key: None };
    let settings = LaneSettings {
        breaker: settings(),
        probe_lease: LEASE,
        retry_percent: 0,
        caps: caps.iter().map(|cap| (*cap).clone()).collect(),
        key: Some(Arc::new(KeyState::default())),
    };
    Arc::new(Lane::new(id, settings))
}

/// A lane whose breaker has opened at 0.
fn open_lane() -> Arc<Lane> {
    let lane = lane(&[]);
    (0..2).for_each(|_| {
        lane.begin(at(0)).unwrap().failed(Fault::Passing, at(0), 0.5);
    });
    assert_eq!(lane.phase(), Phase::Open);
    lane
}

/// How many of these threads say yes.
fn yes(threads: impl IntoIterator<Item = JoinHandle<bool>>) -> usize {
    let threads: Vec<_> = threads.into_iter().collect();
    threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
}

/// A breaker is never stuck: once its pause is over it can be asked, and one answer closes it.
fn assert_it_can_come_back(breaker: &Breaker) {
    if breaker.phase() != Phase::Closed {
        assert_eq!(breaker.admission(at(MUCH_LATER), &settings()), Admission::Due);
        assert!(breaker.take_probe(at(MUCH_LATER), LEASE, false));
        assert!(!breaker.take_probe(at(MUCH_LATER), LEASE, true));
        assert!(breaker.succeeded(at(MUCH_LATER), true, &settings()));
    }
    assert!(matches!(breaker.admission(at(MUCH_LATER), &settings()), Admission::Free(_)));
}

// Places.

#[test]
fn no_more_places_are_taken_than_there_are_and_none_is_lost() {
    model(|| {
        let cap = Arc::new(Cap::new(1));
        let (lane, held) = (lane(&[&cap]), Arc::new(AtomicU32::new(0)));
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let (lane, held) = (lane.clone(), held.clone());
                spawn(move || {
                    let Some(pass) = lane.begin(at(1)) else { return false };
                    assert_eq!(held.fetch_add(1, Ordering::Relaxed), 0, "two where there is one place");
                    loom::thread::yield_now();
                    held.fetch_sub(1, Ordering::Relaxed);
                    drop(pass);
                    true
                })
            })
            .collect();
        assert!(yes(takers) >= 1, "somebody gets it");
        assert_eq!((lane.in_flight(), lane.look(at(2))), (0, Look::Ready(1.0)));
        let again = lane.begin(at(2));
        assert!(again.is_some() && lane.begin(at(2)).is_none(), "one place, neither more nor less");
    });
}

#[test]
fn who_needs_places_of_two_caps_keeps_none_where_one_is_full() {
    model(|| {
        let (one, other) = (Arc::new(Cap::new(1)), Arc::new(Cap::new(1)));
        let lanes = [lane(&[&one, &other]), lane(&[&other, &one])];
        let takers: Vec<_> = lanes.iter().cloned().map(|lane| spawn(move || lane.begin(at(1)).is_some())).collect();
        yes(takers);
        for lane in &lanes {
            assert_eq!(lane.in_flight(), 0);
            assert!(lane.begin(at(2)).is_some(), "both places are there again");
        }
        assert!(!one.is_full() && !other.is_full());
    });
}

#[test]
fn every_pass_is_counted_in_and_out() {
    model(|| {
        let lane = lane(&[]);
        let other = lane.clone();
        let comes_and_goes = spawn(move || other.begin(at(1)).is_some());
        let stays = lane.begin(at(1)).unwrap();
        assert_eq!(yes([comes_and_goes]), 1);
        assert_eq!((lane.in_flight(), lane.health(at(2)).sent), (1, 2));
        drop(stays);
        assert_eq!(lane.in_flight(), 0);
    });
}

#[derive(Debug, Default)]
struct Told(AtomicU32);

impl Usher for Told {
    fn freed(&self, _: &Cap) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Begins to wait for a place of `cap`. True if it sees one at once.
fn wait(cap: &Cap, told: &Arc<Told>) -> bool {
    let usher: Weak<Told> = Arc::downgrade(told);
    cap.wait(usher);
    !cap.is_full()
}

#[test]
fn a_place_that_gets_free_is_seen_or_told_of() {
    model(|| {
        let (cap, told) = (Arc::new(Cap::new(1)), Arc::new(Told::default()));
        let pass = lane(&[&cap]).begin(at(1)).unwrap();
        let leaver = spawn(move || drop(pass));
        let seen = wait(&cap, &told);
        leaver.join().unwrap();
        assert!(seen || told.0.load(Ordering::Relaxed) > 0, "who waits is never told");
    });
}

#[test]
fn a_place_that_was_held_for_a_moment_is_seen_or_told_of() {
    model(|| {
        let (free, full, told) = (Arc::new(Cap::new(1)), Arc::new(Cap::new(1)), Arc::new(Told::default()));
        let held = lane(&[&full]).begin(at(1)).unwrap();
        let wants_both = lane(&[&free, &full]);
        let taker = spawn(move || wants_both.begin(at(1)).is_some());
        let seen = wait(&free, &told);
        assert_eq!(yes([taker]), 0);
        assert!(seen || told.0.load(Ordering::Relaxed) > 0, "who waits is never told");
        drop(held);
    });
}

// The one request that finds out.

#[test]
fn one_of_several_gets_the_probe() {
    for early in [false, true] {
        model(move || {
            let breaker = Arc::new(open());
            let now = if early { at(10) } else { at(2000) };
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    let breaker = breaker.clone();
                    spawn(move || breaker.take_probe(now, LEASE, early))
                })
                .collect();
            let own = breaker.take_probe(now, LEASE, early);
            assert_eq!(yes(takers) + usize::from(own), 1);
            assert_eq!(breaker.phase(), Phase::HalfOpen);
            assert_it_can_come_back(&breaker);
        });
    }
}

#[test]
fn a_lost_probe_is_taken_once_and_its_late_end_takes_it_from_nobody() {
    model(|| {
        let breaker = Arc::new(open());
        assert!(breaker.take_probe(at(2000), LEASE, false));
        // It is not heard of in time; others take it, while its end comes after all.
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let breaker = breaker.clone();
                spawn(move || breaker.take_probe(at(7000), LEASE, false))
            })
            .collect();
        breaker.give_probe_back(at(2000), LEASE);
        assert_eq!(yes(takers), 1);
        assert_eq!(breaker.phase(), Phase::HalfOpen, "it is the second one's");
        assert!(!breaker.take_probe(at(7001), LEASE, true));
        breaker.give_probe_back(at(7000), LEASE);
        assert!(breaker.take_probe(at(7002), LEASE, false), "which gives it back itself");
        assert_it_can_come_back(&breaker);
    });
}

#[test]
fn a_probe_that_is_dropped_is_taken_by_one() {
    model(|| {
        let lane = open_lane();
        let takers: Vec<_> = (0..2)
            .map(|number| {
                let lane = lane.clone();
                spawn(move || {
                    let Some(mut pass) = lane.begin_probe(at(2000), false) else { return false };
                    // One leaves without a word, the other's is answered.
                    if number == 1 {
                        assert!(pass.answered(at(2001), &HeaderMap::new()), "whose answer closes it says so");
                    }
                    true
                })
            })
            .collect();
        assert!(yes(takers) >= 1);
        assert_eq!(lane.in_flight(), 0);
        match lane.phase() {
            Phase::Closed => {}
            // Given back: the next one need not wait.
            Phase::Open => {
                assert!(
                    lane.begin_probe(at(2002), false)
                        .is_some_and(|mut pass| pass.answered(at(2003), &HeaderMap::new()))
                )
            }
            Phase::HalfOpen => panic!("nobody finds out any more"),
        }
    });
}

// Answers and failures that meet.

#[test]
fn two_failures_at_once_are_two() {
    model(|| {
        let breaker = Arc::new(Breaker::default());
        let failed: Vec<_> = (0..2)
            .map(|_| {
                let breaker = breaker.clone();
                spawn(move || breaker.failed(at(1), None, 0.5, &settings()))
            })
            .collect();
        assert_eq!(yes(failed), 1, "one of them opens it, and says so");
        assert_eq!(breaker.phase(), Phase::Open);
        assert_it_can_come_back(&breaker);
    });
}

#[test]
fn answers_and_failures_leave_no_breaker_stuck() {
    // Of a closed one that is about to open, and of one whose probe is under way.
    for probe in [false, true] {
        model(move || {
            let breaker = Arc::new(if probe { open() } else { Breaker::default() });
            let said = if probe {
                breaker.take_probe(at(2000), LEASE, false)
            } else {
                !breaker.failed(at(1), None, 0.5, &settings())
            };
            assert!(said);
            let one = breaker.clone();
            let answered = spawn(move || one.succeeded(at(2001), probe, &settings()));
            let one = breaker.clone();
            let failed = spawn(move || one.failed(at(2001), None, 0.5, &settings()));
            let found = breaker.found_there(at(2001));
            let (closed, opened) = (yes([answered]) == 1, yes([failed]) == 1);
            if probe {
                assert!(closed && !opened, "the probe has the say, and one failure does not undo it");
                assert!(!found, "it was half open or closed");
                assert_eq!(breaker.phase(), Phase::Closed);
            }
            assert_it_can_come_back(&breaker);
        });
    }
}

#[test]
fn a_lane_that_is_failed_and_answered_at_once_comes_back() {
    model(|| {
        let lane = lane(&[]);
        let begin = || lane.begin(at(1)).unwrap();
        let (mut one, mut two, mut three) = (begin(), begin(), begin());
        let failed = spawn(move || one.failed(Fault::Passing, at(2), 0.5) == Some(Turn::Opened));
        let answered = spawn(move || two.answered(at(2), &HeaderMap::new()));
        let own = three.failed(Fault::Passing, at(2), 0.5) == Some(Turn::Opened);
        let opened = yes([failed]) + usize::from(own);
        assert_eq!(yes([answered]), 0, "no probe closes nothing");
        assert_eq!(opened == 1, lane.phase() == Phase::Open, "opened {opened} times");
        drop(three);
        assert_eq!((lane.in_flight(), lane.health(at(3)).sent, lane.health(at(3)).failed), (0, 3, 2));
        if lane.phase() == Phase::Open {
            assert!(lane.begin_probe(at(MUCH_LATER), false).unwrap().answered(at(MUCH_LATER), &HeaderMap::new()));
        }
        assert!(matches!(lane.look(at(MUCH_LATER)), Look::Ready(_)));
    });
}

#[test]
fn a_key_that_is_refused_and_answered_at_once_is_alive_with_the_next_answer() {
    model(|| {
        let lane = lane(&[]);
        let (mut one, mut two) = (lane.begin(at(1)).unwrap(), lane.begin(at(1)).unwrap());
        let refused = spawn(move || one.failed(Fault::Key, at(2), 0.5).is_none());
        two.answered(at(2), &HeaderMap::new());
        assert_eq!(yes([refused]), 1);
        let mut next =
            if lane.look(at(3)) == Look::Dead { lane.begin_anyway(at(3)) } else { lane.begin(at(3)) }.unwrap();
        next.answered(at(4), &HeaderMap::new());
        assert_eq!(lane.look(at(5)), Look::Ready(1.0));
    });
}

#[test]
fn one_of_those_that_a_canary_fails_rolls_it_back() {
    model(|| {
        let settings = config::Canary { percent: 5.0, error_percent: 5.0, min_requests: 2 };
        let canary = Arc::new(Canary::new(settings, "p", "m"));
        let threads = [(); 2].map(|()| {
            let canary = canary.clone();
            spawn(move || canary.ended(true))
        });
        assert_eq!(yes(threads), 1);
        assert!(!canary.is_on() && canary.health().failed == 2);
    });
}

// Budgets, room, times.

#[test]
fn the_last_retry_is_given_once() {
    model(|| {
        let budget = Arc::new(RetryBudget::new(0));
        (0..9).for_each(|_| assert!(budget.take()));
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let budget = budget.clone();
                spawn(move || budget.take())
            })
            .collect();
        assert_eq!(yes(takers) + usize::from(budget.take()), 1);
        assert!(!budget.take());
    });
}

#[test]
fn what_is_earned_while_others_take_is_not_lost() {
    model(|| {
        let budget = Arc::new(RetryBudget::new(100));
        (0..9).for_each(|_| assert!(budget.take()));
        let one = budget.clone();
        let earner = spawn(move || {
            one.earn();
            false
        });
        let one = budget.clone();
        let taker = spawn(move || one.take());
        let own = budget.take();
        let taken = yes([earner, taker]) + usize::from(own);
        let left = (0..5).filter(|_| budget.take()).count();
        assert_eq!(taken + left, 2, "one was there, and one was earned");
    });
}

#[test]
fn a_refusal_is_not_forgotten_for_what_an_answer_says() {
    model(|| {
        let headroom = Arc::new(Headroom::default());
        let one = headroom.clone();
        let told = spawn(move || one.told(0.9, Duration::from_secs(60), at(1)));
        let one = headroom.clone();
        let refused = spawn(move || one.refused(Duration::from_secs(1), at(1)));
        headroom.refused(Duration::from_secs(2), at(1));
        told.join().unwrap();
        refused.join().unwrap();
        assert_eq!(headroom.room(at(2)), Room::None(at(2001)), "the longer one of the two");
    });
}

#[test]
fn a_rise_is_not_lost_for_a_quick_answer() {
    model(|| {
        let latency = Arc::new(Latency::default());
        let threads: Vec<_> = [10, 500]
            .into_iter()
            .map(|ms| {
                let latency = latency.clone();
                spawn(move || latency.observe(Duration::from_millis(ms), at(1)))
            })
            .collect();
        latency.observe(Duration::from_millis(20), at(1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(latency.us(at(1)), 500_000.0);
    });
}

#[test]
fn every_time_counts() {
    model(|| {
        let spread = Arc::new(Spread::default());
        (0..18).for_each(|_| spread.observe(Duration::from_millis(10)));
        let one = spread.clone();
        let other = spawn(move || one.observe(Duration::from_millis(10)));
        spread.observe(Duration::from_millis(10));
        other.join().unwrap();
        assert!(spread.within(0.5).is_some(), "twenty are enough");
    });
}
