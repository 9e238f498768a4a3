//! What the project promises, and whether this run kept it.

use std::fmt::Write;

use askonce_models::bench::Shape;

use crate::{Measured, ort};

const CANDLE: &str = "f32 candle";
const TOKENS_16: Shape = Shape { texts: 1, tokens: 16 };
const TOKENS_128: Shape = Shape { texts: 1, tokens: 128 };
const BATCH: Shape = Shape { texts: 32, tokens: 16 };
/// Megabytes beside the weights that a loaded model may take: the tokenizer's vocabulary, most of all.
const RESIDENT_MB: f64 = 15.0;

/// One promise.
struct Target {
    what: String,
    /// The bound, such as `≤ 0.70 × onnxruntime int8`.
    against: String,
    limit: f64,
    /// Whether more is better.
    at_least: bool,
    /// None where one side was not measured here.
    found: Option<f64>,
}

/// Microseconds a text, by engine and shape.
pub fn times(measured: &Measured) -> String {
    let rounds = &measured.rounds;
    let version = measured.onnxruntime.as_deref().unwrap_or("not here");
    let mut text = format!(
        "\nµs a text, one core, median of {} rounds; read bandwidth {:.1} GB/s; onnxruntime {version}\n{:<18}",
        rounds.rounds.len(),
        rounds.read_gb_s(),
        "texts × tokens"
    );
    // Writing to a string cannot fail.
    for shape in &measured.shapes {
        let _ = write!(text, "{:>10}", format!("{} × {}", shape.texts, shape.tokens));
    }
    let _ = writeln!(text, "{:>10}", "× floor");
    let first = measured.shapes.iter().position(|shape| *shape == TOKENS_16);
    for (runner, row) in measured.runners.iter().enumerate() {
        let _ = write!(text, "{:<18}", row.name);
        for (index, shape) in measured.shapes.iter().enumerate() {
            let _ =
                write!(text, "{:>10}", figure(rounds.median_us(runner, index).map(|us| us / shape.texts as f64), 0));
        }
        let floor = first.and_then(|shape| rounds.times_floor(runner, shape, row.pass_bytes));
        let _ = writeln!(text, "{:>10}", figure(floor, 2));
    }
    text.push_str("× floor: at 16 tokens, against reading the weights of a pass once\n");
    for (precision, loaded) in &measured.loads {
        let _ = writeln!(
            text,
            "loading {precision}: {:.0} ms, {:.1} MB resident, {:.1} MB of it weights as packed",
            loaded.load_ms,
            loaded.resident_bytes as f64 / 1e6,
            loaded.packed_bytes as f64 / 1e6
        );
    }
    text
}

/// The targets, each with what was found.
pub fn table(measured: &Measured) -> String {
    let mut text = String::from("\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:<30} {:<30} {:>10}  verdict", "what", "target", "measured");
    for target in targets(measured) {
        let verdict = match target.found {
            None => "not measured",
            Some(found) if (found >= target.limit) == target.at_least || found == target.limit => "met",
            Some(_) => "NOT MET",
        };
        let bound = format!("{} {:.2} {}", if target.at_least { "≥" } else { "≤" }, target.limit, target.against);
        let _ = writeln!(text, "{:<30} {bound:<30} {:>10}  {verdict}", target.what, figure(target.found, 3));
    }
    text.push_str("Accuracy has a bench of its own: `accuracy`.\n");
    text
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

fn targets(measured: &Measured) -> Vec<Target> {
    let mut list = Vec::new();
    let limits = [("bf16", 1.0 / 9.0, 0.7, 1.8, 0.7), ("int8", 1.0 / 14.0, 0.45, 2.2, 0.55)];
    for (precision, candle, int8, floor, int8_at_128) in limits {
        let ours = fastest(measured, precision);
        let less = |what: &str, limit, against: &str, found| Target {
            what: format!("{precision}, {what}"),
            against: against.into(),
            limit,
            at_least: false,
            found,
        };
        let to = |other, shape| ratio(measured, ours, named(measured, other), shape);
        list.push(less("16 tokens", candle, "× candle f32", to(CANDLE, TOKENS_16)));
        list.push(less("16 tokens", int8, "× onnxruntime int8", to(ort::INT8, TOKENS_16)));
        list.push(less("16 tokens", floor, "× bandwidth floor", times_floor(measured, ours)));
        list.push(less("128 tokens", int8_at_128, "× onnxruntime int8", to(ort::INT8, TOKENS_128)));
        list.push(less("batch of 32 × 16", 0.5, "× onnxruntime int8", to(ort::INT8, BATCH)));
        let (amx, avx512) = (on(measured, precision, "amx"), on(measured, precision, "avx512"));
        list.push(less("AVX-512, 16 tokens", 1.3, "× AMX", ratio(measured, avx512, amx, TOKENS_16)));
        let avx2 = ratio(measured, on(measured, precision, "avx2"), named(measured, CANDLE), TOKENS_16);
        list.push(less("AVX2, 16 tokens", 0.5, "× candle f32", avx2));
        let gain = measured.two_cores.get(precision).copied();
        list.push(Target { at_least: true, ..less("two cores", 1.8, "× one core", gain) });
        let loaded = measured.loads.get(precision);
        list.push(less("load", 150.0, "ms", loaded.map(|loaded| loaded.load_ms)));
        // 1.3 × packed + 15 MB, as a bound on the weights' multiple: the rest is taken off first.
        let resident = loaded
            .filter(|loaded| loaded.packed_bytes > 0)
            .map(|loaded| (loaded.resident_bytes as f64 - RESIDENT_MB * 1e6).max(0.0) / loaded.packed_bytes as f64);
        list.push(less("resident, less 15 MB", 1.3, "× packed weights", resident));
    }
    list
}

/// The engine that `auto` stands for: the first of this precision, as kernels are tried fastest first.
fn fastest(measured: &Measured, precision: &str) -> Option<usize> {
    measured.runners.iter().position(|row| row.ours.is_some_and(|(one, _)| one == precision))
}

fn on(measured: &Measured, precision: &str, kernels: &str) -> Option<usize> {
    measured.runners.iter().position(|row| row.ours == Some((precision, kernels)))
}

fn named(measured: &Measured, name: &str) -> Option<usize> {
    measured.runners.iter().position(|row| row.name == name)
}

fn ratio(measured: &Measured, runner: Option<usize>, other: Option<usize>, shape: Shape) -> Option<f64> {
    let shape = measured.shapes.iter().position(|one| *one == shape)?;
    measured.rounds.ratio(runner?, other?, shape)
}

fn times_floor(measured: &Measured, runner: Option<usize>) -> Option<f64> {
    let shape = measured.shapes.iter().position(|one| *one == TOKENS_16)?;
    measured.rounds.times_floor(runner?, shape, measured.runners.get(runner?)?.pass_bytes)
}
