//! How far `bf16` and `int8` are from the oracle, candle in 32-bit floats, on sentences of your own. `--help` says more.

mod figures;

use std::path::Path;
use std::process::ExitCode;

use askonce_models::{Embedder, EmbedderSettings, ModelManifest, Precision, manifest, stop_candle_counting_cores};

use crate::figures::{Figures, compare};

const USAGE: &str = "\
cargo bench -p askonce-models --bench accuracy -- --model DIR --sentences FILE [OPTION]...

  --model DIR       folder with the model's files
  --sentences FILE  plain text, one sentence a line; models/benches/sentences.py makes it from a labelled set
  --count N         how many of them, from the beginning; default 2000
  --name NAME       the model's manifest; default all-MiniLM-L6-v2
  --json            print JSON";

struct Args {
    model: String,
    sentences: String,
    name: String,
    count: usize,
    json: bool,
}

/// What was promised of a precision: cosine with the oracle on average, error of a pair's cosine at 99 % and at most.
struct Promise {
    precision: Precision,
    cosine: f64,
    p99: f64,
    max: f64,
}

const PROMISES: [Promise; 2] = [
    Promise { precision: Precision::Bf16, cosine: 0.9999, p99: 0.0015, max: f64::INFINITY },
    Promise { precision: Precision::Int8, cosine: 0.999, p99: 0.01, max: 0.02 },
];

fn main() -> ExitCode {
    stop_candle_counting_cores();
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Run as a test, without `cargo bench`, there is nothing to measure.
    if words.iter().any(|word| word == "--help") || !words.iter().any(|word| word == "--bench") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match parse(words.into_iter()).and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("accuracy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let (mut model, mut sentences) = (None, None);
    let (mut name, mut count, mut json) = ("all-MiniLM-L6-v2".to_owned(), 2000, false);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            // Cargo adds it.
            "--bench" => {}
            "--json" => json = true,
            "--model" => model = Some(value()?),
            "--sentences" => sentences = Some(value()?),
            "--name" => name = value()?,
            "--count" => count = value()?.parse().map_err(|_| "--count wants a number")?,
            _ => return Err(format!("unknown argument {word}\n\n{USAGE}")),
        }
    }
    match (model, sentences) {
        (Some(model), Some(sentences)) => Ok(Args { model, sentences, name, count, json }),
        _ => Err(format!("--model and --sentences are needed\n\n{USAGE}")),
    }
}

fn run(args: &Args) -> Result<(), String> {
    let manifest = manifest(&args.name).map_err(|error| error.to_string())?;
    let text =
        std::fs::read_to_string(&args.sentences).map_err(|error| format!("cannot read {}: {error}", args.sentences))?;
    let sentences: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(args.count).collect();
    if sentences.len() < 2 {
        return Err(format!("{} has {} sentences; at least 2 are needed", args.sentences, sentences.len()));
    }
    let dir = Path::new(&args.model);
    let oracle = vectors(dir, manifest, Precision::F32, &sentences)?;
    let mut found = Vec::new();
    for promise in PROMISES {
        let figures = compare(&oracle, &vectors(dir, manifest, promise.precision, &sentences)?, manifest.width);
        found.push((promise, figures));
    }
    if args.json {
        let rows: Vec<_> = found.iter().map(|(promise, figures)| (promise.precision.name(), figures)).collect();
        println!("{}", serde_json::to_string(&rows).map_err(|error| error.to_string())?);
        return Ok(());
    }
    println!("{} against candle f32, {} sentences", args.name, sentences.len());
    found.iter().for_each(|(promise, figures)| print(promise, figures));
    Ok(())
}

/// The vectors of all sentences, one after the other.
fn vectors(dir: &Path, manifest: &ModelManifest, precision: Precision, texts: &[&str]) -> Result<Vec<f32>, String> {
    let settings = EmbedderSettings { precision, ..EmbedderSettings::default() };
    let embedder = Embedder::load(dir, manifest, &settings).map_err(|error| error.to_string())?;
    let embeddings = embedder.embed_batch(texts, &|_| {}).map_err(|error| format!("{precision}: {error}"))?;
    Ok(embeddings.iter().flat_map(|one| one.vector.iter().copied()).collect())
}

fn print(promise: &Promise, figures: &Figures) {
    let Figures { cosine_mean, cosine_min, pairs, nearest, near_pairs } = figures;
    println!("\n{}", promise.precision);
    println!("  cosine with the oracle        mean {cosine_mean:.6}  min {cosine_min:.6}");
    for (what, errors) in
        [("all pairs", pairs), ("pairs of .7 and more", near_pairs), ("each and its nearest", nearest)]
    {
        println!(
            "  |Δ cosine|, {what:<21} p50 {:.5}  p99 {:.5}  max {:.5}  bias {:+.5}  ({} pairs)",
            errors.p50, errors.p99, errors.max, errors.bias, errors.count
        );
    }
    let kept = *cosine_mean >= promise.cosine && pairs.p99 <= promise.p99 && pairs.max <= promise.max;
    println!(
        "  target: mean ≥ {}, p99 ≤ {}{}: {}",
        promise.cosine,
        promise.p99,
        if promise.max.is_finite() { format!(", max ≤ {}", promise.max) } else { String::new() },
        if kept { "met" } else { "NOT MET" }
    );
}
