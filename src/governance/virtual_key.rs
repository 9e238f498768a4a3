//! Virtual keys: what they look like, and who holds which.
//!
//! `sk-ao-` and 36 letters and digits: 30 by chance, which are 178 bits, and six that check them. So a scanner for leaked secrets can
//! tell one from other text without asking anybody, and a key with a slip of the pen is known as such. Of a key only a keyed hash is
//! kept: who reads the database has no key, and cannot try words against the hashes without the hashing key, which is elsewhere.

use super::sharded::Sharded;
use crate::types::caller::Caller;
use crate::types::ids::{BASE_62, random};
use crate::types::secret::Secret;
use std::sync::Arc;

/// What every one begins with.
pub const PREFIX: &str = "sk-ao-";
const RANDOM: usize = 30;
const CHECK: usize = 6;
/// So much of a key is shown, for people to tell one from the other.
const SHOWN: usize = PREFIX.len() + 4;

/// A new one.
pub fn new() -> Secret {
    let drawn = random(RANDOM);
    let check = check(&drawn);
    Secret::new(format!("{PREFIX}{drawn}{check}"))
}

/// Does `text` look like one, its check included?
pub fn is_one(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    rest.len() == RANDOM + CHECK
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && rest.ends_with(&check(&rest[..RANDOM]))
}

/// What may be shown of it.
pub fn hint(key: &Secret) -> String {
    format!("{}…", key.expose().chars().take(SHOWN).collect::<String>())
}

/// The CRC-32 of `random` in digits to the base of 62, as GitHub has it in its tokens.
fn check(random: &str) -> String {
    let mut left = crc32fast::hash(random.as_bytes());
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = BASE_62[(left % 62) as usize];
        left /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

/// Hashes keys, with a key of its own.
#[derive(Clone)]
pub struct Hasher([u8; 32]);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// One with that key.
    pub fn new(key: [u8; 32]) -> Hasher {
        Hasher(key)
    }

    /// The hash of `text`.
    pub fn hash(&self, text: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, text.as_bytes()).as_bytes()
    }
}

/// Who holds which virtual key.
#[derive(Debug)]
pub struct VirtualKeys {
    hasher: Hasher,
    holders: Sharded<[u8; 32], Holder>,
}

#[derive(Clone, Debug)]
struct Holder {
    caller: Arc<Caller>,
    /// After a rotation the old secret is good until then.
    until_ms: Option<u64>,
}

impl VirtualKeys {
    /// Nobody yet.
    pub fn new(hasher: Hasher) -> VirtualKeys {
        VirtualKeys { hasher, holders: Sharded::default() }
    }

    /// Hashes keys.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Who holds `key`, at that time.
    pub fn holder(&self, key: &str, now_ms: u64) -> Option<Arc<Caller>> {
        if !is_one(key) {
            return None;
        }
        // What is looked up is a hash of which nobody chose a bit: the time that takes tells nothing of any key.
        let holder = self.holders.get(&self.hasher.hash(key))?;
        holder.until_ms.is_none_or(|until| now_ms < until).then_some(holder.caller)
    }

    /// From now on `caller` holds the key with that hash, until that time if there is one.
    pub fn give(&self, hash: [u8; 32], caller: Arc<Caller>, until_ms: Option<u64>) {
        self.holders.insert(hash, Holder { caller, until_ms });
    }

    /// Nobody holds it from now on.
    pub fn take(&self, hash: &[u8; 32]) {
        self.holders.remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::caller::Tenant;

    #[test]
    fn a_key_can_be_told_from_other_text() {
        let key = new();
        assert!(is_one(key.expose()) && key.expose().len() == 42);
        assert!(key != new() && hint(&key).len() < 16);
        let text = key.expose();
        for at in PREFIX.len()..text.len() {
            let mut wrong = text.to_owned().into_bytes();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_one(std::str::from_utf8(&wrong).unwrap()), "a slip of the pen at {at}");
        }
        for wrong in ["", "sk-ao-", "sk-ao-é", &text[..41], &format!("{text}0"), &text.replace("sk-ao", "sk-ap")] {
            assert!(!is_one(wrong), "{wrong}");
        }
        assert_eq!(check("0123456789abcdefghijABCDEFGHIJ").len(), CHECK);
    }

    #[test]
    fn who_holds_a_key_is_known_until_it_is_taken() {
        let keys = VirtualKeys::new(Hasher::new([7; 32]));
        let (one, old) = (new(), new());
        let caller = Arc::new(Caller::unknown("a", Tenant("t".to_owned())));
        keys.give(keys.hasher().hash(one.expose()), caller.clone(), None);
        keys.give(keys.hasher().hash(old.expose()), caller, Some(100));
        assert_eq!(keys.holder(one.expose(), 500).unwrap().name, "a");
        assert!(keys.holder(old.expose(), 99).is_some() && keys.holder(old.expose(), 100).is_none());
        assert!(keys.holder(new().expose(), 0).is_none());
        assert!(Hasher::new([8; 32]).hash("x") != Hasher::new([7; 32]).hash("x"));
        keys.take(&keys.hasher().hash(one.expose()));
        assert!(keys.holder(one.expose(), 500).is_none());
    }
}
