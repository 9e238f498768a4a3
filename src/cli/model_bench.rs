//! `askonce model bench`.

use super::model::{DEFAULT_MODEL, Store, named};
use askonce_models::bench::{BenchOptions, BenchReport, BenchRow, bench};
use askonce_models::{Kernels, ModelManifest, Precision};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Time the sentence model on this machine, by length and batch, beside what the memory allows.
///
/// Every arithmetic is timed on one core, in turns, so that a machine busy with other things slows all alike: token ids in,
/// unit vectors out, for one text of 8 to 256 tokens (a short question has 10 to 20) and for a batch of 32 texts.
///
/// The floor is the time in which this core can read the weights once. No engine embeds a lone text faster with weights of
/// that size: near 1 × the floor, only smaller weights (int8 instead of bf16) or faster memory help. Long texts and batches
/// are bound by arithmetic instead.
///
/// `auto` picks the fastest kernels that the processor has, as `askonce serve` does; --all shows what each is worth.
#[derive(clap::Args)]
pub(super) struct ModelBenchArgs {
    /// The model's name.
    #[arg(default_value = DEFAULT_MODEL)]
    name: String,
    /// A folder with the model's files [default: the one that `model pull` filled].
    #[arg(long, env = "ASKONCE_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    #[command(flatten)]
    store: Store,
    /// Time only this arithmetic: bf16, int8 or f32. May be given several times, or as a list [default: all].
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    precision: Vec<Precision>,
    /// Time these kernels: auto, amx, avx512, avx2, neon or portable; those that the processor lacks are left out
    /// [default: auto].
    #[arg(long, value_delimiter = ',', value_name = "NAME", conflicts_with = "all")]
    kernels: Vec<Kernels>,
    /// Time all kernels that the processor has.
    #[arg(long)]
    all: bool,
    /// How long to measure, in seconds; slow engines take longer.
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    seconds: f64,
    /// Print JSON; its keys are explained in docs/bench.md.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ModelBenchArgs) -> Result<(), String> {
    let model = named(&args.name)?;
    let dir = match &args.model_dir {
        Some(dir) => dir.clone(),
        None => args.store.open()?.locate(model).ok_or_else(|| {
            format!("{} is not here; `askonce model pull` fetches it, or name its folder with --model-dir", model.name)
        })?,
    };
    let report = bench(&dir, model, &options(args, model)?).map_err(|error| error.to_string())?;
    match args.json {
        true => println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?),
        false => print!("{}", table(&report)),
    }
    Ok(())
}

fn options(args: &ModelBenchArgs, model: &ModelManifest) -> Result<BenchOptions, String> {
    let time = Duration::try_from_secs_f64(args.seconds)
        .map_err(|_| format!("--seconds is {}; expected a number of seconds, such as 10", args.seconds))?;
    let mut options = BenchOptions { time, ..BenchOptions::default() };
    let precisions = if args.precision.is_empty() { &model.precision.supported } else { &args.precision };
    options.precisions.clone_from(precisions);
    if args.all {
        options.kernels = Kernels::ALL.to_vec();
    } else if !args.kernels.is_empty() {
        options.kernels.clone_from(&args.kernels);
    }
    Ok(options)
}

/// A block for each engine would hide what is compared: a row is a shape, a column an engine.
fn table(report: &BenchReport) -> String {
    let mut engines: Vec<(&str, &str)> = Vec::new();
    for row in &report.rows {
        let engine = (row.precision.as_str(), row.engine.as_str());
        if !engines.contains(&engine) {
            engines.push(engine);
        }
    }
    let shapes: BTreeSet<(usize, usize)> = report.rows.iter().map(|row| (row.texts, row.tokens)).collect();
    let mut text = format!(
        "{}, one core, median of {} rounds; this core reads {:.1} GB/s\n\n",
        report.model, report.rounds, report.read_gb_s
    );
    line(&mut text, "texts × tokens", engines.iter().map(|(precision, engine)| format!("{precision} {engine}")));
    line(&mut text, "", engines.iter().map(|_| "µs a text  × floor  tokens/s".to_owned()));
    for (texts, tokens) in shapes {
        let cells = engines.iter().map(|engine| {
            let found = report.rows.iter().find(|row| {
                (row.texts, row.tokens) == (texts, tokens) && (row.precision.as_str(), row.engine.as_str()) == *engine
            });
            found.map_or_else(|| "–".to_owned(), cell)
        });
        line(&mut text, &format!("{texts} × {tokens}"), cells);
    }
    text.push_str(&floors(report, &engines));
    text
}

