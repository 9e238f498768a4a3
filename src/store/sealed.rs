//! `Seal`: values that lie in the database sealed: provider keys that were made by the admin surface, secrets of web hooks.
//!
//! Envelope encryption. A data key, made at random, seals values; it lies in the database itself, sealed by a master key, which does not.
//! So another master key means that the few data keys are wrapped anew, and no value is touched. Everything is sealed by AES-256-GCM
//! (NIST SP 800-38D) with nonces at random, and bound to its context: a value that is moved to another row does not open there.
//!
//! A sealed value is: version (1 byte), id of the data key (8), nonce (12), sealed text and its tag of 16 bytes.
//!
//! ```ignore
//! let seal = Seal::of(&database, &MasterKeys::new(current, former), now_ms).await?;
//! let sealed = seal.seal("providers/openai/api_key", b"sk-…")?; // to be written to the row `openai`
//! let plain = seal.open("providers/openai/api_key", &sealed)?;
//! ```
//!
//! The context has to tell the place apart from all others, as `TABLE/ID/COLUMN` does. It is not secret, and it is not stored.

use super::database::data_keys::DataKeyRow;
use super::database::{Database, DatabaseError};
use rand::Rng;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::collections::HashMap;

/// The form of a sealed value.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + ID_BYTES + NONCE_LEN;
/// What is told apart from other uses of the same keys.
const OF_VALUES: &str = "askonce sealed value";
const OF_KEYS: &str = "askonce data key";
/// What the id of a master key is made with: it tells nothing of the key.
const OF_MASTER: &str = "askonce 2026 id of a master key";

/// Why a value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The value is no sealed one, or was cut off.
    #[error("this is no sealed value, or it was cut off")]
    Torn,
    /// It was sealed in a form that a later version has.
    #[error("the value was sealed by a later version of askonce (form {0})")]
    Version(u8),
    /// Its data key is not in this database.
    #[error("the value was sealed with the data key {0}, which is not in this database")]
    UnknownKey(String),
    /// It is damaged, or it was sealed for another place.
    #[error("the value of `{0}` does not open: it is damaged, or it belongs to another row")]
    Refused(String),
    /// A data key is wrapped by a master key that was not given.
    #[error(
        "the data key {id} is wrapped by the master key {master}, and neither `store.encryption_key` nor \
         `store.former_encryption_keys` is that one"
    )]
    UnknownMaster {
        /// The data key.
        id: String,
        /// The id of the master key.
        master: String,
    },
    /// A data key is damaged.
    #[error("the data key {0} is damaged")]
    DamagedKey(String),
    /// Too large to be sealed.
    #[error("the value is too large to be sealed")]
    TooLarge,
    /// The database.
    #[error("the database: {0}")]
    Database(#[from] DatabaseError),
}

/// The master keys: the one that wraps, and those that did before.
pub struct MasterKeys {
    current: Master,
    former: Vec<Master>,
}

struct Master {
    id: String,
    key: LessSafeKey,
}

impl Master {
    fn new(bytes: &[u8; KEY_BYTES]) -> Option<Master> {
        let id = blake3::derive_key(OF_MASTER, bytes);
        Some(Master { id: hex(id.get(..ID_BYTES)?), key: key(bytes)? })
    }
}

impl MasterKeys {
    /// `current` wraps from now on; what `former` ones have wrapped can be unwrapped. `None` never happens with keys of this length.
    pub fn new(current: &[u8; KEY_BYTES], former: &[[u8; KEY_BYTES]]) -> Option<MasterKeys> {
        let former = former.iter().map(Master::new).collect::<Option<Vec<_>>>()?;
        Some(MasterKeys { current: Master::new(current)?, former })
    }

    fn by_id(&self, id: &str) -> Option<&Master> {
        std::iter::once(&self.current).chain(&self.former).find(|master| master.id == id)
    }
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKeys").field("current", &self.current.id).finish_non_exhaustive()
    }
}

/// Seals values and opens them.
pub struct Seal {
    current: [u8; ID_BYTES],
    keys: HashMap<[u8; ID_BYTES], LessSafeKey>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("current", &hex(&self.current)).finish_non_exhaustive()
    }
}

