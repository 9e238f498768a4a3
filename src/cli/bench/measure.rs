//! The whole measurement: every scenario in turn, each with an askonce of its own or against a running one.

use super::args::{BenchArgs, Scenario};
use super::client::{Connection, Endpoint};
use super::error::BenchError;
use super::figures::{self, Host};
use super::progress::Progress;
use super::report::{Report, ScenarioReport, Settings, Skipped, rounded};
use super::scenario::Run;
use super::server::{Askonce, Upstream};
use super::setup::Setup;
use super::stop::Stop;
use std::time::Duration;

/// Runs the bench and gives its report. Blocks, like [`run`](super::run).
pub fn measure(args: BenchArgs) -> Result<Report, BenchError> {
    args.validate()?;
    let mut report = Report::empty(&args);
    let setup = Setup { args, stop: Stop::on_signals() };
    let progress = Progress::start(setup.planned(), setup.args.json);
    let outcome = match &setup.args.target {
        Some(url) => measure_running(&setup, url, &progress, &mut report),
        None => measure_own(&setup, &progress, &mut report),
    };
    progress.finish();
    outcome.map(|()| report)
}

/// Starts a mock upstream, and for each scenario an askonce with an empty cache.
fn measure_own(setup: &Setup, progress: &Progress, report: &mut Report) -> Result<(), BenchError> {
    let args = &setup.args;
    let scenarios = args.scenarios();
    let model_dir = if scenarios.contains(&Scenario::SemanticHit) { setup.model_dir() } else { Err(String::new()) };
    let semantic = model_dir.is_ok();
    let filled = if semantic { Scenario::SemanticHit } else { Scenario::ExactHit };
    let mut upstream = Upstream::start(args)?;
    for &scenario in &scenarios {
        let model_dir = match (scenario, &model_dir) {
            (Scenario::SemanticHit, Ok(folder)) => Some(folder.as_path()),
            (Scenario::SemanticHit, Err(reason)) if scenarios.len() > 1 => {
                report.skipped.push(Skipped { scenario, reason: reason.clone() });
                continue;
            }
            (Scenario::SemanticHit, Err(reason)) => return Err(BenchError::Unfit(reason.clone())),
            _ => None,
        };
        progress.say(format!("{}: starting askonce", scenario.as_str()));
        let mut askonce = Askonce::start(args, scenario, &upstream, model_dir, &setup.stop)?;
        let endpoint = askonce.endpoint().clone();
        let direct = Some(upstream.endpoint());
        let run = Run { setup, scenario, askonce: &endpoint, direct, process: Some(askonce.id()), progress };
        let fill = args.entries > 0 && scenario == filled;
        let measured = run.measure_filled(if fill { args.entries } else { 0 }, report);
        setup.check_stop()?;
        // A process that died is why the load failed, and says more than the failures do.
        askonce.check_alive()?;
        upstream.check_alive()?;
        report.add(measured?.with_start(&askonce), askonce.semantic);
    }
    Ok(())
}

/// Measures an askonce that somebody else started.
fn measure_running(setup: &Setup, url: &str, progress: &Progress, report: &mut Report) -> Result<(), BenchError> {
    let askonce = Endpoint::parse(url, setup.args.api_key.clone())?;
    let direct =
        setup.args.direct.as_deref().map(|url| Endpoint::parse(url, setup.args.api_key.clone())).transpose()?;
    let asked = Connection::open(&askonce, Duration::from_secs(5))
        .and_then(|mut connection| connection.exchange(&askonce.get("/readyz"), &mut Vec::new()));
    match asked {
        Ok(reply) if reply.status == 200 => {}
        Ok(reply) => {
            return Err(BenchError::Unfit(format!("{}/readyz says {}; expected 200", askonce.host(), reply.status)));
        }
        Err(fault) => {
            let why = fault.detail;
            return Err(BenchError::Unfit(format!("no askonce answers at {}: {why}; is it running?", askonce.host())));
        }
    }
    let scenarios = setup.args.scenarios();
    let filled = if scenarios.contains(&Scenario::SemanticHit) { Scenario::SemanticHit } else { Scenario::ExactHit };
    for &scenario in &scenarios {
        let run = Run { setup, scenario, askonce: &askonce, direct: direct.as_ref(), process: None, progress };
        let fill = if scenario == filled { setup.args.entries } else { 0 };
        match run.measure_filled(fill, report) {
            Ok(measured) => report.scenarios.push(measured),
            Err(BenchError::Unfit(reason)) if scenarios.len() > 1 => report.skipped.push(Skipped { scenario, reason }),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Run<'_> {
    /// Fills the cache with `entries` first, if there are to be any.
    fn measure_filled(&self, entries: usize, report: &mut Report) -> Result<ScenarioReport, BenchError> {
        let rss_idle_mb = self.process.and_then(figures::rss_mb);
        if entries > 0 {
            let (stored, rate) = self.fill(entries)?;
            report.entries = Some(stored);
            report.entries_with_vectors = self.process.map(|_| self.scenario == Scenario::SemanticHit);
            report.fill_rps = rounded(Some(rate), 1);
            report.rss_entries_mb = rounded(self.process.and_then(figures::rss_mb), 1);
        }
        Ok(ScenarioReport { rss_idle_mb: rounded(rss_idle_mb, 1), ..self.measure()? })
    }
}

impl Setup {
    /// How long the load of all scenarios takes, without starting, warming and filling.
    fn planned(&self) -> Duration {
        let side = self.args.warmup() + self.args.duration() * 2;
        let sides = if self.args.target.is_some() && self.args.direct.is_none() { 1 } else { 2 };
        let alone = self.args.target.is_none() && self.args.scenarios().contains(&Scenario::SemanticHit);
        let alone = if alone { self.args.warmup() + self.args.duration() } else { Duration::ZERO };
        side * (sides * self.args.rounds * self.args.scenarios().len()) as u32 + alone * self.args.rounds as u32
    }
}

impl Report {
    /// A report of nothing yet.
    pub fn empty(args: &BenchArgs) -> Report {
        let own = args.target.is_none();
        Report {
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            host: Host::this(),
            settings: Settings {
                rounds: args.rounds,
                duration_s: args.duration_s,
                warmup_s: args.warmup_s,
                arrivals: if args.poisson { "poisson" } else { "even" },
                saturation_connections: args.saturation_connections,
                upstream_latency_ms: own.then_some(args.upstream_latency_ms),
                stream_chunks: own.then_some(args.stream_chunks),
                chunk_latency_ms: own.then_some(args.chunk_latency_ms),
            },
            cold_start_ms: None,
            first_answer_ms: None,
            cold_start_with_model: None,
            entries: None,
            entries_with_vectors: None,
            fill_rps: None,
            rss_entries_mb: None,
            scenarios: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Adds a scenario. The start times of the whole report are those of the first askonce, or of one with the model.
    fn add(&mut self, measured: ScenarioReport, with_model: bool) {
        if self.cold_start_ms.is_none() || with_model {
            self.cold_start_ms = measured.cold_start_ms;
            self.first_answer_ms = measured.first_answer_ms;
            self.cold_start_with_model = Some(with_model);
        }
        self.scenarios.push(measured);
    }
}
