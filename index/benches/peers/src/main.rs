//! The index beside usearch (int8) and hnsw_rs (f32 on simsimd): same vectors, same queries, one process, one core, in turns.
//!
//! `cargo run --release -- --stored FILE.f32 --queries FILE.f32 [--entries N] [--json]`, in this folder. README.md of the
//! index says how such files are made; more entries than the file holds are made by interpolation and noise.

mod args;
mod pin;
mod report;
mod rivals;
mod rounds;

use askonce_index::bench::{Vectors, enlarge, exact};

use args::Args;
use report::Report;
use rivals::Rival;

fn main() {
    if let Err(error) = run() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let args = Args::read(std::env::args().skip(1))?;
    let (stored, queries) = vectors(&args)?;
    eprintln!("{} vectors, {} queries; the truth, on all cores …", stored.len(), queries.len());
    let truth = exact(&stored, &queries);
    // Threads that are started from here on stay on it too.
    pin::to(args.core)?;
    let mut report = Report::new(&args, stored.len(), queries.len());
    let mut built: Vec<Box<dyn Rival>> = Vec::new();
    for name in &args.rivals {
        eprintln!("building {name} …");
        let (rival, row) = rounds::build(name, &args, &stored)?;
        built.push(rival);
        report.rows.push(row);
    }
    eprintln!("{} rounds of lookups …", args.rounds);
    rounds::look(&built, &queries, args.rounds, &mut report.rows)?;
    for (rival, row) in built.iter().zip(&mut report.rows) {
        rounds::check(rival.as_ref(), &stored, &queries, &truth, row)?;
    }
    report.compare();
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?),
        false => print!("{report}"),
    }
    Ok(())
}

fn vectors(args: &Args) -> Result<(Vectors, Vectors), String> {
    let read = |path| Vectors::read(path, args.width).map_err(|error| error.to_string());
    let (mut stored, mut queries) = (read(&args.stored)?, read(&args.queries)?);
    let entries = args.entries.unwrap_or(stored.len());
    enlarge(&mut stored, entries, args.seed);
    stored.truncate(entries);
    queries.truncate(args.ask);
    Ok((stored, queries))
}
