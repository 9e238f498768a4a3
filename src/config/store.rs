//! `store`: what the database is written with: the key that seals values in it.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use crate::types::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

const KEYS: &[&str] = &["url", "hashing_key", "encryption_key", "former_encryption_keys", "connections", "timeout_ms"];
/// Of one gateway.
const MOST_CONNECTIONS: u64 = 200;
/// A master key has so many bytes.
const KEY_BYTES: usize = 32;
/// Former keys that may be listed.
const MOST_FORMER: usize = 16;

/// What the database is written with.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// Where the database is: `postgres://…`. `None`: SQLite in the data directory.
    pub url: Option<Secret>,
    /// What hashes virtual keys: 32 bytes. `None`: a file of the data directory. A database elsewhere needs one that does not go with
    /// this machine.
    pub hashing_key: Option<Secret>,
    /// The master key of sealed values, as it is written: 32 bytes in hexadecimal digits or base64. `None`: nothing is sealed.
    pub encryption_key: Option<Secret>,
    /// Keys that were it before, whose values can still be opened.
    pub former_encryption_keys: Vec<Secret>,
    /// Connections to PostgreSQL, and connections that read SQLite.
    pub connections: u32,
    /// The longest time for a connection, for a place among the connections, and for a statement.
    pub timeout: Duration,
}

/// Reads `store`.
pub(super) fn store(root: &Fields<'_>) -> Result<Store, ConfigError> {
    let fields = root.child("store", KEYS)?;
    let url = fields.get("url").map_or(Ok(None), |item| url(&item))?;
    let hashing_key = fields.get("hashing_key").map_or(Ok(None), |item| key(&item))?;
    if let (Some(item), Some(_), None) = (fields.get("url"), &url, &hashing_key) {
        let error = item.error(
            "a database elsewhere needs a `hashing_key`, or virtual keys are lost with this machine's data directory",
        );
        return Err(error.with_suggestion("make one by `openssl rand -hex 32`, and keep it with the backups"));
    }
    let encryption_key = fields.get("encryption_key").map_or(Ok(None), |item| key(&item))?;
    let items = fields.list("former_encryption_keys")?;
    if let (Some(first), None) = (items.first(), &encryption_key) {
        let error = first.error("there are former keys and no `encryption_key`");
        return Err(error.with_suggestion("write the key that is in use into `encryption_key`"));
    }
    if let Some(item) = items.get(MOST_FORMER) {
        return Err(item.error(format!("expected at most {MOST_FORMER} former keys")));
    }
    let former = items.iter().map(|item| key(item)?.ok_or_else(|| item.error("expected a key, found none")));
    Ok(Store {
        url,
        hashing_key,
        encryption_key,
        former_encryption_keys: former.collect::<Result<_, _>>()?,
        connections: u32::try_from(fields.integer("connections", 4, 1..=MOST_CONNECTIONS)?).unwrap_or(1),
        timeout: fields.millis("timeout_ms", 5_000, 100..=120_000)?,
    })
}

/// It holds a password, and is never shown.
fn url(item: &Item<'_>) -> Result<Option<Secret>, ConfigError> {
    let secret = item.secret_if_any()?;
    let is_one = |text: &str| text.starts_with("postgres://") || text.starts_with("postgresql://");
    match &secret {
        Some(secret) if secret.is_read() && !is_one(secret.expose()) => {
            let error = item.error("expected the URL of a PostgreSQL database");
            Err(error.with_suggestion(
                "write it as in `postgres://askonce:PASSWORD@db.example.com/askonce`, or leave it out",
            ))
        }
        _ => Ok(secret),
    }
}

fn key(item: &Item<'_>) -> Result<Option<Secret>, ConfigError> {
    let secret = item.secret_if_any()?;
    match &secret {
        Some(secret) if secret.is_read() && master_key(secret).is_none() => {
            let error = item.error(format!("expected {KEY_BYTES} bytes in hexadecimal digits or base64"));
            Err(error.with_suggestion("a good one is made by `openssl rand -hex 32`"))
        }
        _ => Ok(secret),
    }
}

/// The bytes of a master key as it is written.
pub fn master_key(secret: &Secret) -> Option<[u8; KEY_BYTES]> {
    let text = secret.expose();
    if text.len() == 2 * KEY_BYTES {
        return blake3::Hash::from_hex(text).ok().map(|bytes| *bytes.as_bytes());
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}
