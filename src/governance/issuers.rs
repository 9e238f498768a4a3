//! Tokens of identity providers in place of keys: a JWT that one of `auth.issuers` has signed makes a caller.
//!
//! What was verified is remembered by a digest of the token until it ends, or until the provider takes a key back: from the second
//! request on, a token costs one look-up. Refused tokens are not remembered.
//!
//! - `keys`: the public keys of a provider
//! - `verify`: whether a token is good

mod keys;
mod verify;

use self::keys::Source;
use super::keys::digest;
use super::roles::Rules;
use crate::config::{self, Replay};
use crate::types::caller::{Caller, Tenant};
use crate::types::error::{Error, ErrorKind};
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// So many verified tokens are remembered, and so many ids of tokens that may be shown once.
const MOST_KNOWN: usize = 20_000;
const MOST_SHOWN: usize = 100_000;
/// The longest name of a caller or tenant that a claim may give, in bytes; the most models.
const NAME_BYTES: usize = 256;
const MOST_MODELS: usize = 256;

/// The identity providers of one configuration.
pub struct Issuers {
    sources: Vec<Arc<Source>>,
    rules: Arc<Rules>,
    known: RwLock<HashMap<[u8; 32], Known>>,
    /// Digests of issuer and id of tokens that may be shown once, and until when that matters.
    shown: Arc<Mutex<HashMap<[u8; 32], u64>>>,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| &source.settings.name)).finish()
    }
}

/// A token that was verified.
struct Known {
    caller: Caller,
    until_ms: u64,
    source: Arc<Source>,
    taken_back: u64,
}

impl Issuers {
    /// Begins to fetch their keys. What was fetched `before` of those that stay as they are stays, and what was shown once.
    pub(super) fn new(
        settings: &[config::Issuer],
        rules: Arc<Rules>,
        before: Option<&Issuers>,
    ) -> Result<Issuers, String> {
        let source = |one: &config::Issuer| {
            let same = before.and_then(|all| all.sources.iter().find(|source| source.settings == *one));
            same.map_or_else(|| Source::begin(one), |same| Ok(same.clone()))
        };
        let sources = settings.iter().map(source).collect::<Result<_, _>>()?;
        let shown = before.map_or_else(Arc::default, |before| before.shown.clone());
        Ok(Issuers { sources, rules, known: RwLock::default(), shown })
    }

    /// Is `token` one of those that are verified here, if there is anybody whose they could be?
    pub fn concerns(&self, token: &str) -> bool {
        !self.sources.is_empty() && verify::is_one(token)
    }

    /// Whose a token is that was verified before.
    pub fn remembered(&self, token: &str, now_ms: u64) -> Option<Caller> {
        let known = self.known.read();
        let found = known.get(&digest(token))?;
        // Where its account was moved or taken away, it is looked at again.
        let good = found.until_ms > now_ms
            && found.source.taken_back() == found.taken_back
            && self.rules.still_are(&found.caller.accounts);
        good.then(|| found.caller.clone())
    }

    /// Whose the token is; an error, if it is not good.
    pub async fn caller(&self, token: &str, now_ms: u64) -> Result<Caller, Error> {
        let head = verify::head(token)?;
        let source = self.sources.iter().find(|source| source.settings.issuer == head.issuer);
        let source = source.ok_or_else(|| verify::refused("it is from an issuer that this gateway does not know"))?;
        if verify::candidates(&source.keys(), &head).is_empty() {
            source.look_again().await;
        }
        let taken_back = source.taken_back();
        let keys = source.keys();
        let candidates = verify::candidates(&keys, &head);
        if candidates.is_empty() {
            return Err(verify::refused("its key is none of its issuer's"));
        }
        let settings = &source.settings;
        let claims = verify::claims(token, &head, &candidates, settings, now_ms)?;
        let until_ms = verify::until_ms(&claims, settings);
        let caller = self.made(settings, &claims)?;
        if settings.replay == Replay::Refuse {
            self.show_once(settings, &claims, until_ms, now_ms)?;
            return Ok(caller);
        }
        self.remember(token, Known { caller: caller.clone(), until_ms, source: source.clone(), taken_back }, now_ms);
        Ok(caller)
    }

