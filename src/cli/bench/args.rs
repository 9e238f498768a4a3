//! The command lines of `askonce bench` and of its hidden companion `askonce bench-upstream`.

use super::error::BenchError;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `askonce bench`: measure what askonce adds to a request, and what it saves.
///
/// Starts a mock upstream and an askonce of its own on loopback, sends requests at a fixed rate to both in turn, and
/// reports the difference. Each latency is counted from the moment the request was due, so a stall is charged to
/// every request that it delayed. The keys of `--json` are explained in docs/bench.md.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[arg(long, value_enum, default_value_t = ScenarioChoice::All)]
    pub scenario: ScenarioChoice,

    /// Arrivals a second [default: 1000 for passthrough and exact_hit, 100 for streaming, 40 for semantic_hit]
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,

    /// Measured seconds of each phase; there are two phases at the fixed rate and two flat out in a round
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub duration_s: f64,

    /// Seconds of load before each phase at the fixed rate that are not counted
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    pub warmup_s: f64,

    /// Rounds; each runs the upstream directly and through askonce, in alternating order, and medians are reported
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,

    /// Let arrivals come at random (a Poisson process of that rate) instead of evenly
    #[arg(long)]
    pub poisson: bool,

    /// Connections of the fixed-rate phases; a request that is due while all are busy waits, and the wait counts
    /// [default: enough for twice the expected requests in flight, at least 32]
    #[arg(long, value_name = "N")]
    pub connections: Option<usize>,

    /// Connections of the phases that run flat out (they give requests a second)
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub saturation_connections: usize,

    /// Milliseconds without a byte after which a request counts as failed
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub timeout_ms: u64,

    /// Milliseconds that the mock upstream thinks before its first byte
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub upstream_latency_ms: u64,

    /// Pieces in which the mock upstream streams an answer
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub stream_chunks: usize,

    /// Milliseconds between two of those pieces
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub chunk_latency_ms: u64,

    /// Fill the cache with N further entries before semantic_hit (without it: exact_hit), and report the memory.
    /// With the sentence model each entry is embedded, which takes milliseconds of a core apiece
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub entries: usize,

    /// The askonce to measure [default: this one]
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    pub binary: Option<PathBuf>,

    /// Folder with the sentence model's files, for semantic_hit [default: the model pulled into the data directory]
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    pub model_dir: Option<PathBuf>,

    /// Data directory to look for the sentence model in. Only read: the measured askonce gets an empty one of its own
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    pub data_dir: Option<PathBuf>,

    /// Print the report as JSON and nothing else
    #[arg(long)]
    pub json: bool,

    /// Measure an askonce that is already running, such as http://127.0.0.1:8080. The requests go to ITS provider and
    /// may cost money; process figures are not available and answers are not checked
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,

    /// With --target: the upstream behind it, to measure directly for the comparison
    #[arg(long, value_name = "URL", requires = "target")]
    pub direct: Option<String>,

    /// With --target: the model to ask for
    #[arg(long, value_name = "NAME", default_value = super::mock::MODEL)]
    pub model: String,

    /// With --target: the key to send as `Authorization: Bearer`
    #[arg(long, value_name = "KEY", env = "ASKONCE_BENCH_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
}

/// `askonce bench-upstream`: the mock upstream of `bench`, in a process of its own. Its first line on standard output
/// is the port that it listens on.
#[derive(Args, Clone, Debug)]
pub struct UpstreamArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Milliseconds before the first byte of an answer
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub latency_ms: u64,

    /// Milliseconds between two pieces of a streamed answer
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub chunk_latency_ms: u64,

    /// Pieces of an answer
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub chunks: usize,

    /// End when standard input ends, so that it never outlives who started it
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// `--scenario`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ScenarioChoice {
    /// Requests that ask for a fresh answer, one JSON body back
    Passthrough,
    /// The same questions again, word for word
    ExactHit,
    /// Rewordings of stored questions; needs the sentence model
    SemanticHit,
    /// Requests that ask for a fresh answer, streamed
    Streaming,
    /// All of them; semantic_hit only where the sentence model is at hand
    All,
}

/// One thing to measure.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// A fresh answer through askonce, as one body.
    #[default]
    Passthrough,
    /// A stored answer to the same request.
    ExactHit,
    /// A stored answer to a reworded question.
    SemanticHit,
    /// A fresh answer through askonce, streamed.
    Streaming,
}

