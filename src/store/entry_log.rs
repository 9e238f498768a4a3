//! `EntryLog`: the cache's entries in one append log.
//!
//! A file header, then records of `MARK | length u32 | crc32 u32 | payload`, little endian. A payload begins with its
//! kind. What `append` has returned for was handed to the operating system in one write, so a killed process loses
//! nothing of it; `sync` makes it outlive a power cut. On start, records that do not check out are skipped and the tail
//! after the last good record is set aside beside the log, each said in `Recovery::notes`.

use super::rows;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER: &[u8; 16] = b"askonce-entries\x01";
const MARK: [u8; 4] = [0xa5, b'E', b'N', 0x5a];
const RECORD_HEADER: usize = 12;
const KIND_ENTRY: u8 = 1;
const KIND_REMOVE: u8 = 2;
/// Below this size a log is not worth rewriting.
const COMPACT_FROM_BYTES: u64 = 16 << 20;

/// The log, open for appending by this process alone.
#[derive(Debug)]
pub struct EntryLog {
    path: PathBuf,
    file: File,
    /// End of the last whole record.
    length: u64,
    /// Bytes of records that are still of use, by entry.
    live: HashMap<EntryId, u64>,
    live_bytes: u64,
    unsynced: bool,
}

/// What was found on start.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Live entries, in the order they were stored.
    pub entries: Vec<Entry>,
    /// What was torn, skipped or set aside, in words.
    pub notes: Vec<String>,
}

impl EntryLog {
    /// Opens or begins the log `entries.log` in `dir`.
    pub fn open(dir: &Path) -> io::Result<(EntryLog, Recovery)> {
        fs::create_dir_all(dir)?;
        let path = dir.join("entries.log");
        let mut file = open_locked(&path)?;
        let bytes = fs::read(&path)?;
        let mut recovery = Recovery::default();
        let mut log_length = HEADER.len() as u64;
        let mut sizes = HashMap::new();
        if bytes.is_empty() {
            file.write_all(HEADER)?;
        } else if !bytes.starts_with(HEADER) {
            let aside = set_aside(&path, &bytes, "unreadable")?;
            recovery.notes.push(format!(
                "{}: not an entry log of this version; set aside as {}; beginning an empty one",
                path.display(),
                aside.display()
            ));
            file.set_len(0)?;
            file.write_all(HEADER)?;
        } else {
            let scan = scan(&bytes, &mut recovery.notes, &path);
            log_length = scan.end as u64;
            if scan.end < bytes.len() {
                let aside = set_aside(&path, &bytes[scan.end..], "torn")?;
                recovery.notes.push(format!(
                    "{}: the last {} bytes are torn (the process was killed while writing); set aside as {}",
                    path.display(),
                    bytes.len() - scan.end,
                    aside.display()
                ));
                file.set_len(log_length)?;
            }
            sizes = scan.sizes;
            recovery.entries = scan.entries;
        }
        file.seek(SeekFrom::Start(log_length))?;
        let live_bytes = sizes.values().sum();
        Ok((EntryLog { path, file, length: log_length, live: sizes, live_bytes, unsynced: false }, recovery))
    }

    /// Appends `entry`. On an error nothing of it stays in the log.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut payload = vec![KIND_ENTRY];
        rows::write(entry, &mut payload)?;
        let size = self.write(&payload)?;
        self.live_bytes += size;
        if let Some(old) = self.live.insert(entry.id, size) {
            self.live_bytes -= old;
        }
        Ok(())
    }

    /// Notes that entries are gone.
    pub fn remove(&mut self, ids: &[EntryId]) -> io::Result<()> {
        let known: Vec<EntryId> = ids.iter().copied().filter(|id| self.live.contains_key(id)).collect();
        if known.is_empty() {
            return Ok(());
        }
        let mut payload = vec![KIND_REMOVE];
        known.iter().for_each(|id| payload.extend_from_slice(&id.0.to_le_bytes()));
        self.write(&payload)?;
        for id in known {
            self.live_bytes -= self.live.remove(&id).unwrap_or(0);
        }
        Ok(())
    }

    /// Takes all entries out of the file.
    pub fn clear(&mut self) -> io::Result<()> {
        let length = HEADER.len() as u64;
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        self.length = length;
        self.unsynced = true;
        self.live.clear();
        self.live_bytes = 0;
        Ok(())
    }

    /// Makes what was appended outlive a power cut.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// More than half of a large log is of no use any more.
    pub fn wants_compaction(&self) -> bool {
        self.length > COMPACT_FROM_BYTES && self.live_bytes * 2 < self.length
    }

    /// Rewrites the log with `entries` alone, beside the old one, and swaps them.
    pub fn compact(&mut self, entries: &[Arc<Entry>]) -> io::Result<()> {
        let beside = self.path.with_extension("log.new");
        let mut fresh = EntryLog {
            path: self.path.clone(),
            file: private().create(true).truncate(true).open(&beside)?,
            length: HEADER.len() as u64,
            live: HashMap::with_capacity(entries.len()),
            live_bytes: 0,
            unsynced: true,
        };
        fresh.file.try_lock().map_err(io::Error::from)?;
        fresh.file.write_all(HEADER)?;
        for entry in entries {
            fresh.append(entry)?;
        }
        fresh.sync()?;
        fs::rename(&beside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            // Without it a power cut may bring the old file back.
            File::open(folder)?.sync_all()?;
        }
        *self = fresh;
        Ok(())
    }

    /// Writes one record whole, or takes back what was written of it. Gives its size.
    fn write(&mut self, payload: &[u8]) -> io::Result<u64> {
        let length = u32::try_from(payload.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an entry of 4 GiB or more cannot be stored"))?;
        let mut record = Vec::with_capacity(RECORD_HEADER + payload.len());
        record.extend_from_slice(&MARK);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        record.extend_from_slice(payload);
        if let Err(error) = self.file.write_all(&record) {
            // A full disk takes part of a record; what follows must not stand behind it.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(error);
        }
        self.unsynced = true;
        self.length += record.len() as u64;
        Ok(record.len() as u64)
    }
}

