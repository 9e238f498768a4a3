//! `Objects`: accounts and virtual keys that are made at the admin surface: written down first, then in force.
//!
//! Each object has one owner, the file or the admin surface, and is changed there only. Where the file takes a name that the admin
//! surface has used, the file's object is in force, and the other one is told as shadowed until one of them goes.

mod import;

use super::governor::Governor;
use super::level::Source;
use super::virtual_key::{self, VirtualKeys};
use crate::config::{self, Account, ConfigError, VirtualKey};
use crate::store::database::{Change, Database, DatabaseError, HashRow, ObjectRow};
use crate::types::caller::{Caller, Tenant};
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rand::Rng;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const ACCOUNT: &str = "account";
const KEY: &str = "key";
/// The most objects on a page.
pub const MOST_ON_A_PAGE: u64 = 500;
/// The longest JSON of one object, in bytes.
const MOST_BYTES: usize = 256 * 1024;
/// So many keys are read by several threads at once: at the start, that is.
const MANY: usize = 1_000;
/// The longest time that an old secret stays good beside the new one.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(90 * 86_400);

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An organisation, customer, team or user.
    Account,
    /// A key.
    Key,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Account => ACCOUNT,
            Kind::Key => KEY,
        }
    }
}

/// An object as it is shown.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// Its settings, as JSON with the keys of the configuration.
    pub settings: Map<String, Value>,
    /// Who owns it.
    pub source: Source,
    /// The file has an object of the same name, which is in force.
    pub shadowed: bool,
    /// How often it was changed; zero for those of the file.
    pub version: u64,
    /// Unique; empty for those of the file.
    pub id: String,
    /// What may be shown of a key's secret.
    pub hint: String,
    /// Why it is not in force though it should be; empty: it is.
    pub problem: String,
    /// When it was made and changed, in milliseconds since 1970.
    pub created_ms: u64,
    /// The same of its latest change.
    pub changed_ms: u64,
}

impl Object {
    /// Its name.
    pub fn name(&self) -> &str {
        self.settings.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The account that it belongs to.
    pub fn account(&self) -> Option<&str> {
        self.settings.get("account").or_else(|| self.settings.get("in")).and_then(Value::as_str)
    }
}

/// What an object has to be like to be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// Of that version.
    pub version: Option<u64>,
    /// Only look whether the change could be made.
    pub dry_run: bool,
}

/// Accounts and virtual keys of the admin surface, and those of the file beside them.
#[derive(Debug)]
pub struct Objects {
    database: Database,
    governor: Arc<Governor>,
    keys: Arc<VirtualKeys>,
    file: ArcSwap<OfFile>,
    /// The hashes of each key.
    hashes: Mutex<HashMap<String, Vec<[u8; 32]>>>,
    /// The latest change that is in force. Held while changes are made, one after the other.
    seen: tokio::sync::Mutex<u64>,
    /// Told when what is neither account nor key has changed.
    others: Arc<Notify>,
}

/// What the file has, as JSON, by name.
#[derive(Debug, Default, PartialEq)]
struct OfFile {
    accounts: BTreeMap<String, Map<String, Value>>,
    keys: BTreeMap<String, Map<String, Value>>,
}

impl OfFile {
    fn new(settings: &config::Resolved) -> OfFile {
        let map = |json: String| serde_json::from_str::<Map<String, Value>>(&json).unwrap_or_default();
        let account = |one: &Account| (one.name.clone(), map(one.to_json()));
        let key = |one: &config::CallerKey| (one.name.clone(), map(one.to_json()));
        OfFile {
            accounts: settings.accounts.iter().map(account).collect(),
            keys: settings.auth.keys.iter().map(key).collect(),
        }
    }

    fn of(&self, kind: Kind) -> &BTreeMap<String, Map<String, Value>> {
        match kind {
            Kind::Account => &self.accounts,
            Kind::Key => &self.keys,
        }
    }
}

impl Objects {
    /// Those in `database`, put in force.
    pub async fn open(
        database: Database,
        governor: Arc<Governor>,
        keys: Arc<VirtualKeys>,
        settings: &config::Resolved,
        others: Arc<Notify>,
        now_ms: u64,
    ) -> Result<Objects, DatabaseError> {
        let file = ArcSwap::from_pointee(OfFile::new(settings));
        let (hashes, seen, others) = (Mutex::default(), tokio::sync::Mutex::new(0), others);
        let objects = Objects { database, governor, keys, file, hashes, seen, others };
        objects.refresh(now_ms).await?;
        Ok(objects)
    }

    /// Other nodes may change them.
    pub fn is_shared(&self) -> bool {
        self.database.is_shared()
    }