impl Scenario {
    /// The name in reports and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::Passthrough => "passthrough",
            Scenario::ExactHit => "exact_hit",
            Scenario::SemanticHit => "semantic_hit",
            Scenario::Streaming => "streaming",
        }
    }

    /// Whether askonce answers it without asking the upstream.
    pub fn is_hit(self) -> bool {
        matches!(self, Scenario::ExactHit | Scenario::SemanticHit)
    }

    /// Arrivals a second unless `--rate` says otherwise: far from saturation on two cores.
    fn default_rate(self) -> f64 {
        match self {
            Scenario::Passthrough | Scenario::ExactHit => 1000.0,
            Scenario::Streaming => 100.0,
            Scenario::SemanticHit => 40.0,
        }
    }
}

impl BenchArgs {
    /// The scenarios to run, in order.
    pub fn scenarios(&self) -> Vec<Scenario> {
        match self.scenario {
            ScenarioChoice::Passthrough => vec![Scenario::Passthrough],
            ScenarioChoice::ExactHit => vec![Scenario::ExactHit],
            ScenarioChoice::SemanticHit => vec![Scenario::SemanticHit],
            ScenarioChoice::Streaming => vec![Scenario::Streaming],
            ScenarioChoice::All => {
                vec![Scenario::Passthrough, Scenario::ExactHit, Scenario::SemanticHit, Scenario::Streaming]
            }
        }
    }

    /// Arrivals a second for `scenario`.
    pub fn rate(&self, scenario: Scenario) -> f64 {
        self.rate.unwrap_or_else(|| scenario.default_rate())
    }

    /// Connections of the fixed-rate phases of `scenario`.
    pub fn connections(&self, scenario: Scenario) -> usize {
        if let Some(connections) = self.connections {
            return connections;
        }
        let mut seconds = self.upstream_latency_ms as f64 / 1e3;
        if scenario == Scenario::Streaming {
            seconds += (self.chunk_latency_ms * self.stream_chunks as u64) as f64 / 1e3;
        }
        ((2.0 * seconds * self.rate(scenario)).ceil() as usize).clamp(32, 2048)
    }

    /// Measured time of a phase.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    /// Time of a phase before measuring.
    pub fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup_s)
    }

    /// Refuses what cannot be run, naming the option, what was expected and what came.
    pub fn validate(&self) -> Result<(), BenchError> {
        let refuse = |option: &str, expected: &str, got: &dyn std::fmt::Display| {
            Err(BenchError::Usage(format!("--{option} must be {expected}; got {got}")))
        };
        if let Some(rate) = self.rate
            && !(rate.is_finite() && (0.1..=1e6).contains(&rate))
        {
            return refuse("rate", "0.1 to 1000000 arrivals a second", &rate);
        }
        if !(self.duration_s.is_finite() && (0.1..=3600.0).contains(&self.duration_s)) {
            return refuse("duration-s", "0.1 to 3600 seconds", &self.duration_s);
        }
        if !(self.warmup_s.is_finite() && (0.0..=3600.0).contains(&self.warmup_s)) {
            return refuse("warmup-s", "0 to 3600 seconds", &self.warmup_s);
        }
        let counts = [
            ("rounds", self.rounds, 100),
            ("connections", self.connections.unwrap_or(1), 4096),
            ("saturation-connections", self.saturation_connections, 4096),
            ("stream-chunks", self.stream_chunks, 100_000),
        ];
        for (option, got, most) in counts {
            if !(1..=most).contains(&got) {
                return refuse(option, &format!("1 to {most}"), &got);
            }
        }
        if !(1..=600_000).contains(&self.timeout_ms) {
            return refuse("timeout-ms", "1 to 600000", &self.timeout_ms);
        }
        for (option, got) in
            [("upstream-latency-ms", self.upstream_latency_ms), ("chunk-latency-ms", self.chunk_latency_ms)]
        {
            if got >= self.timeout_ms {
                return refuse(option, &format!("below --timeout-ms ({})", self.timeout_ms), &got);
            }
        }
        for scenario in self.scenarios() {
            let arrivals = self.rate(scenario) * (self.duration_s + self.warmup_s);
            if arrivals > 2e7 {
                return Err(BenchError::Usage(format!(
                    "{arrivals:.0} arrivals in one phase are more than 20000000: lower --rate or --duration-s"
                )));
            }
            if self.rate(scenario) * self.duration_s < 1.0 {
                return Err(BenchError::Usage(format!(
                    "{}: no arrival in a phase: raise --rate or --duration-s",
                    scenario.as_str()
                )));
            }
        }
        if self.entries > 0 && !self.scenarios().iter().any(|scenario| scenario.is_hit()) {
            return Err(BenchError::Usage("--entries needs --scenario exact_hit, semantic_hit or all".into()));
        }
        Ok(())
    }
}
