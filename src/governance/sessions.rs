//! Sessions of people who signed in: a random id in a cookie, of which a keyed digest is kept. A session ends when it is not used for a
//! while, and in any case after a longer one.
//!
//! What the identity provider gave, to ask it again, is kept in the database where it can be sealed there, and else in memory only.
//!
//! - `row`: a session as it is written

mod row;

use self::row::Rows;
use super::access::unwritten;
use super::stamp::{self, Stamp};
use crate::store::database::{Database, DatabaseError};
use crate::store::sealed::Seal;
use crate::types::error::Error;
use crate::types::ids::random;
use crate::types::secret::Secret;
use arc_swap::ArcSwap;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// Letters and digits of an id.
const DRAWN: usize = 43;
/// Of these, the ones that were used last are kept.
const MOST: usize = 50_000;
/// Who asks the identity provider about a session keeps others from it for so long.
const CLAIM_MS: u64 = 60_000;

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Session {
    /// What is kept of the cookie.
    pub digest: [u8; 32],
    /// Who it is.
    pub name: String,
    /// By which names they are known: to the identity provider, and in SCIM.
    pub identities: Arc<[String]>,
    /// Their groups.
    pub groups: BTreeSet<String>,
    /// When they signed in, in milliseconds since 1970.
    pub created_ms: u64,
    /// When the provider last told of them; each time is later than the one before.
    pub told_ms: u64,
    used_ms: AtomicU64,
    /// What the identity provider gave, where it is known here.
    pub kept: Option<Kept>,
    /// Held by who asks the provider about it.
    pub(super) renewing: Arc<Mutex<()>>,
}

/// What the identity provider gave to a session.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Gets new tokens.
    pub refresh_token: Option<Secret>,
    /// Says who is to be signed out.
    pub id_token: Secret,
    /// When the provider is to be asked again, in milliseconds since 1970.
    pub again_ms: u64,
}

impl Session {
    /// When it was last used.
    pub fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }

    /// The same session, with what was told anew.
    fn renewed(&self, groups: BTreeSet<String>, kept: Option<Kept>, told_ms: u64) -> Session {
        Session {
            digest: self.digest,
            name: self.name.clone(),
            identities: self.identities.clone(),
            groups,
            created_ms: self.created_ms,
            told_ms,
            used_ms: AtomicU64::new(self.used_ms()),
            kept,
            renewing: self.renewing.clone(),
        }
    }
}

/// Who signed in, as the identity provider says.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who it is.
    pub name: String,
    /// By which names they are known; first by what the provider itself calls them.
    pub identities: Vec<String>,
    /// Their groups.
    pub groups: BTreeSet<String>,
    /// What the provider gave.
    pub kept: Kept,
}

type ByDigest = HashMap<[u8; 32], Arc<Session>>;

/// Whether the provider may be asked about a session.
#[derive(Debug)]
pub(super) enum Claim {
    /// By whoever got this; it is the session as it is now.
    Mine(Arc<Session>),
    /// It was told of since.
    Told,
    /// Another process asks it just now.
    Elsewhere,
    /// There is no such session any more.
    Gone,
}