    /// The file has changed, and the governor knows: what its objects hid may be in force again.
    pub async fn reconfigure(&self, settings: &config::Resolved, now_ms: u64) -> Result<(), DatabaseError> {
        let new = OfFile::new(settings);
        if **self.file.load() == new {
            return Ok(());
        }
        self.file.store(Arc::new(new));
        *self.seen.lock().await = 0;
        self.refresh(now_ms).await
    }

    /// Puts in force what was changed since the last time, by whichever node.
    pub async fn refresh(&self, now_ms: u64) -> Result<(), DatabaseError> {
        let mut seen = self.seen.lock().await;
        self.catch_up(&mut seen, now_ms).await
    }

    async fn catch_up(&self, seen: &mut u64, now_ms: u64) -> Result<(), DatabaseError> {
        // At the start everything is new, hashes too: both are read at once.
        let (rows, mut hashes) = match *seen {
            0 => tokio::try_join!(self.database.objects_after(0), self.database.hashes(None))?,
            seen => (self.database.objects_after(seen).await?, Vec::new()),
        };
        let Some(latest) = rows.last().map(|row| row.revision) else { return Ok(()) };
        let of = |kind: &str| rows.iter().filter(|row| row.kind == kind).collect::<Vec<&ObjectRow>>();
        let (accounts, keys) = (of(ACCOUNT), of(KEY));
        if accounts.len() + keys.len() < rows.len() {
            self.others.notify_one();
        }
        let mut moved = false;
        for row in accounts {
            moved |= self.know_account(row, now_ms);
        }
        // Whose account is in another one now has other accounts above it.
        let all = if moved && *seen > 0 { self.database.objects_after(0).await? } else { Vec::new() };
        let keys: Vec<&ObjectRow> = match all.is_empty() {
            true => keys,
            false => all.iter().filter(|row| row.kind == KEY).collect(),
        };
        match keys.as_slice() {
            _ if *seen == 0 => {}
            [] => {}
            [one] => hashes = self.database.hashes(Some(&one.name)).await?,
            _ => hashes = self.database.hashes(None).await?,
        }
        let mut by_name: HashMap<&str, Vec<&HashRow>> = HashMap::new();
        hashes.iter().for_each(|row| by_name.entry(&row.name).or_default().push(row));
        let read = |row: &&ObjectRow| config::read_virtual_key(&row.body);
        let read: Vec<_> = match keys.len() {
            ..MANY => keys.iter().map(read).collect(),
            _ => keys.par_iter().map(read).collect(),
        };
        for (row, read) in keys.into_iter().zip(read) {
            self.know_key(row, read, by_name.get(row.name.as_str()).map_or(&[], Vec::as_slice), now_ms);
        }
        *seen = latest;
        Ok(())
    }

    /// True if its accounts above it may be others.
    fn know_account(&self, row: &ObjectRow, now_ms: u64) -> bool {
        if self.file.load().accounts.contains_key(&row.name) {
            tracing::warn!(
                account = row.name,
                "the file has an account of this name, which hides that of the admin surface"
            );
            return true;
        }
        if row.body.is_empty() {
            self.governor.remove_account(&row.name);
            return true;
        }
        match config::read_account(&row.body) {
            Ok(account) => {
                let before = self.governor.parent_of_account(&account.name);
                self.governor.set_account(&account, Source::Api, now_ms);
                before != Some(account.parent)
            }
            Err(error) => {
                tracing::error!(account = row.name, %error, "an account in the database cannot be read; its keys may nothing");
                self.governor.remove_account(&row.name);
                true
            }
        }
    }

    fn know_key(&self, row: &ObjectRow, read: Result<VirtualKey, ConfigError>, hashes: &[&HashRow], now_ms: u64) {
        let before = self.hashes.lock().remove(&row.name).unwrap_or_default();
        let known = self.given(row, read, hashes, now_ms);
        // Those that stay are given before others are taken: nobody who holds one is turned away meanwhile.
        before.iter().filter(|hash| !known.contains(hash)).for_each(|hash| self.keys.take(hash));
        if !known.is_empty() {
            self.hashes.lock().insert(row.name.clone(), known);
        }
    }

