//! The options of `askonce replay`, and what they amount to.

use crate::config::{self, DEFAULT_THRESHOLD, Judgement, Overrides, Resolved};
use crate::replay::import::{self, Format};
use crate::replay::{Eviction, Kind, Plan, Prices, Room, Strictness};
use crate::types::money::Price;
use clap::ValueEnum;
use std::path::PathBuf;

/// Replay recorded traffic through the cache, and report hits, errors and savings.
///
/// The trace is one JSON object a line: `text` (or `messages`), `group` (requests of one group have one right answer),
/// and optionally `id`, `t` (seconds), `scope`, `answer`, `in_tok`, `out_tok`; or a log or data set of another tool, which
/// is told by its content. It goes once, in order, through an empty cache; a hit is right if the entry that served it was
/// stored by a request of the same group. With --sweep, many policies are compared.
#[derive(clap::Args)]
pub(super) struct ReplayArgs {
    /// The trace, plain or gzip, or - for standard input.
    pub(super) file: PathBuf,
    /// Take the cache's settings from this configuration.
    #[arg(long, short, env = "ASKONCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the trace is [default: told by its content].
    #[arg(long, value_name = "FORMAT", value_parser = format_of)]
    format: Option<Format>,
    /// The field that holds the scope, dots leading into objects; requests without it share one.
    #[arg(long, default_value = "scope", value_name = "FIELD")]
    scope_field: String,
    /// Replay only the first so many requests.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Compare many policies: static thresholds, vCache's rule, the learned judgement; then less room and shorter lives.
    #[arg(long, conflicts_with_all = ["policy", "threshold"])]
    pub(super) sweep: bool,
    /// Which policy to replay [default: as configured].
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// The least similarity of a semantic hit: for `static`, and a floor below `learned` [default: as configured, and
    /// none for `learned`].
    #[arg(long, value_name = "COSINE")]
    threshold: Option<f64>,
    /// Wrong hits over requests that are allowed, for `learned` and `vcache`, and for what a sweep recommends [default: as
    /// configured].
    #[arg(long, value_name = "SHARE")]
    error_budget: Option<f64>,
    /// How `learned` treats questions that look alike and are not the same [default: as configured].
    #[arg(long, value_enum)]
    strictness: Option<Traps>,
    /// Serve semantic hits even when numbers, ids, dates or units differ, for `static`.
    #[arg(long)]
    no_veto: bool,
    /// Share of the judge's answers that are wrong, for policies that learn.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(super) label_noise: f64,
    /// Begins the dice of policies that have some.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Bytes that entries may take, charged about as in the cache [default: no bound].
    #[arg(long, value_name = "BYTES")]
    room_bytes: Option<u64>,
    /// Which entries go when there is no room [default: as configured].
    #[arg(long, value_enum)]
    eviction: Option<Leaving>,
    /// Serve answers whatever words of time their questions have, as with `cache.staleness.enabled: false`.
    #[arg(long)]
    no_staleness: bool,
    /// Seconds that an entry is served at most [default: as configured].
    #[arg(long, value_name = "SECONDS")]
    ttl_s: Option<u64>,
    /// US dollars per million prompt tokens, of models without a price in the configuration [default: the list price].
    #[arg(long, value_name = "USD", requires = "output_price")]
    input_price: Option<f64>,
    /// US dollars per million completion tokens, of models without a price in the configuration [default: the list price].
    #[arg(long, value_name = "USD", requires = "input_price")]
    output_price: Option<f64>,
    /// US dollars per million prompt tokens of the model that compares answers [default: none is asked].
    #[arg(long, value_name = "USD", requires = "judge_output_price")]
    judge_input_price: Option<f64>,
    /// US dollars per million completion tokens of the model that compares answers [default: none is asked].
    #[arg(long, value_name = "USD", requires = "judge_input_price")]
    judge_output_price: Option<f64>,
    /// End with 1 when more than this share of all requests is served wrongly (0.01 is 1 %).
    #[arg(long, value_name = "SHARE")]
    pub(super) max_error: Option<f64>,
    /// End with 1 when less than this share of all requests is served from the cache.
    #[arg(long, value_name = "SHARE")]
    pub(super) min_hit_rate: Option<f64>,
    /// Write the sweep as a page of HTML that needs nothing else.
    #[arg(long, value_name = "FILE", requires = "sweep")]
    pub(super) report: Option<PathBuf>,
    /// Keep vectors in this file, and take them from it the next time.
    #[arg(long, value_name = "FILE")]
    pub(super) vectors: Option<PathBuf>,
    /// A folder with the sentence model's files.
    #[arg(long, env = "ASKONCE_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Where models are kept [default: as for serve].
    #[arg(long, env = "ASKONCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON; docs/replay.md has the keys.
    #[arg(long)]
    pub(super) json: bool,
}

/// Who decides.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// The exact tier alone.
    Exact,
    /// The exact and the normalised tier.
    Normalised,
    /// All tiers, the semantic one behind a static threshold.
    Static,
    /// vCache's rule, for comparison.
    Vcache,
    /// All tiers, the semantic one with the learned judgement.
    Learned,
}

