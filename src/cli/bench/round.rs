//! `Phases`: the rounds of one scenario. In each, the upstream is asked directly and through askonce, at the fixed
//! rate and then flat out; which side comes first alternates, so that a drift of the machine touches both alike.

use super::alone::Alone;
use super::args::Scenario;
use super::error::BenchError;
use super::fault::Faults;
use super::figures;
use super::load::{Load, Watch};
use super::progress::Progress;
use super::quantile::Quantiles;
use super::report::Spread;
use super::schedule::arrivals;
use super::setup::Setup;
use super::traffic::Question;
use std::time::Duration;

/// What one side did in one round. Times are microseconds.
#[derive(Debug)]
pub struct Side {
    /// Measured requests at the fixed rate.
    pub requests: u64,
    /// From due to the end of the answer.
    pub latency: Spread,
    /// The longest of those.
    pub max_us: Option<f64>,
    /// From due to the first byte of the answer's body.
    pub first_byte: Spread,
    /// From due to being sent.
    pub late: Spread,
    /// The most requests that were due and not sent.
    pub backlog_max: usize,
    /// Failed requests, of both phases.
    pub faults: Faults,
    /// Right answers a second, flat out.
    pub rps: f64,
    /// Processor time that the process used for the measured requests at the fixed rate.
    pub cpu_s: Option<f64>,
}

/// Both sides of one round.
#[derive(Debug)]
pub struct Round {
    /// Through askonce.
    pub through: Side,
    /// The upstream itself, if it can be asked.
    pub direct: Option<Side>,
    /// The sentence model by itself, from due to the vector.
    pub alone: Option<Spread>,
}

/// What the rounds of a scenario have in common.
#[derive(Clone, Copy)]
pub struct Phases<'a> {
    /// Options and the stop flag.
    pub setup: &'a Setup,
    /// Which scenario.
    pub scenario: Scenario,
    /// The bar.
    pub progress: &'a Progress,
}

impl Phases<'_> {
    /// Runs all rounds. `process` is the askonce process, whose processor time is read.
    pub fn run(
        &self,
        through: Load<'_>,
        direct: Option<Load<'_>>,
        alone: Option<(&Alone, &[Question])>,
        process: Option<u32>,
    ) -> Result<Vec<Round>, BenchError> {
        let rounds = self.setup.args.rounds;
        let mut done = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let label = format!("{}: round {} of {rounds}", self.scenario.as_str(), round + 1);
            let ask_direct = || direct.map(|load| self.side(load, round, None, &label, "direct")).transpose();
            let ask_through = || self.side(through, round, process, &label, "through askonce");
            let ask_alone = || alone.map(|alone| self.alone(alone, round, &label)).transpose();
            done.push(if round % 2 == 0 {
                let direct = ask_direct()?;
                Round { direct, through: ask_through()?, alone: ask_alone()? }
            } else {
                let (alone, through) = (ask_alone()?, ask_through()?);
                Round { direct: ask_direct()?, through, alone }
            });
        }
        Ok(done)
    }

    fn alone(
        &self,
        (alone, questions): (&Alone, &[Question]),
        round: usize,
        label: &str,
    ) -> Result<Spread, BenchError> {
        let args = &self.setup.args;
        self.progress.say(format!("{label}, the sentence model alone"));
        let due = self.due(round);
        let times = alone.times(questions, &due, args.warmup(), &self.setup.stop)?;
        self.progress.advance(args.warmup() + args.duration());
        Ok(Spread::of(&times))
    }

    /// When requests of this round are due, in nanoseconds. All sides of a round get the same random arrivals, every round others.
    fn due(&self, round: usize) -> Vec<u64> {
        let args = &self.setup.args;
        let seed = args.poisson.then_some(round as u64 + 1);
        arrivals(args.rate(self.scenario), args.warmup() + args.duration(), seed)
    }

    fn side(
        &self,
        load: Load<'_>,
        round: usize,
        process: Option<u32>,
        label: &str,
        whereto: &str,
    ) -> Result<Side, BenchError> {
        let args = &self.setup.args;
        let rate = args.rate(self.scenario);
        self.progress.say(format!("{label}, {whereto}, {rate} a second"));
        let due = self.due(round);
        let mut watch = PhaseWatch { progress: self.progress, process, cpu_s_at_warm: None };
        let open = load.open(&due, args.warmup(), &mut watch);
        let cpu_s = process.and_then(figures::cpu_s).zip(watch.cpu_s_at_warm).map(|(after, before)| after - before);
        self.setup.check_stop()?;
        self.progress.say(format!("{label}, {whereto}, flat out"));
        let flat_out = load.with_connections(args.saturation_connections);
        let closed = flat_out.closed(args.duration(), &mut PhaseWatch { process: None, ..watch });
        self.setup.check_stop()?;
        let mut faults = open.faults;
        faults.merge(&closed.faults);
        let latency = Quantiles::of(open.latency_ns);
        Ok(Side {
            requests: latency.count() as u64,
            max_us: latency.max_us(),
            latency: Spread::of(&latency),
            first_byte: Spread::of(&Quantiles::of(open.first_byte_ns)),
            late: Spread::of(&Quantiles::of(open.late_ns)),
            backlog_max: open.backlog_max,
            faults,
            rps: closed.rate(),
            cpu_s,
        })
    }
}

/// Moves the bar on, and notes the processor time used before the measured part.
struct PhaseWatch<'a> {
    progress: &'a Progress,
    process: Option<u32>,
    cpu_s_at_warm: Option<f64>,
}

impl Watch for PhaseWatch<'_> {
    fn warm(&mut self) {
        self.cpu_s_at_warm = self.process.and_then(figures::cpu_s);
    }

    fn tick(&mut self, passed: Duration) {
        self.progress.advance(passed);
    }
}

impl Spread {
    /// The quantiles that reports give.
    fn of(times: &Quantiles) -> Spread {
        let at = |per_mille| times.at_us(per_mille);
        Spread { p50: at(500), p90: at(900), p99: at(990), p999: at(999) }
    }

    /// Quantile by quantile.
    pub fn minus(&self, other: &Spread) -> Spread {
        let minus = |left: Option<f64>, right: Option<f64>| left.zip(right).map(|(left, right)| left - right);
        Spread {
            p50: minus(self.p50, other.p50),
            p90: minus(self.p90, other.p90),
            p99: minus(self.p99, other.p99),
            p999: minus(self.p999, other.p999),
        }
    }
}
