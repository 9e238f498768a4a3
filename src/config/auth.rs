//! `auth`: who may call.

use super::accounts;
use super::error::{ConfigError, Position};
use super::fields::{Fields, Item};
use super::issuer;
use super::listen;
use super::name;
use super::resolved::{Account, Auth, CallerKey};
use super::rights;
use crate::types::secret::Secret;
use jiff::Timestamp;

/// The fewest characters of a key. Shorter ones can be guessed.
pub const MIN_KEY_CHARS: usize = 16;

/// What a caller without a key is called, so that no key may have this name.
const ANONYMOUS: &str = "anonymous";

/// Reads `auth`. Without keys, callers are let in unasked only where nobody but this machine can call.
///
/// `at` is where the file says `listen`, if it is the file that does.
pub(super) fn auth(
    root: &Fields<'_>,
    listen: &str,
    at: Option<Position>,
    accounts: &[Account],
) -> Result<Auth, ConfigError> {
    let fields = root.child("auth", &["open", "keys", "issuers"])?;
    let mut keys: Vec<CallerKey> = Vec::new();
    for item in fields.list("keys")? {
        let key = caller_key(&item, accounts)?;
        refuse_twin(&item, &key, &keys)?;
        keys.push(key);
    }
    let issuers = issuer::issuers(&fields, accounts)?;
    let nobody = keys.is_empty() && issuers.is_empty();
    let open = match fields.get("open") {
        Some(item) => {
            let open = item.bool()?;
            if !open && nobody {
                let error =
                    item.error("there are no keys and callers without one are not let in, so nobody could call");
                return Err(error.with_suggestion("add a key to `auth.keys`, or remove `open`"));
            }
            open
        }
        None if !nobody => false,
        None if listen::is_loopback(listen) => true,
        None => {
            let message = format!("other machines can reach `{listen}`, and there are no keys");
            return Err(ConfigError::new("auth", at, message).with_suggestion(
                "add a key to `auth.keys`, or write `auth: {open: true}` to let everybody in, or listen on 127.0.0.1",
            ));
        }
    };
    Ok(Auth { open, keys, issuers })
}

/// The keys of a caller's key, before those of its rights.
const OWN: [&str; 5] = ["name", "key", "tenant", "account", "expires"];

fn caller_key(item: &Item<'_>, accounts: &[Account]) -> Result<CallerKey, ConfigError> {
    let keys: Vec<&str> = OWN.into_iter().chain(rights::KEYS).collect();
    let fields = item.fields(&keys)?;
    let name = name_of_key(&fields.require("name")?)?;
    let key = long_secret(&fields.require("key")?)?;
    let tenant = match fields.get("tenant") {
        Some(item) => name_of_key(&item)?,
        None => name.clone(),
    };
    let account = match fields.get("account") {
        Some(item) => Some(accounts::named(&name::read(&item)?, &item, accounts)?.name.clone()),
        None => None,
    };
    let expires = fields.get("expires").map(|item| expires(&item)).transpose()?;
    Ok(CallerKey { name, key, tenant, account, expires, rights: rights::rights(&fields)? })
}

/// The name of a key or of a tenant, at `item`.
pub(super) fn name_of_key(item: &Item<'_>) -> Result<String, ConfigError> {
    let name = name::read(item)?;
    if name == ANONYMOUS {
        let error = item.error("the name `anonymous` is that of callers without a key");
        return Err(error.with_suggestion("choose another"));
    }
    Ok(name)
}

/// When a key is one no more.
pub(super) fn expires(item: &Item<'_>) -> Result<Timestamp, ConfigError> {
    item.text()?.parse::<Timestamp>().map_err(|_| {
        let error = item.error("expected a time with its zone");
        error.with_suggestion("write it in quotes, as in `\"2027-01-31T23:59:59Z\"`")
    })
}

/// A key that is long enough.
pub(super) fn long_secret(item: &Item<'_>) -> Result<Secret, ConfigError> {
    match item.secret_if_any()? {
        Some(secret) if !secret.is_read() || secret.expose().len() >= MIN_KEY_CHARS => Ok(secret),
        _ => Err(item
            .error(format!("expected a key of at least {MIN_KEY_CHARS} characters, found a shorter one"))
            .with_suggestion("a good one is made by `openssl rand -hex 24`")),
    }
}

fn refuse_twin(item: &Item<'_>, key: &CallerKey, others: &[CallerKey]) -> Result<(), ConfigError> {
    if others.iter().any(|other| other.name == key.name) {
        let error = item.error(format!("another key has the name `{}`", key.name));
        return Err(error.with_suggestion("give each key a name of its own"));
    }
    if let Some(other) = others.iter().find(|other| other.key.is_same(&key.key)) {
        let error = item.error(format!("the key is the same as that of `{}`", other.name));
        return Err(error.with_suggestion("give each caller a key of its own"));
    }
    Ok(())
}
