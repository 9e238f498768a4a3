//! [`Log`]: the append log that a restart reads. Every change reaches the operating system before its caller
//! goes on, so a killed process loses nothing; [`Log::flush`] has it reach the disk.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::IndexError;
use crate::format::{self, Change};
use crate::medium::Medium;

/// The log of an index.
pub(crate) struct Log {
    path: PathBuf,
    header: Vec<u8>,
    state: Mutex<State>,
}

struct State {
    medium: Box<dyn Medium>,
    /// Bytes of whole records, header included. What lies beyond is the rest of a failed write.
    len: u64,
    /// A failed write may have left bytes beyond `len`, which must go before anything is appended.
    ragged: bool,
    /// Rises when the log is emptied, so that a compaction of what was in it knows that it is late.
    epoch: u64,
    record: Vec<u8>,
}

/// A place in the log that a compaction begins at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    epoch: u64,
    pub(crate) len: u64,
}

impl Log {
    /// `medium` holds `len` bytes of whole records behind `header`.
    pub(crate) fn new(path: PathBuf, header: Vec<u8>, medium: Box<dyn Medium>, len: u64) -> Log {
        let state = State { medium, len, ragged: false, epoch: 0, record: Vec::new() };
        Log { path, header, state: Mutex::new(state) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    pub(crate) fn len(&self) -> u64 {
        self.state.lock().len
    }

    /// Writes a record. When that fails the file is cut back to the last whole one, now or before the next.
    pub(crate) fn append(&self, change: Change<'_>) -> Result<(), IndexError> {
        let mut state = self.state.lock();
        let mut record = std::mem::take(&mut state.record);
        record.clear();
        format::write(&mut record, change);
        let written = state.append(&record);
        state.record = record;
        written.map_err(|source| self.not_written(source))
    }

    /// Forgets all records.
    pub(crate) fn reset(&self) -> Result<(), IndexError> {
        let mut state = self.state.lock();
        state.epoch += 1;
        let len = self.header.len() as u64;
        let cut = state.medium.truncate(len);
        if cut.is_ok() {
            state.len = len;
            state.ragged = false;
        }
        cut.map_err(|source| self.not_written(source))
    }

    /// Has the system bring everything to the disk. Appending goes on meanwhile.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        let file = self.state.lock().medium.file();
        file.sync_data().map_err(IndexError::io("sync", &self.path))
    }

    pub(crate) fn mark(&self) -> Mark {
        let state = self.state.lock();
        Mark { epoch: state.epoch, len: state.len }
    }

    /// Runs `finish` while nobody can append, with the bytes that the log has now; puts the medium it returns, which
    /// holds `len` bytes, in place of the old one. Does nothing, and says false, when the log was emptied after `mark`.
    pub(crate) fn replace(
        &self,
        mark: Mark,
        finish: impl FnOnce(u64) -> io::Result<(Box<dyn Medium>, u64)>,
    ) -> io::Result<bool> {
        let mut state = self.state.lock();
        if state.epoch != mark.epoch {
            return Ok(false);
        }
        let (medium, len) = finish(state.len)?;
        state.medium = medium;
        state.len = len;
        state.ragged = false;
        Ok(true)
    }

    fn not_written(&self, source: io::Error) -> IndexError {
        IndexError::NotWritten { path: self.path.clone(), source }
    }
}

impl State {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.ragged {
            self.medium.truncate(self.len)?;
            self.ragged = false;
        }
        match self.medium.append(bytes) {
            Ok(()) => self.len += bytes.len() as u64,
            Err(error) => {
                self.ragged = self.medium.truncate(self.len).is_err();
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScopeKey;
    use crate::medium::{FullDisk, Room};
    use crate::recover::recover;

    const SCOPE: ScopeKey = ScopeKey([1; 16]);

    fn ids(path: &Path) -> (Vec<u64>, Vec<String>) {
        let mut ids = Vec::new();
        let found = recover(path, 2, "v", &mut |change| match change {
            Change::Insert { id, .. } => ids.push(id),
            Change::Remove { .. } => (),
        });
        (ids, found.unwrap().notes)
    }

    /// Fills the disk at each byte of the second record, then makes room again.
    #[test]
    fn a_full_disk_spoils_no_other_record() {
        for cut_fails in [false, true] {
            for room_left in 0..format::insert_len(2) {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("log");
                let header = format::header(2, "v");
                let room = Room::default();
                let mut medium = FullDisk::open(&path, room.clone()).unwrap();
                medium.append(&header).unwrap();
                let len = header.len() as u64;
                let log = Log::new(path.clone(), header, Box::new(medium), len);
                let insert = |id| log.append(Change::Insert { scope: SCOPE, id, vector: &[0.6, 0.8] });
                insert(1).unwrap();
                room.set(room_left, cut_fails);
                let text = insert(2).unwrap_err().to_string();
                assert!(text.contains("holds until a restart") && text.contains("space"), "{text}");
                insert(3).unwrap_err();
                room.set(u64::MAX, false);
                insert(4).unwrap();
                assert_eq!(ids(&path), (vec![1, 4], vec![]), "room for {room_left} bytes, cut fails: {cut_fails}");
            }
        }
    }

    #[test]
    fn a_torn_record_left_by_a_disk_that_never_recovered_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let header = format::header(2, "v");
        let room = Room::default();
        let mut medium = FullDisk::open(&path, room.clone()).unwrap();
        medium.append(&header).unwrap();
        let log = Log::new(path.clone(), header.clone(), Box::new(medium), header.len() as u64);
        log.append(Change::Insert { scope: SCOPE, id: 1, vector: &[0.6, 0.8] }).unwrap();
        room.set(20, true);
        log.append(Change::Insert { scope: SCOPE, id: 2, vector: &[0.6, 0.8] }).unwrap_err();
        drop(log);
        let (found, notes) = ids(&path);
        assert_eq!(found, [1]);
        assert!(notes[0].contains("torn end of 20 bytes"), "{notes:?}");
        assert_eq!(ids(&path), (vec![1], vec![]));
    }
}
