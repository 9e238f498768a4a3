//! [`Disk`] and [`Medium`]: the file system below the files, as far as it can fail. [`RealDisk`] is the real one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A file that only grows at its end, or is cut.
pub(crate) trait Medium: Send + Sync {
    /// Writes all of `bytes` at the end, or fails, having written none, some or all.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Has what was appended reach the disk. Others may append meanwhile.
    fn sync(&self) -> io::Result<()>;
}

/// What can be done with files.
pub(crate) trait Disk: Send + Sync {
    /// Opens a new, empty file, or one that was there and is emptied.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Medium>>;

    /// Opens a file to append to it.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn Medium>>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Has the names in a folder reach the disk: a new or renamed file is safe from a power cut from then on.
    fn sync_folder(&self, dir: &Path) -> io::Result<()>;
}

/// The file system.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Medium>> {
        let file = File::options().create(true).append(true).open(path)?;
        file.set_len(0)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn Medium>> {
        Ok(Arc::new(File::options().append(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    #[cfg(unix)]
    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Windows keeps the names of a folder by itself, and opens no folder as a file.
    #[cfg(not(unix))]
    fn sync_folder(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Medium for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
