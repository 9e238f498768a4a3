//! `accounts`: who pays. Organisations have customers, these have teams, these have users; keys belong to any of them.

use super::auth;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::file;
use super::kinds::{AccountKind, quoted};
use super::name;
use super::nearest::nearest;
use super::rights::{self, Rights, rights};
use jiff::Timestamp;

/// The keys of an account, before those of its rights.
const OWN: [&str; 3] = ["name", "kind", "in"];

/// One who pays.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Unique.
    pub name: String,
    /// What it is.
    pub kind: AccountKind,
    /// The account that it is part of.
    pub parent: Option<String>,
    /// What its keys may ask for, and how much.
    pub rights: Rights,
}

/// Reads `accounts`.
pub(super) fn accounts(root: &Fields<'_>) -> Result<Vec<Account>, ConfigError> {
    let items = root.list("accounts")?;
    let mut accounts: Vec<Account> = Vec::with_capacity(items.len());
    for item in &items {
        let account = account(item)?;
        if accounts.iter().any(|other| other.name == account.name) {
            let error = item.error(format!("another account has the name `{}`", account.name));
            return Err(error.with_suggestion("give each account a name of its own"));
        }
        accounts.push(account);
    }
    for (item, account) in items.iter().zip(&accounts) {
        let Some(parent) = &account.parent else { continue };
        let at = item.fields(&keys())?.require("in")?;
        let parent = named(parent, &at, &accounts)?;
        if parent.kind >= account.kind {
            let (own, other) = (account.kind.as_str(), parent.kind.as_str());
            let error = at.error(format!("a {own} cannot be in a {other}"));
            return Err(error.with_suggestion("organisations have customers, these have teams, and these have users"));
        }
    }
    Ok(accounts)
}

fn keys() -> Vec<&'static str> {
    OWN.into_iter().chain(rights::KEYS).collect()
}

fn account(item: &Item<'_>) -> Result<Account, ConfigError> {
    let fields = item.fields(&keys())?;
    Ok(Account {
        name: name::read(&fields.require("name")?)?,
        kind: fields.require("kind")?.word()?,
        parent: fields.get("in").map(|item| name::read(&item)).transpose()?,
        rights: rights(&fields)?,
    })
}

/// The account `name`, which `item` names.
pub(super) fn named<'a>(name: &str, item: &Item<'_>, accounts: &'a [Account]) -> Result<&'a Account, ConfigError> {
    if let Some(account) = accounts.iter().find(|account| account.name == name) {
        return Ok(account);
    }
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    let error = item.error(format!("there is no account `{name}`"));
    Err(match nearest(name, names.iter().copied()) {
        Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.with_suggestion("add it to `accounts`"),
        None => error.with_suggestion(format!("the accounts are {}", quoted(&names))),
    })
}

/// Reads one account as the admin surface takes it: JSON with the same keys as in the file. Whether its parent is there, nobody has
/// looked.
pub fn read_account(json: &str) -> Result<Account, ConfigError> {
    let node = file::read_json(json)?;
    account(&Item::root(&node).ok_or_else(|| ConfigError::new("", None, "expected an account, found nothing"))?)
}

/// A key that is made at the admin surface. Its secret is made there, too, and is no part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualKey {
    /// Unique.
    pub name: String,
    /// Whose answers it shares, if not its own only.
    pub tenant: Option<String>,
    /// The account that it belongs to.
    pub account: Option<String>,
    /// From then on it is none.
    pub expires: Option<Timestamp>,
    /// It may be used.
    pub enabled: bool,
    /// What it may ask for, and how much.
    pub rights: Rights,
}

/// Reads one key as the admin surface takes it: JSON with the same keys as in the file, but for `key`, and with `enabled`.
pub fn read_virtual_key(json: &str) -> Result<VirtualKey, ConfigError> {
    let node = file::read_json(json)?;
    let item = Item::root(&node).ok_or_else(|| ConfigError::new("", None, "expected a key, found nothing"))?;
    let own = ["name", "tenant", "account", "expires", "enabled"];
    let known: Vec<&str> = own.into_iter().chain(rights::KEYS).collect();
    let fields = item.fields(&known)?;
    let named = |key: &str| fields.get(key).map(|item| auth::name_of_key(&item)).transpose();
    Ok(VirtualKey {
        name: auth::name_of_key(&fields.require("name")?)?,
        tenant: named("tenant")?,
        account: fields.get("account").map(|item| name::read(&item)).transpose()?,
        expires: fields.get("expires").map(|item| auth::expires(&item)).transpose()?,
        enabled: fields.bool("enabled", true)?,
        rights: rights(&fields)?,
    })
}