fn line(text: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let mut line = format!("{first:<15}");
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(line, " {cell:>29}");
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn cell(row: &BenchRow) -> String {
    let floor = row.times_floor.map_or_else(|| "–".to_owned(), |times| format!("{times:.1}"));
    format!("{:>9.0} {floor:>8} {:>9.0}", row.median_us, row.tokens_per_s)
}

/// What the floor of a lone text is, for each arithmetic that has one.
fn floors(report: &BenchReport, engines: &[(&str, &str)]) -> String {
    let lone = engines.iter().filter_map(|(precision, engine)| {
        let row =
            report.rows.iter().find(|row| row.texts == 1 && (&*row.precision, &*row.engine) == (precision, engine));
        Some(format!("{precision} {engine} {:.0} µs", row?.floor_us?))
    });
    let lone: Vec<String> = lone.collect();
    match lone.is_empty() {
        true => "\nNo engine here says how many bytes a pass reads, so there is no floor to compare with.\n".into(),
        false => format!("\nfloor (reading the weights once): {}\n", lone.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_model() -> &'static ModelManifest {
        named(DEFAULT_MODEL).unwrap()
    }

    fn row(precision: &str, engine: &str, texts: usize, tokens: usize, floor_us: Option<f64>) -> BenchRow {
        BenchRow {
            engine: engine.into(),
            precision: precision.into(),
            texts,
            tokens,
            threads: 1,
            median_us: 1000.0,
            best_us: 900.0,
            tokens_per_s: 16_000.0,
            floor_us,
            times_floor: floor_us.map(|floor| 1000.0 / floor),
        }
    }

    #[test]
    fn a_row_is_a_shape_and_a_column_an_engine() {
        let rows = vec![
            row("bf16", "amx", 1, 16, Some(500.0)),
            row("bf16", "amx", 1, 8, Some(500.0)),
            row("f32", "candle", 1, 16, None),
        ];
        let report = BenchReport { model: "m".into(), read_gb_s: 30.0, rounds: 5, rows };
        let text = table(&report);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "m, one core, median of 5 rounds; this core reads 30.0 GB/s");
        assert!(lines[2].ends_with("bf16 amx                    f32 candle"), "{text}");
        assert!(lines[4].starts_with("1 × 8 ") && lines[4].ends_with(" –"), "{text}");
        assert!(
            lines[5].contains("1000      2.0     16000") && lines[5].ends_with("1000        –     16000"),
            "{text}"
        );
        assert_eq!(lines[7], "floor (reading the weights once): bf16 amx 500 µs");
    }

    #[test]
    fn seconds_have_to_be_some() {
        use clap::Parser;
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            args: ModelBenchArgs,
        }
        let parse = |words: &[&str]| Line::try_parse_from([&["bench"], words].concat()).map(|line| line.args);
        let wrong = options(&parse(&["--seconds=-1"]).unwrap(), default_model()).unwrap_err();
        assert!(wrong.contains("--seconds is -1; expected"), "{wrong}");
        let some = options(&parse(&["--precision", "bf16,int8", "--all", "--seconds", "2"]).unwrap(), default_model())
            .unwrap();
        assert_eq!((some.precisions.len(), some.kernels.len(), some.time), (2, 5, Duration::from_secs(2)));
        assert!(parse(&["--kernels", "avx2", "--all"]).is_err() && parse(&["--kernels", "sse9"]).is_err());
    }
}
