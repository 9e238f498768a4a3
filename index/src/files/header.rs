//! [`Header`]: how every file of format version 2 begins. All numbers little-endian; checksums are CRC-32 (IEEE).
//!
//! ```text
//! magic 8 "askonceV" | version u32 | width u32 | variant length u32 | kind u32 (1 log, 2 checkpoint) | generation u64
//! flags u32 (1: nothing from before counts) | zero u32 | variant, padded with zeros | crc u32 of all before; a multiple of 8 in all
//! ```
//!
//! All but the flags is the file's *identity*. Its checksum is where the checksums of the records and sections begin, so that a
//! file whose header is damaged can still be read by who knows what it should be, and nothing of another file is taken for its own.

/// The format that this program writes.
pub(crate) const VERSION: u32 = 2;

/// The longest header, and enough of a file to read any.
pub(crate) const MOST: usize = 512;

const MAGIC: &[u8; 8] = b"askonceV";
const FIXED: usize = 40;
const BEGINS_EMPTY: u32 = 1;

/// What a file is; of one generation, in the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Checkpoint,
    Log,
}

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) width: usize,
    pub(crate) variant: String,
    pub(crate) generation: u64,
    /// Of a log: no checkpoint and no log before it counts.
    pub(crate) begins_empty: bool,
}

/// What the beginning of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A header of this many bytes.
    Good(Header, usize),
    /// The file is of another format version.
    Version(u32),
    Damaged,
}

impl Header {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.identity();
        bytes[32..36].copy_from_slice(&u32::from(self.begins_empty).to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Where the checksums in the file begin.
    pub(crate) fn seed(&self) -> u32 {
        crc32fast::hash(&self.identity())
    }

    /// Bytes of the header.
    pub(crate) fn len(&self) -> usize {
        length(self.variant.len())
    }

    /// The header without flags and checksum.
    fn identity(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Log => 1,
            Kind::Checkpoint => 2,
        };
        let mut bytes = MAGIC.to_vec();
        for number in [VERSION, self.width as u32, self.variant.len() as u32, kind] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.resize(FIXED, 0);
        bytes.extend_from_slice(self.variant.as_bytes());
        bytes.resize(self.len() - 4, 0);
        bytes
    }
}

fn length(variant: usize) -> usize {
    (FIXED + variant + 4).next_multiple_of(8)
}

/// Reads the first bytes of a file ([`MOST`] of them, or all there are).
pub(crate) fn read(bytes: &[u8]) -> Beginning {
    if bytes.len() < 20 || &bytes[..8] != MAGIC {
        return Beginning::Damaged;
    }
    // Another version may lay out the rest in another way.
    let version = u32_at(bytes, 8);
    if version != VERSION {
        return if is_version(bytes) { Beginning::Version(version) } else { Beginning::Damaged };
    }
    let variant = u32_at(bytes, 16) as usize;
    let len = length(variant.min(256));
    if variant > 255 || bytes.len() < len || crc32fast::hash(&bytes[..len - 4]) != u32_at(bytes, len - 4) {
        return Beginning::Damaged;
    }
    let kind = match u32_at(bytes, 20) {
        1 => Kind::Log,
        2 => Kind::Checkpoint,
        _ => return Beginning::Damaged,
    };
    let header = Header {
        kind,
        width: u32_at(bytes, 12) as usize,
        variant: String::from_utf8_lossy(&bytes[FIXED..FIXED + variant]).into_owned(),
        generation: u64_at(bytes, 24),
        begins_empty: u32_at(bytes, 32) & BEGINS_EMPTY != 0,
    };
    Beginning::Good(header, len)
}

/// Whether the version in a header can be meant. A number far from ours is damage; so is one which, put right, makes the
/// checksum right.
fn is_version(bytes: &[u8]) -> bool {
    let (version, variant) = (u32_at(bytes, 8), u32_at(bytes, 16) as usize);
    let len = length(variant.min(256));
    let mut ours = bytes[..len.min(bytes.len())].to_vec();
    ours[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let is_ours = ours.len() == len && crc32fast::hash(&ours[..len - 4]) == u32_at(&ours, len - 4);
    version < 1000 && !is_ours
}

/// The number at `at`, which must be inside.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The number at `at`, which must be inside.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// CRC-32 of `bytes`, begun at `seed`.
pub(crate) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_it_is_for_and_sees_every_damage() {
        for variant in ["v", "mini@1", &"x".repeat(255)] {
            let header = Header {
                kind: Kind::Checkpoint,
                width: 384,
                variant: variant.to_owned(),
                generation: 1 << 40,
                begins_empty: true,
            };
            let bytes = header.bytes();
            assert_eq!((bytes.len() % 8, bytes.len()), (0, header.len()));
            assert!(bytes.len() <= MOST);
            assert_eq!(read(&bytes), Beginning::Good(header, bytes.len()));
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Beginning::Damaged, "{end} bytes");
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&flipped), Beginning::Damaged, "bit {bit}");
            }
            let mut newer = bytes;
            newer[8] = 3;
            assert_eq!(read(&newer), Beginning::Damaged, "no other version has our checksum");
            newer[12] = 5;
            assert_eq!(read(&newer), Beginning::Version(3));
        }
    }

    #[test]
    fn every_part_of_an_identity_counts() {
        let one = |kind, width, variant: &str, generation| {
            Header { kind, width, variant: variant.to_owned(), generation, begins_empty: false }.seed()
        };
        let seeds = [
            one(Kind::Log, 8, "a", 1),
            one(Kind::Checkpoint, 8, "a", 1),
            one(Kind::Log, 9, "a", 1),
            one(Kind::Log, 8, "b", 1),
            one(Kind::Log, 8, "a", 2),
        ];
        assert_eq!(seeds.iter().collect::<std::collections::HashSet<_>>().len(), 5);
    }
}
