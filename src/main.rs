//! The `askonce` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    askonce::install_tls();
    askonce::cli::run()
}
