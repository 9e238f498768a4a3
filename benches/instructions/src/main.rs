//! Counts the instructions of a request and of parts of one under callgrind, and compares them with what they were.
//!
//!     cargo run --release -p askonce-instructions               # compares with counts.txt; more than 3 % worse is an error
//!     cargo run --release -p askonce-instructions -- --write    # writes counts.txt anew
//!     cargo run --release -p askonce-instructions -- --profile NAME   # leaves callgrind.out.NAME for callgrind_annotate
//!
//! Unlike times, instructions are nearly the same on every run, so that a change of a few percent is seen on any machine. What they
//! leave out: the kernel, waiting for memory, and AVX-512, which valgrind does not know.

mod counted;
mod ratchet;
mod scenario;
mod upstream;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [] => ratchet::compare(),
        ["--write"] => ratchet::write(),
        ["--profile", name] => counted::profile(name),
        // How valgrind is given one of them.
        ["--run", name] => scenario::run(name),
        _ => Err("expected no arguments, `--write`, or `--profile NAME`".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("instructions: {why}");
            ExitCode::FAILURE
        }
    }
}
