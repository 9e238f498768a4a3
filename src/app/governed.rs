//! Governed: who may ask for what, and how much, from the database and the settings; and what is told of budgets.

use super::alerts::{self, Listeners};
use super::bookkeeping::{self, Books};
use super::build::{StartError, write_private};
use crate::cache::Cache;
use crate::config::{Resolved, master_key};
use crate::governance::Governor;
use crate::governance::definitions::Definitions;
use crate::governance::objects::Objects;
use crate::governance::records::Records;
use crate::governance::virtual_key::{Hasher, VirtualKeys};
use crate::store::database::{Database, DatabaseError, Options};
use crate::store::sealed::{MasterKeys, Seal};
use arc_swap::ArcSwap;
use rand::Rng;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// How often changes of other nodes are asked for.
const LOOK: Duration = Duration::from_millis(500);
/// The file of the key that seals secrets, where the settings have none.
const SEALING: &str = "sealing.key";

/// Who may ask for what, and how much.
pub(super) struct Governed {
    pub(super) governor: Arc<Governor>,
    pub(super) objects: Arc<Objects>,
    pub(super) definitions: Arc<Definitions>,
    pub(super) virtual_keys: Arc<VirtualKeys>,
    pub(super) books: Option<Arc<Books>>,
    pub(super) database: Database,
    listeners: Listeners,
    /// What seals values in the database, where the settings have a key for that.
    pub(super) seal: Option<Arc<Seal>>,
    /// What is kept of requests.
    pub(super) records: Arc<Records>,
}

impl Governed {
    /// With what was used before, where something is kept.
    pub(super) async fn build(settings: &Resolved, persist: bool, cache: &Arc<Cache>) -> Result<Governed, StartError> {
        let now_ms = cache.now_ms();
        let how = Options { connections: settings.store.connections, timeout: settings.store.timeout };
        let database = match persist {
            true => match &settings.store.url {
                Some(url) => Database::open_with(url.expose(), how).await.map_err(failed)?,
                None => Database::in_file_with(&settings.data_dir.join("askonce.db"), how).await.map_err(failed)?,
            },
            false => Database::in_memory().await.map_err(failed)?,
        };
        // A node that others do not know yet has nothing that they could take for another's.
        let books = if persist { Some(Books::open(database.clone(), now_ms).await?) } else { None };
        let written = if persist { bookkeeping::written(&database).await? } else { HashMap::new() };
        let seal = seal(settings, &database, now_ms).await?.map(Arc::new);
        let changed = Arc::new(Notify::new());
        let of_file = sealing(settings, persist, &database, now_ms).await?;
        let definitions = Definitions::new(database.clone(), seal.clone().or(of_file), persist, changed.clone());
        let governor = Arc::new(Governor::among(settings, persist, database.is_shared(), written, now_ms));
        let clock = Arc::downgrade(cache);
        let now = move || clock.upgrade().map_or(0, |cache| cache.now_ms());
        if let Some(books) = &books {
            tokio::spawn(books.clone().keep(Arc::downgrade(&governor), now.clone()));
        }
        let listeners: Listeners = Arc::new(ArcSwap::from_pointee(settings.alerts.clone()));
        if let Some(alerts_due) = governor.alerts().receiver() {
            tokio::spawn(alerts::tell(alerts_due, listeners.clone()));
        }
        let hasher = match persist {
            true => match settings.store.hashing_key.as_ref().and_then(master_key) {
                Some(key) => Hasher::new(key),
                None => kept_hasher(&settings.data_dir)?,
            },
            false => Hasher::new(rand::rng().random()),
        };
        let virtual_keys = Arc::new(VirtualKeys::new(hasher));
        let records = Records::begin(settings, database.clone(), governor.clone(), now.clone());
        let (keys, with) = (virtual_keys.clone(), governor.clone());
        let objects = Objects::open(database.clone(), with, keys, settings, changed, now_ms).await;
        let (objects, definitions) = (Arc::new(objects.map_err(failed)?), Arc::new(definitions));
        if objects.is_shared() {
            tokio::spawn(follow(Arc::downgrade(&objects), now));
        }
        Ok(Governed { governor, objects, definitions, virtual_keys, books, database, listeners, seal, records })
    }

