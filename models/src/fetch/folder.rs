//! A folder on this machine as a source: the files themselves, a model store, or a Hugging Face cache.

use std::path::{Path, PathBuf};

use super::PullProgress;
use super::staging::Staging;
use crate::manifest::ModelManifest;
use crate::store;

/// Copies the model out of a folder.
pub(super) async fn fill(
    folder: &Path,
    staging: &Staging,
    manifest: &ModelManifest,
    progress: &dyn PullProgress,
) -> Result<(), String> {
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
    for entry in &manifest.source.files {
        if !staging.has(entry).await {
            staging.copy(&dir.join(&entry.path), entry, progress).await?;
        }
    }
    Ok(())
}

/// The places inside a folder where the files may lie.
fn candidates(folder: &Path, manifest: &ModelManifest) -> Vec<PathBuf> {
    let revision = &manifest.source.revision;
    let cached = format!("models--{}", manifest.source.repository.replace('/', "--"));
    let snapshots = Path::new(&cached).join("snapshots").join(revision);
    vec![
        folder.to_owned(),
        folder.join(&manifest.name),
        folder.join(&manifest.name).join(revision),
        folder.join(&manifest.source.repository),
        folder.join(&snapshots),
        folder.join("hub").join(&snapshots),
    ]
}
