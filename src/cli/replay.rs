//! `askonce replay`.

use super::progress::Bar;
pub(super) use super::replay_args::ReplayArgs;
use super::replay_vectors::vectors;
use crate::app;
use crate::config::Resolved;
use crate::replay::import::{self, Imported};
use crate::replay::{self, About, Kind, Plan, Report, Request, Room, Scoring, Stream, Sweep, Vectors};
use crate::types::clock::Clock;
use askonce_models::Embedder;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Requests that go through the real cache for the latencies of a sweep's report.
const TIMED_REQUESTS: usize = 4000;

pub(super) fn run(args: &ReplayArgs) -> Result<ExitCode, String> {
    let mut settings = args.settings()?;
    let name = if is_stdin(&args.file) { "standard input".to_owned() } else { args.file.display().to_string() };
    let imported = import::read(&name, load(&args.file)?, &args.import())?;
    if !args.json {
        told(&name, &imported);
    }
    // Said before a model is looked for.
    let learns = !args.sweep && args.plan(&settings).kind.learns();
    if learns && replay::scoring(&imported.requests) == Scoring::None {
        let why = "the trace has neither groups nor answers, so that nothing can be learned from it";
        if !args.as_configured() {
            return Err(format!("{why}: choose another policy than one that learns"));
        }
        eprintln!("{name}: {why}: replayed with the static threshold");
        settings.cache = settings.cache.without_learning();
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let (embedder, vectors) = runtime.block_on(embed(args, &settings, &imported.requests))?;
    let ready = Ready { args, settings, trace: &imported.requests, embedder, vectors, runtime };
    if args.sweep { ready.sweep(&name, &imported) } else { ready.single() }
}

/// A trace with its vectors.
struct Ready<'a> {
    args: &'a ReplayArgs,
    settings: Resolved,
    trace: &'a [Request],
    embedder: Option<Embedder>,
    vectors: Vectors,
    runtime: tokio::runtime::Runtime,
}

impl Ready<'_> {
    fn single(&self) -> Result<ExitCode, String> {
        let plan = self.args.plan(&self.settings);
        let report = if plan.kind.learns() || plan.room != Room::default() {
            let stream = self.stream()?;
            let bar = bar("replaying", self.trace.len(), self.args.json);
            let prices = self.args.prices(&self.settings);
            let report = replay::single(&stream, &plan, &prices, &|done| bar.set_position(done as u64));
            bar.finish_and_clear();
            report
        } else {
            self.real(self.trace, &self.settings)?
        };
        self.print(&report, &report)?;
        Ok(self.bounds(&report))
    }

    fn sweep(&self, name: &str, imported: &Imported) -> Result<ExitCode, String> {
        let stream = self.stream()?;
        let mut kinds = replay::kinds(replay::scoring(self.trace));
        if self.embedder.is_none() {
            kinds.retain(|kind| !kind.is_semantic());
        }
        let options = replay::Options {
            kinds,
            prices: self.args.prices(&self.settings),
            label_noise: self.args.label_noise,
            error_budget: self.settings.cache.error_budget,
            seed: self.args.seed,
        };
        let bar = bar("sweeping", replay::passes(&options) * self.trace.len(), self.args.json);
        let sweep = replay::sweep(&stream, &options, &|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        if let Some(path) = &self.args.report {
            let timed = &self.trace[..self.trace.len().min(TIMED_REQUESTS)];
            let timed = self.real(timed, &self.settings)?;
            let about = About { name, format: imported.format.as_str(), skipped: imported.skipped };
            let page = replay::page(&about, &sweep, &timed);
            fs::write(path, page).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
        }
        self.print(&sweep, &sweep)?;
        Ok(self.chosen(&sweep))
    }

    fn stream(&self) -> Result<Stream<'_>, String> {
        let bar = bar("comparing", self.trace.len(), self.args.json);
        let progress = |done| bar.set_position(done as u64);
        let stream = Stream::prepare(self.trace, &self.settings.cache, &self.vectors, &progress);
        bar.finish_and_clear();
        stream
    }

    /// A pass through the real cache.
    fn real(&self, trace: &[Request], settings: &Resolved) -> Result<Report, String> {
        let clock = Clock::manual(1);
        // Its own judgement has no labels here: what learns is replayed on numbers.
        let settings = Resolved { cache: settings.cache.clone().without_learning(), ..settings.clone() };
        let cache = app::cache_in_memory(&settings, self.embedder.clone(), clock.clone());
        let cache = cache.map_err(|error| error.to_string())?;
        let known = self.vectors.iter().map(|(text, vector)| (text.clone(), vector.values.clone(), vector.truncated));
        cache.preload(known);
        let bar = bar("replaying", trace.len(), self.args.json);
        let progress = |done| bar.set_position(done as u64);
        let prices = self.args.prices(&self.settings);
        let pass = replay::run(&cache, &clock, trace, &self.vectors, &prices, &progress);
        let report = self.runtime.block_on(pass);
        bar.finish_and_clear();
        report
    }

    fn print(&self, json: &impl serde::Serialize, text: &impl std::fmt::Display) -> Result<(), String> {
        if self.args.json {
            println!("{}", serde_json::to_string_pretty(json).map_err(|error| error.to_string())?);
        } else {
            print!("{text}");
        }
        Ok(())
    }

    /// The exit code that a report earns.
    fn bounds(&self, report: &Report) -> ExitCode {
        let mut missed = false;
        if let Some(most) = self.args.max_error.filter(|most| report.err_all > *most) {
            eprintln!("askonce: {:.4} of all requests were served wrongly, more than {most}", report.err_all);
            missed = true;
        }
        if let Some(least) = self.args.min_hit_rate.filter(|least| report.hit_rate < *least) {
            eprintln!("askonce: {:.4} of all requests were served from the cache, less than {least}", report.hit_rate);
            missed = true;
        }
        if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Of a sweep, what it recommends has to keep to the bounds.
    fn chosen(&self, sweep: &Sweep) -> ExitCode {
        match sweep.chosen {
            Some(at) => self.bounds(&sweep.runs[at]),
            None => {
                eprintln!("askonce: no policy keeps to an error budget of {}", sweep.error_budget);
                ExitCode::FAILURE
            }
        }
    }
}

