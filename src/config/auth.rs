//! Who may call, and who may administer.

use super::error::{ConfigError, Position};
use super::fields::{Fields, Item};
use super::listen;
use super::name;
use super::resolved::{Admin, Auth, CallerKey};
use crate::types::secret::Secret;

/// The fewest characters of a key. Shorter ones can be guessed.
pub const MIN_KEY_CHARS: usize = 16;

/// What a caller without a key is called, so that no key may have this name.
const ANONYMOUS: &str = "anonymous";

/// Reads `auth`. Without keys, callers are let in unasked only where nobody but this machine can call.
///
/// `at` is where the file says `listen`, if it is the file that does.
pub(super) fn auth(root: &Fields<'_>, listen: &str, at: Option<Position>) -> Result<Auth, ConfigError> {
    let fields = root.child("auth", &["open", "keys"])?;
    let mut keys: Vec<CallerKey> = Vec::new();
    for item in fields.list("keys")? {
        let key = caller_key(&item)?;
        refuse_twin(&item, &key, &keys)?;
        keys.push(key);
    }
    let open = match fields.get("open") {
        Some(item) => {
            let open = item.bool()?;
            if !open && keys.is_empty() {
                let error =
                    item.error("there are no keys and callers without one are not let in, so nobody could call");
                return Err(error.with_suggestion("add a key to `auth.keys`, or remove `open`"));
            }
            open
        }
        None if !keys.is_empty() => false,
        None if listen::is_loopback(listen) => true,
        None => {
            let message = format!("other machines can reach `{listen}`, and there are no keys");
            return Err(ConfigError::new("auth", at, message).with_suggestion(
                "add a key to `auth.keys`, or write `auth: {open: true}` to let everybody in, or listen on 127.0.0.1",
            ));
        }
    };
    Ok(Auth { open, keys })
}

fn caller_key(item: &Item<'_>) -> Result<CallerKey, ConfigError> {
    let fields = item.fields(&["name", "key", "tenant"])?;
    let name_item = fields.require("name")?;
    let name = name::read(&name_item)?;
    if name == ANONYMOUS {
        return Err(name_item
            .error("the name `anonymous` is that of callers without a key")
            .with_suggestion("choose another"));
    }
    let key = long_secret(&fields.require("key")?)?;
    let tenant = match fields.get("tenant") {
        Some(item) => {
            let tenant = name::read(&item)?;
            if tenant == ANONYMOUS {
                return Err(item
                    .error("the tenant `anonymous` is that of callers without a key")
                    .with_suggestion("choose another"));
            }
            tenant
        }
        None => name.clone(),
    };
    Ok(CallerKey { name, key, tenant })
}

/// A key that is long enough.
fn long_secret(item: &Item<'_>) -> Result<Secret, ConfigError> {
    match item.secret_if_any()? {
        Some(secret) if secret.expose().len() >= MIN_KEY_CHARS => Ok(secret),
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
    if let Some(other) = others.iter().find(|other| other.key == key.key) {
        let error = item.error(format!("the key is the same as that of `{}`", other.name));
        return Err(error.with_suggestion("give each caller a key of its own"));
    }
    Ok(())
}

/// Reads `admin`.
pub(super) fn admin(root: &Fields<'_>, auth: &Auth) -> Result<Admin, ConfigError> {
    let fields = root.child("admin", &["key"])?;
    let Some(item) = fields.get("key") else {
        return Ok(Admin { key: None });
    };
    if item.secret_if_any()?.is_none() {
        return Ok(Admin { key: None });
    }
    let key = long_secret(&item)?;
    if let Some(caller) = auth.keys.iter().find(|caller| caller.key == key) {
        let error = item.error(format!("the key is the same as that of the caller `{}`", caller.name));
        return Err(error.with_suggestion("callers must not administer: choose another key"));
    }
    Ok(Admin { key: Some(key) })
}
