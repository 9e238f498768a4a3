//! `LineLog`: lines in a file that is begun anew when it is full, the older ones kept beside it.
//!
//! For its owner only. `trace.jsonl` is the file being written, `trace.jsonl.1` the one before, and so on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The end of a file in which a line that was cut off is looked for.
const TAIL_BYTES: u64 = 1 << 20;

/// The log, open for appending.
#[derive(Debug)]
pub struct LineLog {
    path: PathBuf,
    max_bytes: u64,
    files: u64,
    file: File,
    length: u64,
}

impl LineLog {
    /// Opens or begins the log at `path`: files of `max_bytes`, `files` of them at most. Its folder has to be there.
    pub fn open(path: &Path, max_bytes: u64, files: u64) -> io::Result<LineLog> {
        let file = private(path)?;
        let length = file.metadata()?.len();
        let mut log = LineLog { path: path.to_owned(), max_bytes, files: files.max(1), file, length };
        log.end_line()?;
        Ok(log)
    }

    /// Is there room for a line of so many bytes, without another one leaving for it?
    pub fn has_room(&self, bytes: usize) -> bool {
        self.length.saturating_add(bytes as u64 + 1) <= self.max_bytes
    }

    /// Appends one line, which holds no line break, and the break behind it.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.length > 0 && self.length + bytes > self.max_bytes {
            self.turn()?;
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        let written = self.file.write_all(&whole);
        // Half a line that a full disk has taken is taken back.
        if written.is_err() {
            self.file.set_len(self.length)?;
        }
        written?;
        self.length += bytes;
        Ok(())
    }

    /// Makes what was appended outlive a power cut.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Begins a new file: each older one moves on by one, and the last goes.
    fn turn(&mut self) -> io::Result<()> {
        for number in (1..self.files).rev() {
            let from = if number == 1 { self.path.clone() } else { self.numbered(number - 1) };
            match fs::rename(from, self.numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.files == 1 {
            fs::remove_file(&self.path)?;
        }
        self.file = private(&self.path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// A line that a crash has cut off must not swallow the next one.
    fn end_line(&mut self) -> io::Result<()> {
        let begin = self.length.saturating_sub(TAIL_BYTES);
        let mut tail = Vec::new();
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(begin))?;
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        if tail.last().is_some_and(|last| *last != b'\n') {
            let whole = memchr::memrchr(b'\n', &tail).map_or(begin, |at| begin + at as u64 + 1);
            self.file.set_len(whole)?;
            self.length = whole;
        }
        Ok(())
    }
}

/// Opens `path` for appending, readable by its owner only, also where it was there before.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn turns_over_and_keeps_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        let at = |number: u64| dir.path().join(format!("t.jsonl.{number}"));
        let mut log = LineLog::open(&path, 10, 3).unwrap();
        for line in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "gggg", "a line longer than a file", "h"] {
            log.append(line.as_bytes()).unwrap();
        }
        log.sync().unwrap();
        assert_eq!((read(&path).as_str(), read(&at(1)).as_str()), ("h\n", "a line longer than a file\n"));
        assert_eq!((read(&at(2)).as_str(), at(3).exists()), ("gggg\n", false));
        #[cfg(unix)]
        for file in [&path, &at(1), &at(2)] {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(file).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }

    #[test]
    fn goes_on_where_it_ended_and_one_file_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        fs::write(&path, "whole\nto").unwrap();
        let mut log = LineLog::open(&path, 12, 1).unwrap();
        log.append(b"next").unwrap();
        assert_eq!(read(&path), "whole\nnext\n");
        log.append(b"over").unwrap();
        assert_eq!(read(&path), "over\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
