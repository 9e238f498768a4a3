//! `Stamp`: what tells rows that this gateway has written from those that somebody else put into the database.
//!
//! A stamp is a keyed BLAKE3 hash over all of a row that says who somebody is and what they may. The key is derived from the file
//! `token.key`, which is not in the database. It does not tell a row from an older one of the same name that is put back.

use blake3::{Hash, Hasher};

/// Makes stamps, and looks at them.
#[derive(Clone)]
pub struct Stamp([u8; 32]);

impl std::fmt::Debug for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stamp")
    }
}

impl Stamp {
    /// With a key derived from `key`.
    pub(super) fn new(key: &[u8; 32]) -> Stamp {
        Stamp(blake3::derive_key("askonce 2026 stamps of people, sessions and tokens v1", key))
    }

    /// The stamp of a row of `table`, in hexadecimal digits.
    pub(super) fn of(&self, table: &str, parts: &[&str]) -> String {
        self.hash(table, parts).to_hex().to_string()
    }

    /// Is `stamp` that of this row? The comparison takes the same time wherever they differ.
    pub(super) fn fits(&self, stamp: &str, table: &str, parts: &[&str]) -> bool {
        Hash::from_hex(stamp).is_ok_and(|stamp| stamp == self.hash(table, parts))
    }

    fn hash(&self, table: &str, parts: &[&str]) -> Hash {
        let mut hasher = Hasher::new_keyed(&self.0);
        for part in std::iter::once(&table).chain(parts) {
            // With its length before it, so that no two rows are the same text.
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.finalize()
    }
}

/// Says how many rows of `table` were not taken, if there were any.
pub(super) fn passed_over(table: &str, count: usize) {
    if count > 0 {
        tracing::warn!(
            table,
            count,
            "rows that this gateway has not written so are not taken: was the file `token.key` changed, or the database written by others?"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_of_one_row_and_one_key() {
        let stamp = Stamp::new(&[1; 32]);
        let own = stamp.of("t", &["ab", "c"]);
        assert!(stamp.fits(&own, "t", &["ab", "c"]));
        for (table, parts) in [("t", &["a", "bc"][..]), ("t", &["ab", "c", ""]), ("t", &["abc"]), ("u", &["ab", "c"])] {
            assert!(!stamp.fits(&own, table, parts), "{table} {parts:?}");
        }
        assert!(!Stamp::new(&[2; 32]).fits(&own, "t", &["ab", "c"]));
        assert!(!stamp.fits("", "t", &["ab", "c"]) && !stamp.fits("é", "t", &["ab", "c"]));
    }
}
