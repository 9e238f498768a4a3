//! `askonce index`.

use super::index_bench::{self, IndexBenchArgs};
use super::index_check::{self, IndexCheckArgs};
use std::process::ExitCode;

/// Time the vector index on this machine, or look through its files.
///
/// The index finds stored questions that ask the same in other words: vectors in, the nearest ones out.
#[derive(clap::Subcommand)]
pub(super) enum IndexCommand {
    Bench(IndexBenchArgs),
    Check(IndexCheckArgs),
}

pub(super) fn run(command: &IndexCommand) -> Result<ExitCode, String> {
    match command {
        IndexCommand::Bench(args) => index_bench::run(args).map(|()| ExitCode::SUCCESS),
        IndexCommand::Check(args) => index_check::run(args),
    }
}
