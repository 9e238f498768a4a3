//! How long a target takes to its first token, or to its answer where that does not stream: a mean that follows rises at once (`Latency`), and where most answers lie (`Spread`).

use super::Moment;
use super::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What is told apart of what a target takes: of an answer that does not stream nothing is seen before it is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// The answer whole.
    #[default]
    Plain,
    /// The first piece of a stream.
    Stream,
}

/// After this long a past answer counts for about a third.
const MEMORY_MS: f64 = 10_000.0;

/// A mean of past times that jumps up to a slow answer and comes down slowly (peak EWMA, as in Finagle's balancer), and fades while
/// nobody asks, so that who was slow once is asked again. In one word: read and changed without a lock.
#[derive(Debug, Default)]
pub struct Latency(AtomicU64);

impl Latency {
    /// An answer took so long.
    pub fn observe(&self, took: Duration, now: Moment) {
        let sample = took.as_secs_f32() * 1e6;
        let changed = |word: u64| {
            let (value, stamp) = unpacked(word);
            let next = if word == 0 || sample >= value {
                sample
            } else {
                let kept = fade(stamp, now);
                value * kept + sample * (1.0 - kept)
            };
            Some(packed(next.max(1.0), now))
        };
        let _ = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }

    /// The mean in microseconds; 0 while nothing is known.
    pub fn us(&self, now: Moment) -> f64 {
        let word = self.0.load(Ordering::Relaxed);
        if word == 0 {
            return 0.0;
        }
        let (value, stamp) = unpacked(word);
        f64::from(value * fade(stamp, now))
    }
}

fn packed(value: f32, now: Moment) -> u64 {
    u64::from(value.to_bits()) << 32 | (now.ms() & 0xFFFF_FFFF)
}

fn unpacked(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

/// What is kept of a value since `stamp`. The stamp wraps after 49 days, which makes an idle target's past count once more.
fn fade(stamp: u32, now: Moment) -> f32 {
    let since = (now.ms() as u32).wrapping_sub(stamp);
    // A stamp of another thread may be a little ahead.
    if since > u32::MAX / 2 { 1.0 } else { (-f64::from(since) / MEMORY_MS).exp() as f32 }
}

/// Times in steps of an eighth part, from 64 µs on.
const STEPS: usize = 192;
const FIRST: f64 = 64.0;
/// With fewer times than this nothing is said.
const FEWEST: u32 = 20;
/// With more than this, all count half: the past is forgotten.
const MOST: u32 = 2048;

/// How the times to a first token are spread. Counted without a lock; a count lost in a race is of no weight.
#[derive(Debug)]
pub struct Spread {
    /// As many as there are steps.
    counts: Box<[AtomicU32]>,
    total: AtomicU32,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread { counts: (0..STEPS).map(|_| AtomicU32::new(0)).collect(), total: AtomicU32::new(0) }
    }
}

impl Spread {
    /// An answer took so long.
    pub fn observe(&self, took: Duration) {
        self.counts[step(took)].fetch_add(1, Ordering::Relaxed);
        if self.total.fetch_add(1, Ordering::Relaxed) >= MOST {
            let halve = |count: &AtomicU32| {
                let left = count.load(Ordering::Relaxed) / 2;
                count.store(left, Ordering::Relaxed);
                left
            };
            self.total.store(self.counts.iter().map(halve).sum(), Ordering::Relaxed);
        }
    }

    /// The time within which `share` of the answers came, rounded up to a step; `None` while too few are known.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let counts: [u32; STEPS] = std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed));
        let total: u32 = counts.iter().sum();
        if total < FEWEST {
            return None;
        }
        let wanted = f64::from(total) * share;
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            f64::from(seen) >= wanted
        });
        at.map(|at| Duration::from_secs_f64(FIRST * 1.125f64.powi(at as i32) / 1e6))
    }
}

fn step(took: Duration) -> usize {
    let steps = (took.as_secs_f64() * 1e6 / FIRST).max(1.0).ln() / 1.125f64.ln();
    (steps.ceil() as usize).min(STEPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_rises_at_once_and_forgets_slowly() {
        let latency = Latency::default();
        let at = Moment::from_ms;
        assert_eq!(latency.us(at(5)), 0.0);
        latency.observe(Duration::from_millis(10), at(0));
        latency.observe(Duration::from_millis(500), at(1000));
        assert_eq!(latency.us(at(1000)), 500_000.0);
        latency.observe(Duration::from_millis(10), at(1100));
        let soon = latency.us(at(1100));
        assert!((490_000.0..500_000.0).contains(&soon), "{soon}");
        assert!(latency.us(at(11_100)) < soon * 0.4, "nobody asked for as long as it remembers");
        latency.observe(Duration::from_millis(10), at(60_000));
        assert!(latency.us(at(60_000)) < 15_000.0);
    }

    #[test]
    fn tells_within_which_time_most_answers_come() {
        let spread = Spread::default();
        let ms = Duration::from_millis;
        (0..19).for_each(|_| spread.observe(ms(100)));
        assert_eq!(spread.within(0.95), None, "too few");
        for n in 0..10_000u64 {
            spread.observe(ms(if n % 50 == 0 { 2000 } else { 100 + n % 10 }));
        }
        let near = |share: f64, expected: Duration| {
            let told = spread.within(share).unwrap();
            assert!(told >= expected && told < expected.mul_f64(1.13), "{share}: {told:?}");
        };
        near(0.5, ms(104));
        near(0.95, ms(109));
        near(0.999, ms(2000));
        spread.observe(Duration::from_secs(1 << 40));
        spread.observe(Duration::ZERO);
    }
}
