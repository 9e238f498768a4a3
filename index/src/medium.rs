//! [`Medium`]: the file below the log, as far as it can fail. [`FileMedium`] is the real one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A file that only grows at its end, or is cut.
pub(crate) trait Medium: Send {
    /// Writes all of `bytes` at the end, or fails, having written none, some or all.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// The file itself, to sync it without holding up who appends.
    fn file(&self) -> Arc<File>;
}

/// A file opened for appending.
pub(crate) struct FileMedium {
    file: Arc<File>,
}

impl FileMedium {
    pub(crate) fn open(path: &Path) -> io::Result<FileMedium> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(FileMedium { file: Arc::new(file) })
    }
}

impl Medium for FileMedium {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

/// How many more bytes fit on a [`FullDisk`], and whether cutting fails there too.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Room(Arc<parking_lot::Mutex<Option<(u64, bool)>>>);

#[cfg(test)]
impl Room {
    pub(crate) fn set(&self, bytes: u64, cut_fails: bool) {
        *self.0.lock() = Some((bytes, cut_fails));
    }
}

/// A real file on a disk that can be told to be full: it then writes what fits, and fails, as disks do.
#[cfg(test)]
pub(crate) struct FullDisk {
    file: FileMedium,
    room: Room,
}

#[cfg(test)]
impl FullDisk {
    pub(crate) fn open(path: &Path, room: Room) -> io::Result<FullDisk> {
        Ok(FullDisk { file: FileMedium::open(path)?, room })
    }
}

#[cfg(test)]
impl Medium for FullDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut room = self.room.0.lock();
        let Some((left, _)) = room.as_mut() else {
            return self.file.append(bytes);
        };
        let fits = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= fits as u64;
        self.file.append(&bytes[..fits])?;
        if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        match *self.room.0.lock() {
            Some((_, true)) => Err(io::ErrorKind::StorageFull.into()),
            _ => self.file.truncate(len),
        }
    }

    fn file(&self) -> Arc<File> {
        self.file.file()
    }
}
