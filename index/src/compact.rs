//! Rewrites the log with the live vectors only, beside the old one, while changes go on.
//!
//! A mark is set in the old log, and every scope's rows as of some moment after it are written to a new file. All that was
//! appended to the old log since the mark is then copied behind them. A change may so be in the rows and in the copy; reading it
//! twice, in order, ends in the same state.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::format::{self, Change};
use crate::graph::Entry;
use crate::log::{Log, Mark};
use crate::medium::{FileMedium, Medium};
use crate::partition::Partition;
use crate::quantize::RowRef;
use crate::scope::{ScopeKey, Scopes};

/// Copying that is left for the moment in which nobody can append.
const LITTLE: u64 = 256 * 1024;

/// Name of the new file while it is being written.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.new", path.display()))
}

/// Whether a log of `len` bytes, of which `live` are needed, should be rewritten.
pub(crate) fn is_due(len: u64, live: u64, from_bytes: u64) -> bool {
    let garbage = len.saturating_sub(live);
    garbage > len / 2 && garbage > from_bytes
}

/// Rewrites `log`. On an error the old log stays as it is.
pub(crate) fn compact(log: &Log, scopes: &Scopes, width: usize) -> io::Result<()> {
    let mark = log.mark();
    let new = unfinished(log.path());
    let done = write_rows(&new, log, scopes, width).and_then(|file| finish(file, &new, log, mark));
    if !matches!(done, Ok(true)) {
        // Left behind, it would only take space; the next start removes it too.
        let _ = std::fs::remove_file(&new);
    }
    done.map(|_| ())
}

fn write_rows(new: &Path, log: &Log, scopes: &Scopes, width: usize) -> io::Result<File> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(new)?);
    file.write_all(log.header())?;
    let mut record = Vec::new();
    for (scope, partition) in scopes.all() {
        write_partition(scope, &partition, width, &mut record, &mut file)?;
    }
    file.into_inner().map_err(|e| e.into_error())
}

fn write_partition(
    scope: ScopeKey,
    partition: &Partition,
    width: usize,
    record: &mut Vec<u8>,
    file: &mut impl Write,
) -> io::Result<()> {
    let unround = |row: RowRef<'_>| row.unround(width);
    record.clear();
    for Entry { id, row } in partition.flat_entries() {
        format::write(record, Change::Insert { scope, id, vector: &unround(row.view()) });
    }
    file.write_all(record)?;
    // No background work goes on meanwhile: this is some.
    let Some(graph) = partition.graph() else { return Ok(()) };
    for rows in graph.live().chunks(256) {
        record.clear();
        for (slot, id) in rows {
            graph.with_row(*slot, &mut |row| {
                format::write(record, Change::Insert { scope, id: *id, vector: &unround(row) });
            });
        }
        file.write_all(record)?;
    }
    Ok(())
}

/// Copies what was appended since `mark`, and puts the new file in the old one's place; false when it is too late.
fn finish(mut file: File, new: &Path, log: &Log, mark: Mark) -> io::Result<bool> {
    let mut old = File::open(log.path())?;
    old.seek(SeekFrom::Start(mark.len))?;
    let mut copied = mark.len;
    let mut copy = |upto: u64, file: &mut File| -> io::Result<()> {
        let want = upto - copied;
        if io::copy(&mut (&old).take(want), file)? != want {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the log became shorter while it was copied"));
        }
        copied = upto;
        Ok(())
    };
    let mut upto = mark.len;
    loop {
        let now = log.mark();
        if now.len < upto {
            return Ok(false);
        }
        let little = now.len - upto <= LITTLE;
        copy(now.len, &mut file)?;
        upto = now.len;
        if little {
            break;
        }
    }
    // The bulk reaches the disk before anyone is held up.
    file.sync_data()?;
    log.replace(mark, |len| {
        copy(len, &mut file)?;
        file.sync_all()?;
        let len = file.metadata()?.len();
        // Opened before the rename: after it nothing may fail, or changes would go on into the old, nameless file.
        let medium = FileMedium::open(new)?;
        std::fs::rename(new, log.path())?;
        if let Err(error) = sync_folder(log.path()) {
            tracing::warn!(%error, "the folder of the vector log could not be synced");
        }
        Ok((Box::new(medium) as Box<dyn Medium>, len))
    })
}

/// A rename is safe from a power cut once the folder is on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
