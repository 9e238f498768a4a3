//! Our engines, candle and onnxruntime in turns on one core, held against what the project promises. `--help` says more.

mod args;
mod load;
mod ort;
mod pin;
mod targets;
mod two_cores;

use std::collections::BTreeMap;
use std::process::ExitCode;

use askonce_models::bench::{Bencher, Rounds, Runner, Shape, interleave};
use askonce_models::{Device, Kernels, ModelManifest, Precision, manifest, stop_candle_counting_cores};
use serde::Serialize;

use crate::args::Args;
use crate::load::Loaded;

/// How often loading is measured.
const LOADS: usize = 5;

/// Everything that was measured.
#[derive(Serialize)]
pub struct Measured {
    /// The engines, in the order of the rounds' timings; ours first.
    pub runners: Vec<Row>,
    /// In the order of the rounds' timings.
    pub shapes: Vec<Shape>,
    /// All timings.
    pub rounds: Rounds,
    /// By precision.
    pub loads: BTreeMap<&'static str, Loaded>,
    /// Throughput of two cores against one, by precision.
    pub two_cores: BTreeMap<&'static str, f64>,
    /// Its version; none where it is not here.
    pub onnxruntime: Option<String>,
}

/// One of those that took turns.
#[derive(Serialize)]
pub struct Row {
    /// In tables.
    pub name: String,
    /// Precision and kernels; none for a foreign engine.
    pub ours: Option<(&'static str, &'static str)>,
    /// Bytes of the weights that every pass reads; 0 if not known.
    pub pass_bytes: usize,
}

fn main() -> ExitCode {
    // candle is to be met at its best, too.
    stop_candle_counting_cores();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help") {
        println!("{}", args::USAGE);
        return ExitCode::SUCCESS;
    }
    // Run as a test, without `cargo bench`, there is nothing to measure.
    if !words.iter().any(|word| word == "--bench") {
        println!("nothing measured; run it with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let done = Args::parse(words.into_iter()).and_then(|args| run(&args));
    done.map_or_else(
        |error| {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run(args: &Args) -> Result<(), String> {
    let manifest = manifest(&args.name).map_err(|error| error.to_string())?;
    if let Some(precision) = &args.load {
        return load::here(&args.model, manifest, precision);
    }
    let mut loads = BTreeMap::new();
    for precision in Precision::ALL {
        loads.insert(precision.name(), load::measure(&args.model, &args.name, precision, LOADS)?);
    }
    let benchers = benchers(args, manifest)?;
    // Before this thread is pinned: the threads choose their own cores.
    let mut two_cores = BTreeMap::new();
    for bencher in fastest(&benchers) {
        let cores = [args.core, args.second_core];
        let gain = two_cores::gain(bencher, cores, args.rounds);
        // A machine with one core has no second one to be pinned to.
        let _ = gain
            .map(|gain| two_cores.insert(bencher.precision().name(), gain))
            .map_err(|problem| eprintln!("throughput of two cores is left out: {problem}"));
    }
    let measured = take_turns(args, manifest, benchers, loads, two_cores)?;
    print!("{}{}", targets::times(&measured), targets::table(&measured));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&measured).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// All that this machine can run: every precision on every kernel.
fn benchers(args: &Args, manifest: &ModelManifest) -> Result<Vec<Bencher>, String> {
    let kernels: &[Kernels] = if args.quick { &[Kernels::Auto] } else { &Kernels::ALL };
    Bencher::load_all(&args.model, manifest, Device::Cpu, &Precision::ALL, kernels).map_err(|error| error.to_string())
}

/// The first of each precision but `f32`: kernels are tried fastest first.
fn fastest(benchers: &[Bencher]) -> impl Iterator<Item = &Bencher> {
    let of = |wanted| benchers.iter().find(move |one| one.precision() == wanted);
    [Precision::Bf16, Precision::Int8].into_iter().filter_map(of)
}

fn shapes(args: &Args, max_tokens: usize) -> Vec<Shape> {
    let alone: &[usize] = if args.quick { &[16, 128] } else { &[8, 16, 32, 64, 128, 256] };
    let batched: &[usize] = if args.quick { &[16] } else { &[16, 64, 128] };
    let shape = |texts| move |&tokens: &usize| Shape { texts, tokens };
    let all = alone.iter().map(shape(1)).chain(batched.iter().map(shape(32)));
    all.filter(|shape| shape.tokens <= max_tokens).collect()
}

fn take_turns(
    args: &Args,
    manifest: &ModelManifest,
    benchers: Vec<Bencher>,
    loads: BTreeMap<&'static str, Loaded>,
    two_cores: BTreeMap<&'static str, f64>,
) -> Result<Measured, String> {
    pin::to(args.core)?;
    let (mut rows, mut runners): (Vec<Row>, Vec<Box<dyn Runner>>) = (Vec::new(), Vec::new());
    for bencher in benchers {
        let ours =
            (bencher.precision() != Precision::F32).then(|| (bencher.precision().name(), bencher.kernels().name()));
        rows.push(Row { name: bencher.name(), ours, pass_bytes: bencher.pass_bytes() });
        runners.push(Box::new(bencher));
    }
    let mut onnxruntime = None;
    if args.ort {
        match ort::start(&args.python, &args.model, args.core, manifest.max_tokens) {
            Ok((version, opponents)) => {
                onnxruntime = Some(version);
                for opponent in opponents {
                    rows.push(Row { name: opponent.name(), ours: None, pass_bytes: 0 });
                    runners.push(Box::new(opponent));
                }
            }
            Err(problem) => eprintln!("onnxruntime is left out: {problem}"),
        }
    }
    let shapes = shapes(args, manifest.max_tokens);
    let rounds = interleave(&mut runners, &shapes, args.rounds, args.time)?;
    Ok(Measured { runners: rows, shapes, rounds, loads, two_cores, onnxruntime })
}
