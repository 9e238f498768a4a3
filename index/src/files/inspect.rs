//! [`Files`]: which files in the folder may count. What was made for something else is set aside.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::IndexError;
use crate::files::disk::Disk;
use crate::files::folder::Settings;
use crate::files::header::{self, Beginning, Header, Kind, MOST, VERSION};
use crate::files::names::{Listing, Name, OLD_LOG, aside, keep, short};
use crate::files::old;

/// What is told, and done, about files that are not as they should be.
pub(crate) struct Care<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) disk: &'a dyn Disk,
    pub(crate) notes: Vec<String>,
    /// A checkpoint is due, to be rid of the damage.
    pub(crate) behind: bool,
}

/// The files that may count, by generation.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) logs: Vec<LogFile>,
    pub(crate) checkpoints: Vec<u64>,
    /// The log of format version 1, and where its records begin.
    pub(crate) old_log: Option<(PathBuf, u64)>,
    /// Generations of which something was set aside.
    pub(crate) gone: Vec<u64>,
}

/// A log that may count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogFile {
    pub(crate) generation: u64,
    /// Its header is as it should be.
    pub(crate) sound: bool,
    pub(crate) begins_empty: bool,
}

impl Care<'_> {
    /// Reads every header.
    pub(crate) fn inspect(&mut self, listing: &Listing, settings: &Settings) -> Result<Files, IndexError> {
        let mut files = Files::default();
        for name in &listing.names {
            let path = name.path(self.dir);
            let (sound, begins_empty) = match header::read(&beginning(&path)?) {
                // What it says may still be read: see `header`.
                Beginning::Damaged => (false, false),
                Beginning::Good(its, _) => match differs(&its, &settings.header(*name, false)) {
                    None => (true, its.begins_empty),
                    Some((word, why)) => {
                        self.set_aside(&path, word, &why)?;
                        files.gone.push(name.generation);
                        continue;
                    }
                },
                Beginning::Version(version) => {
                    self.set_aside(&path, "version", &other_version(version))?;
                    files.gone.push(name.generation);
                    continue;
                }
            };
            match name.kind {
                Kind::Log => files.logs.push(LogFile { generation: name.generation, sound, begins_empty }),
                Kind::Checkpoint => files.checkpoints.push(name.generation),
            }
        }
        if listing.old_log {
            files.old_log = self.inspect_old(settings)?;
        }
        Ok(files)
    }

    fn inspect_old(&mut self, settings: &Settings) -> Result<Option<(PathBuf, u64)>, IndexError> {
        let path = self.dir.join(OLD_LOG);
        let start = beginning(&path)?;
        // A crash between creating the file and writing its header left nothing to keep.
        if start.is_empty() {
            let _ = self.disk.remove(&path);
            return Ok(None);
        }
        match old::read(&start) {
            old::Beginning::Good { width, variant, len } => {
                let ours = settings.header(Name { generation: 0, kind: Kind::Log }, false);
                let Some((word, why)) = differs(&Header { width, variant, ..ours.clone() }, &ours) else {
                    return Ok(Some((path, len)));
                };
                self.set_aside(&path, word, &why)?;
            }
            old::Beginning::Version(version) => self.set_aside(&path, "version", &other_version(version))?,
            old::Beginning::Damaged => self.set_aside(&path, "unreadable", UNREADABLE)?,
        }
        Ok(None)
    }

    /// Renames a file, and says why.
    pub(crate) fn set_aside(&mut self, path: &Path, word: &str, why: &str) -> Result<(), IndexError> {
        let aside = aside(path, word);
        std::fs::rename(path, &aside).map_err(IndexError::io("set aside", path))?;
        self.notes.push(format!("{} was set aside as {}: {why}", short(path), short(&aside)));
        Ok(())
    }

    /// Copies parts of a file beside it, and says where to: "kept in …".
    pub(crate) fn keep(&self, path: &Path, word: &str, ranges: &[Range<u64>]) -> String {
        match keep(path, word, ranges) {
            Ok(aside) => format!("kept in {}", short(&aside)),
            // The disk may be full. It is no reason not to start.
            Err(error) => format!("which could not be kept ({error})"),
        }
    }
}

/// Why a file without one good part is set aside.
pub(crate) const UNREADABLE: &str = "its header is damaged or cut off";

/// The first bytes of a file.
pub(crate) fn beginning(path: &Path) -> Result<Vec<u8>, IndexError> {
    let mut start = Vec::new();
    let read = |file: File| -> io::Result<usize> { file.take(MOST as u64).read_to_end(&mut start) };
    File::open(path).and_then(read).map_err(IndexError::io("read", path))?;
    Ok(start)
}

fn other_version(version: u32) -> String {
    format!("it has format version {version}, this program reads {VERSION}")
}

/// What a file was made for that `ours` is not: one word for a file name, and a sentence.
fn differs(its: &Header, ours: &Header) -> Option<(&'static str, String)> {
    if its.width != ours.width {
        let why = format!("its vectors have {} numbers, the model makes {}", its.width, ours.width);
        return Some(("width", why));
    }
    if its.variant != ours.variant {
        let why = format!("its vectors were made by \"{}\", the model is \"{}\"", its.variant, ours.variant);
        return Some(("variant", why));
    }
    if (its.generation, its.kind) != (ours.generation, ours.kind) {
        return Some(("misnamed", format!("it is of generation {}, and has another file's name", its.generation)));
    }
    None
}