/// Questions and answers are for the owner of the files only.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn open_locked(path: &Path) -> io::Result<File> {
    let file = private().read(true).create(true).truncate(false).open(path)?;
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => io::Error::new(
            io::ErrorKind::WouldBlock,
            format!("{} is in use by another askonce; stop it, or give this one its own --data-dir", path.display()),
        ),
        fs::TryLockError::Error(error) => error,
    })?;
    Ok(file)
}

/// Writes `bytes` beside the log under a name not yet taken.
fn set_aside(path: &Path, bytes: &[u8], why: &str) -> io::Result<PathBuf> {
    for number in 1.. {
        let aside = path.with_extension(format!("log.{why}-{number}"));
        match private().create_new(true).open(&aside) {
            Ok(mut file) => return file.write_all(bytes).map(|()| aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no free name"))
}

struct Scan {
    entries: Vec<Entry>,
    sizes: HashMap<EntryId, u64>,
    /// End of the last whole record.
    end: usize,
}

/// Reads all records that check out, skipping over damage to the next mark.
fn scan(bytes: &[u8], notes: &mut Vec<String>, path: &Path) -> Scan {
    let mut live: HashMap<EntryId, (usize, Entry, u64)> = HashMap::new();
    let mut at = HEADER.len();
    let mut end = at;
    while at < bytes.len() {
        let Some(payload) = record_at(bytes, at) else {
            match memchr::memmem::find_iter(&bytes[at + 1..], &MARK)
                .map(|found| at + 1 + found)
                .find(|&next| record_at(bytes, next).is_some())
            {
                Some(next) => {
                    notes.push(format!("{}: {} bytes at offset {at} are damaged; skipped", path.display(), next - at));
                    at = next;
                    continue;
                }
                None => break,
            }
        };
        let size = RECORD_HEADER + payload.len();
        apply(payload, size as u64, at, &mut live, notes, path);
        at += size;
        end = at;
    }
    let mut kept: Vec<(usize, Entry, u64)> = live.into_values().collect();
    kept.sort_unstable_by_key(|(at, ..)| *at);
    let sizes = kept.iter().map(|(_, entry, size)| (entry.id, *size)).collect();
    Scan { entries: kept.into_iter().map(|(_, entry, _)| entry).collect(), sizes, end }
}

fn apply(
    payload: &[u8],
    size: u64,
    at: usize,
    live: &mut HashMap<EntryId, (usize, Entry, u64)>,
    notes: &mut Vec<String>,
    path: &Path,
) {
    match payload.split_first() {
        Some((&KIND_ENTRY, row)) => match rows::read(row) {
            Ok(entry) => {
                live.insert(entry.id, (at, entry, size));
            }
            Err(why) => {
                notes.push(format!("{}: the entry at offset {at} cannot be read: {why}; skipped", path.display()))
            }
        },
        Some((&KIND_REMOVE, ids)) => {
            for id in ids.chunks_exact(8) {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(id);
                live.remove(&EntryId(u64::from_le_bytes(bytes)));
            }
        }
        _ => notes.push(format!("{}: a record of unknown kind at offset {at}; skipped", path.display())),
    }
}

/// The payload of a whole record at `at`.
fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = bytes.get(at..at + RECORD_HEADER)?;
    if header[..4] != MARK {
        return None;
    }
    let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
    let crc = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let payload = bytes.get(at + RECORD_HEADER..(at + RECORD_HEADER).checked_add(length)?)?;
    (crc32fast::hash(payload) == crc).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::answer::{Answer, Ending};
    use crate::types::caller::Tenant;
    use crate::types::entry::Source;
    use crate::types::ids::Digest;
    use crate::types::lost::Lost;
    use crate::types::money::MicroUsd;
    use crate::types::surface::Surface;
    use crate::types::usage::Usage;

    fn entry(id: u64) -> Entry {
        Entry {
            id: EntryId(id),
            tenant: Tenant("t".to_owned()),
            surface: Surface::ChatCompletions,
            model: "m".to_owned(),
            provider: "p".to_owned(),
            scope: Digest([1; 32]),
            meaning: Digest([u8::from(id.is_multiple_of(2)) + 1; 32]),
            exact: Digest([id as u8; 32]),
            normalised: id.is_multiple_of(2).then_some(Digest([9; 32])),
            question: Some(format!("question {id} é")),
            semantic: true,
            answer: Answer {
                surface: Surface::ChatCompletions,
                body: format!("{{\"id\":\"x\",\"n\":{id}}}").into(),
                id_span: Some(6..9),
                created_span: None,
                usage: Some(Usage {
                    cached_tokens: id,
                    cache_write_tokens: id / 2,
                    reasoning_tokens: id / 3,
                    ..Usage::new(3, id)
                }),
                usage_unasked: id == 3,
                ending: Ending::Whole,
                tool_calls: false,
                lost: if id == 2 { Lost::new(&["seed".to_owned()], id) } else { Lost::default() },
            },
            cost: Some(MicroUsd(5)),
            latency_ms: id % 2,
            source: if id == 4 { Source::WarmUp } else { Source::Fetched },
            created_ms: 7,
            expires_ms: 8,
            tags: vec!["a".to_owned()],
        }
    }

    fn ids(recovery: &Recovery) -> Vec<u64> {
        recovery.entries.iter().map(|entry| entry.id.0).collect()
    }

    #[test]
    fn what_was_appended_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, recovery) = EntryLog::open(dir.path()).unwrap();
        assert!(recovery.entries.is_empty() && recovery.notes.is_empty());
        (1..=4).for_each(|id| log.append(&entry(id)).unwrap());
        log.remove(&[EntryId(2), EntryId(99)]).unwrap();
        assert!(EntryLog::open(dir.path()).unwrap_err().to_string().contains("in use by another askonce"));
        drop(log);
        let (mut log, recovery) = EntryLog::open(dir.path()).unwrap();
        assert_eq!(recovery.entries, [entry(1), entry(3), entry(4)]);
        let kept: Vec<Arc<Entry>> = recovery.entries.into_iter().skip(1).map(Arc::new).collect();
        log.compact(&kept).unwrap();
        log.append(&entry(5)).unwrap();
        drop(log);
        let (mut log, recovery) = EntryLog::open(dir.path()).unwrap();
        assert_eq!(ids(&recovery), [3, 4, 5]);
        log.clear().unwrap();
        drop(log);
        assert!(EntryLog::open(dir.path()).unwrap().1.entries.is_empty());
    }

    #[test]
    fn a_log_torn_at_any_byte_keeps_all_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = EntryLog::open(dir.path()).unwrap();
        let mut ends = vec![log.bytes() as usize];
        for id in 1..=3 {
            log.append(&entry(id)).unwrap();
            ends.push(log.bytes() as usize);
        }
        drop(log);
        let whole = fs::read(dir.path().join("entries.log")).unwrap();
        for cut in 0..whole.len() {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("entries.log"), &whole[..cut]).unwrap();
            let (mut log, recovery) = EntryLog::open(dir.path()).unwrap();
            let expected = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
            assert_eq!(recovery.entries.len(), expected, "cut at {cut}");
            assert_eq!(recovery.notes.is_empty(), cut == 0 || ends.contains(&cut), "cut at {cut}");
            log.append(&entry(9)).unwrap();
            drop(log);
            let (_, again) = EntryLog::open(dir.path()).unwrap();
            assert_eq!((again.entries.len(), again.notes.len()), (expected + 1, 0), "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_byte_costs_one_record() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = EntryLog::open(dir.path()).unwrap();
        let start = log.bytes() as usize;
        (1..=3).for_each(|id| log.append(&entry(id)).unwrap());
        drop(log);
        let whole = fs::read(dir.path().join("entries.log")).unwrap();
        for at in start..whole.len() {
            let dir = tempfile::tempdir().unwrap();
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(dir.path().join("entries.log"), damaged).unwrap();
            let (_, recovery) = EntryLog::open(dir.path()).unwrap();
            assert_eq!(recovery.entries.len(), 2, "flip at {at}");
            assert_eq!(recovery.notes.len(), 1, "flip at {at}");
        }
    }

    #[test]
    fn a_foreign_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("entries.log"), "something else entirely").unwrap();
        let (_, recovery) = EntryLog::open(dir.path()).unwrap();
        assert!(recovery.notes[0].contains("set aside"));
        assert_eq!(fs::read(dir.path().join("entries.log.unreadable-1")).unwrap(), b"something else entirely");
    }
}
