//! `askonce index`.

use super::index_bench::{self, IndexBenchArgs};
use std::process::ExitCode;

/// Time the vector index on this machine.
///
/// The index finds stored questions that ask the same in other words: vectors in, the nearest ones out.
#[derive(clap::Subcommand)]
pub(super) enum IndexCommand {
    Bench(IndexBenchArgs),
}

pub(super) fn run(command: &IndexCommand) -> Result<ExitCode, String> {
    match command {
        IndexCommand::Bench(args) => index_bench::run(args),
    }?;
    Ok(ExitCode::SUCCESS)
}
