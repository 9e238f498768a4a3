//! `BenchError`: why a measurement could not be made, and what to do.

use thiserror::Error;

/// Why `askonce bench` gave no report. The text is meant for the terminal.
#[derive(Debug, Error)]
pub enum BenchError {
    /// An option that cannot be followed.
    #[error("{0}")]
    Usage(String),
    /// A process that could not be started.
    #[error("{0}")]
    Start(String),
    /// A process that ended by itself, with the end of its log.
    #[error("{name} ended ({status}){when}\n{tail}")]
    Died {
        /// Which process.
        name: String,
        /// Its exit status.
        status: String,
        /// What was going on.
        when: String,
        /// The last lines that it wrote.
        tail: String,
    },
    /// The measured askonce does not do what the scenario is about.
    #[error("{0}")]
    Unfit(String),
    /// Stopped by a signal.
    #[error("interrupted; nothing is left running")]
    Interrupted,
}
