//! Sessions of people who signed in: a random id in a cookie, of which a digest is kept. A session ends when it is not used for a
//! while, and in any case after a longer one.

use super::access::{known_as, unwritten};
use crate::store::database::{Database, DatabaseError, SessionRow};
use crate::types::error::Error;
use arc_swap::ArcSwap;
use parking_lot::Mutex as Guarded;
use rand::Rng;
use rand::distr::Alphanumeric;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// Letters and digits of an id.
const DRAWN: usize = 43;
/// Of these, the ones that were used last are kept.
const MOST: usize = 50_000;

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
    used_ms: AtomicU64,
    /// What the identity provider gave; only the process that they signed in at has it.
    kept: Arc<Guarded<Option<Kept>>>,
}

/// What the identity provider gave to a session.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Gets new tokens.
    pub refresh_token: Option<crate::types::secret::Secret>,
    /// Says who is to be signed out.
    pub id_token: crate::types::secret::Secret,
    /// When the provider is to be asked again, in milliseconds since 1970.
    pub again_ms: u64,
}

impl Session {
    /// When it was last used.
    pub fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }

    /// What the identity provider gave.
    pub fn kept(&self) -> Option<Kept> {
        self.kept.lock().clone()
    }
}

/// Who signed in, as the identity provider says.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who it is.
    pub name: String,
    /// By which names they are known.
    pub identities: Vec<String>,
    /// Their groups.
    pub groups: BTreeSet<String>,
    /// What the provider gave.
    pub kept: Kept,
}

type ByDigest = HashMap<[u8; 32], Arc<Session>>;

/// All sessions. They are looked up in memory, and kept in the database where there is one.
#[derive(Debug)]
pub struct Sessions {
    all: ArcSwap<ByDigest>,
    database: Option<Database>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Sessions {
    pub(super) fn new(database: Option<Database>) -> Sessions {
        Sessions { all: ArcSwap::default(), database, changing: Mutex::default() }
    }

    /// Reads those of the database.
    pub(super) async fn read(&self) -> Result<(), DatabaseError> {
        let Some(database) = &self.database else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let rows = database.sessions().await?;
        let before = self.all.load_full();
        self.all.store(Arc::new(rows.iter().filter_map(|row| of_row(row, &before)).collect()));
        Ok(())
    }

    /// Begins one. Gives what the cookie is to say.
    pub async fn begin(&self, who: SignedIn, now_ms: u64) -> Result<String, Error> {
        let id: String = rand::rng().sample_iter(Alphanumeric).take(DRAWN).map(char::from).collect();
        let session = Session {
            digest: digest(&id),
            name: who.name,
            identities: who.identities.into(),
            groups: who.groups,
            created_ms: now_ms,
            used_ms: AtomicU64::new(now_ms),
            kept: Arc::new(Guarded::new(Some(who.kept))),
        };
        self.put(session).await?;
        Ok(id)
    }

    /// The provider was asked again: these are their groups now.
    pub async fn renew(&self, session: &Session, groups: BTreeSet<String>, kept: Kept) -> Result<(), Error> {
        if !self.all.load().contains_key(&session.digest) {
            // It has ended while the provider was asked.
            return Ok(());
        }
        *session.kept.lock() = Some(kept);
        if groups == session.groups {
            return Ok(());
        }
        let renewed = Session {
            digest: session.digest,
            name: session.name.clone(),
            identities: session.identities.clone(),
            groups,
            created_ms: session.created_ms,
            used_ms: AtomicU64::new(session.used_ms()),
            kept: session.kept.clone(),
        };
        self.put(renewed).await
    }

    async fn put(&self, session: Session) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        if let Some(database) = &self.database {
            database.put_session(&row_of(&session)).await.map_err(unwritten)?;
        }
        let mut all = ByDigest::clone(&self.all.load());
        if all.len() >= MOST
            && let Some(oldest) = all.values().min_by_key(|one| one.used_ms()).map(|one| one.digest)
        {
            all.remove(&oldest);
        }
        all.insert(session.digest, Arc::new(session));
        self.all.store(Arc::new(all));
        Ok(())
    }

    /// The session that a cookie names. It counts as used.
    pub(super) fn find(&self, id: &str, now_ms: u64, idle: Duration, most: Duration) -> Option<Arc<Session>> {
        let session = self.all.load().get(&digest(id))?.clone();
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
            let names: Vec<String> = gone.iter().map(hex).collect();
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
        let due = |one: &&Arc<Session>| one.kept.lock().as_ref().is_some_and(|kept| kept.again_ms <= now_ms);
        self.all.load().values().filter(due).cloned().collect()
    }

