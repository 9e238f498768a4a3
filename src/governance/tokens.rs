//! Tokens of the admin surface that are made by API: shown once, kept as a keyed digest.
//!
//! A token is `aoa-`, 40 letters and digits drawn at random (238 bits), and six that check them, so that a slip is told from a token
//! that is no more, and scanners of secrets can tell one from other text.
//!
//! A token is by leave of whoever made it, and remembers who that was: see `access`. One that another token made goes with that one.

use super::access::{known_as, list, unwritten};
use super::officer::{Credential, Officer};
use super::roles::{expired, has_ended};
use super::stamp::{self, Stamp};
use crate::store::database::{Database, DatabaseError, TokenRow};
use crate::types::error::{Error, ErrorKind};
use crate::types::ids::{BASE_62, random};
use crate::types::permission::Scope;
use arc_swap::ArcSwap;
use rand::Rng;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// How every token begins.
const BEGINNING: &str = "aoa-";
/// Letters and digits that are drawn, and those that check them.
const DRAWN: usize = 40;
const CHECK: usize = 6;
/// So many there may be; and so many that were made by one another, beginning with one that none made.
const MOST: usize = 10_000;
pub(super) const DEEPEST: usize = 8;

/// By whose leave a token is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Maker {
    /// Whoever has the admin key.
    Key,
    /// A token of the configuration, by its name.
    Configured(String),
    /// Another token made by API, by its id.
    Token(String),
    /// Somebody who signed in: the token's identities say who.
    Person,
}

impl Maker {
    /// What makes a token when `officer` does.
    pub fn of(officer: &Officer) -> Maker {
        match &officer.credential {
            Credential::Key => Maker::Key,
            Credential::Configured(name) => Maker::Configured(name.clone()),
            Credential::Token(id) => Maker::Token(id.clone()),
            Credential::Session(_) => Maker::Person,
        }
    }

    fn written(&self) -> String {
        match self {
            Maker::Key => "key".to_owned(),
            Maker::Configured(name) => format!("configured:{name}"),
            Maker::Token(id) => format!("token:{id}"),
            Maker::Person => "person".to_owned(),
        }
    }

    fn read(text: &str) -> Option<Maker> {
        match text.split_once(':') {
            Some(("configured", name)) => Some(Maker::Configured(name.to_owned())),
            Some(("token", id)) => Some(Maker::Token(id.to_owned())),
            None if text == "key" => Some(Maker::Key),
            None if text == "person" => Some(Maker::Person),
            _ => None,
        }
    }
}

/// A token that somebody made.
#[derive(Debug)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// How far they reach.
    pub scope: Scope,
    /// Who made it.
    pub created_by: String,
    /// By whose leave it is.
    pub maker: Maker,
    /// By which names the one who made it is known.
    pub identities: Arc<[String]>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends; zero: never.
    pub expires_ms: u64,
    used_ms: AtomicU64,
}

