//! `askonce replay`.

use super::progress::Bar;
use crate::app;
use crate::config::{self, Overrides, Resolved};
use crate::replay::{self, Options};
use crate::types::clock::Clock;
use crate::types::money::Price;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Replay recorded traffic through the cache, and report hits, errors and savings.
///
/// The trace is one JSON object a line: `text` (or `messages`), `group` (requests of one group have one right answer),
/// and optionally `id`, `t` (seconds), `scope`, `in_tok`, `out_tok`. It goes once, in order, through an empty cache in
/// memory; a hit is right if the entry that served it was stored by a request of the same group.
#[derive(clap::Args)]
pub(super) struct ReplayArgs {
    /// The trace (JSON lines), or - for standard input.
    file: PathBuf,
    /// Take the cache's settings from this configuration.
    #[arg(long, short, env = "ASKONCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which tiers to replay [default: as configured].
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// The least similarity of a semantic hit [default: as configured].
    #[arg(long, value_name = "COSINE")]
    threshold: Option<f64>,
    /// Serve semantic hits even when numbers, ids, dates or units differ.
    #[arg(long)]
    no_veto: bool,
    /// The field that holds the scope; requests without it share one.
    #[arg(long, default_value = "scope", value_name = "FIELD")]
    scope_field: String,
    /// US dollars per million prompt tokens, for the savings.
    #[arg(long, value_name = "USD", requires = "output_price")]
    input_price: Option<f64>,
    /// US dollars per million completion tokens, for the savings.
    #[arg(long, value_name = "USD", requires = "input_price")]
    output_price: Option<f64>,
    /// Replay only the first so many requests.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// End with 1 when more than this share of all requests is served wrongly (0.01 is 1 %).
    #[arg(long, value_name = "SHARE")]
    max_error: Option<f64>,
    /// End with 1 when less than this share of all requests is served from the cache.
    #[arg(long, value_name = "SHARE")]
    min_hit_rate: Option<f64>,
    /// A folder with the sentence model's files.
    #[arg(long, env = "ASKONCE_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Where models are kept [default: as for serve].
    #[arg(long, env = "ASKONCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON; docs/replay.md has the keys.
    #[arg(long)]
    json: bool,
}

/// Which tiers take part.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    /// The exact tier alone.
    Exact,
    /// The exact and the normalised tier.
    Normalised,
    /// All tiers, the semantic one behind a static threshold.
    Static,
}

pub(super) fn run(args: &ReplayArgs) -> Result<ExitCode, String> {
    let (settings, policy) = settings(args)?;
    let mut trace = replay::read(open(&args.file)?, &args.scope_field)
        .map_err(|error| format!("{}: {error}", args.file.display()))?;
    trace.truncate(args.limit.unwrap_or(usize::MAX));
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let report = runtime.block_on(async {
        let embedder = app::load_embedder(&settings, &Bar::default()).await.map_err(|error| error.to_string())?;
        let clock = Clock::manual(1);
        let cache = app::cache_in_memory(&settings, embedder, clock.clone()).map_err(|error| error.to_string())?;
        let texts: BTreeSet<&str> = trace.iter().map(|request| request.text.as_str()).collect();
        let texts: Vec<&str> = texts.into_iter().collect();
        if cache.has_semantic() {
            let bar = bar("embedding", texts.len(), args.json);
            cache.preload(&texts, &|done| bar.set_position(done as u64))?;
            bar.finish_and_clear();
        }
        let bar = bar("replaying", trace.len(), args.json);
        let options = Options { policy, price: price(args) };
        let report = replay::run(&cache, &clock, &trace, &options, &|done| bar.set_position(done as u64)).await;
        bar.finish_and_clear();
        report
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    } else {
        print!("{report}");
    }
    let mut missed = false;
    if let Some(most) = args.max_error.filter(|most| report.err_all > *most) {
        eprintln!("askonce: {:.4} of all requests were served wrongly, more than {most}", report.err_all);
        missed = true;
    }
    if let Some(least) = args.min_hit_rate.filter(|least| report.hit_rate < *least) {
        eprintln!("askonce: {:.4} of all requests were served from the cache, less than {least}", report.hit_rate);
        missed = true;
    }
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The configured settings, with what the command line says on top; and the policy's name.
fn settings(args: &ReplayArgs) -> Result<(Resolved, String), String> {
    let overrides =
        Overrides { model_dir: args.model_dir.clone(), data_dir: args.data_dir.clone(), ..Overrides::default() };
    let mut settings = match &args.config {
        Some(path) => config::load(path, &overrides),
        None => config::defaults(&overrides),
    }
    .map_err(|error| error.to_string())?;
    let cache = &mut settings.cache;
    cache.enabled = true;
    if let Some(threshold) = args.threshold {
        if !(0.5..=1.0).contains(&threshold) {
            return Err(format!("--threshold is a cosine from 0.5 to 1; got {threshold}"));
        }
        cache.semantic.threshold = threshold;
    }
    cache.semantic.veto &= !args.no_veto;
    if let Some(policy) = args.policy {
        cache.semantic.enabled = policy == Policy::Static;
        cache.normalised = matches!(policy, Policy::Static | Policy::Normalised);
    }
    let mut name = match (cache.semantic.enabled, cache.normalised) {
        (true, true) => format!("static {:.2}", cache.semantic.threshold),
        (true, false) => format!("exact and static {:.2}", cache.semantic.threshold),
        (false, true) => "exact and normalised".to_owned(),
        (false, false) => "exact".to_owned(),
    };
    if cache.semantic.enabled && cache.semantic.veto {
        name.push_str(", veto");
    }
    Ok((settings, name))
}

fn open(path: &PathBuf) -> Result<Box<dyn BufRead>, String> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

fn price(args: &ReplayArgs) -> Option<Price> {
    let micro = |usd: f64| (usd * 1e6).round() as u64;
    Some(Price {
        input_micro_usd_per_million: micro(args.input_price?),
        output_micro_usd_per_million: micro(args.output_price?),
    })
}

fn bar(what: &'static str, length: usize, hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
