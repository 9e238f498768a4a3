//! `Canary`: a target that gets a small share of a model's requests, and gets none any more once it fails too often.
//!
//! It is judged by what became of the requests it was asked, and not by what callers saw: whatever it fails goes to another target.
//! It fails too often when it surely fails more than it is allowed to, and more than the other targets of the model do: the lower
//! bound of its share of failures (Wilson 1927, of three standard deviations, as it is looked at after each failure) is above both. So
//! a few bad requests at the beginning do not end it, and an outage that all targets share does not either.

use super::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::config;

/// Of how many standard deviations the bound is made.
const SURE: f64 = 3.0;
/// With more requests than this, all count half: the past is forgotten.
const MOST: u32 = 2_000;

/// How a model's canary is doing.
#[derive(Debug)]
pub struct Canary {
    /// Its share, and when it is rolled back.
    pub settings: config::Canary,
    /// The provider's name, and what that calls the model; for logs and metrics.
    pub name: (String, String),
    own: Tally,
    others: Tally,
    rolled_back: AtomicBool,
}

/// Requests, and those of them that failed, in one word: read and changed without a lock.
#[derive(Debug, Default)]
struct Tally(AtomicU64);

/// How it is doing, for the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CanaryHealth {
    /// Requests that it was judged by: its own, the latest.
    pub asked: u32,
    /// Of these, failed.
    pub failed: u32,
    /// Requests to the other targets of the model in that time.
    pub others_asked: u32,
    /// Of these, failed.
    pub others_failed: u32,
    /// It gets no more requests.
    pub rolled_back: bool,
}

impl Canary {
    /// One at `provider` of which nothing is known.
    pub fn new(settings: config::Canary, provider: &str, model: &str) -> Canary {
        let name = (provider.to_owned(), model.to_owned());
        Canary { settings, name, own: Tally::default(), others: Tally::default(), rolled_back: AtomicBool::new(false) }
    }

    /// Does it get requests?
    pub fn is_on(&self) -> bool {
        !self.rolled_back.load(Ordering::Relaxed)
    }

    /// It was asked, and that ended. True if that was once too often, and it is rolled back.
    pub fn ended(&self, failed: bool) -> bool {
        let (asked, failures) = self.own.count(1, failed);
        failed && self.judge(asked, failures)
    }

    /// An answer of it that had been counted broke off.
    pub fn broke(&self) -> bool {
        let (asked, failures) = self.own.count(0, true);
        self.judge(asked, failures)
    }

    /// Another target of the model was asked.
    pub fn other_ended(&self, failed: bool) {
        self.others.count(1, failed);
    }

    /// An answer of another target that had been counted broke off.
    pub fn other_broke(&self) {
        self.others.count(0, true);
    }

    /// The other targets are others from now on.
    pub fn forget_others(&self) {
        self.others.forget();
    }

    fn judge(&self, asked: u32, failures: u32) -> bool {
        let (others_asked, others_failed) = self.others.read();
        // Of few nobody knows how they are.
        let others = match others_asked >= self.settings.min_requests {
            true => f64::from(others_failed) / f64::from(others_asked.max(1)),
            false => 0.0,
        };
        let allowed = (self.settings.error_percent / 100.0).max(others);
        asked >= self.settings.min_requests
            && at_least(failures, asked) > allowed
            && self.rolled_back.try_update(Ordering::Relaxed, Ordering::Relaxed, |back| (!back).then_some(true)).is_ok()
    }

    /// How it is doing.
    pub fn health(&self) -> CanaryHealth {
        let ((asked, failed), (others_asked, others_failed)) = (self.own.read(), self.others.read());
        CanaryHealth { asked, failed, others_asked, others_failed, rolled_back: !self.is_on() }
    }
}

impl Tally {
    /// Counts, and tells what it has counted.
    fn count(&self, asked: u32, failed: bool) -> (u32, u32) {
        let counted = |word: u64| {
            let (known, failures) = unpacked(word);
            let (known, failures) = (known + asked, failures + u32::from(failed));
            if known > MOST { (known / 2, failures / 2) } else { (known, failures) }
        };
        let next = |word: u64| {
            let (known, failures) = counted(word);
            Some(u64::from(known) << 32 | u64::from(failures))
        };
        let before = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, next);
        counted(before.unwrap_or_else(|word| word))
    }

    fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn read(&self) -> (u32, u32) {
        unpacked(self.0.load(Ordering::Relaxed))
    }
}

fn unpacked(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// The share that `failed` of `asked` surely is at least.
fn at_least(failed: u32, asked: u32) -> f64 {
    let (n, share) = (f64::from(asked.max(1)), f64::from(failed.min(asked)) / f64::from(asked.max(1)));
    let z2 = SURE * SURE;
    let spread = SURE * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    (share + z2 / (2.0 * n) - spread) / (1.0 + z2 / n)
}

#[cfg(test)]
mod tests {
    use super::super::strategy::Random;
    use super::*;

    fn canary(error_percent: f64, min_requests: u32) -> Canary {
        Canary::new(config::Canary { percent: 5.0, error_percent, min_requests }, "p", "m")
    }

    /// After how many requests it was rolled back, of at most `most`; every one of them fails with `chance`, and so do 20 of others
    /// with `others`.
    fn lives(error_percent: f64, chance: f64, others: f64, most: u32, seed: u64) -> Option<u32> {
        let (canary, mut random) = (canary(error_percent, 20), Random::new(seed));
        (1..=most).find(|_| {
            (0..20).for_each(|_| canary.other_ended(random.unit() < others));
            canary.ended(random.unit() < chance)
        })
    }

    #[test]
    fn the_bound_is_wilsons() {
        // By hand: (p + z²/2n - z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), with z = 3
        for (failed, asked, expected) in [(0, 50, 0.0), (6, 50, 0.0384), (11, 50, 0.0954), (50, 50, 0.8475)] {
            let told = at_least(failed, asked);
            assert!((told - expected).abs() < 5e-4, "{failed} of {asked}: {told}");
        }
    }

    #[test]
    fn one_that_fails_too_often_is_rolled_back_and_one_that_does_not_is_kept() {
        for seed in 0..200 {
            assert_eq!(lives(5.0, 1.0, 0.0, 50, seed), Some(20), "all fail: as soon as it may be judged");
            assert!(lives(5.0, 0.2, 0.0, 500, seed).is_some(), "fails four times as often as it may");
        }
        let shared = (0..200).filter(|seed| lives(5.0, 0.5, 0.5, 300, *seed).is_some()).count();
        assert!(shared <= 12, "{shared} of 200 for what all targets share");
        let wrongly = (0..500).filter(|seed| lives(5.0, 0.01, 0.0, 2_000, *seed).is_some()).count();
        assert!(wrongly <= 10, "{wrongly} of 500 that fail a fifth as often as they may");
    }

    #[test]
    fn it_is_rolled_back_once() {
        let canary = canary(5.0, 3);
        assert!(!canary.ended(true) && !canary.ended(true) && canary.is_on());
        assert!(canary.ended(true) && !canary.is_on());
        assert!(!canary.ended(true) && !canary.broke(), "that is known");
        assert_eq!(
            canary.health(),
            CanaryHealth { asked: 4, failed: 5, others_asked: 0, others_failed: 0, rolled_back: true }
        );
    }
}
