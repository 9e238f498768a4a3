//! `askonce check`.

use crate::config::{Draft, Overrides, Resolved};
use crate::secrets::Secrets;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a configuration, and print it as it would be used, secrets masked.
///
/// Ends with 0 when the file is good, and with 1 when it is not, saying what is wrong at which line and column. Secrets that it refers
/// to are not read, unless asked for.
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// The configuration file (YAML). Without it, the defaults are printed.
    #[arg(long, short, env = "ASKONCE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print nothing when the file is good.
    #[arg(long, short)]
    quiet: bool,
    /// Read the secrets that it refers to, as a start would, and check them, too.
    #[arg(long)]
    resolve: bool,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, String> {
    let draft = match &args.config {
        Some(path) => Draft::load(path, &Overrides::default()),
        None => Draft::defaults(&Overrides::default()),
    }
    .map_err(|error| error.to_string())?;
    let settings = if args.resolve { resolved(&draft)? } else { draft.settings().clone() };
    if !args.quiet {
        print!("{}", settings.show());
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings with their secrets, read as a start reads them.
fn resolved(draft: &Draft) -> Result<Resolved, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the async runtime cannot start: {error}"))?;
    runtime.block_on(Secrets::default().resolve(draft)).map_err(|error| error.to_string())
}
