//! The header of format version 1, whose one file was `vectors.log`. Its records are in [`crate::files::record`].
//!
//! ```text
//! magic 8 "askonceV" | version u32 | width u32 | variant length u32 | variant, padded to 4 | crc u32 of all before
//! ```

use crate::files::header::u32_at;

/// What the beginning of an old log says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// The records begin after `len` bytes.
    Good {
        width: usize,
        variant: String,
        len: u64,
    },
    /// The file is of another format version.
    Version(u32),
    Damaged,
}

/// Reads the first bytes of a file (at least 512 of them, or all there are).
pub(crate) fn read(bytes: &[u8]) -> Beginning {
    if bytes.len() < 20 || &bytes[..8] != b"askonceV" {
        return Beginning::Damaged;
    }
    let (version, variant) = (u32_at(bytes, 8), u32_at(bytes, 16) as usize);
    // A number far from ours is damage, not a version.
    if version != 1 && version < 1000 {
        return Beginning::Version(version);
    }
    let end = 20 + variant.min(256).next_multiple_of(4);
    if variant > 255 || bytes.len() < end + 4 || crc32fast::hash(&bytes[..end]) != u32_at(bytes, end) {
        return Beginning::Damaged;
    }
    Beginning::Good {
        width: u32_at(bytes, 12) as usize,
        variant: String::from_utf8_lossy(&bytes[20..20 + variant]).into_owned(),
        len: end as u64 + 4,
    }
}
