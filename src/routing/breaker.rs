//! `Breaker`: whether a target is worth asking, after how its last requests went.
//!
//! Closed: everybody may ask. Too many failures open it: nobody asks until a pause has passed, which grows with each time that
//! the target is found failing again. Then one request may find out (half open): if it is answered, the breaker closes, and
//! the target's share grows back slowly; if not, the next pause begins.
//!
//! "Too many" is a share: a mean over past requests that forgets, above one half. After a stretch of successes that is reached by
//! [`config::Breaker::failures`] in a row, and it is reached by a target that fails more often than not, in any order.

use super::Moment;
use super::atomic::{AtomicU64, Ordering};
use crate::config;
use std::time::Duration;

/// The state of one target's breaker, in one word: read and changed without a lock.
#[derive(Debug, Default)]
pub struct Breaker(AtomicU64);

/// What a breaker says of a request that would be sent now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Admission {
    /// It may be sent. The target should get this share of its weight, in (0, 1]: less than one after it has come back.
    Free(f64),
    /// The pause has passed: one request may find out.
    Due,
    /// Not before this moment.
    Until(Moment),
}

/// The phases of a breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Everybody may ask.
    Closed,
    /// Nobody asks.
    Open,
    /// One request finds out.
    HalfOpen,
}

/// What the word holds.
#[derive(Clone, Copy, PartialEq, Debug)]
struct State {
    phase: Phase,
    /// How often in a row it was found failing again.
    level: u32,
    /// The share of failures, in parts of [`ALL`].
    failing: u64,
    /// Closed: when it closed last, 0 if it never opened. Open: when the pause ends. Half open: until when the one request has
    /// to be heard of.
    at_ms: u64,
}

/// All of a share.
const ALL: u64 = 0xFFFF;
/// As many bits as a moment in milliseconds has: 34 years.
const AT_BITS: u32 = 40;
const LEVELS: u32 = 63;
/// What a target that has just come back is given of its weight, at first.
const RAMP_FROM: f64 = 0.1;

impl Breaker {
    /// May a request be sent now?
    pub fn admission(&self, now: Moment, settings: &config::Breaker) -> Admission {
        let state = self.state();
        match state.phase {
            Phase::Closed if state.at_ms == 0 => Admission::Free(1.0),
            Phase::Closed => Admission::Free(ramp(now.ms().saturating_sub(state.at_ms), settings.slow_start)),
            _ if now.ms() >= state.at_ms => Admission::Due,
            _ => Admission::Until(Moment::from_ms(state.at_ms)),
        }
    }

    /// Takes the one request that may find out. With `early`, before the pause has passed: there is nobody else to ask. False:
    /// somebody else is finding out, or there is nothing to find out.
    pub fn take_probe(&self, now: Moment, lease: Duration, early: bool) -> bool {
        self.change(|state| {
            let due = now.ms() >= state.at_ms;
            let may = match state.phase {
                Phase::Closed => false,
                Phase::Open => due || early,
                Phase::HalfOpen => due,
            };
            may.then(|| State { phase: Phase::HalfOpen, at_ms: now.after(lease).ms(), ..state })
        })
    }

    /// The request that was to find out, since `taken` and for `lease`, has ended without telling. One that was not heard of in
    /// time has nothing to give back: another is finding out.
    pub fn give_probe_back(&self, taken: Moment, lease: Duration) {
        self.change(|state| {
            let is_its_own = state.phase == Phase::HalfOpen && state.at_ms == taken.after(lease).ms();
            is_its_own.then(|| State { phase: Phase::Open, at_ms: taken.ms(), ..state })
        });
    }

    /// Something less than an answer says that the target is there. True if that closed the breaker: whose next request fails
    /// opens it again. While a request finds out, that one has the say.
    pub fn found_there(&self, now: Moment) -> bool {
        self.change(|state| {
            let nobody_else = match state.phase {
                Phase::Closed => false,
                Phase::Open => true,
                Phase::HalfOpen => now.ms() >= state.at_ms,
            };
            nobody_else.then(|| State { phase: Phase::Closed, at_ms: now.ms().max(1), ..state })
        })
    }

    /// A request was answered. True if that closed the breaker.
    pub fn succeeded(&self, now: Moment, probe: bool, settings: &config::Breaker) -> bool {
        let mut closed = false;
        self.change(|state| {
            closed = probe && state.phase != Phase::Closed;
            match state.phase {
                Phase::Closed if state.failing == 0 => None,
                Phase::Closed => {
                    Some(State { failing: state.failing - share(state.failing, settings.failures), ..state })
                }
                _ if probe => Some(State { phase: Phase::Closed, failing: 0, at_ms: now.ms().max(1), ..state }),
                _ => None,
            }
        });
        closed
    }