    /// Puts a key in force. Gives the hashes by which it is known from then on.
    fn given(
        &self,
        row: &ObjectRow,
        read: Result<VirtualKey, ConfigError>,
        hashes: &[&HashRow],
        now_ms: u64,
    ) -> Vec<[u8; 32]> {
        if self.file.load().keys.contains_key(&row.name) {
            tracing::warn!(key = row.name, "the file has a key of this name, which hides that of the admin surface");
            return Vec::new();
        }
        if row.body.is_empty() {
            self.governor.remove_key(&row.name);
            return Vec::new();
        }
        let key = match read {
            Ok(key) => key,
            Err(error) => {
                tracing::error!(key = row.name, %error, "a key in the database cannot be read; it is good for nothing");
                self.governor.remove_key(&row.name);
                return Vec::new();
            }
        };
        self.governor.set_key(&key, now_ms);
        let caller = Arc::new(self.caller(&key, &row.id));
        let mut known = Vec::with_capacity(hashes.len());
        for row in hashes {
            let Some(hash) = blake3::Hash::from_hex(&row.hash).ok() else { continue };
            self.keys.give(*hash.as_bytes(), caller.clone(), row.until_ms);
            known.push(*hash.as_bytes());
        }
        known
    }

    fn caller(&self, key: &VirtualKey, id: &str) -> Caller {
        // A name may be used again, by somebody else; an id is not.
        let own = || Tenant::configured(&format!("vk.{id}"));
        Caller {
            address: None,
            name: key.name.clone(),
            tenant: key.tenant.as_deref().map_or_else(own, Tenant::configured),
            bearer: None,
            accounts: self.governor.accounts_from(key.account.as_deref()),
            models: Arc::default(),
        }
    }

    /// Objects whose names come after `after`, in order, and whether there are more.
    pub async fn page(&self, kind: Kind, after: &str, most: u64) -> Result<(Vec<Object>, bool), Error> {
        let most = most.clamp(1, MOST_ON_A_PAGE);
        let rows = self.database.objects(kind.as_str(), after, most + 1).await.map_err(unavailable)?;
        let file = self.file.load();
        let of_file = file.of(kind);
        let mut all: BTreeMap<(String, bool), Object> = rows
            .into_iter()
            .map(|row| ((row.name.clone(), false), shown(&row, of_file.contains_key(&row.name))))
            .collect();
        let after = (std::ops::Bound::Excluded(after.to_owned()), std::ops::Bound::Unbounded);
        for (name, settings) in of_file.range::<String, _>(after).take(most as usize + 1) {
            all.insert((name.clone(), true), in_file(settings));
        }
        let more = all.len() > most as usize;
        Ok((all.into_values().take(most as usize).collect(), more))
    }

    /// The object of that name that is in force.
    pub async fn get(&self, kind: Kind, name: &str) -> Result<Object, Error> {
        if let Some(settings) = self.file.load().of(kind).get(name) {
            return Ok(in_file(settings));
        }
        Ok(shown(&self.row(kind, name).await?, false))
    }

    async fn row(&self, kind: Kind, name: &str) -> Result<ObjectRow, Error> {
        let row = self.database.object(kind.as_str(), name).await.map_err(unavailable)?;
        row.ok_or_else(|| not_found(kind.as_str(), name))
    }

    /// Makes an account.
    pub async fn create_account(&self, json: &[u8], dry_run: bool, now_ms: u64) -> Result<Object, Error> {
        let settings = read(json)?;
        let account = config::read_account(&text(&settings)?).map_err(invalid)?;
        self.check_account(&account)?;
        let row = new_row(ACCOUNT, &account.name, text(&settings)?, String::new(), now_ms);
        self.put(row, None, (Vec::new(), false), dry_run, now_ms).await
    }

    /// Makes a key. Its secret is told now, and never again; not at all where it is only tried.
    pub async fn create_key(&self, json: &[u8], dry_run: bool, now_ms: u64) -> Result<(Object, Option<Secret>), Error> {
        let settings = read(json)?;
        let key = config::read_virtual_key(&text(&settings)?).map_err(invalid)?;
        self.check_key(&key)?;
        let secret = virtual_key::new();
        let row = new_row(KEY, &key.name, text(&settings)?, virtual_key::hint(&secret), now_ms);
        let hash = self.hashed(&secret, &key.name, None);
        let object = self.put(row, None, (vec![hash], true), dry_run, now_ms).await?;
        Ok((object, (!dry_run).then_some(secret)))
    }

