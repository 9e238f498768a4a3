//! The ratchet: counts are written down, and may grow by 3 % at most.

use super::{counted, scenario};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How much worse a count may be than what is written down, in percent.
const MOST_WORSE: f64 = 3.0;

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt"))
}

/// Of each scenario: its name and its instructions.
fn written() -> Result<BTreeMap<String, u64>, String> {
    let text = std::fs::read_to_string(file()).map_err(|error| format!("counts.txt: {error}; `--write` makes it"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (name, count) = line.split_once(' ').ok_or(())?;
        Ok((name.to_owned(), count.trim().parse().map_err(|_| ())?))
    };
    lines.map(|line| read(line).map_err(|()| format!("counts.txt: expected `name count`, got `{line}`"))).collect()
}

/// Counts all of them, and writes them down.
pub fn write() -> Result<(), String> {
    let mut text = "# Instructions of each scenario; see src/main.rs. Written by `cargo run --release -p askonce-instructions -- --write`.\n".to_owned();
    for name in scenario::NAMES {
        let line = format!("{name} {}\n", counted::count(name)?);
        print!("{line}");
        text.push_str(&line);
    }
    std::fs::write(file(), text).map_err(|error| format!("counts.txt: {error}"))
}

/// Counts all of them, and compares them with what is written down.
pub fn compare() -> Result<(), String> {
    let written = written()?;
    let mut worse = Vec::new();
    println!("{:<24}{:>14}{:>14}{:>10}", "scenario", "written", "now", "change");
    for name in scenario::NAMES {
        let before =
            *written.get(name).ok_or_else(|| format!("counts.txt has no `{name}`; `--write` makes it anew"))?;
        let now = counted::count(name)?;
        let change = 100.0 * (now as f64 / before as f64 - 1.0);
        println!("{name:<24}{before:>14}{now:>14}{change:>+9.1}%");
        if change > MOST_WORSE {
            worse.push(name);
        }
    }
    match worse.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} takes more than {MOST_WORSE} % more instructions than are written down; make it faster, or write down why not, and \
             `--write`",
            worse.join(", ")
        )),
    }
}