impl Token {
    /// When it was last used, in milliseconds since 1970. `None`: never.
    pub fn used_ms(&self) -> Option<u64> {
        Some(self.used_ms.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}

/// What a token is to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is called.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// How far they reach.
    pub scope: Scope,
    /// When it ends; zero: never.
    pub expires_ms: u64,
    /// Who makes it.
    pub created_by: String,
    /// By whose leave it is.
    pub maker: Maker,
    /// By which names that one is known.
    pub identities: Arc<[String]>,
}

type ByDigest = HashMap<[u8; 32], Arc<Token>>;

/// All tokens. They are looked up in memory, and kept in the database where there is one.
pub struct Tokens {
    key: [u8; 32],
    stamp: Stamp,
    all: ArcSwap<ByDigest>,
    database: Option<Database>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Tokens {
    /// None yet. Digests are made with `key`.
    pub(super) fn new(key: [u8; 32], stamp: Stamp, database: Option<Database>) -> Tokens {
        Tokens { key, stamp, all: ArcSwap::default(), database, changing: Mutex::default() }
    }

    /// Reads those of the database.
    pub(super) async fn read(&self) -> Result<(), DatabaseError> {
        let Some(database) = &self.database else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let rows = database.tokens().await?;
        let before = self.all.load_full();
        let all: ByDigest = rows.iter().filter_map(|row| of_row(row, &self.stamp, &before)).collect();
        stamp::passed_over("admin_tokens", rows.len() - all.len());
        self.all.store(Arc::new(all));
        Ok(())
    }

    /// Makes one. The text is told this once.
    pub async fn make(&self, new: NewToken, now_ms: u64) -> Result<(String, Arc<Token>), Error> {
        let _changing = self.changing.lock().await;
        let before = self.all.load_full();
        if before.len() >= MOST {
            let message =
                format!("There are {MOST} tokens, the most that are kept. Delete some with DELETE /admin/tokens/ID.");
            return Err(Error::new(ErrorKind::InvalidRequest, message).with_code("too_many_tokens"));
        }
        if self.depth(&new.maker) >= DEEPEST {
            let message = format!("At most {DEEPEST} tokens may be made by one another in a row.");
            return Err(Error::new(ErrorKind::InvalidRequest, message).with_code("too_many_tokens"));
        }
        let text = drawn();
        let token = Arc::new(Token {
            id: format!("tok_{:016x}", rand::rng().random::<u64>()),
            name: new.name,
            prefix: text.chars().take(BEGINNING.len() + 6).collect(),
            roles: new.roles,
            scope: new.scope,
            created_by: new.created_by,
            maker: new.maker,
            identities: new.identities,
            created_ms: now_ms,
            expires_ms: new.expires_ms,
            used_ms: AtomicU64::new(0),
        });
        let digest = self.digest(&text);
        if let Some(database) = &self.database {
            database.add_token(&row_of(&token, &digest, &self.stamp)).await.map_err(unwritten)?;
        }
        let mut all = ByDigest::clone(&before);
        all.insert(digest, token.clone());
        self.all.store(Arc::new(all));
        Ok((text, token))
    }

    /// Takes one away, with those that it made. Gives them, the one itself first; none, if there was none.
    pub async fn take_away(&self, id: &str) -> Result<Vec<Arc<Token>>, Error> {
        self.take_away_if(|token| token.id == id).await
    }

    /// Takes away each of those, and what they made. Gives them.
    pub(super) async fn take_away_if(&self, those: impl Fn(&Token) -> bool) -> Result<Vec<Arc<Token>>, Error> {
        let _changing = self.changing.lock().await;
        let mut all = ByDigest::clone(&self.all.load());
        let mut gone: Vec<Arc<Token>> = all.values().filter(|token| those(token)).cloned().collect();
        all.retain(|_, token| !those(token));
        let mut looked_at = 0;
        while let Some(id) = gone.get(looked_at).map(|maker| Maker::Token(maker.id.clone())) {
            gone.extend(all.values().filter(|token| token.maker == id).cloned());
            all.retain(|_, token| token.maker != id);
            looked_at += 1;
        }
        // First from where it is looked up: what cannot be written is no token here all the same.
        self.all.store(Arc::new(all));
        if let Some(database) = &self.database {
            for token in &gone {
                database.delete_token(&token.id).await.map_err(unwritten)?;
            }
        }
        Ok(gone)
    }

    /// The one that `text` is. The error says that it has ended, or is no token at all.
    pub(super) fn find(&self, text: &str, now_ms: u64) -> Result<Option<Arc<Token>>, Error> {
        if !text.starts_with(BEGINNING) {
            return Ok(None);
        }
        if !is_whole(text) {
            let message =
                "This looks like a token of the admin surface, and is not whole: letters are missing, or others.";
            return Err(Error::new(ErrorKind::Unauthenticated, message).with_code("invalid_token"));
        }
        let all = self.all.load();
        let Some(token) = all.get(&self.digest(text)) else { return Ok(None) };
        if has_ended(token.expires_ms, now_ms) {
            return Err(expired());
        }
        token.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        Ok(Some(token.clone()))
    }

    /// The one of that id.
    pub fn by_id(&self, id: &str) -> Option<Arc<Token>> {
        self.all.load().values().find(|token| token.id == id).cloned()
    }

    /// How many tokens made one another up to the one that makes another.
    fn depth(&self, maker: &Maker) -> usize {
        let mut next = Some(maker.clone());
        let above = std::iter::from_fn(|| {
            let Some(Maker::Token(id)) = next.take() else { return None };
            next = self.by_id(&id).map(|token| token.maker.clone());
            Some(())
        });
        above.take(DEEPEST).count()
    }

    /// All of them, the newest first.
    pub fn all(&self) -> Vec<Arc<Token>> {
        let mut all: Vec<Arc<Token>> = self.all.load().values().cloned().collect();
        all.sort_by(|one, other| (other.created_ms, &other.id).cmp(&(one.created_ms, &one.id)));
        all
    }

    /// Ids of those that were used since `since_ms`, each with when.
    pub(super) fn used_since(&self, since_ms: u64) -> Vec<(String, u64)> {
        let used = self.all.load();
        let used = used.values().filter_map(|token| Some((token.id.clone(), token.used_ms()?)));
        used.filter(|(_, at)| *at >= since_ms).collect()
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, text.as_bytes()).as_bytes()
    }
}

/// A token that nobody knows yet.
fn drawn() -> String {
    let drawn = random(DRAWN);
    let text = format!("{BEGINNING}{drawn}");
    let check = check(&text);
    text + &check
}

/// The digits that check a token: its CRC-32, to the base of 62.
fn check(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = BASE_62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

fn is_whole(text: &str) -> bool {
    let own = text.len() == BEGINNING.len() + DRAWN + CHECK && text.bytes().skip(4).all(|b| b.is_ascii_alphanumeric());
    own && text.split_at(BEGINNING.len() + DRAWN).1 == check(text.split_at(BEGINNING.len() + DRAWN).0)
}

fn row_of(token: &Token, digest: &[u8; 32], stamp: &Stamp) -> TokenRow {
    let scope = match &token.scope {
        Scope::Everything => String::new(),
        Scope::Accounts(accounts) => serde_json::json!(accounts.as_ref()).to_string(),
    };
    let mut row = TokenRow {
        id: token.id.clone(),
        digest: blake3::Hash::from_bytes(*digest).to_hex().to_string(),
        name: token.name.clone(),
        prefix: token.prefix.clone(),
        roles: serde_json::json!(token.roles).to_string(),
        scope,
        identities: list(&token.identities),
        created_by: token.created_by.clone(),
        created_ms: token.created_ms,
        expires_ms: token.expires_ms,
        used_ms: token.used_ms().unwrap_or(0),
        maker: token.maker.written(),
        stamp: String::new(),
    };
    row.stamp = stamp.of("admin_tokens", &parts(&row, &times(&row)));
    row
}

fn times(row: &TokenRow) -> [String; 2] {
    [row.created_ms.to_string(), row.expires_ms.to_string()]
}

/// What is stamped: all but when it was last used.
fn parts<'r>(row: &'r TokenRow, times: &'r [String; 2]) -> [&'r str; 11] {
    let TokenRow { id, digest, name, prefix, roles, scope, identities, created_by, maker, .. } = row;
    [id, digest, name, prefix, roles, scope, identities, created_by, maker, &times[0], &times[1]]
}

/// A row that cannot be read, or that somebody else wrote, is no token.
fn of_row(row: &TokenRow, stamp: &Stamp, before: &ByDigest) -> Option<([u8; 32], Arc<Token>)> {
    if !stamp.fits(&row.stamp, "admin_tokens", &parts(row, &times(row))) {
        return None;
    }
    let digest = *blake3::Hash::from_hex(&row.digest).ok()?.as_bytes();
    let scope = match row.scope.as_str() {
        "" => Scope::Everything,
        accounts => Scope::Accounts(serde_json::from_str::<Vec<String>>(accounts).ok()?.into()),
    };
    let used_here = before.get(&digest).and_then(|token| token.used_ms()).unwrap_or(0);
    let token = Token {
        id: row.id.clone(),
        name: row.name.clone(),
        prefix: row.prefix.clone(),
        roles: serde_json::from_str(&row.roles).ok()?,
        scope,
        created_by: row.created_by.clone(),
        maker: Maker::read(&row.maker)?,
        identities: known_as(&row.identities)?,
        created_ms: row.created_ms,
        expires_ms: row.expires_ms,
        used_ms: AtomicU64::new(row.used_ms.max(used_here)),
    };
    Some((digest, Arc::new(token)))
}

#[cfg(test)]
mod tests;