    /// Changes an object: `json` is merged into what it is, and `null` takes a setting away (RFC 7396). Its name stays.
    pub async fn patch(
        &self,
        kind: Kind,
        name: &str,
        json: &[u8],
        condition: Condition,
        now_ms: u64,
    ) -> Result<Object, Error> {
        let row = self.own(kind, name, condition).await?;
        let mut settings = read(row.body.as_bytes())?;
        merge(&mut settings, read(json)?);
        if settings.get("name").and_then(Value::as_str) != Some(name) {
            return Err(Error::invalid(
                "name",
                "A name cannot be changed: make another object, and take this one away.",
            ));
        }
        let body = text(&settings)?;
        match kind {
            Kind::Account => {
                let account = config::read_account(&body).map_err(invalid)?;
                let before = config::read_account(&row.body).map_err(invalid)?;
                if account.kind != before.kind {
                    return Err(Error::invalid("kind", "The kind of an account cannot be changed."));
                }
                self.check_account(&account)?;
            }
            Kind::Key => self.check_key(&config::read_virtual_key(&body).map_err(invalid)?)?,
        }
        let before = row.version;
        let row = ObjectRow { body, version: before + 1, changed_ms: now_ms, ..row };
        self.put(row, Some(before), (Vec::new(), false), condition.dry_run, now_ms).await
    }

    /// Gives a key another secret. The old one stays good for `overlap`, and those before it for no longer than that.
    pub async fn rotate(
        &self,
        name: &str,
        overlap: Duration,
        condition: Condition,
        now_ms: u64,
    ) -> Result<(Object, Option<Secret>), Error> {
        let row = self.own(Kind::Key, name, condition).await?;
        let before = row.version;
        let secret = virtual_key::new();
        let ms = u64::try_from(overlap.min(LONGEST_OVERLAP).as_millis()).unwrap_or(u64::MAX);
        let until = now_ms.saturating_add(ms);
        let old = self.database.hashes(Some(name)).await.map_err(unavailable)?;
        let old = old
            .into_iter()
            .map(|old| HashRow { until_ms: Some(old.until_ms.map_or(until, |was| was.min(until))), ..old });
        let mut hashes: Vec<HashRow> = old.filter(|old| old.until_ms.is_some_and(|until| until > now_ms)).collect();
        hashes.push(self.hashed(&secret, name, None));
        let hint = virtual_key::hint(&secret);
        let row = ObjectRow { hint, version: before + 1, changed_ms: now_ms, ..row };
        let object = self.put(row, Some(before), (hashes, true), condition.dry_run, now_ms).await?;
        Ok((object, (!condition.dry_run).then_some(secret)))
    }

    /// Takes an object away. A key is none from this moment on; an account must have nothing in it.
    pub async fn delete(&self, kind: Kind, name: &str, condition: Condition, now_ms: u64) -> Result<(), Error> {
        let row = self.own(kind, name, condition).await?;
        if let (Kind::Account, Some(what)) = (kind, self.governor.something_in(name)) {
            let message = format!("The account `{name}` still has the {what} in it: take that away first, or move it.");
            return Err(Error::new(ErrorKind::Conflict, message).with_code("account_not_empty"));
        }
        let before = row.version;
        let row = ObjectRow { body: String::new(), version: before + 1, changed_ms: now_ms, ..row };
        self.put(row, Some(before), (Vec::new(), true), condition.dry_run, now_ms).await.map(drop)
    }

    /// The row of an object that the admin surface owns, if it is as it has to be.
    async fn own(&self, kind: Kind, name: &str, condition: Condition) -> Result<ObjectRow, Error> {
        if self.file.load().of(kind).contains_key(name) {
            return Err(owned_by_file(kind.as_str(), name));
        }
        let row = self.row(kind, name).await?;
        match condition.version {
            Some(version) if version != row.version => Err(changed(kind.as_str(), name)),
            _ => Ok(row),
        }
    }

    async fn put(
        &self,
        row: ObjectRow,
        before: Option<u64>,
        (hashes, only_these): (Vec<HashRow>, bool),
        dry_run: bool,
        now_ms: u64,
    ) -> Result<Object, Error> {
        let kind = if row.kind == ACCOUNT { Kind::Account } else { Kind::Key };
        let taken = || name_taken(&row.kind, &row.name);
        if before.is_none() && self.file.load().of(kind).contains_key(&row.name) {
            return Err(taken());
        }
        if dry_run {
            let there = self.database.object(&row.kind, &row.name).await.map_err(unavailable)?;
            return if before.is_none() && there.is_some() { Err(taken()) } else { Ok(shown(&row, false)) };
        }
        let mut seen = self.seen.lock().await;
        let change = Change { row, before, hashes, only_these };
        match self.database.change(&change).await.map_err(unavailable)? {
            true => match self.catch_up(&mut seen, now_ms).await {
                // The secret of a new key is told once: better it is told before the key is good.
                Err(error) if before.is_none() => tracing::error!(%error, "what was made is not in force yet"),
                // What was taken away may still be good here: nobody is told that it is done.
                done => done.map_err(unavailable)?,
            },
            false if before.is_none() => return Err(name_taken(&change.row.kind, &change.row.name)),
            false => return Err(changed(kind.as_str(), &change.row.name)),
        }
        Ok(shown(&change.row, false))
    }

