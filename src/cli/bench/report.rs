//! `Report`: what `--json` prints, and the table for the terminal. The keys are explained in docs/bench.md.

use super::args::Scenario;
use super::fault::Faults;
use super::figures::Host;
use serde::Serialize;
use std::fmt::{self, Write};

/// Everything that was measured in one call.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this program.
    pub version: &'static str,
    /// `release` or `debug`: figures of a debug build say little.
    pub build: &'static str,
    /// Where it ran.
    pub host: Host,
    /// How it ran.
    pub settings: Settings,
    /// From starting askonce to its first ready answer, in milliseconds; with the sentence model if that was started.
    pub cold_start_ms: Option<f64>,
    /// From starting askonce to the end of its first chat answer, in milliseconds.
    pub first_answer_ms: Option<f64>,
    /// Whether those two include loading the sentence model.
    pub cold_start_with_model: Option<bool>,
    /// Entries that `--entries` stored.
    pub entries: Option<u64>,
    /// Whether those entries are in the semantic index too.
    pub entries_with_vectors: Option<bool>,
    /// How fast they were stored, requests a second.
    pub fill_rps: Option<f64>,
    /// Memory of askonce with them, in MB.
    pub rss_entries_mb: Option<f64>,
    /// One for each scenario that ran.
    pub scenarios: Vec<ScenarioReport>,
    /// Those that did not.
    pub skipped: Vec<Skipped>,
}

/// The options that matter for comparing two reports.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Rounds.
    pub rounds: usize,
    /// Measured seconds of a phase.
    pub duration_s: f64,
    /// Seconds before that.
    pub warmup_s: f64,
    /// `even` or `poisson`.
    pub arrivals: &'static str,
    /// Connections of the flat-out phases.
    pub saturation_connections: usize,
    /// The mock upstream's delay before its first byte; absent with `--target`.
    pub upstream_latency_ms: Option<u64>,
    /// Pieces of a streamed answer; absent with `--target`.
    pub stream_chunks: Option<usize>,
    /// Delay between two pieces; absent with `--target`.
    pub chunk_latency_ms: Option<u64>,
}

/// A scenario that was asked for and not run.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    /// Which.
    pub scenario: Scenario,
    /// Why, and what would help.
    pub reason: String,
}

/// Quantiles in microseconds; those that too few requests support are absent.
#[derive(Clone, Copy, Default, Debug)]
pub struct Spread {
    /// Median.
    pub p50: Option<f64>,
    /// 90 %.
    pub p90: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// 99.9 %.
    pub p999: Option<f64>,
}

/// One scenario. Times are medians over the rounds, in microseconds.
#[derive(Clone, Default, Debug, Serialize)]
#[allow(missing_docs, reason = "each key is explained in docs/bench.md, which a test holds against this list")]
pub struct ScenarioReport {
    pub scenario: Scenario,
    pub rate: f64,
    pub connections: usize,
    pub requests: u64,
    pub errors: u64,
    pub faults: Faults,
    pub p50_us: Option<f64>,
    pub p90_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub p999_us: Option<f64>,
    pub max_us: Option<f64>,
    pub direct_p50_us: Option<f64>,
    pub direct_p90_us: Option<f64>,
    pub direct_p99_us: Option<f64>,
    pub direct_p999_us: Option<f64>,
    pub added_p50_us: Option<f64>,
    pub added_p90_us: Option<f64>,
    pub added_p99_us: Option<f64>,
    pub added_p999_us: Option<f64>,
    pub ttft_p50_us: Option<f64>,
    pub ttft_p99_us: Option<f64>,
    pub ttft_added_p50_us: Option<f64>,
    pub ttft_added_p99_us: Option<f64>,
    pub late_p50_us: Option<f64>,
    pub late_p99_us: Option<f64>,
    pub backlog_max: u64,
    pub rps: Option<f64>,
    pub direct_rps: Option<f64>,
    pub direct_errors: u64,
    pub direct_faults: Faults,
    pub cpu_s_per_1000: Option<f64>,
    pub rss_idle_mb: Option<f64>,
    pub rss_peak_mb: Option<f64>,
    pub cold_start_ms: Option<f64>,
    pub first_answer_ms: Option<f64>,
    pub semantic_share: Option<f64>,
    pub semantic_wrong: Option<u64>,
    pub embedding_p50_us: Option<f64>,
    pub embedding_p99_us: Option<f64>,
}

impl Report {
    /// Whether every request of every scenario came back right.
    pub fn clean(&self) -> bool {
        self.scenarios.iter().all(|scenario| scenario.errors == 0 && scenario.direct_errors == 0)
    }
}

