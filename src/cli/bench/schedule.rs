//! When requests are due, and waking at just that time.

use super::stop::Stop;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::fs;
use std::time::{Duration, Instant};

/// Where Linux keeps by how much it may delay a sleeping thread, in nanoseconds.
const TIMER_SLACK: &str = "/proc/self/timerslack_ns";

/// A thread sleeps no longer than this before it looks whether it should stop.
const NAP: Duration = Duration::from_millis(100);

/// Arrivals of one phase, in nanoseconds after its start: `rate` a second, evenly or, with a seed, at random as a
/// Poisson process.
pub fn arrivals(rate: f64, span: Duration, poisson_seed: Option<u64>) -> Vec<u64> {
    let span_ns = span.as_secs_f64() * 1e9;
    let gap_ns = 1e9 / rate;
    match poisson_seed {
        None => (0..(span_ns / gap_ns).round() as u64).map(|index| (index as f64 * gap_ns) as u64).collect(),
        Some(seed) => {
            let mut random = StdRng::seed_from_u64(seed);
            let mut at = 0.0;
            let next = std::iter::repeat_with(|| {
                // 1 − u is never 0, of which there is no logarithm.
                at -= gap_ns * (1.0 - random.random::<f64>()).ln();
                at
            });
            next.take_while(|&at| at < span_ns).map(|at| at as u64).collect()
        }
    }
}

/// Sleeps until `due`, or until told to stop.
pub fn sleep_until(due: Instant, stop: &Stop) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.is_set() {
            return;
        }
        std::thread::sleep(left.min(NAP));
    }
}

/// While held, threads started by the main thread wake from sleep within microseconds. Linux otherwise allows itself
/// 50 µs, which would be charged to every request. Elsewhere, and from other threads, it does nothing: the report
/// says by how much requests left late.
#[derive(Debug)]
pub struct FineTimers(Option<String>);

impl FineTimers {
    /// Asks for the finest timers.
    pub fn hold() -> FineTimers {
        let before = fs::read_to_string(TIMER_SLACK).ok();
        FineTimers(before.filter(|_| fs::write(TIMER_SLACK, "1").is_ok()))
    }
}

impl Drop for FineTimers {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Children started later inherit the value; failing to restore it changes nothing but their timers.
            let _ = fs::write(TIMER_SLACK, before.trim());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_are_evenly_spaced() {
        assert_eq!(arrivals(4.0, Duration::from_secs(1), None), [0, 250_000_000, 500_000_000, 750_000_000]);
        assert_eq!(arrivals(1000.0, Duration::from_millis(1500), None).len(), 1500);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let times = arrivals(1000.0, Duration::from_secs(50), Some(7));
        assert!((49_000..51_000).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted());
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of exponential gaps the standard deviation equals the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{} {mean}", variance.sqrt());
        assert_ne!(times, arrivals(1000.0, Duration::from_secs(50), Some(8)));
    }
}