    /// Digests of those that were used since `since_ms`, each with when.
    pub(super) fn used_since(&self, since_ms: u64) -> Vec<(String, u64)> {
        let all = self.all.load();
        let used = all.values().filter(|one| one.used_ms() >= since_ms);
        used.map(|one| (hex(&one.digest), one.used_ms())).collect()
    }
}

fn has_ended(session: &Session, now_ms: u64, idle: Duration, most: Duration) -> bool {
    let over = |since: u64, time: Duration| u128::from(now_ms.saturating_sub(since)) >= time.as_millis();
    over(session.used_ms(), idle) || over(session.created_ms, most)
}

fn digest(id: &str) -> [u8; 32] {
    blake3::derive_key("askonce 2026 admin session v1", id.as_bytes())
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

fn row_of(session: &Session) -> SessionRow {
    SessionRow {
        digest: hex(&session.digest),
        name: session.name.clone(),
        identities: serde_json::json!(session.identities.as_ref()).to_string(),
        groups: serde_json::json!(session.groups).to_string(),
        created_ms: session.created_ms,
        used_ms: session.used_ms(),
    }
}

/// A row that cannot be read is no session.
fn of_row(row: &SessionRow, before: &ByDigest) -> Option<([u8; 32], Arc<Session>)> {
    let digest = *blake3::Hash::from_hex(&row.digest).ok()?.as_bytes();
    let known = before.get(&digest);
    let session = Session {
        digest,
        name: row.name.clone(),
        identities: known_as(&row.identities)?,
        groups: serde_json::from_str(&row.groups).ok()?,
        created_ms: row.created_ms,
        used_ms: AtomicU64::new(row.used_ms.max(known.map_or(0, |one| one.used_ms()))),
        kept: known.map_or_else(Arc::default, |one| one.kept.clone()),
    };
    Some((digest, Arc::new(session)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::secret::Secret;

    const IDLE: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_millis(1000);

    fn ada() -> SignedIn {
        SignedIn {
            name: "ada".to_owned(),
            identities: vec!["ada".to_owned()],
            groups: BTreeSet::from(["ops".to_owned()]),
            kept: Kept { refresh_token: None, id_token: Secret::new("x"), again_ms: 50 },
        }
    }

    #[tokio::test]
    async fn they_end_when_idle_and_in_any_case() {
        let sessions = Sessions::new(None);
        let id = sessions.begin(ada(), 0).await.unwrap();
        assert!(sessions.find("other", 1, IDLE, MOST).is_none());
        for at in (0..1000).step_by(90) {
            assert!(sessions.find(&id, at, IDLE, MOST).is_some(), "{at}");
        }
        assert!(sessions.find(&id, 1000, IDLE, MOST).is_none(), "in any case");
        let idle = sessions.begin(ada(), 2000).await.unwrap();
        assert!(sessions.find(&idle, 2100, IDLE, MOST).is_none(), "idle");
        assert_eq!(sessions.sweep(2100, IDLE, MOST).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn they_are_there_after_a_restart_and_the_cookie_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::in_file(&dir.path().join("s.db")).await.unwrap();
        let sessions = Sessions::new(Some(database.clone()));
        let id = sessions.begin(ada(), 5).await.unwrap();
        assert!(!format!("{:?}", database.sessions().await.unwrap()).contains(&id));
        let again = Sessions::new(Some(database.clone()));
        again.read().await.unwrap();
        let found = again.find(&id, 6, IDLE, MOST).unwrap();
        assert_eq!((found.name.as_str(), found.groups.len(), found.kept().is_none()), ("ada", 1, true));
        assert_eq!((sessions.to_renew(49).len(), sessions.to_renew(50).len(), again.to_renew(50).len()), (0, 1, 0));
        let session = sessions.to_renew(50).remove(0);
        sessions.renew(&session, BTreeSet::new(), Kept { again_ms: 900, ..ada().kept }).await.unwrap();
        again.read().await.unwrap();
        assert!(again.find(&id, 7, IDLE, MOST).unwrap().groups.is_empty());
        again.end(&found.digest).await.unwrap();
        assert!(again.find(&id, 7, IDLE, MOST).is_none() && database.sessions().await.unwrap().is_empty());
        sessions.read().await.unwrap();
        assert!(sessions.find(&id, 7, IDLE, MOST).is_none(), "the other process sees it");
        sessions.renew(&session, BTreeSet::new(), ada().kept).await.unwrap();
        assert!(database.sessions().await.unwrap().is_empty(), "what has ended is not renewed");
    }
}
