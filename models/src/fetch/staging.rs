//! The folder in which a pull gathers files: one process at a time, checked before anything leaves it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::PullProgress;
use crate::error::ModelError;
use crate::lock::{LOCK_FILE, Lock};
use crate::manifest::{FileEntry, ModelManifest};
use crate::store::ModelStore;
use crate::weights::hex;

/// How long a second process waits for the first one's pull.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How often it looks.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// Bytes read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A locked staging folder for one model.
pub(super) struct Staging {
    dir: PathBuf,
    target: PathBuf,
    files: Vec<FileEntry>,
    /// Held until dropped; the operating system frees it when the process dies.
    _lock: File,
}

impl Staging {
    /// Takes the folder, waiting while another process has it.
    pub(super) async fn open(
        store: &ModelStore,
        manifest: &ModelManifest,
        progress: &dyn PullProgress,
    ) -> Result<Staging, ModelError> {
        let id = format!("{}-{}", manifest.name, manifest.short_revision());
        let dir = store.root().join(".pulling").join(&id);
        std::fs::create_dir_all(&dir).map_err(|error| ModelError::io("create", &dir, error))?;
        let lock_path = store.root().join(".pulling").join(format!("{id}.lock"));
        let lock = File::create(&lock_path).map_err(|error| ModelError::io("create", &lock_path, error))?;
        wait_for(&lock, &lock_path, progress).await?;
        Ok(Staging { dir, target: store.dir(manifest), files: manifest.source.files.clone(), _lock: lock })
    }

    /// Where a file is gathered until it is whole.
    pub(super) fn part(&self, entry: &FileEntry) -> PathBuf {
        self.dir.join(format!("{}.part", entry.path))
    }

    /// A folder inside the staging folder for unpacking, emptied.
    pub(super) fn scratch(&self) -> io::Result<PathBuf> {
        let scratch = self.dir.join("unpacking");
        match std::fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&scratch)?;
        Ok(scratch)
    }

    /// Whether this file was already fetched and checked, by an earlier source or an earlier run.
    pub(super) async fn has(&self, entry: &FileEntry) -> bool {
        let path = self.dir.join(&entry.path);
        match tokio::fs::metadata(&path).await {
            Ok(found) if found.len() == entry.bytes => {}
            _ => return false,
        }
        matches!(digest(&path).await, Ok(digest) if digest == entry.sha256)
    }

    /// Makes the folders above a file.
    pub(super) fn make_room(&self, entry: &FileEntry) -> Result<(), String> {
        let part = self.part(entry);
        let parent = part.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(parent).map_err(|error| format!("cannot create {}: {error}", parent.display()))
    }

    /// Checks a gathered file and keeps it; a wrong one is deleted.
    pub(super) async fn accept(&self, entry: &FileEntry) -> Result<(), String> {
        let part = self.part(entry);
        let got = digest(&part).await.map_err(|error| format!("cannot read {}: {error}", part.display()))?;
        if got != entry.sha256 {
            let _ = std::fs::remove_file(&part);
            return Err(format!("{} has sha256 {got}, expected {}; it was thrown away", entry.path, entry.sha256));
        }
        std::fs::rename(&part, self.dir.join(&entry.path))
            .map_err(|error| format!("cannot rename {}: {error}", part.display()))
    }

    /// Copies a file from this machine, checks it and keeps it.
    pub(super) async fn copy(&self, from: &Path, entry: &FileEntry, progress: &dyn PullProgress) -> Result<(), String> {
        self.make_room(entry)?;
        progress.start(&entry.path, Some(entry.bytes));
        let copied = copy_counted(from, &self.part(entry), progress).await;
        progress.done();
        copied.map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
        self.accept(entry).await
    }

    /// Moves the checked files to the model's folder, writes the lock there if the pull made one, and clears up.
    pub(super) fn move_into_place(&self, lock: Option<&Lock>) -> Result<PathBuf, ModelError> {
        for entry in &self.files {
            let (from, to) = (self.dir.join(&entry.path), self.target.join(&entry.path));
            let parent = to.parent().unwrap_or(&self.target);
            std::fs::create_dir_all(parent).map_err(|error| ModelError::io("create", parent, error))?;
            File::open(&from).and_then(|file| file.sync_all()).map_err(|error| ModelError::io("sync", &from, error))?;
            std::fs::rename(&from, &to).map_err(|error| ModelError::io("move to", &to, error))?;
        }
        if let Some(lock) = lock {
            // Last, and whole or not at all: without it the model counts as missing.
            let (from, to) = (self.dir.join(LOCK_FILE), self.target.join(LOCK_FILE));
            std::fs::write(&from, lock.to_yaml())
                .and_then(|()| File::open(&from)?.sync_all())
                .and_then(|()| std::fs::rename(&from, &to))
                .map_err(|error| ModelError::io("write", &to, error))?;
        }
        // What is left is scratch; the next pull empties it if this does not.
        let _ = std::fs::remove_dir_all(&self.dir);
        Ok(self.target.clone())
    }
}

async fn wait_for(lock: &File, path: &Path, progress: &dyn PullProgress) -> Result<(), ModelError> {
    let begin = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(ModelError::io("lock", path, error)),
            Err(TryLockError::WouldBlock) if begin.elapsed() > LOCK_TIMEOUT => {
                let error = io::Error::new(
                    io::ErrorKind::TimedOut,
                    "another process has been pulling this model for half an hour",
                );
                return Err(ModelError::io("lock", path, error));
            }
            Err(TryLockError::WouldBlock) => {
                if begin.elapsed() < LOCK_POLL {
                    progress.note("another process is pulling this model; waiting for it");
                }
                tokio::time::sleep(LOCK_POLL).await;
            }
        }
    }
}

async fn copy_counted(from: &Path, to: &Path, progress: &dyn PullProgress) -> io::Result<()> {
    let mut source = tokio::fs::File::open(from).await?;
    let mut target = tokio::fs::File::create(to).await?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = source.read(&mut buffer).await?;
        if read == 0 {
            return target.flush().await;
        }
        target.write_all(&buffer[..read]).await?;
        progress.advance(read as u64);
    }
}

/// A file's sha256 in lower-case hex.
pub(super) async fn digest(path: &Path) -> io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}
