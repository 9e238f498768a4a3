//! `admin.sso`: where people who administer sign in, and what their groups there make of them.

use super::accounts;
use super::admin::{AdminToken, Role, role_named};
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::issuer::url;
use super::name;
use super::nearest::nearest;
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
    "scim",
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
    /// The account that a group's role reaches, with all below it. The role of a group that is not here reaches everything.
    pub accounts: BTreeMap<String, String>,
    /// The token of `admin.tokens` by which the identity provider itself tells who there is: it may say who is in which group, whatever
    /// that gives them. `None`: nobody says of a group who has not all that it gives.
    pub scim: Option<String>,
    /// A session that is not used for so long ends.
    pub idle_timeout: Duration,
    /// A session ends after so long.
    pub session_timeout: Duration,
}

/// Reads `admin.sso`.
pub(super) fn sso(
    admin: &Fields<'_>,
    (roles, tokens): (&[Role], &[AdminToken]),
    accounts: &[Account],
) -> Result<Option<Sso>, ConfigError> {
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
    let group_roles = groups(&fields, "roles", by_role)?;
    let group_accounts = groups(&fields, "accounts", by_account)?;
    if let (Some(item), Some(group)) =
        (fields.get("accounts"), group_accounts.keys().find(|group| !group_roles.contains_key(*group)))
    {
        let error =
            item.error(format!("the group `{group}` has an account and no role, so it would give nobody anything"));
        return Err(error.with_suggestion("name its role in `roles`: the account is how far that reaches"));
    }
    Ok(Some(Sso {
        issuer: url(&fields.require("issuer")?)?,
        client_id: fields.require("client_id")?.text()?,
        client_secret: fields.secret("client_secret")?,
        redirect_url,
        scopes,
        groups_claim: fields.text("groups_claim")?.unwrap_or_else(|| "groups".to_owned()),
        user_claim: fields.text("user_claim")?,
        roles: group_roles,
        accounts: group_accounts,
        scim: fields.get("scim").map(|item| token_named(&item, tokens)).transpose()?,
        idle_timeout: fields.seconds("idle_timeout_s", 3600, 60..=YEAR_S)?,
        session_timeout: fields.seconds("session_timeout_s", 43_200, 60..=YEAR_S)?,
    }))
}

/// The token that `item` names.
fn token_named(item: &Item<'_>, tokens: &[AdminToken]) -> Result<String, ConfigError> {
    let text = item.text()?;
    if tokens.iter().any(|token| token.name == text) {
        return Ok(text);
    }
    let error = item.error("there is no such token in `admin.tokens`");
    Err(match nearest(&text, tokens.iter().map(|token| token.name.as_str())) {
        Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
        None => error.with_suggestion("write one there, with a role that allows `people:*`"),
    })
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