    /// A request failed; `probe` is until when it was to be heard of, where it was to find out. `jitter`, in [0, 1), keeps the pauses of
    /// many gateways apart. True if that opened the breaker.
    pub fn failed(&self, now: Moment, probe: Option<Moment>, jitter: f64, settings: &config::Breaker) -> bool {
        let mut opened = false;
        self.change(|state| {
            opened = false;
            match state.phase {
                Phase::Closed => {
                    let failing = state.failing + share(ALL - state.failing, settings.failures).max(1);
                    if failing * 2 < ALL {
                        return Some(State { failing, ..state });
                    }
                    opened = true;
                    let steady = state.at_ms == 0 || now.ms() >= state.at_ms + millis(settings.slow_start);
                    let level = if steady { 0 } else { (state.level + 1).min(LEVELS) };
                    Some(open(level, now, jitter, settings))
                }
                Phase::HalfOpen if probe.is_some_and(|until| until.ms() == state.at_ms) => {
                    Some(open((state.level + 1).min(LEVELS), now, jitter, settings))
                }
                // Sent before it opened, or heard of when another is finding out: that much is known already.
                _ => None,
            }
        });
        opened
    }

    /// Its phase.
    pub fn phase(&self) -> Phase {
        self.state().phase
    }

    /// The share of failures among the last requests, in [0, 1].
    pub fn failing(&self) -> f64 {
        self.state().failing as f64 / ALL as f64
    }

    fn state(&self) -> State {
        State::unpacked(self.0.load(Ordering::Relaxed))
    }

    fn change(&self, mut to: impl FnMut(State) -> Option<State>) -> bool {
        let changed = |word| to(State::unpacked(word)).map(State::packed);
        self.0.try_update(Ordering::AcqRel, Ordering::Relaxed, changed).is_ok()
    }
}

impl State {
    fn packed(self) -> u64 {
        let phase = match self.phase {
            Phase::Closed => 0,
            Phase::Open => 1,
            Phase::HalfOpen => 2,
        };
        let at = self.at_ms.min((1 << AT_BITS) - 1);
        at | self.failing << AT_BITS | u64::from(self.level) << (AT_BITS + 16) | phase << 62
    }

    fn unpacked(word: u64) -> State {
        let phase = match word >> 62 {
            0 => Phase::Closed,
            1 => Phase::Open,
            _ => Phase::HalfOpen,
        };
        State {
            phase,
            level: (word >> (AT_BITS + 16)) as u32 & LEVELS,
            failing: word >> AT_BITS & ALL,
            at_ms: word & ((1 << AT_BITS) - 1),
        }
    }
}

/// The part of `whole` that one request counts for: as much as lets `failures` in a row make up one half.
fn share(whole: u64, failures: u32) -> u64 {
    let part = 1.0 - 0.5f64.powf(1.0 / f64::from(failures.max(1)));
    (whole as f64 * part).ceil() as u64
}

/// Open, for a pause that doubles with each level.
fn open(level: u32, now: Moment, jitter: f64, settings: &config::Breaker) -> State {
    let doubled = settings.open.saturating_mul(1u32.checked_shl(level).unwrap_or(u32::MAX)).min(settings.open_max);
    let pause = doubled.mul_f64(0.8 + 0.4 * jitter);
    State { phase: Phase::Open, level, failing: ALL / 2, at_ms: now.after(pause).ms() }
}

