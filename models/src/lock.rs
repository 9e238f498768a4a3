//! The lock file of a model that is pinned by its first pull: which commit came, and each file's length and sha256.

use std::path::Path;

use serde::Deserialize;

use crate::error::ModelError;
use crate::manifest::{ModelManifest, is_hex};

/// Name of the lock file, in the model's folder.
pub const LOCK_FILE: &str = "manifest.lock.yaml";

/// What the first pull found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    /// The model's name.
    pub name: String,
    /// Full commit hash as the hub gave it; `None` for files that came from a folder.
    pub commit: Option<String>,
    /// Every file of the manifest.
    pub files: Vec<LockedFile>,
}

/// One file as it came.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedFile {
    /// As in the manifest.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

impl Lock {
    /// Reads the lock file of a folder.
    ///
    /// # Errors
    /// [`ModelError::Missing`] when there is none, [`ModelError::BadFile`] when it cannot be read as one.
    pub(crate) fn read(dir: &Path, manifest: &ModelManifest) -> Result<Lock, ModelError> {
        let path = dir.join(LOCK_FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ModelError::Missing {
                name: manifest.name.clone(),
                dir: dir.to_owned(),
                files: vec![LOCK_FILE.to_owned()],
            },
            _ => ModelError::io("read", &path, error),
        })?;
        let bad =
            |problem: String| ModelError::bad_file(&path, format!("{problem}; delete it and pull the model again"));
        let lock: Lock = serde_saphyr::from_str(&text).map_err(|error| bad(format!("is no lock file: {error}")))?;
        lock.check(manifest).map_err(bad)?;
        Ok(lock)
    }

    /// Whether this lock can be of the manifest's model.
    ///
    /// # Errors
    /// Says what was expected and what came, for the end of a sentence that begins with the file or folder.
    pub(crate) fn check(&self, manifest: &ModelManifest) -> Result<(), String> {
        if self.name != manifest.name {
            return Err(format!("is of model `{}`, expected `{}`", self.name, manifest.name));
        }
        if let Some(commit) = &self.commit {
            if !is_hex(commit, 40) {
                return Err(format!("commit `{commit}` is no full commit hash"));
            }
            if is_hex(&manifest.source.revision, 40) && *commit != manifest.source.revision {
                return Err(format!("is of commit {commit}, expected {}", manifest.source.revision));
            }
        }
        for entry in &manifest.source.files {
            match self.file(&entry.path) {
                None => return Err(format!("lacks file `{}`", entry.path)),
                Some(file) if !is_hex(&file.sha256, 64) => {
                    return Err(format!("sha256 of `{}` is not 64 lower-case hex digits", file.path));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The manifest with the lengths, checksums and commit of this lock. The commit becomes the revision, so that the
    /// vectors' identity is that of the weights and not of a branch.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] when a file is not in the lock.
    pub(crate) fn apply(&self, manifest: &ModelManifest) -> Result<ModelManifest, ModelError> {
        let mut pinned = manifest.clone();
        for entry in &mut pinned.source.files {
            let file = self.file(&entry.path).ok_or_else(|| ModelError::Manifest {
                source_name: LOCK_FILE.to_owned(),
                problem: format!("lacks file `{}`", entry.path),
            })?;
            entry.bytes = file.bytes;
            entry.sha256.clone_from(&file.sha256);
        }
        if let Some(commit) = &self.commit {
            pinned.source.revision.clone_from(commit);
        }
        Ok(pinned)
    }

    /// The lock as a YAML file.
    pub(crate) fn to_yaml(&self) -> String {
        let commit = self.commit.as_deref().unwrap_or("null");
        let mut text = format!(
            "# Written by the first pull of this model, whose manifest has no checksums. Every load is checked against\n\
             # this file; to take what the source has now, delete the folder and pull again.\n\
             name: {}\ncommit: {commit}\nfiles:\n",
            self.name
        );
        for file in &self.files {
            // A JSON string is a YAML string, whatever the path is made of.
            let path = serde_json::Value::from(file.path.as_str());
            text.push_str(&format!("  - path: {path}\n    bytes: {}\n    sha256: \"{}\"\n", file.bytes, file.sha256));
        }
        text
    }

    fn file(&self, path: &str) -> Option<&LockedFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{FileEntry, Pin, manifests};

    fn unpinned() -> ModelManifest {
        let mut manifest = manifests()[0].clone();
        manifest.source.pin = Pin::OnFirstPull;
        manifest.source.revision = "main".into();
        let bare = |path: &str| FileEntry { path: path.into(), role: None, bytes: 0, sha256: String::new() };
        manifest.source.files = vec![bare("config.json"), bare("1 odd: \"path\".json")];
        manifest
    }

    fn lock(manifest: &ModelManifest) -> Lock {
        let files = manifest.source.files.iter();
        let files = files.map(|entry| LockedFile { path: entry.path.clone(), bytes: 7, sha256: "1".repeat(64) });
        Lock { name: manifest.name.clone(), commit: Some("8".repeat(40)), files: files.collect() }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written_and_pins_the_manifest() {
        let (dir, manifest) = (tempfile::tempdir().unwrap(), unpinned());
        assert!(matches!(manifest.pinned_in(dir.path()), Err(ModelError::Missing { .. })));
        let lock = lock(&manifest);
        std::fs::write(dir.path().join(LOCK_FILE), lock.to_yaml()).unwrap();
        assert_eq!(Lock::read(dir.path(), &manifest).unwrap(), lock);
        let pinned = manifest.pinned_in(dir.path()).unwrap();
        assert!(pinned.source.files.iter().all(|entry| entry.bytes == 7 && entry.is_pinned()));
        assert_eq!((pinned.short_revision(), manifest.short_revision()), ("8888888", "main"));
    }

    #[test]
    fn damaged_and_foreign_locks_are_refused_by_what_is_wrong() {
        let (dir, mut manifest) = (tempfile::tempdir().unwrap(), unpinned());
        let good = lock(&manifest).to_yaml();
        manifest.source.revision = "9".repeat(40);
        for (text, word) in [
            (good.clone(), "is of commit 8888"),
            (good.replace("name: all", "name: some"), "is of model `some"),
            (good.replace("commit: 88", "commit: 8x"), "no full commit hash"),
            (good.replace("commit: 8888", "commit: null #"), "lacks file `config.json`"),
            (good.replace("sha256: \"11", "sha256: \"1X"), "64 lower-case hex"),
            (good.replace("bytes: 7", "bytes: x"), "is no lock file"),
            (String::new(), "is no lock file"),
        ] {
            let text = if word.starts_with("lacks") { text.replace("config.json", "other.json") } else { text };
            let text = if word.starts_with("64") { text.replace(&"8".repeat(40), "null") } else { text };
            std::fs::write(dir.path().join(LOCK_FILE), text).unwrap();
            let error = manifest.pinned_in(dir.path()).unwrap_err().to_string();
            assert!(error.contains(LOCK_FILE) && error.contains(word), "{word}: {error}");
        }
    }
}
