//! Reads a log back, whatever has happened to it: damaged bytes are skipped, and told.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::files::record::{Change, Layout, Record};

/// What a reader saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whole records.
    pub(crate) records: u64,
    /// End of the last whole record.
    pub(crate) len: u64,
    pub(crate) end: u64,
    /// Bytes between whole records.
    pub(crate) damaged: Vec<Range<u64>>,
    /// Ids whose old vector was dropped because the new one is unreadable.
    pub(crate) lost: usize,
    /// Whole records of vectors that are not of length 1.
    pub(crate) refused: usize,
}

impl Found {
    /// Bytes behind the last whole record.
    pub(crate) fn torn(&self) -> Option<Range<u64>> {
        (self.len < self.end).then_some(self.len..self.end)
    }
}

/// Gives each change in the log to `apply`, in order. The records begin at `begin`.
pub(crate) fn replay(path: &Path, begin: u64, layout: Layout, apply: &mut dyn FnMut(Change<'_>)) -> io::Result<Found> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    Window { file, need: layout.longest(), bytes: Vec::new(), at: 0, base: begin }.read_all(layout, apply)
}

/// A part of the file, which moves over it.
struct Window {
    file: File,
    need: usize,
    bytes: Vec<u8>,
    /// Where in `bytes` the next byte is, and where in the file they begin.
    at: usize,
    base: u64,
}

/// Bytes read at a time.
const STEP: usize = 1 << 20;

impl Window {
    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Makes the window hold a whole record from `at` on, if the file does.
    fn fill(&mut self) -> io::Result<()> {
        if self.bytes.len() - self.at >= self.need {
            return Ok(());
        }
        self.bytes.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let wanted = (self.need + STEP - self.bytes.len()) as u64;
        (&self.file).take(wanted).read_to_end(&mut self.bytes)?;
        Ok(())
    }

    fn read_all(mut self, layout: Layout, apply: &mut dyn FnMut(Change<'_>)) -> io::Result<Found> {
        let mut found = Found { len: self.base, ..Found::default() };
        loop {
            self.fill()?;
            let bytes = &self.bytes[self.at..];
            if bytes.is_empty() {
                break;
            }
            let (record, len) = layout.read(bytes);
            match &record {
                Record::Insert(scope, id, row) => apply(Change::Insert { scope: *scope, id: *id, row: row.view() }),
                Record::Remove(scope, id) => apply(Change::Remove { scope: *scope, id: *id }),
                // It was to replace what the id had: that is out of date, and the new one is unreadable.
                Record::Lost(scope, id) => {
                    apply(Change::Remove { scope: *scope, id: *id });
                    found.lost += 1;
                }
                Record::Refused => found.refused += 1,
                Record::None => (),
            }
            let start = self.offset();
            if len > 0 {
                if found.len < start {
                    found.damaged.push(found.len..start);
                }
                found.len = start + len as u64;
                found.records += 1;
            }
            self.at += len.max(1);
        }
        found.end = self.offset();
        Ok(found)
    }
}