    fn check_account(&self, account: &Account) -> Result<(), Error> {
        let Some(parent) = &account.parent else { return Ok(()) };
        match self.governor.kind_of_account(parent) {
            None => Err(Error::invalid("in", format!("There is no account `{parent}`."))),
            Some(kind) if kind >= account.kind => {
                let (own, other) = (account.kind.as_str(), kind.as_str());
                let message = format!(
                    "A {own} cannot be in a {other}: organisations have customers, these have teams, and these have users."
                );
                Err(Error::invalid("in", message))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_key(&self, key: &VirtualKey) -> Result<(), Error> {
        match &key.account {
            Some(account) if self.governor.kind_of_account(account).is_none() => {
                Err(Error::invalid("account", format!("There is no account `{account}`.")))
            }
            _ => Ok(()),
        }
    }

    fn hashed(&self, secret: &Secret, name: &str, until_ms: Option<u64>) -> HashRow {
        let hash = blake3::Hash::from_bytes(self.keys.hasher().hash(secret.expose()));
        HashRow { hash: hash.to_hex().to_string(), name: name.to_owned(), until_ms }
    }
}

/// A row of something new. Its version is the time, so that none comes again when a name does.
pub(super) fn new_row(kind: &str, name: &str, body: String, hint: String, now_ms: u64) -> ObjectRow {
    let id = format!("{:032x}", rand::rng().random::<u128>());
    let (kind, name) = (kind.to_owned(), name.to_owned());
    ObjectRow {
        kind,
        name,
        id,
        body,
        hint,
        version: now_ms.max(1),
        created_ms: now_ms,
        changed_ms: now_ms,
        revision: 0,
    }
}

fn shown(row: &ObjectRow, shadowed: bool) -> Object {
    Object {
        settings: serde_json::from_str(&row.body).unwrap_or_default(),
        source: Source::Api,
        shadowed,
        version: row.version,
        id: row.id.clone(),
        hint: row.hint.clone(),
        problem: String::new(),
        created_ms: row.created_ms,
        changed_ms: row.changed_ms,
    }
}

pub(super) fn in_file(settings: &Map<String, Value>) -> Object {
    Object {
        settings: settings.clone(),
        source: Source::File,
        shadowed: false,
        version: 0,
        id: String::new(),
        hint: String::new(),
        problem: String::new(),
        created_ms: 0,
        changed_ms: 0,
    }
}

pub(super) fn read(json: &[u8]) -> Result<Map<String, Value>, Error> {
    if json.len() > MOST_BYTES {
        let message = format!("The object has {} bytes; at most {MOST_BYTES} are taken.", json.len());
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    serde_json::from_slice(json)
        .map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("The body is no JSON object: {error}.")))
}

pub(super) fn text(settings: &Map<String, Value>) -> Result<String, Error> {
    serde_json::to_string(settings).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}

/// Merges `patch` into `settings` (RFC 7396).
pub(super) fn merge(settings: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => drop(settings.remove(&key)),
            Value::Object(inner) => {
                let there = settings.entry(key).or_insert_with(|| Value::Object(Map::new()));
                if !there.is_object() {
                    *there = Value::Object(Map::new());
                }
                if let Value::Object(there) = there {
                    merge(there, inner);
                }
            }
            value => drop(settings.insert(key, value)),
        }
    }
}

fn invalid(error: ConfigError) -> Error {
    let (key, message) = error.in_request();
    Error::invalid(key, message).with_code("invalid_object")
}

pub(super) fn name_taken(kind: &str, name: &str) -> Error {
    let message = format!("There is a {kind} `{name}` already.");
    Error::new(ErrorKind::Conflict, message).with_code("name_taken")
}

pub(super) fn owned_by_file(kind: &str, name: &str) -> Error {
    let message = format!("The {kind} `{name}` is the configuration file's: change it there.");
    Error::new(ErrorKind::Conflict, message).with_code("owned_by_file")
}

pub(super) fn not_found(kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("There is no {kind} `{name}`.")).with_code("object_not_found")
}

pub(super) fn changed(kind: &str, name: &str) -> Error {
    let message = format!("The {kind} `{name}` is of another version by now: read it again.");
    Error::new(ErrorKind::PreconditionFailed, message).with_code("version_changed")
}

pub(super) fn unavailable(error: DatabaseError) -> Error {
    tracing::error!(%error, "the database");
    let message = "The database does not answer just now; see the log of the gateway.";
    Error::new(ErrorKind::Overloaded, message).with_code("store_unavailable")
}

#[cfg(test)]
mod tests;