/// `value` with `digits` after the point, for reports: more would only be noise.
pub fn rounded(value: Option<f64>, digits: i32) -> Option<f64> {
    let scale = 10f64.powi(digits);
    value.map(|value| (value * scale).round() / scale)
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        let cores = host.cores.map_or("?".into(), |cores| cores.to_string());
        writeln!(out, "{} · {cores} cores · {}", host.cpu.as_deref().unwrap_or("unknown processor"), host.system)?;
        if self.build == "debug" {
            writeln!(out, "This is a debug build: its figures say little. Use cargo build --release.")?;
        }
        if let (Some(ready), Some(answer)) = (self.cold_start_ms, self.first_answer_ms) {
            let model = if self.cold_start_with_model == Some(true) { ", the model loaded" } else { "" };
            writeln!(out, "Started in {ready:.0} ms, first answer after {answer:.0} ms{model}.")?;
        }
        if let Some(entries) = self.entries {
            let vectors = if self.entries_with_vectors == Some(true) { "with" } else { "without" };
            let (rate, memory) = (shown(self.fill_rps, 0), shown(self.rss_entries_mb, 0));
            writeln!(out, "{entries} entries stored ({vectors} vectors) at {rate} a second; then {memory} MB in use.")?;
        }
        writeln!(out)?;
        table(out, &self.scenarios)?;
        for scenario in &self.scenarios {
            notes(out, scenario)?;
        }
        for skipped in &self.skipped {
            writeln!(out, "{} not run: {}", skipped.scenario.as_str(), skipped.reason)?;
        }
        Ok(())
    }
}

fn table(out: &mut fmt::Formatter<'_>, scenarios: &[ScenarioReport]) -> fmt::Result {
    const HEAD: [&str; 11] = [
        "scenario",
        "rate/s",
        "errors",
        "p50 µs",
        "p99 µs",
        "added p50",
        "added p99",
        "added p99.9",
        "requests/s",
        "cpu s/1000",
        "peak MB",
    ];
    let rows: Vec<[String; HEAD.len()]> = scenarios
        .iter()
        .map(|row| {
            [
                row.scenario.as_str().into(),
                format!("{}", row.rate),
                row.errors.to_string(),
                shown(row.p50_us, 0),
                shown(row.p99_us, 0),
                shown(row.added_p50_us, 0),
                shown(row.added_p99_us, 0),
                shown(row.added_p999_us, 0),
                shown(row.rps, 0),
                shown(row.cpu_s_per_1000, 3),
                shown(row.rss_peak_mb, 0),
            ]
        })
        .collect();
    let heads = HEAD.map(str::to_owned);
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in std::iter::once(&heads).chain(&rows) {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, &width) in row.iter().zip(&widths).skip(1) {
            write!(line, "  {cell:>width$}")?;
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn notes(out: &mut fmt::Formatter<'_>, scenario: &ScenarioReport) -> fmt::Result {
    let name = scenario.scenario.as_str();
    if scenario.ttft_p50_us.is_some() {
        let (whole, added) = (shown(scenario.ttft_p50_us, 0), shown(scenario.ttft_added_p50_us, 0));
        writeln!(out, "{name}: first byte after {whole} µs at the median, {added} µs of it added.")?;
    }
    if let Some(share) = scenario.semantic_share {
        writeln!(
            out,
            "{name}: {:.0} % of the rewordings are served by the semantic tier; those were measured.",
            100.0 * share
        )?;
    }
    if let (Some(alone), Some(whole)) = (scenario.embedding_p50_us, scenario.p50_us) {
        writeln!(
            out,
            "{name}: the sentence model alone takes {alone:.0} µs at the median, asked the same at the same rate; a hit takes {:.0} µs more.",
            whole - alone
        )?;
    }
    if let Some(wrong @ 1..) = scenario.semantic_wrong {
        writeln!(out, "{name}: {wrong} rewordings were served the answer to another question; they were left out.")?;
    }
    let slack_us = 1e6 / scenario.rate;
    if scenario.late_p50_us.is_some_and(|late| late > slack_us.max(1000.0)) {
        writeln!(
            out,
            "{name}: requests left late (up to {} were waiting): the rate is more than {} connections can carry.",
            scenario.backlog_max, scenario.connections
        )?;
    }
    for line in scenario.faults.lines() {
        writeln!(out, "{name}: {line}")?;
    }
    for line in scenario.direct_faults.lines() {
        writeln!(out, "{name}, direct: {line}")?;
    }
    Ok(())
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".into(), |value| format!("{value:.digits$}"))
}
