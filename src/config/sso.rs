//! `admin.sso`: where people who administer sign in, and what their groups there make of them.

use super::accounts;
use super::admin::{Role, role_named};
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::issuer::url;
use super::name;
use super::resolved::Account;
use crate::types::secret::Secret;
use std::collections::BTreeMap;
use std::time::Duration;

const KEYS: &[&str] = &[
    "issuer",
    "client_id",
    "client_secret",
    "redirect_url",
    "scopes",
    "groups_claim",
    "user_claim",
    "roles",
    "accounts",
    "idle_timeout_s",
    "session_timeout_s",
];
const YEAR_S: u64 = 31_536_000;

/// Where the browser comes back to, at the end of the redirect URL.
const CALLBACK: &str = "/admin/auth/callback";

/// Where people sign in.
#[derive(Debug, Clone, PartialEq)]
pub struct Sso {
    /// The identity provider, as it calls itself.
    pub issuer: String,
    /// Who this gateway is to it.
    pub client_id: String,
    /// What this gateway shows it; `None`: it is a public client.
    pub client_secret: Option<Secret>,
    /// Where the browser comes back to: this gateway's `/admin/auth/callback`.
    pub redirect_url: String,
    /// What is asked for, beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that names somebody's groups.
    pub groups_claim: String,
    /// A claim by which people are known in SCIM, as `userName` or `externalId`, beside `sub` and a verified address.
    pub user_claim: Option<String>,
    /// The role that a group has.
    pub roles: BTreeMap<String, String>,
    /// The account that a group is for. Who is in none of these groups reaches everything that the roles allow.
    pub accounts: BTreeMap<String, String>,
    /// A session that is not used for so long ends.
    pub idle_timeout: Duration,
    /// A session ends after so long.
    pub session_timeout: Duration,
}

/// Reads `admin.sso`.
pub(super) fn sso(admin: &Fields<'_>, roles: &[Role], accounts: &[Account]) -> Result<Option<Sso>, ConfigError> {
    let Some(item) = admin.get("sso") else { return Ok(None) };
    let fields = item.fields(KEYS)?;
    let redirect = fields.require("redirect_url")?;
    let redirect_url = url(&redirect)?;
    if !redirect_url.ends_with(CALLBACK) {
        let error = redirect.error(format!("expected a URL that ends with `{CALLBACK}`"));
        return Err(error.with_suggestion("write the address under which browsers reach this gateway, and that path"));
    }
    let scopes = match fields.get("scopes") {
        None => vec!["profile".to_owned(), "email".to_owned()],
        Some(item) => item.list()?.iter().map(scope).collect::<Result<_, _>>()?,
    };
    let by_role = |item: &Item<'_>| role_named(item, roles);
    let by_account = |item: &Item<'_>| Ok(accounts::named(&name::read(item)?, item, accounts)?.name.clone());
    Ok(Some(Sso {
        issuer: url(&fields.require("issuer")?)?,
        client_id: fields.require("client_id")?.text()?,
        client_secret: fields.secret("client_secret")?,
        redirect_url,
        scopes,
        groups_claim: fields.text("groups_claim")?.unwrap_or_else(|| "groups".to_owned()),
        user_claim: fields.text("user_claim")?,
        roles: groups(&fields, "roles", by_role)?,
        accounts: groups(&fields, "accounts", by_account)?,
        idle_timeout: fields.seconds("idle_timeout_s", 3600, 60..=YEAR_S)?,
        session_timeout: fields.seconds("session_timeout_s", 43_200, 60..=YEAR_S)?,
    }))
}

fn scope(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    let fits = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if fits {
        Ok(text)
    } else {
        Err(item.error("expected the name of a scope: visible ASCII without spaces and quotes"))
    }
}

/// A map from names of groups.
fn groups(
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&Item<'_>) -> Result<String, ConfigError>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(item) = fields.get(key) else { return Ok(BTreeMap::new()) };
    item.entries()?.iter().map(|(group, item)| Ok((group.text.clone(), read(item)?))).collect()
}
