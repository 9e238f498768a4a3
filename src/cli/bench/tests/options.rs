//! Options that are refused, places where nothing is, and the page that explains the report.

use super::super::process::Folder;
use super::super::report::{Report, ScenarioReport};
use super::super::setup::Setup;
use super::super::stop::Stop;
use super::super::{BenchArgs, BenchError, measure};
use clap::Parser;
use serde_json::Value;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: BenchArgs,
}

fn parse(line: &str) -> BenchArgs {
    Line::try_parse_from(std::iter::once("bench").chain(line.split_whitespace())).unwrap().args
}

#[test]
fn bad_options_are_refused_with_what_was_expected() {
    let cases = [
        ("--rate 0", "--rate must be 0.1 to 1000000"),
        ("--rate nan", "--rate must be"),
        ("--duration-s -1", "--duration-s must be"),
        ("--warmup-s inf", "--warmup-s must be"),
        ("--rounds 0", "--rounds must be 1 to 100; got 0"),
        ("--connections 0", "--connections must be"),
        ("--timeout-ms 0", "--timeout-ms must be"),
        ("--timeout-ms 100 --upstream-latency-ms 100", "--upstream-latency-ms must be below --timeout-ms (100)"),
        ("--rate 1000000 --duration-s 60", "lower --rate or --duration-s"),
        ("--rate 0.5 --duration-s 1", "raise --rate or --duration-s"),
        ("--entries 5 --scenario streaming", "--entries needs"),
    ];
    for (line, wanted) in cases {
        let line = line.replace("-s -1", "-s=-1");
        let error = parse(&line).validate().unwrap_err().to_string();
        assert!(error.contains(wanted), "{line}: {error}");
    }
    parse("").validate().unwrap();
    parse("--scenario semantic_hit --entries 100 --poisson --json").validate().unwrap();
}

#[test]
fn a_missing_model_says_what_to_do() {
    let folder = Folder::create().unwrap();
    let line = format!("--data-dir {}", folder.path().display());
    let setup = Setup { args: parse(&line), stop: Stop::default() };
    let reason = setup.model_dir().unwrap_err();
    assert!(reason.contains("askonce model pull") && reason.contains("--model-dir"), "{reason}");
    let missing = folder.path().join("none");
    let setup = Setup { args: parse(&format!("--model-dir {}", missing.display())), stop: Stop::default() };
    assert!(setup.model_dir().unwrap_err().contains(&missing.display().to_string()));
}

#[test]
fn an_unreachable_target_is_named() {
    let error = measure(parse("--target http://127.0.0.1:1 --scenario exact_hit --json")).unwrap_err();
    assert!(matches!(error, BenchError::Unfit(_)) && error.to_string().contains("127.0.0.1:1"), "{error}");
}

/// Every key of `--json` has its line in docs/bench.md.
#[test]
fn the_page_explains_every_key() {
    let page = include_str!("../../../../docs/bench.md");
    let report = Report::empty(&parse(""));
    let scenario = ScenarioReport::default();
    for (what, value) in [("report", serde_json::to_value(report)), ("scenario", serde_json::to_value(scenario))] {
        let Value::Object(keys) = value.unwrap() else { panic!("{what} is no object") };
        for (key, value) in keys {
            assert!(page.contains(&format!("| `{key}` |")), "{what}: {key} is not in docs/bench.md");
            for inner in value.as_object().into_iter().flat_map(|inner| inner.keys()) {
                assert!(page.contains(&format!("`{inner}`")), "{what}: {key}.{inner} is not in docs/bench.md");
            }
        }
    }
}