    /// Puts new settings in force.
    pub(super) async fn reconfigure(&self, settings: &Resolved, now_ms: u64) -> Result<(), String> {
        self.listeners.store(Arc::new(settings.alerts.clone()));
        self.governor.reconfigure(settings, now_ms);
        self.records.reconfigure(settings);
        let failed = |error: DatabaseError| format!("the database: {error}");
        self.objects.reconfigure(settings, now_ms).await.map_err(failed)
    }

    /// Writes down what was used, for the last time.
    pub(super) async fn close(&self, now_ms: u64) {
        self.records.flush().await;
        if let Some(books) = &self.books {
            books.close(&self.governor, now_ms).await;
        }
    }
}

fn failed(error: DatabaseError) -> StartError {
    StartError::Database(error.to_string())
}

/// What seals values in the database; `None`: the settings have no key for that.
async fn seal(settings: &Resolved, database: &Database, now_ms: u64) -> Result<Option<Seal>, StartError> {
    let Some(current) = &settings.store.encryption_key else { return Ok(None) };
    let no_key = || StartError::Database("`store.encryption_key` is no key of 32 bytes".to_owned());
    let former: Option<Vec<_>> = settings.store.former_encryption_keys.iter().map(master_key).collect();
    let mut former = former.ok_or_else(no_key)?;
    // What the data directory's own key has sealed before there was another.
    former.extend(there(&settings.data_dir.join(SEALING))?);
    let masters = MasterKeys::new(&master_key(current).ok_or_else(no_key)?, &former);
    let seal = Seal::of(database, &masters.ok_or_else(no_key)?, now_ms).await;
    seal.map(Some).map_err(|error| StartError::Database(error.to_string()))
}

/// What seals providers' secrets where the settings have no key for that and the database is a file here: a key of the data directory.
/// It keeps them out of copies of the database, and from whoever may read that alone.
async fn sealing(
    settings: &Resolved,
    persist: bool,
    database: &Database,
    now_ms: u64,
) -> Result<Option<Arc<Seal>>, StartError> {
    if !persist || database.is_shared() || settings.store.encryption_key.is_some() {
        return Ok(None);
    }
    let path = settings.data_dir.join(SEALING);
    let key = match there(&path)? {
        Some(key) => key,
        None => made(&path).map_err(|source| StartError::DataDir { dir: settings.data_dir.clone(), source })?,
    };
    let Some(masters) = MasterKeys::new(&key, &[]) else { return Ok(None) };
    match Seal::of(database, &masters, now_ms).await {
        Ok(seal) => Ok(Some(Arc::new(seal))),
        Err(error) => {
            tracing::error!(%error, "what is sealed in the database cannot be opened; no secrets are kept there");
            Ok(None)
        }
    }
}

/// Puts in force what other nodes change.
async fn follow(objects: Weak<Objects>, now: impl Fn() -> u64) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(objects) = objects.upgrade() else { return };
        if let Err(error) = objects.refresh(now()).await {
            tracing::warn!(%error, "what other nodes have changed is not known");
        }
    }
}

/// What hashes keys, made at the first start: without it the hashes in the database are of no use to anybody.
fn kept_hasher(data_dir: &Path) -> Result<Hasher, StartError> {
    let path = data_dir.join("hashing.key");
    let key = match there(&path)? {
        Some(key) => key,
        None => made(&path).map_err(|source| StartError::DataDir { dir: data_dir.to_owned(), source })?,
    };
    Ok(Hasher::new(key))
}

/// The key in the file at `path`, if there is one.
fn there(path: &Path) -> Result<Option<[u8; 32]>, StartError> {
    match std::fs::read_to_string(path) {
        Ok(text) => blake3::Hash::from_hex(text.trim()).map(|key| Some(*key.as_bytes())).map_err(|_| {
            let message = format!(
                "{} holds no key of 64 hexadecimal digits; put back the one that was there, or take the file away and make \
                 all anew that it was for",
                path.display()
            );
            StartError::Database(message)
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::DataDir { dir: path.parent().unwrap_or(path).to_owned(), source }),
    }
}

/// A new key, written to the file at `path`.
fn made(path: &Path) -> std::io::Result<[u8; 32]> {
    let key: [u8; 32] = rand::rng().random();
    write_private(path, format!("{}\n", blake3::Hash::from_bytes(key).to_hex()).as_bytes())?;
    Ok(key)
}
