//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// Measures askonce beside nginx and other gateways, on this machine, in one run. See benches/peers/README.md.
#[derive(Parser, Clone, Debug)]
#[command(name = "peers")]
pub struct Args {
    /// Only these peers [default: all that are installed]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub only: Vec<String>,

    /// Only scenarios whose names begin so [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub scenario: Vec<String>,

    /// One more askonce, as NAME=PATH: to compare two builds in one run
    #[arg(long, value_parser = named, value_name = "NAME=PATH")]
    pub other: Vec<(String, PathBuf)>,

    /// The askonce to measure [default: the one that cargo has built for this bench]
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_askonce"))]
    pub askonce: PathBuf,

    /// Rounds; each measures every peer, beginning with another
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub rounds: usize,

    /// Measured seconds of each phase
    #[arg(long, default_value_t = 2.0, value_name = "S")]
    pub seconds: f64,

    /// Seconds of each phase before that
    #[arg(long, default_value_t = 0.3, value_name = "S")]
    pub warmup_s: f64,

    /// Connections of the phase that runs flat out
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub connections: usize,

    /// The processor on which each peer runs
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub cpu: usize,

    /// The processor on which callers and upstream run
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub load_cpu: usize,

    /// Where install.sh has put the peers
    #[arg(long, env = "ASKONCE_PEERS", default_value = "target/peers/installed", value_name = "DIR")]
    pub installed: PathBuf,

    /// Where the raw figures, the table and the plots go
    #[arg(long, default_value = "target/peers/last", value_name = "DIR")]
    pub folder: PathBuf,

    /// Cargo says so to every bench
    #[arg(long, hide = true)]
    pub bench: bool,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    Ok((name.to_owned(), PathBuf::from(path)))
}