/// All sessions. They are looked up in memory, and kept in the database where there is one.
#[derive(Debug)]
pub struct Sessions {
    all: ArcSwap<ByDigest>,
    database: Option<Database>,
    /// Makes digests of ids.
    key: [u8; 32],
    rows: Rows,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Sessions {
    /// None yet. Digests are made with what is derived from `key`; what lets the provider be asked is written if there is a `seal`.
    pub(super) fn new(key: &[u8; 32], stamp: Stamp, database: Option<Database>, seal: Option<Arc<Seal>>) -> Sessions {
        let key = blake3::derive_key("askonce 2026 admin session v2", key);
        Sessions { all: ArcSwap::default(), database, key, rows: Rows { stamp, seal }, changing: Mutex::default() }
    }

    /// Reads those of the database.
    pub(super) async fn read(&self) -> Result<(), DatabaseError> {
        let Some(database) = &self.database else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let rows = database.sessions().await?;
        let before = self.all.load_full();
        let all: ByDigest = rows.iter().filter_map(|row| self.rows.read(row, &before)).collect();
        stamp::passed_over("admin_sessions", rows.len() - all.len());
        self.all.store(Arc::new(all));
        Ok(())
    }

    /// Begins one. Gives what the cookie is to say.
    pub async fn begin(&self, who: SignedIn, now_ms: u64) -> Result<String, Error> {
        let id = random(DRAWN);
        let session = Session {
            digest: self.digest(&id),
            name: who.name,
            identities: who.identities.into(),
            groups: who.groups,
            created_ms: now_ms,
            told_ms: now_ms,
            used_ms: AtomicU64::new(now_ms),
            kept: Some(who.kept),
            renewing: Arc::default(),
        };
        let _changing = self.changing.lock().await;
        if let Some(database) = &self.database {
            database.add_session(&self.rows.write(&session)).await.map_err(unwritten)?;
        }
        let mut all = ByDigest::clone(&self.all.load());
        if all.len() >= MOST
            && let Some(oldest) = all.values().min_by_key(|one| one.used_ms()).map(|one| one.digest)
        {
            all.remove(&oldest);
            if let Some(database) = &self.database {
                database.delete_sessions(&[row::hex(&oldest)]).await.map_err(unwritten)?;
            }
        }
        all.insert(session.digest, Arc::new(session));
        self.all.store(Arc::new(all));
        Ok(id)
    }

    /// Asks whether the provider may be asked about `session` by this process, as none else does. Held by `session.renewing`.
    pub(super) async fn claim(&self, session: &Session, now_ms: u64) -> Result<Claim, Error> {
        let digest = &session.digest;
        if let Some(database) = &self.database {
            let name = row::hex(digest);
            let is_mine = database.claim_session(&name, now_ms, now_ms + CLAIM_MS).await.map_err(unwritten)?;
            let _changing = self.changing.lock().await;
            let row = database.session(&name).await.map_err(unwritten)?;
            let now = row.and_then(|row| self.rows.read(&row, &self.all.load()));
            let mut all = ByDigest::clone(&self.all.load());
            match now {
                // Whoever ended it may have been another process.
                None => drop(all.remove(digest)),
                Some((_, now)) if now.told_ms > session.told_ms => drop(all.insert(*digest, now)),
                Some(_) if !is_mine => return Ok(Claim::Elsewhere),
                Some(_) => {}
            }
            self.all.store(Arc::new(all));
            if is_mine && self.of_digest(digest).is_some_and(|now| now.told_ms > session.told_ms) {
                database.claim_session(&name, u64::MAX >> 1, 0).await.map_err(unwritten)?;
            }
        }
        Ok(match self.of_digest(digest) {
            None => Claim::Gone,
            Some(now) if now.told_ms > session.told_ms => Claim::Told,
            Some(now) => Claim::Mine(now),
        })
    }

    /// Lets others ask the provider: it did not answer.
    pub(super) async fn give_back(&self, session: &Session) {
        if let Some(database) = &self.database
            && let Err(error) = database.claim_session(&row::hex(&session.digest), u64::MAX >> 1, 0).await
        {
            tracing::warn!(%error, "a session cannot be renewed for a minute");
        }
    }

    /// The provider was asked again: these are their groups now.
    pub(super) async fn renew(
        &self,
        session: &Session,
        groups: BTreeSet<String>,
        kept: Kept,
        now_ms: u64,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let mut all = ByDigest::clone(&self.all.load());
        if !all.contains_key(&session.digest) {
            // It has ended while the provider was asked.
            return Ok(());
        }
        let renewed = Arc::new(session.renewed(groups, Some(kept), now_ms.max(session.told_ms + 1)));
        let row = self.rows.write(&renewed);
        // What was told holds here even where it cannot be written: groups that are lost are lost, and the token before is used up.
        all.insert(session.digest, renewed);
        self.all.store(Arc::new(all));
        let Some(database) = &self.database else { return Ok(()) };
        if !database.renew_session(&row).await.map_err(unwritten)? {
            let mut all = ByDigest::clone(&self.all.load());
            all.remove(&session.digest);
            self.all.store(Arc::new(all));
        }
        Ok(())
    }

    /// The session that a cookie names. It counts as used.
    pub(super) fn find(&self, id: &str, now_ms: u64, idle: Duration, most: Duration) -> Option<Arc<Session>> {
        let session = self.all.load().get(&self.digest(id))?.clone();
        if has_ended(&session, now_ms, idle, most) {
            return None;
        }
        session.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        Some(session)
    }

    /// The session of that digest.
    pub fn of_digest(&self, digest: &[u8; 32]) -> Option<Arc<Session>> {
        self.all.load().get(digest).cloned()
    }

    /// Ends each of those.
    pub(super) async fn end_if(&self, those: impl Fn(&Session) -> bool) -> Result<usize, Error> {
        let _changing = self.changing.lock().await;
        let before = self.all.load_full();
        let gone: Vec<[u8; 32]> = before.values().filter(|one| those(one)).map(|one| one.digest).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let mut all = ByDigest::clone(&before);
        gone.iter().for_each(|digest| drop(all.remove(digest)));
        // First from where it is looked up: what cannot be written has ended here all the same.
        self.all.store(Arc::new(all));
        if let Some(database) = &self.database {
            let names: Vec<String> = gone.iter().map(row::hex).collect();
            database.delete_sessions(&names).await.map_err(unwritten)?;
        }
        Ok(gone.len())
    }

    /// Ends the session of that digest.
    pub async fn end(&self, digest: &[u8; 32]) -> Result<(), Error> {
        self.end_if(|one| one.digest == *digest).await.map(drop)
    }

    /// Ends those whose time is over.
    pub(super) async fn sweep(&self, now_ms: u64, idle: Duration, most: Duration) -> Result<usize, Error> {
        self.end_if(|one| has_ended(one, now_ms, idle, most)).await
    }

    /// Those of whom the provider is to be asked again.
    pub fn to_renew(&self, now_ms: u64) -> Vec<Arc<Session>> {
        let due = |one: &&Arc<Session>| one.kept.as_ref().is_some_and(|kept| kept.again_ms <= now_ms);
        self.all.load().values().filter(due).cloned().collect()
    }

    /// Digests of those that were used since `since_ms`, each with when.
    pub(super) fn used_since(&self, since_ms: u64) -> Vec<(String, u64)> {
        let all = self.all.load();
        let used = all.values().filter(|one| one.used_ms() >= since_ms);
        used.map(|one| (row::hex(&one.digest), one.used_ms())).collect()
    }

    fn digest(&self, id: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, id.as_bytes()).as_bytes()
    }
}

fn has_ended(session: &Session, now_ms: u64, idle: Duration, most: Duration) -> bool {
    let over = |since: u64, time: Duration| u128::from(now_ms.saturating_sub(since)) >= time.as_millis();
    over(session.used_ms(), idle) || over(session.created_ms, most)
}

#[cfg(test)]
mod tests;
