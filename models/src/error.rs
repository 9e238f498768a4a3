//! Everything that can go wrong with a model, in words that say what was expected, what came and what to do.

use std::path::PathBuf;

/// What keeps a model from being found, fetched, verified or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No built-in manifest has this name.
    #[error("unknown model `{name}`{}; known models: {}", nearest_hint(.nearest), .known.join(", "))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The known name nearest to it, if one is near.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// A manifest could not be read or contradicts itself.
    #[error("manifest {source_name}: {problem}")]
    Manifest {
        /// Where the manifest came from.
        source_name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The model is not where it should be.
    #[error(
        "model `{name}` is not complete in {}: missing or of the wrong size: {}; \
         run `askonce model pull {name}`, or point --model-dir at a folder that holds the files", .dir.display(), .files.join(", ")
    )]
    Missing {
        /// Model name.
        name: String,
        /// The folder that was searched.
        dir: PathBuf,
        /// The files that are missing or have the wrong size, with what was found.
        files: Vec<String>,
    },
    /// A file's contents are not what the manifest promises.
    #[error(
        "{} is not the file that the manifest of `{name}` names: expected sha256 {expected}, got {got}; \
         delete it and run `askonce model pull {name}` again", .file.display()
    )]
    Checksum {
        /// Model name.
        name: String,
        /// The file.
        file: PathBuf,
        /// The manifest's sha256, lower-case hex.
        expected: String,
        /// The file's sha256, lower-case hex.
        got: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried, such as "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// A model file is readable but makes no sense.
    #[error("{}: {problem}", .file.display())]
    BadFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, naming the tensor and shapes where that applies.
        problem: String,
    },
    /// A setting is out of range.
    #[error("embedder setting {setting}: {problem}")]
    Setting {
        /// Field name of [`crate::EmbedderSettings`].
        setting: &'static str,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// The device cannot be used.
    #[error("device {device}: {problem}")]
    Device {
        /// The device as configured.
        device: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// No source gave the model.
    #[error("could not get model `{name}`:\n{}{advice}", listed(.attempts))]
    Pull {
        /// Model name.
        name: String,
        /// One line for each source that was tried: what, and what came.
        attempts: Vec<String>,
        /// How to bring the model here by hand.
        advice: String,
    },
    /// The machine refused a thread, or one ended before its work did.
    #[error("a thread of the sentence model failed: {0}")]
    Thread(String),
}

/// Why a text got no vector. Cheap to clone: one failure may answer several callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The queue is full; nothing was waited for.
    #[error("the embedding queue is full (at most {limit} {of} wait)")]
    Full {
        /// The queue's limit.
        limit: usize,
        /// Of what: `texts` or `bytes`.
        of: &'static str,
    },
    /// The embedder was shut down while the text waited.
    #[error("the embedder has shut down")]
    Closed,
    /// The tokenizer refused the text.
    #[error("cannot tokenize the text: {0}")]
    Tokenize(String),
    /// The model failed.
    #[error("the sentence model failed: {0}")]
    Backend(String),
    /// The model or tokenizer panicked; the worker lives on.
    #[error("the sentence model panicked: {0}")]
    Panicked(String),
    /// The model gave something that is no unit vector.
    #[error("the sentence model gave no usable vector: {0}")]
    BadVector(String),
}

fn nearest_hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn listed(attempts: &[String]) -> String {
    attempts.iter().map(|line| format!("  - {line}\n")).collect()
}

impl ModelError {
    /// An input or output error at a path.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> ModelError {
        ModelError::Io { doing, path: path.into(), source }
    }

    /// A file whose contents make no sense.
    pub(crate) fn bad_file(file: impl Into<PathBuf>, problem: impl Into<String>) -> ModelError {
        ModelError::BadFile { file: file.into(), problem: problem.into() }
    }
}
