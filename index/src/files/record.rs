//! [`Change`], and the records of a log, of format versions 1 and 2.
//!
//! ```text
//! record   crc u32 of the next 32 bytes | kind u8 | zero × 3 | scope × 16 | id u64 | crc u32 of the body (0 without)
//!          body of kind 1, insert: the row as `RowRef::pack` has it (version 1: width × f32); kind 2, remove, has none
//! ```
//!
//! A record's head has a checksum of its own, begun at the file's seed (version 1: at 0), so that a reader can find the next whole
//! record after damaged bytes.

use crate::files::header::{crc, u32_at, u64_at};
use crate::quantize::{Row, RowRef, packed_len};
use crate::{ScopeKey, vector};

/// Bytes of a record without its body.
pub(crate) const HEAD: usize = 36;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// One change, as the log knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Insert { scope: ScopeKey, id: u64, row: RowRef<'a> },
    Remove { scope: ScopeKey, id: u64 },
}

/// How the records of a file are laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    V1 { width: usize },
    V2 { width: usize, seed: u32 },
}

/// What stands at some place of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Insert(ScopeKey, u64, Row),
    Remove(ScopeKey, u64),
    /// A whole record whose vector is not of length 1.
    Refused,
    /// A good head whose body is damaged or cut off.
    Lost(ScopeKey, u64),
    /// No record begins here.
    None,
}

/// Appends the record of `change` to `bytes`.
pub(crate) fn write(bytes: &mut Vec<u8>, width: usize, seed: u32, change: Change<'_>) {
    let (kind, scope, id, row) = match change {
        Change::Insert { scope, id, row } => (INSERT, scope, id, Some(row)),
        Change::Remove { scope, id } => (REMOVE, scope, id, None),
    };
    let start = bytes.len();
    bytes.extend_from_slice(&[0, 0, 0, 0, kind, 0, 0, 0]);
    bytes.extend_from_slice(&scope.0);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    if let Some(row) = row {
        row.pack(width, bytes);
        let body = crc32fast::hash(&bytes[start + HEAD..]);
        bytes[start + 32..start + HEAD].copy_from_slice(&body.to_le_bytes());
    }
    let head = crc(seed, &bytes[start + 4..start + HEAD]);
    bytes[start..start + 4].copy_from_slice(&head.to_le_bytes());
}

impl Layout {
    /// Bytes of the longest record.
    pub(crate) fn longest(self) -> usize {
        HEAD + self.body()
    }

    fn body(self) -> usize {
        match self {
            Layout::V1 { width } => 4 * width,
            Layout::V2 { width, .. } => packed_len(width),
        }
    }

    /// Reads the record at the start of `bytes`, and says how long it is; 0 where none is whole.
    pub(crate) fn read(self, bytes: &[u8]) -> (Record, usize) {
        // The cheap questions first: after damage this is asked of every byte.
        if bytes.len() < HEAD || !matches!(bytes[4], INSERT | REMOVE) || bytes[5..8] != [0; 3] {
            return (Record::None, 0);
        }
        let seed = match self {
            Layout::V1 { .. } => 0,
            Layout::V2 { seed, .. } => seed,
        };
        if crc(seed, &bytes[4..HEAD]) != u32_at(bytes, 0) {
            return (Record::None, 0);
        }
        let mut scope = ScopeKey([0; 16]);
        scope.0.copy_from_slice(&bytes[8..24]);
        let id = u64_at(bytes, 24);
        if bytes[4] == REMOVE {
            return (Record::Remove(scope, id), HEAD);
        }
        let end = self.longest();
        if bytes.len() < end || crc32fast::hash(&bytes[HEAD..end]) != u32_at(bytes, 32) {
            return (Record::Lost(scope, id), 0);
        }
        match self.row(&bytes[HEAD..end]) {
            Some(row) => (Record::Insert(scope, id, row), end),
            None => (Record::Refused, end),
        }
    }

    fn row(self, body: &[u8]) -> Option<Row> {
        match self {
            Layout::V1 { width } => {
                let vector: Vec<f32> =
                    body.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                vector::check(&vector, width).ok().map(|()| Row::new(&vector))
            }
            Layout::V2 { width, .. } => Row::unpack(body, width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: ScopeKey = ScopeKey([7; 16]);
    const LAYOUT: Layout = Layout::V2 { width: 2, seed: 99 };

    #[test]
    fn records_come_back_as_they_were() {
        let row = Row::new(&[0.6, -0.8]);
        let mut bytes = Vec::new();
        write(&mut bytes, 2, 99, Change::Insert { scope: SCOPE, id: u64::MAX - 5, row: row.view() });
        assert_eq!(bytes.len(), LAYOUT.longest());
        write(&mut bytes, 2, 99, Change::Remove { scope: SCOPE, id: 1 << 40 });
        assert_eq!(LAYOUT.read(&bytes), (Record::Insert(SCOPE, u64::MAX - 5, row), HEAD + 6));
        assert_eq!(LAYOUT.read(&bytes[HEAD + 6..]), (Record::Remove(SCOPE, 1 << 40), HEAD));
        // Of another file.
        assert_eq!(Layout::V2 { width: 2, seed: 98 }.read(&bytes), (Record::None, 0));
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let row = Row::new(&[0.6, -0.8]);
        let mut bytes = Vec::new();
        write(&mut bytes, 2, 99, Change::Insert { scope: SCOPE, id: 3, row: row.view() });
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit / 8 < HEAD { Record::None } else { Record::Lost(SCOPE, 3) };
            assert_eq!(LAYOUT.read(&bytes), (expected, 0), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
