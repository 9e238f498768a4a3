//! What a manifest may not say: contradictions, and names that lead out of their folder.

use std::path::{Component, Path};

use super::{Architecture, FileEntry, ModelManifest, Pin, Role, lacks};
use crate::precision::Precision;

/// The longest prefix in bytes; a guard against a text pasted into the wrong key.
const MAX_PREFIX_BYTES: usize = 256;

/// The most tokens any manifest may promise; a guard against typing errors.
const MAX_TOKENS: usize = 32_768;

impl ModelManifest {
    /// Says what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::super::built_in::BUILT_IN;
    use super::*;

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
