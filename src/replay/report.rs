//! What a replay prints, and its JSON. Keys are stable: snake_case, with units.

use super::tally::Part;
use super::trace::Request;
use crate::types::money::Price;
use crate::types::usage::Usage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The figures of one replay. Rates are shares of all requests, unless they say otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The policy that was replayed.
    pub policy: String,
    /// The least similarity of a semantic hit; none without a semantic tier.
    pub threshold: Option<f64>,
    /// Numbers, ids, dates and units had to agree.
    pub veto: bool,
    /// Requests in the trace.
    pub requests: usize,
    /// Served from the cache.
    pub hits: usize,
    /// Of those, with a wrong answer.
    pub errors: usize,
    /// Hits over requests.
    pub hit_rate: f64,
    /// Its 95 % interval, by resampling groups.
    pub hit_rate_interval: [f64; 2],
    /// Wrong hits over requests.
    pub err_all: f64,
    /// Its 95 % interval, by resampling groups.
    pub err_all_interval: [f64; 2],
    /// Wrong hits over hits.
    pub err_hit: f64,
    /// Right hits over hits.
    pub precision: f64,
    /// Right hits over right hits and misses whose nearest entry would have been right.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Requests whose group was stored before, over requests: no cache can serve more rightly.
    pub repeat_ceiling: f64,
    /// Right hits over those.
    pub recall_of_ceiling: f64,
    /// Hits less shadow calls, over requests.
    pub net_hit_rate: f64,
    /// Shadow calls over hits.
    pub shadow_rate: f64,
    /// Judge calls over requests.
    pub judge_rate: f64,
    /// Hits of the exact and the normalised tier over requests.
    pub exact_hit_rate: f64,
    /// Hits and errors by tier.
    pub by_tier: BTreeMap<String, Part>,
    /// By scope.
    pub by_scope: BTreeMap<String, Part>,
    /// By tenth of the trace, in order.
    pub by_decile: Vec<Part>,
    /// What hits spared.
    pub savings: Savings,
    /// Entries at the end.
    pub entries: usize,
    /// Bytes they are charged with.
    pub bytes: usize,
    /// Bytes of the index, about.
    pub index_bytes: usize,
    /// Quantiles by step, in microseconds. `embed` is measured one text at a time on a sample.
    pub latency_us: BTreeMap<String, Latency>,
}

/// Tokens and dollars that hits spared, as the trace counts tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Savings {
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
    /// US dollars, where a price was given.
    pub usd: Option<f64>,
}

impl Savings {
    pub(super) fn add(&mut self, request: &Request, price: Option<Price>) {
        self.input_tokens += request.in_tok;
        self.output_tokens += request.out_tok;
        let usage = Usage { input_tokens: self.input_tokens, output_tokens: self.output_tokens };
        self.usd = price.map(|price| price.of(usage).0 as f64 / 1e6);
    }
}

/// Quantiles of a step, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// Nine in ten are below.
    pub p90: f64,
    /// Ninety-nine in a hundred are below.
    pub p99: f64,
}

impl Latency {
    pub(super) fn of(mut took: Vec<Duration>) -> Latency {
        took.sort_unstable();
        let at = |share: f64| {
            let place = ((took.len().saturating_sub(1)) as f64 * share).round() as usize;
            took.get(place).map_or(0.0, |took| took.as_nanos() as f64 / 1000.0)
        };
        Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |rate: f64| rate * 100.0;
        let range = |[low, high]: [f64; 2]| format!("95 % interval {:.2} to {:.2}", percent(low), percent(high));
        writeln!(
            f,
            "{}: {} requests, {:.1} % of them repeats",
            self.policy,
            self.requests,
            percent(self.repeat_ceiling)
        )?;
        writeln!(f, "  hits        {:>7.2} %   {}", percent(self.hit_rate), range(self.hit_rate_interval))?;
        writeln!(f, "  wrong hits  {:>7.2} %   {}", percent(self.err_all), range(self.err_all_interval))?;
        writeln!(
            f,
            "  precision {:.4}, recall {:.4} ({:.4} of the repeats), F1 {:.4}, wrong among hits {:.2} %",
            self.precision,
            self.recall,
            self.recall_of_ceiling,
            self.f1,
            percent(self.err_hit)
        )?;
        writeln!(
            f,
            "  saved       {} input and {} output tokens",
            self.savings.input_tokens, self.savings.output_tokens
        )?;
        if let Some(usd) = self.savings.usd {
            writeln!(f, "              {usd:.4} US dollars")?;
        }
        writeln!(f, "  entries     {} in {} bytes, index {} bytes", self.entries, self.bytes, self.index_bytes)?;
        for (step, latency) in &self.latency_us {
            let Latency { p50, p90, p99 } = latency;
            writeln!(f, "  {step:<10}  p50 {p50:.1} µs, p90 {p90:.1} µs, p99 {p99:.1} µs")?;
        }
        writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", "tier", "", "hits", "wrong")?;
        for (tier, part) in &self.by_tier {
            writeln!(f, "  {tier:<20} {:>8} {:>8} {:>8}", "", part.hits, part.errors)?;
        }
        writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", "scope", "requests", "hits", "wrong")?;
        for (scope, part) in &self.by_scope {
            writeln!(f, "  {scope:<20} {:>8} {:>8} {:>8}", part.requests, part.hits, part.errors)?;
        }
        writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", "tenth of the trace", "requests", "hits", "wrong")?;
        for (at, part) in self.by_decile.iter().enumerate() {
            writeln!(f, "  {:<20} {:>8} {:>8} {:>8}", at + 1, part.requests, part.hits, part.errors)?;
        }
        Ok(())
    }
}
