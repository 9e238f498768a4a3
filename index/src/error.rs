//! [`IndexError`]: everything that can go wrong, in words that say what was expected, what came and what to do.

use std::io;
use std::path::PathBuf;

/// Why the index refused, or could not finish, what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A setting that no index can work with.
    #[error("index configuration: {0}")]
    Config(String),
    /// A vector of the wrong length.
    #[error("expected a vector of {expected} numbers, got {got}; was it made by another model?")]
    Width {
        /// Numbers that the index was made for.
        expected: usize,
        /// Numbers that came.
        got: usize,
    },
    /// A vector that holds a NaN or an infinity.
    #[error("expected finite numbers, got {value} at position {position} of the vector")]
    NotFinite {
        /// Where in the vector, from 0.
        position: usize,
        /// What stood there.
        value: f32,
    },
    /// A vector of all zeros: it has no direction.
    #[error("expected a vector of length 1, got the zero vector, which has no direction")]
    Zero,
    /// A vector whose length is not 1.
    #[error("expected a vector of length 1 (within 0.001), got length {norm}; normalise it first")]
    NotUnit {
        /// Its Euclidean length.
        norm: f64,
    },
    /// A bound on the similarity that is no number.
    #[error("expected min_similarity to be a number, got NaN")]
    BadBound,
    /// Another index, in this process or another, has the directory open.
    #[error("the index directory {} is in use by another process; stop that one, or choose another directory", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The change holds in memory, but could not be written to the log; a restart would not know of it.
    #[error("could not write to {} ({source}): the change holds until a restart; free some disk space", path.display())]
    NotWritten {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder could not be opened, read, created or synced.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a thread for the background work.
    #[error("could not start the background thread of the index: {0}")]
    Thread(String),
}

impl IndexError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> IndexError {
        let path = path.into();
        move |source| IndexError::Io { action, path, source }
    }
}
