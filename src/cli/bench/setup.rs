//! `Setup`: what all scenarios share: the options, the stop flag and where the sentence model is.

use super::args::BenchArgs;
use super::error::BenchError;
use super::mock::MODEL;
use super::stop::Stop;
use std::path::PathBuf;

/// The sentence model of the semantic scenario: the default one of `askonce serve`.
pub(super) const SENTENCE_MODEL: &str = "all-MiniLM-L6-v2";

/// Options and the stop flag.
#[derive(Debug)]
pub struct Setup {
    /// As given, and valid.
    pub args: BenchArgs,
    /// Set by Ctrl-C.
    pub stop: Stop,
}

impl Setup {
    /// The model to ask for.
    pub fn model(&self) -> &str {
        if self.args.target.is_some() { &self.args.model } else { MODEL }
    }

    /// An error once the user wants to end.
    pub fn check_stop(&self) -> Result<(), BenchError> {
        if self.stop.is_set() { Err(BenchError::Interrupted) } else { Ok(()) }
    }

    /// The folder with the sentence model's files, or what to do to have one.
    pub fn model_dir(&self) -> Result<PathBuf, String> {
        if let Some(folder) = &self.args.model_dir {
            // askonce runs in the same folder, but what it is told should not depend on that.
            return folder.canonicalize().map_err(|error| format!("--model-dir {}: {error}", folder.display()));
        }
        let Some(data_dir) = self.args.data_dir.clone().or_else(default_data_dir) else {
            return Err("no data directory: give --model-dir or --data-dir".into());
        };
        let manifest = askonce_models::manifest(SENTENCE_MODEL).map_err(|error| error.to_string())?;
        let root = data_dir.join("models");
        askonce_models::ModelStore::new(root.clone()).locate(manifest).ok_or_else(|| {
            format!(
                "the sentence model is not in {}: run `askonce model pull`, or give --model-dir or --data-dir",
                root.display()
            )
        })
    }
}

/// Where `askonce serve` keeps its data unless told otherwise.
fn default_data_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("askonce"))
}
