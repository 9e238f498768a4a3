//! Measuring: what is reported, of which engines and shapes.

use std::time::Duration;

use askonce_models::bench::{BenchOptions, Bencher, Shape, bench};
use askonce_models::{Device, Kernels, Precision};

use crate::support::tiny::Tiny;

#[test]
fn a_report_has_the_documented_keys_and_leaves_out_what_the_model_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(dir.path());
    let options =
        BenchOptions { precisions: vec![Precision::F32], time: Duration::from_millis(20), ..BenchOptions::default() };
    let report = bench(dir.path(), &manifest, &options).unwrap();
    let shapes: Vec<_> = report.rows.iter().map(|row| (row.threads, row.texts, row.tokens)).collect();
    assert_eq!(shapes, [(1, 1, 8), (1, 1, 16), (1, 1, 32), (1, 32, 16)]);
    assert!(report.read_gb_s > 0.0 && report.rounds > 2);
    assert!(report.rows.iter().all(|row| row.median_us >= row.best_us && row.best_us > 0.0 && row.tokens_per_s > 0.0));
    let row = serde_json::to_value(&report.rows[0]).unwrap();
    let mut keys: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    let expected = [
        "best_us",
        "engine",
        "floor_us",
        "median_us",
        "precision",
        "texts",
        "threads",
        "times_floor",
        "tokens",
        "tokens_per_s",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn each_engine_is_loaded_once_under_whichever_name() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(dir.path());
    let kernels: Vec<_> = Kernels::ALL.into_iter().chain([Kernels::Auto]).collect();
    let loaded = Bencher::load_all(dir.path(), &manifest, Device::Cpu, &Precision::ALL, &kernels).unwrap();
    let mut names: Vec<_> = loaded.iter().map(|one| (one.precision(), one.engine())).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    for precision in Precision::ALL {
        assert!(names.iter().any(|(one, _)| *one == precision), "{precision} is missing");
    }
    assert_eq!(names.iter().filter(|(precision, _)| *precision == Precision::F32).count(), 1);
}

#[test]
fn passes_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(dir.path());
    let bencher = Bencher::load(dir.path(), &manifest, Device::Cpu, Precision::F32, Kernels::Auto).unwrap();
    let shape = Shape { texts: 2, tokens: 8 };
    assert!(bencher.passes_per_s(shape, Duration::ZERO).unwrap() > 0.0);
    assert!(bencher.time(shape, Duration::ZERO).unwrap().best_us > 0.0);
}
