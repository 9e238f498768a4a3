//! The `askonce` binary.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A request makes and frees some hundreds of small pieces, often on different threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before any other thread there is, as it changes the environment of the process.
    askonce_models::stop_candle_counting_cores();
    askonce::install_tls();
    askonce::cli::run()
}
