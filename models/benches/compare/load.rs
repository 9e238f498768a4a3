//! What loading takes, in time and memory: measured in a process of its own, whose memory holds nothing else.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use askonce_models::bench::{Bencher, median};
use askonce_models::{Device, Kernels, ModelManifest, Precision};
use serde::{Deserialize, Serialize};

/// One engine's loading.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Loaded {
    /// Until it can encode, in milliseconds; the files are in the page cache.
    pub load_ms: f64,
    /// What it added to the resident memory, in bytes.
    pub resident_bytes: u64,
    /// Its weights as packed, in bytes; 0 if it does not say.
    pub packed_bytes: usize,
}

/// The median time of `times` processes, and the memory of the last.
///
/// # Errors
/// Words for people.
pub fn measure(model: &Path, name: &str, precision: Precision, times: usize) -> Result<Loaded, String> {
    let all = (0..times.max(1)).map(|_| in_child(model, name, precision)).collect::<Result<Vec<_>, _>>()?;
    let load_ms = median(all.iter().map(|one| one.load_ms));
    let last = all.into_iter().next_back();
    last.zip(load_ms).map(|(last, load_ms)| Loaded { load_ms, ..last }).ok_or_else(|| "nothing was loaded".into())
}

fn in_child(model: &Path, name: &str, precision: Precision) -> Result<Loaded, String> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let output = Command::new(this)
        .args(["--bench", "--name", name, "--load", precision.name(), "--model"])
        .arg(model)
        .output()
        .map_err(|error| format!("cannot start this program again: {error}"))?;
    if !output.status.success() {
        return Err(format!("loading {precision}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("loading {precision} said nothing useful: {error}"))
}

/// The child's side: loads, and prints what that took.
///
/// # Errors
/// Words for people.
pub fn here(model: &Path, manifest: &ModelManifest, precision: &str) -> Result<(), String> {
    let before = resident_bytes();
    let begin = Instant::now();
    let bencher = Bencher::load(model, manifest, Device::Cpu, precision.parse()?, Kernels::Auto)
        .map_err(|error| error.to_string())?;
    let loaded = Loaded {
        load_ms: begin.elapsed().as_secs_f64() * 1e3,
        resident_bytes: resident_bytes().saturating_sub(before),
        packed_bytes: bencher.packed_bytes(),
    };
    println!("{}", serde_json::to_string(&loaded).map_err(|error| error.to_string())?);
    Ok(())
}

/// Memory of this process that is in RAM; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
