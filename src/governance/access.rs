//! `Access`: what somebody shows → who administers, or who calls.
//!
//! Tokens, sessions and people are looked up in memory. Where there is a database they are kept there, and read again when another
//! process on it has changed them.
//!
//! - `holders`: what whoever shows a token or a session may, as of now
//! - `renewal`: the identity provider is asked again about somebody
//! - `membership`: who may say who is in which group

mod holders;
mod membership;
mod renewal;

pub use self::renewal::NotRenewed;

use super::governor::Governor;
use super::issuers::Issuers;
use super::last_told::LastTold;
use super::people::People;
use super::roles::Rules;
use super::sessions::Sessions;
use super::sso::Sso;
use super::stamp::Stamp;
use super::tokens::Tokens;
use crate::config::Resolved;
use crate::store::database::{Database, DatabaseError};
use crate::store::sealed::Seal;
use crate::types::error::{Error, ErrorKind};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sessions that began when people could still sign in end so, when they cannot any more.
const NO_SSO: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

/// Who administers, and whose tokens callers may show.
pub struct Access {
    rules: ArcSwap<Rules>,
    issuers: ArcSwap<Issuers>,
    sso: ArcSwapOption<Sso>,
    /// Tokens that were made by API.
    pub tokens: Tokens,
    /// People who are signed in.
    pub sessions: Sessions,
    /// People and groups as SCIM tells them.
    pub people: People,
    last_told: LastTold,
    governor: Arc<Governor>,
    database: Option<Database>,
    key: [u8; 32],
    /// How many changes of the database are known here.
    changes: AtomicU64,
    touched_ms: AtomicU64,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the configuration, and what the database has. `key` is that of the digests of tokens and sessions, and of the stamps of
    /// rows; `seal` is for what lets the identity provider be asked again.
    pub async fn open(
        settings: &Resolved,
        governor: Arc<Governor>,
        (database, seal): (Option<Database>, Option<Arc<Seal>>),
        key: [u8; 32],
    ) -> Result<Access, String> {
        let (rules, stamp) = (Arc::new(Rules::new(settings, governor.clone())), Stamp::new(&key));
        let access = Access {
            issuers: ArcSwap::from_pointee(Issuers::new(&settings.auth.issuers, rules.clone(), None)?),
            sso: ArcSwapOption::new(Sso::of(settings, &key, None)?),
            rules: ArcSwap::new(rules),
            tokens: Tokens::new(key, stamp.clone(), database.clone()),
            sessions: Sessions::new(&key, stamp.clone(), database.clone(), seal),
            people: People::new(stamp.clone(), database.clone()),
            last_told: LastTold::new(stamp, database.clone()),
            governor,
            database,
            key,
            changes: AtomicU64::new(u64::MAX),
            touched_ms: AtomicU64::new(0),
        };
        access.read_changes().await.map_err(|error| error.to_string())?;
        Ok(access)
    }

    /// Puts new settings in force. The error says why they cannot be; then the old ones stay.
    pub fn reconfigure(&self, settings: &Resolved) -> Result<(), String> {
        let rules = Arc::new(Rules::new(settings, self.governor.clone()));
        let issuers = Issuers::new(&settings.auth.issuers, rules.clone(), Some(&self.issuers.load()))?;
        let sso = Sso::of(settings, &self.key, self.sso())?;
        self.issuers.store(Arc::new(issuers));
        self.sso.store(sso);
        self.rules.store(rules);
        Ok(())
    }

    /// What the configuration says of those who administer.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Identity providers whose tokens callers may show.
    pub fn issuers(&self) -> Arc<Issuers> {
        self.issuers.load_full()
    }

    /// Where people sign in.
    pub fn sso(&self) -> Option<Arc<Sso>> {
        self.sso.load_full()
    }

    fn times(&self) -> (Duration, Duration) {
        self.sso().map_or(NO_SSO, |sso| (sso.settings.idle_timeout, sso.settings.session_timeout))
    }

    /// Ends whatever somebody has here who is known by one of these names: sessions, and tokens that they made.
    pub async fn end_all_of(&self, identities: &[String]) -> Result<(), Error> {
        let is_theirs = |known: &[String]| known.iter().any(|one| identities.contains(one));
        let sessions = self.sessions.end_if(|session| is_theirs(&session.identities)).await;
        let tokens = self.tokens.take_away_if(|token| is_theirs(&token.identities)).await;
        let told = self.last_told.forget(identities).await;
        sessions.map(drop).and(tokens.map(drop)).and(told)
    }

    /// Reads what another process on the database has changed, if one has.
    pub async fn read_changes(&self) -> Result<(), DatabaseError> {
        let Some(database) = &self.database else { return Ok(()) };
        let changes = database.people_changes().await?;
        if self.changes.load(Ordering::Acquire) == changes {
            return Ok(());
        }
        self.tokens.read().await?;
        self.sessions.read().await?;
        self.people.read().await?;
        self.last_told.read().await?;
        self.changes.store(changes, Ordering::Release);
        Ok(())
    }

    /// Writes when tokens and sessions were last used, and ends sessions whose time is over.
    pub async fn tidy(&self, now_ms: u64) -> Result<(), Error> {
        let (idle, most) = self.times();
        self.sessions.sweep(now_ms, idle, most).await?;
        let Some(database) = &self.database else { return Ok(()) };
        let since = self.touched_ms.swap(now_ms, Ordering::AcqRel);
        let (tokens, sessions) = (self.tokens.used_since(since), self.sessions.used_since(since));
        if tokens.is_empty() && sessions.is_empty() {
            return Ok(());
        }
        database.touch(&tokens, &sessions).await.map_err(unwritten)
    }
}

/// What cannot be written now.
pub(super) fn unwritten(error: DatabaseError) -> Error {
    tracing::error!(%error, "people and tokens cannot be written");
    let message = "The database cannot be written just now, so nothing was changed for good. Try again.";
    Error::new(ErrorKind::Overloaded, message).with_code("store_unavailable")
}

/// Names in a list, as the database has them.
pub(super) fn known_as(list: &str) -> Option<Arc<[String]>> {
    serde_json::from_str::<Vec<String>>(list).ok().map(Arc::from)
}

/// Names in a list, as the database is to have them.
pub(super) fn list(names: &[String]) -> String {
    serde_json::json!(names).to_string()
}

/// A name by which somebody is known, in the form in which names are compared.
pub(super) fn identity(name: &str) -> String {
    name.trim().to_lowercase()
}