/// The vectors of what is asked; and of what was answered, where that is all there is to go by.
async fn embed(
    args: &ReplayArgs,
    settings: &Resolved,
    trace: &[Request],
) -> Result<(Option<Embedder>, Vectors), String> {
    let Plan { kind, .. } = args.plan(settings);
    if !args.sweep && matches!(kind, Kind::Exact | Kind::Normalised) && replay::scoring(trace) != Scoring::Answers {
        return Ok((None, Vectors::new()));
    }
    let embedder = app::load_embedder(settings, &Bar::default()).await.map_err(|error| error.to_string())?;
    let Some(embedder) = embedder else { return Ok((None, Vectors::new())) };
    let answers = replay::scoring(trace) == Scoring::Answers;
    let asked = trace.iter().filter(|request| !request.hashed).map(|request| request.text.as_str());
    let answered = trace.iter().filter(|_| answers).filter_map(|request| request.answer.as_deref());
    let texts: BTreeSet<&str> = asked.chain(answered).filter(|text| !text.trim().is_empty()).collect();
    let texts: Vec<&str> = texts.into_iter().collect();
    let vectors = vectors(&embedder, &texts, args.vectors.as_deref(), args.json)?;
    Ok((Some(embedder), vectors))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// All bytes of the trace.
fn load(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let at = |error: io::Error| format!("{}: {error}", path.display());
    let read = if is_stdin(path) {
        io::stdin().lock().take(import::MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).map_err(at)?.take(import::MAX_BYTES + 1).read_to_end(&mut bytes)
    };
    read.map_err(at)?;
    if bytes.len() as u64 > import::MAX_BYTES {
        return Err(format!("{}: is larger than {} GiB; split it", path.display(), import::MAX_BYTES >> 30));
    }
    Ok(bytes)
}

/// Says on standard error how the trace was read.
fn told(name: &str, imported: &Imported) {
    let Imported { requests, format, skipped } = imported;
    let skipped = if *skipped > 0 { format!(", {skipped} rows that ask nothing left out") } else { String::new() };
    eprintln!("{name}: {} requests, read as {}{skipped}", requests.len(), format.as_str());
    let cached = requests.iter().filter(|request| request.cached).count();
    if cached > 0 && replay::scoring(requests) == Scoring::Answers {
        eprintln!("{name}: {cached} of the answers came out of a cache themselves: errors look fewer than they are");
    }
}

pub(super) fn bar(what: &'static str, length: usize, hidden: bool) -> ProgressBar {
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
