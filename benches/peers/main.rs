//! askonce beside nginx and other gateways: the same requests, the same upstream, one machine, one run.
//!
//! `benches/peers/run.sh` installs the peers and runs this; README.md here says how it measures and what the figures mean.
//!
//! - `args`: the command line. `plan`: the rounds. `scenario`: what is asked. `report`: the table and the plots.
//! - `ends`: callers and upstream in one thread. `answers`: what the upstream says. `wire`: reading HTTP. `samples`: times.
//! - `peer`: what is measured. `process`: starting it, and what the kernel says of it.

mod answers;
mod args;
mod ends;
mod peer;
mod plan;
mod process;
mod report;
mod samples;
mod scenario;
mod wire;

use args::Args;
use clap::Parser;
use ends::Ends;
use plan::Outcome;
use std::path::absolute;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("peers: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and reports; whether every answer was right.
fn run(mut args: Args) -> Result<bool, String> {
    pin(args.load_cpu)?;
    for path in [&mut args.folder, &mut args.installed] {
        *path = absolute(&*path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    std::fs::create_dir_all(&args.folder).map_err(|error| format!("{}: {error}", args.folder.display()))?;
    let mut ends = Ends::open().map_err(|error| format!("the upstream cannot listen: {error}"))?;
    let mut peers = peer::all(args.askonce.clone(), &args.other);
    peers.retain(|peer| args.only.is_empty() || args.only.iter().any(|name| name == peer.name()));
    let mut outcome = Outcome::default();
    peers.retain(|peer| match peer.version(&args.installed) {
        Ok(version) => {
            eprintln!("{} {version}", peer.name());
            outcome.versions.push((peer.name(), version));
            true
        }
        Err(why) => {
            eprintln!("{} is left out: {why}", peer.name());
            outcome.left_out.push((peer.name().to_owned(), why));
            false
        }
    });
    for scenario in scenario::all() {
        let is_asked = |name: &String| scenario.name.starts_with(name.as_str());
        if args.scenario.is_empty() || args.scenario.iter().any(is_asked) {
            eprintln!("{}", scenario.name);
            plan::measure(&args, &mut ends, &peers, &scenario, &mut outcome);
            // What has been measured stays, whatever comes later.
            report::write(&args, &outcome)?;
        }
    }
    print!("{}", report::table(&args, &outcome));
    eprintln!("raw figures, table and plots: {}", args.folder.display());
    Ok(outcome.rows.iter().all(|row| row.faults.is_empty()))
}

/// Keeps this process to one processor.
fn pin(cpu: usize) -> Result<(), String> {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-acp", &cpu.to_string(), &own]).stdout(Stdio::null()).status();
    match pinned {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!(
            "`taskset` cannot keep this process on processor {cpu}; it takes Linux, util-linux and two processors"
        )),
    }
}