/// The share of its weight that a target has this long after it came back.
fn ramp(since_ms: u64, slow_start: Duration) -> f64 {
    let whole = millis(slow_start);
    if since_ms >= whole { 1.0 } else { RAMP_FROM + (1.0 - RAMP_FROM) * since_ms as f64 / whole as f64 }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> config::Breaker {
        config::Breaker {
            failures: 5,
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
            slow_start: Duration::from_secs(10),
            probe_interval: None,
        }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    #[test]
    fn opens_after_so_many_in_a_row_and_closes_after_one_answer() {
        let (breaker, settings) = (Breaker::default(), settings());
        let opened: Vec<bool> = (0..5).map(|_| breaker.failed(at(100), None, 0.5, &settings)).collect();
        assert_eq!(opened, [false, false, false, false, true]);
        assert_eq!(breaker.admission(at(200), &settings), Admission::Until(at(1100)));
        assert!(!breaker.take_probe(at(1099), Duration::from_secs(5), false));
        assert_eq!(breaker.admission(at(1100), &settings), Admission::Due);
        assert!(breaker.take_probe(at(1100), Duration::from_secs(5), false), "one finds out");
        assert!(!breaker.take_probe(at(1101), Duration::from_secs(5), true), "and one only");
        assert!(!breaker.succeeded(at(1102), false, &settings), "sent before it opened");
        assert_eq!(breaker.phase(), Phase::HalfOpen);
        assert!(breaker.succeeded(at(1200), true, &settings));
        assert_eq!(breaker.admission(at(1200), &settings), Admission::Free(0.1));
        assert_eq!(breaker.admission(at(6200), &settings), Admission::Free(0.55));
        assert_eq!(breaker.admission(at(11_200), &settings), Admission::Free(1.0));
    }

    #[test]
    fn pauses_grow_while_it_fails_and_begin_anew_after_it_was_well() {
        let (breaker, settings) = (Breaker::default(), settings());
        let fail = |now: u64| {
            for _ in 0..5 {
                breaker.failed(at(now), None, 0.5, &settings);
            }
        };
        let pause = |now: u64| match breaker.admission(at(now), &settings) {
            Admission::Until(until) => until.ms() - now,
            other => panic!("{other:?}"),
        };
        fail(1000);
        let mut now = 1000;
        let mut pauses = vec![pause(now)];
        for _ in 0..6 {
            now += *pauses.last().unwrap();
            assert!(breaker.take_probe(at(now), Duration::from_secs(5), false));
            assert!(!breaker.failed(at(now), Some(at(now + 5000)), 0.5, &settings), "it was open before");
            pauses.push(pause(now));
        }
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert!(breaker.take_probe(at(now), Duration::from_secs(5), true), "early, for want of others");
        breaker.succeeded(at(now), true, &settings);
        fail(now + 5000);
        assert_eq!(pause(now + 5000), 30_000, "it was well for less than its slow start");
        now += 40_000;
        assert!(breaker.take_probe(at(now), Duration::from_secs(5), false));
        breaker.succeeded(at(now), true, &settings);
        fail(now + 10_000);
        assert_eq!(pause(now + 10_000), 1000);
    }

    #[test]
    fn a_probe_that_is_not_heard_of_is_given_to_another() {
        let (breaker, settings) = (Breaker::default(), settings());
        for _ in 0..5 {
            breaker.failed(at(0), None, 0.5, &settings);
        }
        assert!(breaker.take_probe(at(1000), Duration::from_secs(5), false));
        assert!(!breaker.take_probe(at(5999), Duration::from_secs(5), false));
        assert!(breaker.take_probe(at(6000), Duration::from_secs(5), false));
        breaker.give_probe_back(at(1000), Duration::from_secs(5));
        assert!(!breaker.take_probe(at(6001), Duration::from_secs(5), true), "the first one's end is not the second's");
        breaker.give_probe_back(at(6000), Duration::from_secs(5));
        assert!(breaker.take_probe(at(6001), Duration::from_secs(5), false));
    }

    #[test]
    fn who_is_found_there_has_to_prove_it() {
        let (breaker, settings) = (Breaker::default(), settings());
        assert!(!breaker.found_there(at(1)), "nothing was wrong");
        let fail = || (0..5).any(|_| breaker.failed(at(100), None, 0.5, &settings));
        assert!(fail() && breaker.found_there(at(200)));
        assert_eq!(breaker.admission(at(200), &settings), Admission::Free(0.1));
        assert!(breaker.failed(at(201), None, 0.5, &settings), "one failure is enough");
        assert_eq!(breaker.admission(at(201), &settings), Admission::Until(at(2201)), "and its pause has grown");
        assert!(breaker.found_there(at(300)));
        (0..2).for_each(|_| assert!(!breaker.succeeded(at(301), false, &settings)));
        assert!(!breaker.failed(at(302), None, 0.5, &settings), "it has answered since");
        assert!(fail() && breaker.take_probe(at(303), Duration::from_secs(5), true));
        assert!(!breaker.found_there(at(304)), "a request is finding out");
        assert!(breaker.found_there(at(5303)), "and is not heard of any more");
    }

    #[test]
    fn a_share_of_failures_opens_it_too() {
        let settings = settings();
        for (fails_of_ten, opens) in [(1, false), (3, false), (7, true), (9, true)] {
            let breaker = Breaker::default();
            let opened = (0..400u64).any(|n| {
                // Spread, so that there are no long rows.
                if (n * 7) % 10 < fails_of_ten {
                    breaker.failed(at(n), None, 0.5, &settings)
                } else {
                    breaker.succeeded(at(n), false, &settings)
                }
            });
            assert_eq!(opened, opens, "{fails_of_ten} of 10");
        }
    }
}
