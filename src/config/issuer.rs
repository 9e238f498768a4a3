//! `auth.issuers`: identity providers whose tokens callers may show instead of a key.

use super::accounts;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::Replay;
use super::name;
use super::resolved::Account;
use http::Uri;
use std::time::Duration;

const KEYS: &[&str] = &[
    "name",
    "issuer",
    "audience",
    "jwks_url",
    "algorithms",
    "clock_skew_s",
    "refresh_s",
    "replay",
    "claims",
    "account",
    "models",
];
const CLAIM_KEYS: &[&str] = &["name", "account", "tenant", "models"];

/// What may sign. Those with a shared secret are none of them: who can check such a token can make one.
pub const ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// An identity provider whose tokens callers may show.
#[derive(Debug, Clone, PartialEq)]
pub struct Issuer {
    /// Stands before the names of its callers. Unique.
    pub name: String,
    /// What its tokens say in `iss`.
    pub issuer: String,
    /// One of these has to be in `aud`.
    pub audiences: Vec<String>,
    /// Where its keys are; `None`: where its discovery document says.
    pub jwks_url: Option<String>,
    /// What its tokens may be signed by.
    pub algorithms: Vec<String>,
    /// So much its clock may differ from ours.
    pub clock_skew: Duration,
    /// How often its keys are looked at.
    pub refresh: Duration,
    /// Whether a token may be shown more than once.
    pub replay: Replay,
    /// Which claims say who asks.
    pub claims: Claims,
    /// Whose its callers are where no claim says so.
    pub account: Option<String>,
    /// Models that its callers may ask for. Empty: all.
    pub models: Vec<String>,
}

/// Which claims say who asks. A dot leads into a claim that is an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// The caller's name.
    pub name: String,
    /// The account, by its name.
    pub account: Option<String>,
    /// With whom answers are shared; `None`: with nobody.
    pub tenant: Option<String>,
    /// Models that the caller may ask for.
    pub models: Option<String>,
}

/// Reads `issuers` of `auth`.
pub(super) fn issuers(auth: &Fields<'_>, accounts: &[Account]) -> Result<Vec<Issuer>, ConfigError> {
    let mut issuers: Vec<Issuer> = Vec::new();
    for item in auth.list("issuers")? {
        let issuer = issuer(&item, accounts)?;
        if issuers.iter().any(|other| other.name == issuer.name || other.issuer == issuer.issuer) {
            let error = item.error("another issuer has this `name`, or this `issuer`");
            return Err(error.with_suggestion("write each issuer once; `audience` may be a list"));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn issuer(item: &Item<'_>, accounts: &[Account]) -> Result<Issuer, ConfigError> {
    let fields = item.fields(KEYS)?;
    let audience = fields.require("audience")?;
    let audiences = texts(&audience)?;
    if audiences.is_empty() {
        return Err(
            audience.error("expected at least one audience: tokens that are meant for others must not open this")
        );
    }
    let algorithms = match fields.get("algorithms") {
        None => vec!["RS256".to_owned(), "ES256".to_owned()],
        Some(item) => item.list()?.iter().map(algorithm).collect::<Result<Vec<_>, _>>()?,
    };
    if algorithms.is_empty() {
        return Err(fields.error("`algorithms` is empty, so no token could be valid"));
    }
    let claims = fields.child("claims", CLAIM_KEYS)?;
    let account =
        fields.get("account").map(|item| Ok(accounts::named(&name::read(&item)?, &item, accounts)?.name.clone()));
    Ok(Issuer {
        name: name::read(&fields.require("name")?)?,
        issuer: url(&fields.require("issuer")?)?,
        audiences,
        jwks_url: fields.get("jwks_url").map(|item| url(&item)).transpose()?,
        algorithms,
        clock_skew: fields.seconds("clock_skew_s", 30, 0..=600)?,
        refresh: fields.seconds("refresh_s", 300, 1..=86_400)?,
        replay: fields.word("replay", Replay::Allow)?,
        claims: Claims {
            name: claims.text("name")?.unwrap_or_else(|| "sub".to_owned()),
            account: claims.text("account")?,
            tenant: claims.text("tenant")?,
            models: claims.text("models")?,
        },
        account: account.transpose()?,
        models: super::allowance::models(&fields)?,
    })
}

/// One text, or several.
fn texts(item: &Item<'_>) -> Result<Vec<String>, ConfigError> {
    if item.is_list() { item.list()?.iter().map(Item::text).collect() } else { Ok(vec![item.text()?]) }
}

fn algorithm(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    if ALGORITHMS.contains(&text.as_str()) {
        return Ok(text);
    }
    let error = item.error("expected an algorithm that signs with a private key");
    Err(error.with_suggestion(format!("there are {}", super::kinds::quoted(&ALGORITHMS))))
}

/// The URL of an identity provider, as it is written: `https://…`, or `http://…` on this machine.
pub(super) fn url(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    if is_safe(&text) {
        return Ok(text);
    }
    let error =
        item.error("expected a URL that begins with `https://`, or with `http://` and an address of this machine");
    Err(error.with_suggestion("it has no user name, query or fragment"))
}

/// Is `text` the URL of an identity provider: under TLS, or on this machine?
fn is_safe(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => loopback,
        _ => false,
    };
    scheme && !host.is_empty() && !authority.as_str().contains('@') && uri.query().is_none() && !text.contains('#')
}
