//! A folder on this machine as a source: the files themselves, a model store, or a Hugging Face cache.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::staging::Staging;
use super::{PullProgress, first_pull};
use crate::lock::Lock;
use crate::manifest::{ModelManifest, is_hex};
use crate::store;

/// Copies the model out of a folder; gives a lock where the manifest has no checksums.
pub(super) async fn fill(
    folder: &Path,
    staging: &Staging,
    manifest: &ModelManifest,
    progress: &dyn PullProgress,
) -> Result<Option<Lock>, String> {
    if !folder.is_dir() {
        return Err("there is no such folder".to_owned());
    }
    let candidates = candidates(folder, manifest);
    let found = candidates.iter().find(|dir| store::missing(dir, manifest).is_empty());
    let Some(dir) = found else {
        let nearest =
            candidates.iter().min_by_key(|dir| store::missing(dir, manifest).len()).map_or(folder, PathBuf::as_path);
        return Err(format!(
            "the model is not there; {} lacks {}",
            nearest.display(),
            store::missing(nearest, manifest).join(", ")
        ));
    };
    let lock = if manifest.is_pinned() { None } else { Some(first_pull::from_folder(dir, manifest).await?) };
    let manifest = match &lock {
        Some(lock) => Cow::Owned(lock.apply(manifest).map_err(|error| error.to_string())?),
        None => Cow::Borrowed(manifest),
    };
    for entry in &manifest.source.files {
        if !staging.has(entry).await {
            staging.copy(&dir.join(&entry.path), entry, progress).await?;
        }
    }
    Ok(lock)
}

/// The places inside a folder where the files may lie.
fn candidates(folder: &Path, manifest: &ModelManifest) -> Vec<PathBuf> {
    let revision = &manifest.source.revision;
    let named = folder.join(&manifest.name);
    let mut places = vec![folder.to_owned(), named.join(revision), named];
    if let Some(repository) = &manifest.source.repository {
        places.push(folder.join(repository));
        let cached = format!("models--{}", repository.replace('/', "--"));
        for cache in [folder.join(&cached), folder.join("hub").join(&cached)] {
            // A branch is a file that holds the commit.
            let commit = std::fs::read_to_string(cache.join("refs").join(revision));
            let commit = commit.ok().filter(|commit| is_hex(commit.trim(), 40));
            places.push(cache.join("snapshots").join(commit.as_deref().map_or(revision.as_str(), str::trim)));
        }
    }
    places
}
