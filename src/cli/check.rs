//! `askonce check`.

use crate::config::{self, Overrides};
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a configuration, and print it as it would be used, secrets masked.
///
/// Ends with 0 when the file is good, and with 1 when it is not, saying what is wrong at which line and column.
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// The configuration file (YAML). Without it, the defaults are printed.
    #[arg(long, short, env = "ASKONCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print nothing when the file is good.
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, String> {
    let settings = match &args.config {
        Some(path) => config::load(path, &Overrides::default()),
        None => config::defaults(&Overrides::default()),
    }
    .map_err(|error| error.to_string())?;
    if !args.quiet {
        print!("{}", settings.show());
    }
    Ok(ExitCode::SUCCESS)
}
