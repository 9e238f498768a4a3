//! Reads a log back on start, whatever has happened to it. Nothing here is fatal but a disk that refuses: a file for
//! another model or format is set aside, a torn end is cut off, damaged bytes are skipped; each is kept beside and told.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::IndexError;
use crate::format::{self, Change, Header, Record};
use crate::medium::{FileMedium, Medium};

/// What a log held.
pub(crate) struct Recovered {
    pub(crate) medium: FileMedium,
    /// Bytes up to the end of the last whole record.
    pub(crate) len: u64,
    pub(crate) notes: Vec<String>,
    /// Damaged bytes are still in the file; a compaction is due.
    pub(crate) damaged: bool,
}

/// Opens the log at `path`, or begins one, and gives each change to `apply` in order.
pub(crate) fn recover(
    path: &Path,
    width: usize,
    variant: &str,
    apply: &mut dyn FnMut(Change<'_>),
) -> Result<Recovered, IndexError> {
    let mut notes = Vec::new();
    if let Some(begin) = header_end(path, width, variant, &mut notes)? {
        let found = Reader::open(path, begin, width).and_then(|r| r.read_all(apply));
        let found = found.map_err(IndexError::io("read", path))?;
        return mend(path, found, notes);
    }
    let mut medium = FileMedium::open(path).map_err(IndexError::io("create", path))?;
    let header = format::header(width, variant);
    medium.append(&header).map_err(IndexError::io("write", path))?;
    Ok(Recovered { medium, len: header.len() as u64, notes, damaged: false })
}

/// Where the records of the file begin, or `None` when there is no file of ours (any more).
fn header_end(path: &Path, width: usize, variant: &str, notes: &mut Vec<String>) -> Result<Option<u64>, IndexError> {
    let mut start = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(512).read_to_end(&mut start).map_err(IndexError::io("read", path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IndexError::io("open", path)(error)),
    };
    // A crash between creating the file and writing its header leaves nothing to keep.
    if start.is_empty() {
        return Ok(None);
    }
    match format::read_header(&start, width, variant) {
        Header::Good(end) => Ok(Some(end as u64)),
        Header::Other(word, why) => {
            let aside = aside(path, word);
            std::fs::rename(path, &aside).map_err(IndexError::io("set aside", path))?;
            notes.push(format!("{} was set aside as {}: {why}; an empty one was begun", name(path), name(&aside)));
            Ok(None)
        }
    }
}

/// What a reader saw beyond whole records.
#[derive(Default)]
struct Found {
    /// End of the last whole record.
    len: u64,
    end: u64,
    damaged: Vec<Range<u64>>,
    refused: usize,
}

/// Keeps damaged and torn bytes beside the log, and cuts the torn ones off.
fn mend(path: &Path, found: Found, mut notes: Vec<String>) -> Result<Recovered, IndexError> {
    let mut medium = FileMedium::open(path).map_err(IndexError::io("open", path))?;
    if !found.damaged.is_empty() {
        let bytes: u64 = found.damaged.iter().map(|r| r.end - r.start).sum();
        let places = found.damaged.len();
        let aside = keep(path, "damaged", &found.damaged).map_err(IndexError::io("copy from", path))?;
        notes.push(format!(
            "{}: skipped {bytes} damaged bytes in {places} places, kept in {}; vectors in them are lost",
            name(path),
            name(&aside)
        ));
    }
    if found.len < found.end {
        let torn = found.len..found.end;
        let bytes = torn.end - torn.start;
        let aside = keep(path, "torn", &[torn]).map_err(IndexError::io("copy from", path))?;
        medium.truncate(found.len).map_err(IndexError::io("cut", path))?;
        notes.push(format!("{}: cut off a torn end of {bytes} bytes, kept in {}", name(path), name(&aside)));
    }
    if found.refused > 0 {
        notes.push(format!("{}: skipped {} vectors that are not of length 1", name(path), found.refused));
    }
    let damaged = !found.damaged.is_empty() || found.refused > 0;
    Ok(Recovered { medium, len: found.len, notes, damaged })
}

/// Copies `ranges` of the log into a file of their own.
fn keep(path: &Path, word: &str, ranges: &[Range<u64>]) -> io::Result<PathBuf> {
    let aside = aside(path, word);
    let mut log = File::open(path)?;
    let mut kept = File::create_new(&aside)?;
    for range in ranges {
        log.seek(SeekFrom::Start(range.start))?;
        io::copy(&mut (&log).take(range.end - range.start), &mut kept)?;
    }
    Ok(aside)
}

/// `vectors.log.<word>-<n>` with the first `n` that is free.
fn aside(path: &Path, word: &str) -> PathBuf {
    (1_u64..).map(|n| PathBuf::from(format!("{}.{word}-{n}", path.display()))).find(|p| !p.exists()).unwrap_or_default()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads records through a window that moves over the file.
struct Reader {
    file: File,
    width: usize,
    window: Vec<u8>,
    /// Where in the window the next byte is, and where in the file the window begins.
    at: usize,
    base: u64,
}

/// Bytes read at a time.
const STEP: usize = 1 << 20;

impl Reader {
    fn open(path: &Path, begin: u64, width: usize) -> io::Result<Reader> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(begin))?;
        Ok(Reader { file, width, window: Vec::new(), at: 0, base: begin })
    }

    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Makes the window hold a whole record from `at` on, if the file does.
    fn fill(&mut self) -> io::Result<()> {
        let need = format::insert_len(self.width) as usize;
        if self.window.len() - self.at >= need {
            return Ok(());
        }
        self.window.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let wanted = (need + STEP - self.window.len()) as u64;
        (&self.file).take(wanted).read_to_end(&mut self.window)?;
        Ok(())
    }

    fn read_all(mut self, apply: &mut dyn FnMut(Change<'_>)) -> io::Result<Found> {
        let mut found = Found { len: self.base, ..Found::default() };
        let mut vector = Vec::new();
        loop {
            self.fill()?;
            let bytes = &self.window[self.at..];
            if bytes.is_empty() {
                break;
            }
            match format::read(bytes, self.width, &mut vector) {
                Record::Whole(change, len) => {
                    let start = self.offset();
                    if found.len < start {
                        found.damaged.push(found.len..start);
                    }
                    match change {
                        Change::Insert { vector, .. } if crate::vector::check(vector, self.width).is_err() => {
                            found.refused += 1;
                        }
                        change => apply(change),
                    }
                    self.at += len;
                    found.len = start + len as u64;
                }
                Record::Lost(scope, id) => {
                    // It was to replace what the id had: that is out of date, and the new one is unreadable.
                    apply(Change::Remove { scope, id });
                    self.at += 1;
                }
                Record::None => self.at += 1,
            }
        }
        found.end = self.offset();
        Ok(found)
    }
}
