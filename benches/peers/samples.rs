//! What came of a load: how long each request took, and what went wrong.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Times of requests, in nanoseconds.
#[derive(Default)]
pub struct Samples {
    total: Vec<u64>,
    first: Vec<u64>,
    faults: BTreeMap<String, u64>,
    marks: Vec<Instant>,
    duration: Duration,
    /// Requests that came to the upstream while requests were counted.
    pub asked: u64,
    /// Requests that were due and could not be sent before the end.
    pub unsent: u64,
}

/// Quantiles of times, in microseconds.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub struct Quantiles {
    /// Half of them are shorter.
    pub p50: f64,
    /// 90 % are.
    pub p90: f64,
    /// 99 % are.
    pub p99: f64,
    /// 99.9 % are.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Samples {
    /// None yet.
    pub fn begin(duration: Duration) -> Samples {
        Samples { duration, ..Samples::default() }
    }

    /// The time in which requests count begins, or ends.
    pub fn mark(&mut self) {
        self.marks.push(Instant::now());
    }

    /// Both its ends are known.
    pub fn is_marked_twice(&self) -> bool {
        self.marks.len() >= 2
    }

    /// A right answer.
    pub fn add(&mut self, total: Duration, first: Duration) {
        self.total.push(total.as_nanos() as u64);
        self.first.push(first.as_nanos() as u64);
    }

    /// A wrong one, or none.
    pub fn fault(&mut self, what: &str) {
        *self.faults.entry(what.to_owned()).or_default() += 1;
    }

    /// Right answers.
    pub fn right(&self) -> usize {
        self.total.len()
    }

    /// Right answers a second.
    pub fn rate(&self) -> f64 {
        self.total.len() as f64 / self.duration.as_secs_f64()
    }

    /// What went wrong, and how often.
    pub fn faults(&self) -> &BTreeMap<String, u64> {
        &self.faults
    }

    /// From when a request was due to its last byte.
    pub fn total(&self) -> Quantiles {
        quantiles(&self.total)
    }

    /// From when a request was due to the first byte of the body.
    pub fn first(&self) -> Quantiles {
        quantiles(&self.first)
    }
}

fn quantiles(times: &[u64]) -> Quantiles {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = |share: f64| match times.len() {
        0 => f64::NAN,
        count => times[((count as f64 * share) as usize).min(count - 1)] as f64 / 1e3,
    };
    Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) }
}

/// The middle of some values; `NaN` of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}