impl Seal {
    /// With the data keys of `database`; the first is made where there is none. Those that a former master key has wrapped are wrapped
    /// anew by the current one, so that the former one may be forgotten afterwards.
    pub async fn of(database: &Database, masters: &MasterKeys, now_ms: u64) -> Result<Seal, SealError> {
        let mut rows = database.data_keys().await?;
        if rows.is_empty() {
            database.add_first_data_key(&made(masters, now_ms)?).await?;
            rows = database.data_keys().await?;
        }
        let mut seal = Seal { current: [0; ID_BYTES], keys: HashMap::new() };
        let mut anew = Vec::new();
        for row in rows {
            let unwrapped = unwrapped(masters, &row)?;
            let damaged = || SealError::DamagedKey(row.id.clone());
            let id = bytes(&row.id).and_then(|id| <[u8; ID_BYTES]>::try_from(id).ok()).ok_or_else(damaged)?;
            seal.keys.insert(id, key(&unwrapped).ok_or_else(damaged)?);
            seal.current = id;
            if row.master != masters.current.id {
                let after = wrapped(masters, &row.id, &unwrapped, row.created_ms)?;
                anew.push((row, after));
            }
        }
        if !anew.is_empty() {
            database.rewrap_data_keys(&anew).await?;
            tracing::info!(keys = anew.len(), "data keys are wrapped by the new `store.encryption_key`");
        }
        Ok(seal)
    }

    /// Seals `plain` for the place that `context` names.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.keys.get(&self.current).ok_or_else(|| SealError::UnknownKey(hex(&self.current)))?;
        let nonce: [u8; NONCE_LEN] = rand::rng().random();
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.current);
        sealed.extend_from_slice(&nonce);
        let bound = bound(OF_VALUES, &self.current, context);
        sealed.extend(closed(key, nonce, &bound, plain).ok_or(SealError::TooLarge)?);
        Ok(sealed)
    }

    /// Opens what was sealed for the place that `context` names.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Torn)?;
        if *version != VERSION {
            return Err(if *version > VERSION { SealError::Version(*version) } else { SealError::Torn });
        }
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>().ok_or(SealError::Torn)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Torn)?;
        if text.len() < AES_256_GCM.tag_len() {
            return Err(SealError::Torn);
        }
        let key = self.keys.get(id).ok_or_else(|| SealError::UnknownKey(hex(id)))?;
        let bound = bound(OF_VALUES, id, context);
        opened(key, *nonce, &bound, text).ok_or_else(|| SealError::Refused(context.to_owned()))
    }
}

/// A new data key, wrapped.
fn made(masters: &MasterKeys, now_ms: u64) -> Result<DataKeyRow, SealError> {
    let (id, key): ([u8; ID_BYTES], [u8; KEY_BYTES]) = (rand::rng().random(), rand::rng().random());
    wrapped(masters, &hex(&id), &key, now_ms)
}

fn wrapped(masters: &MasterKeys, id: &str, key: &[u8; KEY_BYTES], created_ms: u64) -> Result<DataKeyRow, SealError> {
    let master = &masters.current;
    let nonce: [u8; NONCE_LEN] = rand::rng().random();
    let closed = closed(&master.key, nonce, &bound(OF_KEYS, id.as_bytes(), &master.id), key);
    let wrapped = hex(&nonce) + &hex(&closed.ok_or(SealError::TooLarge)?);
    Ok(DataKeyRow { id: id.to_owned(), master: master.id.clone(), wrapped, created_ms })
}

fn unwrapped(masters: &MasterKeys, row: &DataKeyRow) -> Result<[u8; KEY_BYTES], SealError> {
    let unknown = || SealError::UnknownMaster { id: row.id.clone(), master: row.master.clone() };
    let master = masters.by_id(&row.master).ok_or_else(unknown)?;
    let open = || {
        let bytes = bytes(&row.wrapped)?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
        opened(&master.key, *nonce, &bound(OF_KEYS, row.id.as_bytes(), &master.id), text)?.try_into().ok()
    };
    open().ok_or_else(|| SealError::DamagedKey(row.id.clone()))
}

fn key(bytes: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new)
}

/// What a sealed text is bound to: no two of these are the same for different parts, as the first two have their lengths before them.
fn bound(purpose: &str, id: &[u8], context: &str) -> Vec<u8> {
    let mut bound = Vec::with_capacity(16 + purpose.len() + id.len() + context.len());
    for part in [purpose.as_bytes(), id] {
        bound.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bound.extend_from_slice(part);
    }
    bound.extend_from_slice(context.as_bytes());
    bound
}

fn closed(key: &LessSafeKey, nonce: [u8; NONCE_LEN], bound: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let mut text = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut text).ok()?;
    Some(text)
}

fn opened(key: &LessSafeKey, nonce: [u8; NONCE_LEN], bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut text = sealed.to_vec();
    let length = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests;
