//! The bytes of the log, version 1. All numbers little-endian; checksums are CRC-32 (IEEE).
//!
//! ```text
//! header   magic 8 "askonceV" | version u32 | width u32 | variant length u32 | variant, padded to 4 | crc u32 of all before
//! record   crc u32 of the next 32 bytes | kind u8 | zero × 3 | scope × 16 | id u64 | crc u32 of the vector (0 without)
//!          vector, width × f32 (kind 1, insert; kind 2, remove, has none)
//! ```
//!
//! A record's head has a checksum of its own, so that a reader can find the next whole record after damaged bytes.

use crate::ScopeKey;

pub(crate) const VERSION: u32 = 1;
pub(crate) const HEAD: usize = 36;
const MAGIC: &[u8; 8] = b"askonceV";
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// One change, as the log knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change<'a> {
    Insert { scope: ScopeKey, id: u64, vector: &'a [f32] },
    Remove { scope: ScopeKey, id: u64 },
}

/// Bytes of an insert record.
pub(crate) fn insert_len(width: usize) -> u64 {
    (HEAD + 4 * width) as u64
}

/// The header of a log.
pub(crate) fn header(width: usize, variant: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for number in [VERSION, width as u32, variant.len() as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(variant.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// What the beginning of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Ours; the records begin after this many bytes.
    Good(usize),
    /// Made for something else: one word for a file name, and a sentence.
    Other(&'static str, String),
}

/// Reads a header out of the first bytes of a file (at least 512 of them, or all there are).
pub(crate) fn read_header(bytes: &[u8], width: usize, variant: &str) -> Header {
    let unreadable = || Header::Other("unreadable", "its header is damaged or cut off".to_owned());
    if bytes.len() < 20 || &bytes[..8] != MAGIC {
        return unreadable();
    }
    let version = u32_at(bytes, 8);
    let variant_len = u32_at(bytes, 16) as usize;
    let end = 20 + variant_len.min(256).next_multiple_of(4);
    // Another version may lay out the rest in another way, so its checksum is not ours to look for.
    // A number far from ours is damage, not a version.
    if version != VERSION && version < 1000 {
        return Header::Other("version", format!("it has format version {version}, this program reads {VERSION}"));
    }
    if variant_len > 255 || bytes.len() < end + 4 || crc32fast::hash(&bytes[..end]) != u32_at(bytes, end) {
        return unreadable();
    }
    let (its_width, its_variant) = (u32_at(bytes, 12) as usize, &bytes[20..20 + variant_len]);
    if its_width != width {
        return Header::Other("width", format!("its vectors have {its_width} numbers, the model makes {width}"));
    }
    if its_variant != variant.as_bytes() {
        let its = String::from_utf8_lossy(its_variant);
        return Header::Other("variant", format!("its vectors were made by \"{its}\", the model is \"{variant}\""));
    }
    Header::Good(end + 4)
}

/// Appends the record of `change` to `bytes`.
pub(crate) fn write(bytes: &mut Vec<u8>, change: Change<'_>) {
    let (kind, scope, id, vector) = match change {
        Change::Insert { scope, id, vector } => (INSERT, scope, id, vector),
        Change::Remove { scope, id } => (REMOVE, scope, id, &[][..]),
    };
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&[kind, 0, 0, 0]);
    bytes.extend_from_slice(&scope.0);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
    let body = &bytes[start + HEAD..];
    let crc = if body.is_empty() { 0 } else { crc32fast::hash(body) };
    bytes[start + 32..start + HEAD].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[start + 4..start + HEAD]);
    bytes[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at some place of a log.
#[derive(Debug, PartialEq)]
pub(crate) enum Record<'a> {
    /// A whole record, of this many bytes.
    Whole(Change<'a>, usize),
    /// A good head whose vector is damaged or cut off.
    Lost(ScopeKey, u64),
    /// No record begins here.
    None,
}

/// Reads the record at the start of `bytes`; `vector` is where its numbers go.
pub(crate) fn read<'a>(bytes: &[u8], width: usize, vector: &'a mut Vec<f32>) -> Record<'a> {
    // The cheap questions first: after damage this is asked of every byte.
    if bytes.len() < HEAD || !matches!(bytes[4], INSERT | REMOVE) || bytes[5..8] != [0; 3] {
        return Record::None;
    }
    if crc32fast::hash(&bytes[4..HEAD]) != u32_at(bytes, 0) {
        return Record::None;
    }
    let mut scope = ScopeKey([0; 16]);
    scope.0.copy_from_slice(&bytes[8..24]);
    let id = u64::from(u32_at(bytes, 24)) | u64::from(u32_at(bytes, 28)) << 32;
    if bytes[4] == REMOVE {
        return Record::Whole(Change::Remove { scope, id }, HEAD);
    }
    let end = HEAD + 4 * width;
    if bytes.len() < end || crc32fast::hash(&bytes[HEAD..end]) != u32_at(bytes, 32) {
        return Record::Lost(scope, id);
    }
    vector.clear();
    vector.extend((HEAD..end).step_by(4).map(|at| f32::from_bits(u32_at(bytes, at))));
    Record::Whole(Change::Insert { scope, id, vector }, end)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: ScopeKey = ScopeKey([7; 16]);

    #[test]
    fn records_come_back_as_they_were() {
        let changes = [
            Change::Insert { scope: SCOPE, id: u64::MAX - 5, vector: &[0.6, -0.8] },
            Change::Remove { scope: SCOPE, id: 1 << 40 },
        ];
        let mut bytes = Vec::new();
        changes.iter().for_each(|c| write(&mut bytes, *c));
        assert_eq!(bytes.len() as u64, insert_len(2) + HEAD as u64);
        let mut vector = Vec::new();
        assert_eq!(read(&bytes, 2, &mut vector), Record::Whole(changes[0], HEAD + 8));
        assert_eq!(read(&bytes[HEAD + 8..], 2, &mut vector), Record::Whole(changes[1], HEAD));
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let change = Change::Insert { scope: SCOPE, id: 3, vector: &[1.0, 0.0] };
        let mut bytes = Vec::new();
        write(&mut bytes, change);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut vector = Vec::new();
            let found = read(&bytes, 2, &mut vector);
            let expected = if bit / 8 < HEAD { Record::None } else { Record::Lost(SCOPE, 3) };
            assert_eq!(found, expected, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_header_says_what_it_is_for() {
        let bytes = header(384, "mini");
        assert_eq!(read_header(&bytes, 384, "mini"), Header::Good(bytes.len()));
        let word = |bytes: &[u8], width, variant| match read_header(bytes, width, variant) {
            Header::Other(word, _) => word,
            Header::Good(_) => "good",
        };
        assert_eq!(word(&bytes, 256, "mini"), "width");
        assert_eq!(word(&bytes, 384, "maxi"), "variant");
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(word(&newer, 384, "mini"), "version");
        for end in 0..bytes.len() {
            assert_eq!(word(&bytes[..end], 384, "mini"), "unreadable", "{end} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(word(&flipped, 384, "mini"), "good", "bit {bit}");
        }
    }
}
