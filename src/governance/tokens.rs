//! Tokens of the admin surface that are made by API: shown once, kept as a keyed digest.
//!
//! A token is `aoa-`, 40 letters and digits drawn at random (238 bits), and six that check them, so that a slip is told from a token
//! that is no more, and scanners of secrets can tell one from other text.

use super::access::{known_as, unwritten};
use super::roles::expired;
use crate::store::database::{Database, DatabaseError, TokenRow};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::Scope;
use arc_swap::ArcSwap;
use rand::Rng;
use rand::distr::Alphanumeric;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// How every token begins.
const BEGINNING: &str = "aoa-";
/// Letters and digits that are drawn, and those that check them.
const DRAWN: usize = 40;
const CHECK: usize = 6;
/// So many there may be.
const MOST: usize = 10_000;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

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
    /// By which names that one is known.
    pub identities: Arc<[String]>,
}

type ByDigest = HashMap<[u8; 32], Arc<Token>>;

/// All tokens. They are looked up in memory, and kept in the database where there is one.
pub struct Tokens {
    key: [u8; 32],
    all: ArcSwap<ByDigest>,
    database: Option<Database>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Tokens {
    /// None yet. Digests are made with `key`.
    pub(super) fn new(key: [u8; 32], database: Option<Database>) -> Tokens {
        Tokens { key, all: ArcSwap::default(), database, changing: Mutex::default() }
    }

    /// Reads those of the database.
    pub(super) async fn read(&self) -> Result<(), DatabaseError> {
        let Some(database) = &self.database else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let rows = database.tokens().await?;
        let before = self.all.load_full();
        let all: ByDigest = rows.iter().filter_map(|row| of_row(row, &before)).collect();
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
        let text = drawn();
        let token = Arc::new(Token {
            id: format!("tok_{:016x}", rand::rng().random::<u64>()),
            name: new.name,
            prefix: text.chars().take(BEGINNING.len() + 6).collect(),
            roles: new.roles,
            scope: new.scope,
            created_by: new.created_by,
            identities: new.identities,
            created_ms: now_ms,
            expires_ms: new.expires_ms,
            used_ms: AtomicU64::new(0),
        });
        let digest = self.digest(&text);
        if let Some(database) = &self.database {
            database.add_token(&row_of(&token, &digest)).await.map_err(unwritten)?;
        }
        let mut all = ByDigest::clone(&before);
        all.insert(digest, token.clone());
        self.all.store(Arc::new(all));
        Ok((text, token))
    }

    /// Takes one away; `None`: there was none.
    pub async fn take_away(&self, id: &str) -> Result<Option<Arc<Token>>, Error> {
        let mut gone = self.take_away_if(|token| token.id == id).await?;
        Ok(gone.pop())
    }

    /// Takes away each of those. Gives them.
    pub(super) async fn take_away_if(&self, those: impl Fn(&Token) -> bool) -> Result<Vec<Arc<Token>>, Error> {
        let _changing = self.changing.lock().await;
        let mut all = ByDigest::clone(&self.all.load());
        let gone: Vec<Arc<Token>> = all.values().filter(|token| those(token)).cloned().collect();
        all.retain(|_, token| !those(token));
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
        if token.expires_ms > 0 && token.expires_ms <= now_ms {
            return Err(expired());
        }
        token.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        Ok(Some(token.clone()))
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
    let drawn: String = rand::rng().sample_iter(Alphanumeric).take(DRAWN).map(char::from).collect();
    let text = format!("{BEGINNING}{drawn}");
    let check = check(&text);
    text + &check
}

/// The digits that check a token: its CRC-32, to the base of 62.
fn check(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

fn is_whole(text: &str) -> bool {
    let own = text.len() == BEGINNING.len() + DRAWN + CHECK && text.bytes().skip(4).all(|b| b.is_ascii_alphanumeric());
    own && text.split_at(BEGINNING.len() + DRAWN).1 == check(text.split_at(BEGINNING.len() + DRAWN).0)
}

fn row_of(token: &Token, digest: &[u8; 32]) -> TokenRow {
    let scope = match &token.scope {
        Scope::Everything => String::new(),
        Scope::Accounts(accounts) => serde_json::json!(accounts.as_ref()).to_string(),
    };
    TokenRow {
        id: token.id.clone(),
        digest: blake3::Hash::from_bytes(*digest).to_hex().to_string(),
        name: token.name.clone(),
        prefix: token.prefix.clone(),
        roles: serde_json::json!(token.roles).to_string(),
        scope,
        identities: serde_json::json!(token.identities.as_ref()).to_string(),
        created_by: token.created_by.clone(),
        created_ms: token.created_ms,
        expires_ms: token.expires_ms,
        used_ms: token.used_ms().unwrap_or(0),
    }
}

/// A row that cannot be read is no token.
fn of_row(row: &TokenRow, before: &ByDigest) -> Option<([u8; 32], Arc<Token>)> {
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
        identities: known_as(&row.identities)?,
        created_ms: row.created_ms,
        expires_ms: row.expires_ms,
        used_ms: AtomicU64::new(row.used_ms.max(used_here)),
    };
    Some((digest, Arc::new(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, expires_ms: u64) -> NewToken {
        NewToken {
            name: name.to_owned(),
            roles: vec!["viewer".to_owned()],
            scope: Scope::Accounts(Arc::from(["team".to_owned()])),
            expires_ms,
            created_by: "admin key".to_owned(),
            identities: Arc::default(),
        }
    }

    #[test]
    fn a_slip_is_told() {
        let text = drawn();
        assert!(is_whole(&text), "{text}");
        for at in BEGINNING.len()..text.len() {
            let mut other: Vec<u8> = text.bytes().collect();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_whole(std::str::from_utf8(&other).unwrap()), "{at}");
        }
        for wrong in ["", "aoa-", &text[1..], &text[..text.len() - 1], &format!("{text}0"), "aoa-\u{e9}"] {
            assert!(!is_whole(wrong), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::in_file(&dir.path().join("t.db")).await.unwrap();
        let tokens = Tokens::new([7; 32], Some(database.clone()));
        let (text, token) = tokens.make(new("ci", 0), 5).await.unwrap();
        let (late, _) = tokens.make(new("late", 9), 6).await.unwrap();
        let rows = format!("{:?}", database.tokens().await.unwrap());
        assert!(!rows.contains(&text) && !rows.contains(&text[4..44]), "{rows}");
        assert!(!rows.contains(&blake3::hash(text.as_bytes()).to_hex().to_string()), "the digest is keyed");

        let again = Tokens::new([7; 32], Some(database.clone()));
        again.read().await.unwrap();
        let found = again.find(&text, 8).unwrap().unwrap();
        assert_eq!(
            (&found.id, &found.name, &found.scope, found.used_ms()),
            (&token.id, &token.name, &token.scope, Some(8))
        );
        assert_eq!(again.used_since(8), [(token.id.clone(), 8)]);
        assert!(again.find(&late, 8).unwrap().is_some());
        assert_eq!(again.find(&late, 9).unwrap_err().code, Some("expired_token"));
        assert_eq!(again.find("aoa-abc", 9).unwrap_err().code, Some("invalid_token"));
        assert!(again.find("sk-something-else", 9).unwrap().is_none() && again.find(&drawn(), 9).unwrap().is_none());
        let other = Tokens::new([8; 32], Some(database.clone()));
        other.read().await.unwrap();
        assert!(other.find(&text, 8).unwrap().is_none(), "without the key the digest is of no use");

        assert_eq!(again.take_away(&token.id).await.unwrap().unwrap().name, "ci");
        assert!(again.find(&text, 8).unwrap().is_none() && again.take_away(&token.id).await.unwrap().is_none());
        assert_eq!(database.tokens().await.unwrap().len(), 1);
    }
}
