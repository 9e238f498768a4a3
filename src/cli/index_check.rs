//! `askonce index check`.

use crate::config::{self, Overrides};
use askonce_index::{CheckReport, check};
use std::path::PathBuf;
use std::process::ExitCode;

/// Look through the files of the vector index, and change nothing.
///
/// Ends with 0 when they are sound, and with 1 when something is damaged, saying what. A start sets damage aside by itself and
/// keeps the rest: this is for looking before it does. While askonce runs, what it is writing may look damaged.
#[derive(clap::Args)]
pub(super) struct IndexCheckArgs {
    /// Where askonce keeps its data [default: as for serve].
    #[arg(long, env = "ASKONCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON; its keys are explained in docs/bench.md.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &IndexCheckArgs) -> Result<ExitCode, String> {
    let overrides = Overrides { data_dir: args.data_dir.clone(), ..Overrides::default() };
    let settings = config::defaults(&overrides).map_err(|error| error.to_string())?;
    let dir = settings.data_dir.join("cache").join("index");
    if !dir.is_dir() {
        return Err(format!("{}: no index here; name the data directory with --data-dir", dir.display()));
    }
    let report = check(&dir).map_err(|error| error.to_string())?;
    match args.json {
        true => println!("{}", json(&report)),
        false => println!("{}\n{report}", dir.display()),
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json(report: &CheckReport) -> serde_json::Value {
    let files: Vec<serde_json::Value> = report
        .files
        .iter()
        .map(|file| {
            serde_json::json!({
                "name": file.name, "kind": file.kind, "bytes": file.bytes, "version": file.version,
                "width": file.width, "variant": file.variant, "generation": file.generation, "records": file.records,
                "sections": file.sections, "vectors": file.vectors, "replaced": file.replaced, "damage": file.damage,
            })
        })
        .collect();
    serde_json::json!({ "sound": report.is_sound(), "live": report.live, "in_use": report.in_use, "files": files })
}

#[cfg(test)]
mod tests {
    use super::*;
    use askonce_index::{Index, IndexConfig, ScopeKey};
    use std::fs;

    fn args(dir: &tempfile::TempDir) -> IndexCheckArgs {
        IndexCheckArgs { data_dir: Some(dir.path().to_owned()), json: true }
    }

    #[test]
    fn sound_files_are_no_error_and_damaged_ones_are() {
        let data = tempfile::tempdir().unwrap();
        assert!(run(&args(&data)).unwrap_err().contains("no index here"));
        let dir = data.path().join("cache/index");
        let (index, _) = Index::open(&dir, IndexConfig::new(2, "test")).unwrap();
        index.insert(ScopeKey([1; 16]), 1, &[1.0, 0.0]).unwrap();
        drop(index);
        assert_eq!(run(&args(&data)).unwrap(), ExitCode::SUCCESS);
        let report = json(&check(&dir).unwrap());
        assert_eq!((&report["sound"], &report["live"]), (&true.into(), &1.into()));
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
                fs::write(&path, bytes).unwrap();
            }
        }
        assert_eq!(run(&args(&data)).unwrap(), ExitCode::FAILURE);
    }
}
