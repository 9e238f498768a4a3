//! `askonce bench`: what askonce adds to a request and what it saves, measured from outside.
//!
//! Three processes on loopback: a mock upstream, an askonce in front of it, and the load generator here, which asks
//! the upstream directly and through askonce in turn. docs/bench.md says what the figures mean.
//!
//! - `args`: the command lines. `setup`: what all scenarios share. `error`, `stop`: ends before the end.
//! - `http1`: receiving HTTP/1.1. `mock`: the upstream. `client`: one connection. `fault`: failed requests.
//! - `schedule`: when requests are due. `load`: sending them. `quantile`: what came of it. `questions`: what is asked.
//! - `process`, `server`: the other two processes. `figures`: what the kernel says of them.
//! - `measure`: all scenarios. `scenario`: one of them. `traffic`: its requests, and the cache warmed for them.
//!   `round`: its rounds. `alone`: the sentence model by itself. `report`: JSON and table. `progress`: the bar.

mod alone;
mod args;
mod client;
mod error;
mod fault;
mod figures;
mod http1;
mod load;
mod measure;
mod mock;
mod process;
mod progress;
mod quantile;
mod questions;
mod report;
mod round;
mod scenario;
mod schedule;
mod server;
mod setup;
mod stop;
#[cfg(test)]
mod tests;
mod traffic;

pub use args::{BenchArgs, UpstreamArgs};
pub use error::BenchError;
pub use measure::measure;
pub use mock::run_upstream;

use std::process::ExitCode;

/// Runs the bench and prints its report. Fails (code 1) if any request did not come back right; the report is printed
/// even so. Blocks; to be called on the main thread and outside of any runtime.
pub fn run(args: BenchArgs) -> Result<ExitCode, BenchError> {
    let json = args.json;
    let report = measure(args)?;
    if json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| BenchError::Unfit(format!("the report cannot be written: {error}")))?;
        println!("{text}");
    } else {
        print!("{report}");
    }
    Ok(if report.clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