/// How traps are treated.
#[derive(Clone, Copy, ValueEnum)]
enum Traps {
    /// The trap score is not asked.
    Off,
    /// Few traps, at little cost in hits.
    Balanced,
    /// Hardly any trap, at a cost in hits.
    Strict,
}

/// Who leaves.
#[derive(Clone, Copy, ValueEnum)]
enum Leaving {
    /// What saves least for its bytes.
    Cost,
    /// What is used least.
    Lfu,
    /// What was used longest ago.
    Lru,
}

fn format_of(word: &str) -> Result<Format, String> {
    let known = || Format::ALL.map(Format::as_str).join(", ");
    Format::ALL.into_iter().find(|format| format.as_str() == word).ok_or_else(|| format!("expected one of {}", known()))
}

impl ReplayArgs {
    /// The configured settings, with what the command line says on top.
    pub(super) fn settings(&self) -> Result<Resolved, String> {
        let overrides =
            Overrides { model_dir: self.model_dir.clone(), data_dir: self.data_dir.clone(), ..Overrides::default() };
        let mut settings = match &self.config {
            Some(path) => config::load(path, &overrides),
            None => config::defaults(&overrides),
        }
        .map_err(|error| error.to_string())?;
        let cache = &mut settings.cache;
        cache.enabled = true;
        let share = |name: &str, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(format!("--{name} is a share from 0 to 1; got {value}")),
        };
        share("error-budget", self.error_budget.unwrap_or_default())?;
        share("label-noise", self.label_noise)?;
        if let Some(threshold) = self.threshold {
            if !(0.5..=1.0).contains(&threshold) {
                return Err(format!("--threshold is a cosine from 0.5 to 1; got {threshold}"));
            }
            cache.semantic.threshold = Some(threshold);
        }
        cache.semantic.veto &= !self.no_veto;
        cache.staleness.enabled &= !self.no_staleness;
        if let Some(policy) = self.policy {
            cache.semantic.enabled = !matches!(policy, Policy::Exact | Policy::Normalised);
            cache.normalised = policy != Policy::Exact;
        }
        cache.error_budget = self.error_budget.unwrap_or(cache.error_budget);
        // Whoever names a threshold and no policy means the static one.
        if self.policy.map_or(self.threshold.is_some(), |policy| policy != Policy::Learned) {
            settings.cache = settings.cache.without_learning();
        } else if self.policy.is_some() {
            cache.semantic.judgement = Judgement::Learned;
        }
        Ok(settings)
    }

    /// Is the policy the configuration's, and not the command line's?
    pub(super) fn as_configured(&self) -> bool {
        self.policy.is_none() && !self.sweep
    }

    /// The one policy to run.
    pub(super) fn plan(&self, settings: &Resolved) -> Plan {
        let (cache, semantic) = (&settings.cache, &settings.cache.semantic);
        let strictness = match (self.strictness, semantic.strictness) {
            (Some(Traps::Off), _) | (None, config::Strictness::Off) => Strictness::Off,
            (Some(Traps::Balanced), _) | (None, config::Strictness::Balanced) => Strictness::Balanced,
            (Some(Traps::Strict), _) | (None, config::Strictness::Strict) => Strictness::Strict,
        };
        let error_budget = cache.error_budget;
        let kind = match self.policy {
            Some(Policy::Vcache) => Kind::Vcache { delta: error_budget, tiers: false },
            _ if semantic.enabled && semantic.judgement == Judgement::Learned => {
                Kind::Learned { error_budget, strictness, threshold: semantic.threshold }
            }
            _ if semantic.enabled => {
                Kind::Static { threshold: semantic.threshold.unwrap_or(DEFAULT_THRESHOLD), veto: semantic.veto }
            }
            _ if cache.normalised => Kind::Normalised,
            _ => Kind::Exact,
        };
        let eviction = match (self.eviction, cache.eviction) {
            (Some(Leaving::Cost), _) | (None, config::Eviction::Cost) => Eviction::Cost,
            (Some(Leaving::Lfu), _) | (None, config::Eviction::Lfu) => Eviction::Lfu,
            (Some(Leaving::Lru), _) | (None, config::Eviction::Lru) => Eviction::Lru,
        };
        let room = Room { bytes: self.room_bytes, ttl_ms: self.ttl_s.map(|seconds| seconds * 1000), eviction };
        Plan { kind, room, label_noise: self.label_noise, seed: self.seed }
    }

    /// How the trace is read.
    pub(super) fn import(&self) -> import::Options {
        let limit = self.limit.unwrap_or(import::MAX_REQUESTS);
        import::Options { format: self.format, scope_field: self.scope_field.clone(), limit }
    }

    /// What tokens cost.
    pub(super) fn prices(&self, settings: &Resolved) -> Prices {
        let models = settings.models.iter().filter_map(|model| Some((model.name.clone(), model.price?)));
        Prices {
            models: models.collect(),
            other: price(self.input_price, self.output_price),
            judge: price(self.judge_input_price, self.judge_output_price),
            listed: true,
        }
    }
}

fn price(input: Option<f64>, output: Option<f64>) -> Option<Price> {
    let micro = |usd: f64| (usd * 1e6).round() as u64;
    Some(Price::new(micro(input?), micro(output?)))
}
