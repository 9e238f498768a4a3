//! `Run`: one scenario, from its traffic through its rounds to its report.

use super::alone::Alone;
use super::args::Scenario;
use super::client::Endpoint;
use super::error::BenchError;
use super::fault::Faults;
use super::figures;
use super::load::Expected;
use super::progress::Progress;
use super::quantile::median;
use super::report::{ScenarioReport, Spread, rounded};
use super::round::{Phases, Round, Side};
use super::server::Askonce;
use super::setup::Setup;
use super::traffic::Traffic;

/// A scenario about to run.
pub struct Run<'a> {
    /// What everything shares.
    pub setup: &'a Setup,
    /// Which scenario.
    pub scenario: Scenario,
    /// Where askonce answers.
    pub askonce: &'a Endpoint,
    /// Where the upstream answers, if it can be asked directly.
    pub direct: Option<&'a Endpoint>,
    /// The askonce process, unless it was running before.
    pub process: Option<u32>,
    /// The bar.
    pub progress: &'a Progress,
}

impl Run<'_> {
    /// Warms what must be warm, runs the rounds and reports.
    pub fn measure(&self) -> Result<ScenarioReport, BenchError> {
        let traffic = match self.scenario {
            Scenario::Passthrough | Scenario::Streaming => self.fresh_traffic(),
            Scenario::ExactHit => self.exact_traffic()?,
            Scenario::SemanticHit => self.semantic_traffic()?,
        };
        let requests = self.requests(self.askonce, traffic.headers, &traffic.questions);
        let through = self.load(self.askonce, &requests, traffic.expected);
        let direct_requests =
            self.direct.map(|direct| self.requests(direct, "", &self.direct_questions(&traffic.questions)));
        let direct = self.direct.zip(direct_requests.as_deref()).map(|(endpoint, requests)| {
            self.load(endpoint, requests, Expected { stream: traffic.expected.stream, ..Expected::default() })
        });
        let phases = Phases { setup: self.setup, scenario: self.scenario, progress: self.progress };
        // With the model of another host nothing here can be compared.
        let own = self.scenario == Scenario::SemanticHit && self.process.is_some();
        let folder = own.then(|| self.setup.model_dir().ok()).flatten();
        let alone = folder.map(|folder| Alone::load(&folder)).transpose()?;
        let alone = alone.as_ref().map(|alone| (alone, traffic.questions.as_slice()));
        let rounds = phases.run(through, direct, alone, self.process)?;
        Ok(self.report(&rounds, &traffic))
    }

    fn report(&self, rounds: &[Round], traffic: &Traffic) -> ScenarioReport {
        let args = &self.setup.args;
        let over = |value: &dyn Fn(&Round) -> Option<f64>| median(rounds.iter().map(value));
        let us = |value: &dyn Fn(&Round) -> Option<f64>| rounded(over(value), 1);
        let through = spread(rounds, &|round| Some(&round.through));
        let direct = spread(rounds, &|round| round.direct.as_ref());
        let alone = medians(&rounds.iter().filter_map(|round| round.alone).collect::<Vec<_>>());
        let added = if self.scenario.is_hit() { through } else { added_spread(rounds, &|side| side.latency) };
        let streams = self.scenario == Scenario::Streaming;
        let ttft = |quantile: &dyn Fn(&Spread) -> Option<f64>| {
            us(&|round| quantile(&round.through.first_byte)).filter(|_| streams)
        };
        let ttft_added = added_spread(rounds, &|side| side.first_byte);
        let mut faults = Faults::default();
        let mut direct_faults = Faults::default();
        for round in rounds {
            faults.merge(&round.through.faults);
            if let Some(direct) = &round.direct {
                direct_faults.merge(&direct.faults);
            }
        }
        let requests: u64 = rounds.iter().map(|round| round.through.requests).sum();
        let cpu_s: Option<f64> = rounds.iter().map(|round| round.through.cpu_s).sum();
        ScenarioReport {
            scenario: self.scenario,
            rate: args.rate(self.scenario),
            connections: args.connections(self.scenario),
            requests,
            errors: faults.total(),
            faults,
            p50_us: through.p50,
            p90_us: through.p90,
            p99_us: through.p99,
            p999_us: through.p999,
            max_us: rounded(rounds.iter().filter_map(|round| round.through.max_us).reduce(f64::max), 1),
            direct_p50_us: direct.p50,
            direct_p90_us: direct.p90,
            direct_p99_us: direct.p99,
            direct_p999_us: direct.p999,
            added_p50_us: added.p50,
            added_p90_us: added.p90,
            added_p99_us: added.p99,
            added_p999_us: added.p999,
            ttft_p50_us: ttft(&|spread| spread.p50),
            ttft_p99_us: ttft(&|spread| spread.p99),
            ttft_added_p50_us: ttft_added.p50.filter(|_| streams),
            ttft_added_p99_us: ttft_added.p99.filter(|_| streams),
            late_p50_us: us(&|round| round.through.late.p50),
            late_p99_us: us(&|round| round.through.late.p99),
            backlog_max: rounds.iter().map(|round| round.through.backlog_max as u64).max().unwrap_or(0),
            rps: us(&|round| Some(round.through.rps)),
            direct_rps: us(&|round| round.direct.as_ref().map(|direct| direct.rps)),
            direct_errors: direct_faults.total(),
            direct_faults,
            cpu_s_per_1000: rounded(cpu_s.map(|cpu_s| cpu_s * 1000.0 / requests.max(1) as f64), 4),
            rss_peak_mb: rounded(self.process.and_then(figures::rss_peak_mb), 1),
            semantic_share: rounded(traffic.semantic_share, 3),
            semantic_wrong: traffic.semantic_wrong,
            embedding_p50_us: alone.p50,
            embedding_p99_us: alone.p99,
            ..ScenarioReport::default()
        }
    }
}

impl ScenarioReport {
    /// Adds how long the askonce that was measured took to start.
    pub fn with_start(mut self, askonce: &Askonce) -> ScenarioReport {
        self.cold_start_ms = rounded(Some(askonce.cold_start.as_secs_f64() * 1e3), 1);
        self.first_answer_ms = rounded(Some(askonce.first_answer.as_secs_f64() * 1e3), 1);
        self
    }
}

/// The medians over the rounds of each quantile of one side.
fn spread(rounds: &[Round], side: &dyn Fn(&Round) -> Option<&Side>) -> Spread {
    let latency = |round| side(round).map(|side| side.latency).unwrap_or_default();
    medians(&rounds.iter().map(latency).collect::<Vec<_>>())
}

/// The medians over the rounds of the differences between both sides of the same round. Paired like this, a drift of
/// the machine between rounds cancels out.
fn added_spread(rounds: &[Round], of: &dyn Fn(&Side) -> Spread) -> Spread {
    let difference = |round: &Round| match &round.direct {
        Some(direct) => of(&round.through).minus(&of(direct)),
        None => Spread::default(),
    };
    medians(&rounds.iter().map(difference).collect::<Vec<_>>())
}

fn medians(spreads: &[Spread]) -> Spread {
    let over = |quantile: &dyn Fn(&Spread) -> Option<f64>| rounded(median(spreads.iter().map(quantile)), 1);
    Spread {
        p50: over(&|spread| spread.p50),
        p90: over(&|spread| spread.p90),
        p99: over(&|spread| spread.p99),
        p999: over(&|spread| spread.p999),
    }
}
