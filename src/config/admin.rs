//! `admin`: who may administer, what each role may, and where the admin surface listens.

use super::accounts;
use super::auth::{expires, long_secret};
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::{quoted, shortened};
use super::listen;
use super::name;
use super::nearest::nearest;
use super::resolved::{Account, Auth};
use super::sso::{self, Sso};
use crate::types::permission::{Action, BUILT_IN_ROLES, Permissions, Resource};
use crate::types::reference::Store;
use crate::types::secret::Secret;
use jiff::Timestamp;

const KEYS: &[&str] = &["key", "listen", "roles", "tokens", "sso", "secret_stores"];
const ROLE_KEYS: &[&str] = &["name", "allow"];
const TOKEN_KEYS: &[&str] = &["name", "key", "roles", "scope", "expires"];

/// Who may administer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Admin {
    /// The key that may do everything, for when nothing else works. Where it is not set, one is made in the data directory.
    pub key: Option<Secret>,
    /// Where the admin surface listens; `None`: where the others do.
    pub listen: Option<String>,
    /// Roles beside those that are built in.
    pub roles: Vec<Role>,
    /// Tokens of programs.
    pub tokens: Vec<AdminToken>,
    /// Where people sign in; `None`: nowhere.
    pub sso: Option<Sso>,
    /// Stores of secrets that providers of the admin surface may refer to; none of this machine's.
    pub secret_stores: Vec<Store>,
}

/// What somebody may do, under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Unique, and none of those that are built in.
    pub name: String,
    /// What it allows, as written: `cache:read`, `keys:*`.
    pub allow: Vec<String>,
    /// The same, read.
    pub permissions: Permissions,
}

/// One that may administer as far as its roles and its scope go.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminToken {
    /// For the audit log. Unique.
    pub name: String,
    /// The token itself.
    pub key: Secret,
    /// Its roles, each of them known.
    pub roles: Vec<String>,
    /// The account that it is for, with all below it; `None`: everything.
    pub scope: Option<String>,
    /// It is one until then. `None`: until it is taken out.
    pub expires: Option<Timestamp>,
}

/// Reads `admin`.
pub(super) fn admin(root: &Fields<'_>, auth: &Auth, accounts: &[Account]) -> Result<Admin, ConfigError> {
    let fields = root.child("admin", KEYS)?;
    let mut taken: Vec<(String, Secret)> =
        auth.keys.iter().map(|key| (format!("the caller `{}`", key.name), key.key.clone())).collect();
    let key = match fields.get("key") {
        Some(item) if item.secret_if_any()?.is_some() => {
            let key = long_secret(&item)?;
            refuse_taken(&item, &key, &taken)?;
            taken.push(("`admin.key`".to_owned(), key.clone()));
            Some(key)
        }
        _ => None,
    };
    let roles = roles(&fields)?;
    let mut tokens: Vec<AdminToken> = Vec::new();
    for item in fields.list("tokens")? {
        let token = token(&item, &roles, accounts)?;
        refuse_taken(&item, &token.key, &taken)?;
        if tokens.iter().any(|other| other.name == token.name) {
            let error = item.error(format!("another token has the name `{}`", token.name));
            return Err(error.with_suggestion("give each token a name of its own"));
        }
        taken.push((format!("the token `{}`", token.name), token.key.clone()));
        tokens.push(token);
    }
    let listen = match (fields.text("listen")?, fields.get("listen")) {
        (Some(text), Some(item)) => {
            listen::check(&text).map_err(|message| item.error(message))?;
            Some(text)
        }
        _ => None,
    };
    let secret_stores = fields.list("secret_stores")?.iter().map(secret_store).collect::<Result<_, _>>()?;
    Ok(Admin { key, listen, sso: sso::sso(&fields, (&roles, &tokens), accounts)?, roles, tokens, secret_stores })
}

fn secret_store(item: &Item<'_>) -> Result<Store, ConfigError> {
    let word = item.text()?;
    let open: Vec<Store> = Store::ALL.into_iter().filter(|store| !store.is_local()).collect();
    open.iter().find(|store| store.as_str() == word).copied().ok_or_else(|| {
        let words: Vec<&str> = open.iter().map(|store| store.as_str()).collect();
        item.error(format!("expected one of {}, found `{}`", quoted(&words), shortened(&word)))
    })
}

fn refuse_taken(item: &Item<'_>, key: &Secret, taken: &[(String, Secret)]) -> Result<(), ConfigError> {
    let Some((whose, _)) = taken.iter().find(|(_, other)| other.is_same(key)) else { return Ok(()) };
    let error = item.error(format!("the key is the same as that of {whose}"));
    Err(error.with_suggestion("callers must not administer: choose another key"))
}

fn roles(fields: &Fields<'_>) -> Result<Vec<Role>, ConfigError> {
    let mut roles: Vec<Role> = Vec::new();
    for item in fields.list("roles")? {
        let role = item.fields(ROLE_KEYS)?;
        let name_item = role.require("name")?;
        let name = name::read(&name_item)?;
        if BUILT_IN_ROLES.contains(&name.as_str()) || roles.iter().any(|other| other.name == name) {
            let error = name_item.error(format!("there is a role `{name}` already"));
            return Err(error.with_suggestion("give each role a name of its own"));
        }
        let allow = role.require("allow")?.list()?;
        let texts: Vec<String> = allow.iter().map(Item::text).collect::<Result<_, _>>()?;
        let mut permissions = Permissions::NONE;
        for (item, text) in allow.iter().zip(&texts) {
            permissions = permissions.and(Permissions::named(text).ok_or_else(|| no_permission(item))?);
        }
        roles.push(Role { name, allow: texts, permissions });
    }
    Ok(roles)
}

fn no_permission(item: &Item<'_>) -> ConfigError {
    let resources: Vec<&str> = Resource::ALL.iter().map(|one| one.as_str()).collect();
    let actions: Vec<&str> = Action::ALL.iter().map(|one| one.as_str()).collect();
    let error = item.error("expected a permission such as `cache:read`, `keys:*` or `*:read`");
    error.with_suggestion(format!("there are {}; and of each {}", quoted(&resources), quoted(&actions)))
}

fn token(item: &Item<'_>, known: &[Role], accounts: &[Account]) -> Result<AdminToken, ConfigError> {
    let fields = item.fields(TOKEN_KEYS)?;
    let roles = fields.require("roles")?.list()?;
    let scope = fields.get("scope").map(|item| Ok(accounts::named(&name::read(&item)?, &item, accounts)?.name.clone()));
    Ok(AdminToken {
        name: name::read(&fields.require("name")?)?,
        key: long_secret(&fields.require("key")?)?,
        roles: roles.iter().map(|item| role_named(item, known)).collect::<Result<_, _>>()?,
        scope: scope.transpose()?,
        expires: fields.get("expires").map(|item| expires(&item)).transpose()?,
    })
}

/// The role that `item` names.
pub(super) fn role_named(item: &Item<'_>, known: &[Role]) -> Result<String, ConfigError> {
    let text = item.text()?;
    let names: Vec<&str> = BUILT_IN_ROLES.into_iter().chain(known.iter().map(|role| role.name.as_str())).collect();
    if names.contains(&text.as_str()) {
        return Ok(text);
    }
    let error = item.error("there is no such role");
    Err(match nearest(&text, names.iter().copied()) {
        Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
        None => error.with_suggestion(format!("the roles are {}", quoted(&names))),
    })
}