    fn remember(&self, token: &str, one: Known, now_ms: u64) {
        let mut known = self.known.write();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, one| one.until_ms > now_ms);
        }
        if known.len() >= MOST_KNOWN {
            // Those that are in use are verified again.
            known.clear();
        }
        known.insert(digest(token), one);
    }

    /// A token that may be shown once is refused when it comes again.
    fn show_once(
        &self,
        settings: &config::Issuer,
        claims: &Map<String, Value>,
        until_ms: u64,
        now_ms: u64,
    ) -> Result<(), Error> {
        let id = verify::text(claims, "jti").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| verify::refused("it has no id (`jti`), which each has to have here"))?;
        let shown_as = digest(&format!("{}\n{id}", settings.issuer));
        let mut shown = self.shown.lock();
        if shown.len() >= MOST_SHOWN {
            shown.retain(|_, until_ms| *until_ms > now_ms);
        }
        if shown.get(&shown_as).is_some_and(|until_ms| *until_ms > now_ms) {
            return Err(verify::refused("it was shown before, and may be shown once"));
        }
        if shown.len() >= MOST_SHOWN {
            let message = "Too many tokens that may be shown once are remembered; try again later.";
            return Err(Error::new(ErrorKind::Overloaded, message).with_code("overloaded"));
        }
        shown.insert(shown_as, until_ms);
        Ok(())
    }

    /// The caller that the claims say.
    fn made(&self, settings: &config::Issuer, claims: &Map<String, Value>) -> Result<Caller, Error> {
        let named = |path: &str| {
            let name = at(claims, path).and_then(Value::as_str).filter(|name| is_name(name));
            name.ok_or_else(|| verify::refused(&format!("it has no claim `{path}` that could be a name")))
        };
        let name = named(&settings.claims.name)?;
        // No name of the configuration has a slash: a token cannot make a tenant that is another's.
        let tenant = match &settings.claims.tenant {
            Some(path) => format!("issuer:{}/tenant/{}", settings.name, named(path)?),
            None => format!("issuer:{}/sub/{}", settings.name, named("sub")?),
        };
        let mut models: Vec<Vec<String>> = Vec::new();
        if !settings.models.is_empty() {
            models.push(settings.models.clone());
        }
        if let Some(path) = &settings.claims.models {
            models
                .push(listed(at(claims, path)).ok_or_else(|| forbidden(&format!("names no models (claim `{path}`)")))?);
        }
        Ok(Caller {
            address: None,
            name: format!("{}/{name}", settings.name),
            tenant: Tenant(tenant),
            bearer: None,
            accounts: self.accounts(settings, claims)?,
            models: models.into(),
        })
    }

    fn accounts(&self, settings: &config::Issuer, claims: &Map<String, Value>) -> Result<Arc<[String]>, Error> {
        let claimed = settings.claims.account.as_deref().map(|path| (path, at(claims, path).and_then(Value::as_str)));
        let account = match (claimed, &settings.account) {
            (Some((_, Some(name))), _) => name,
            (_, Some(name)) => name.as_str(),
            (None, None) => return Ok(Arc::default()),
            (Some((path, None)), None) => return Err(forbidden(&format!("names no account (claim `{path}`)"))),
        };
        self.rules.above(account).ok_or_else(|| forbidden("names an account that this gateway does not know"))
    }
}

fn forbidden(why: &str) -> Error {
    Error::new(ErrorKind::Forbidden, format!("This token is good, but it {why}.")).with_code("forbidden")
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The claim at `path`: one of that very name, else a dot leads into it.
fn at<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

/// Names in a list, or in a text between spaces. `None`: there are none.
fn listed(claim: Option<&Value>) -> Option<Vec<String>> {
    let names: Vec<String> = match claim? {
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::Array(all) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        _ => return None,
    };
    (1..=MOST_MODELS).contains(&names.len()).then_some(names)
}
