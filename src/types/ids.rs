//! Identifiers, each with its one way of being written.

use rand::{Rng, RngCore};
use std::fmt;
use std::sync::LazyLock;

/// Names one cache entry on one node. Written as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EntryId(pub u64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for EntryId {
    type Err = String;

    fn from_str(text: &str) -> Result<EntryId, String> {
        if text.len() != 16 {
            return Err(format!(
                "an entry id has 16 hex digits, as in the x-askonce-entry header; got {} characters",
                text.chars().count()
            ));
        }
        u64::from_str_radix(text, 16).map(EntryId).map_err(|_| "an entry id has hex digits only".to_owned())
    }
}

/// The digits of numbers to the base of 62.
pub const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// So many letters and digits, drawn by the thread's generator, which is seeded by the operating system.
pub fn random(chars: usize) -> String {
    let mut rng = rand::rng();
    let mut drawn = String::with_capacity(chars);
    let mut bytes = [0; 32];
    while drawn.len() < chars {
        rng.fill_bytes(&mut bytes);
        // Six bits each; those that stand for no letter are left out, so that all are as likely.
        let letters = bytes.iter().filter_map(|byte| BASE_62.get(usize::from(byte & 63)));
        drawn.extend(letters.take(chars - drawn.len()).map(|letter| char::from(*letter)));
    }
    drawn
}

/// A BLAKE3 digest of 32 bytes: a scope or a key. Compared in full on every hit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Digest {
    type Err = String;

    fn from_str(hex: &str) -> Result<Digest, String> {
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return Err("a digest has 64 hex digits".to_owned());
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).map_err(|_| "a digest has hex digits only")?;
        }
        Ok(Digest(bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Header that every request to a provider carries, so that a gateway which was made its own provider notices.
pub const INSTANCE_HEADER: &str = "x-askonce-instance";

/// Names this process among all gateways.
pub fn instance() -> &'static str {
    static INSTANCE: LazyLock<String> = LazyLock::new(|| format!("{:032x}", rand::rng().random::<u128>()));
    &INSTANCE
}
