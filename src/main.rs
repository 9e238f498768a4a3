//! The `askonce` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any other thread there is, as it changes the environment of the process.
    askonce_models::stop_candle_counting_cores();
    askonce::install_tls();
    askonce::cli::run()
}
