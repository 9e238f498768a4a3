//! A token of an identity provider, checked: who signed it, for whom, and for how long (RFC 7519, and RFC 8725 on what goes wrong).

use super::keys::Key;
use crate::config;
use crate::types::error::{Error, ErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation, decode};
use serde_json::{Map, Value};
use std::str::FromStr;

/// No token is longer.
const LONGEST: usize = 16 * 1024;
/// So many keys without an id are tried.
const MOST_TRIED: usize = 8;

/// What a token says of itself, before anything of it is believed.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// Who it says to be from. Only to find whom to ask.
    pub(super) issuer: String,
}

/// Has `token` the form of such a token at all? A key has not.
pub(super) fn is_one(token: &str) -> bool {
    token.starts_with("eyJ") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Reads the head, and who it says to be from.
pub(super) fn head(token: &str) -> Result<Head, Error> {
    if token.len() > LONGEST {
        return Err(refused(&format!("it is longer than {LONGEST} bytes")));
    }
    let mut parts = token.split('.');
    let mut part = || parts.next().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let read = |bytes: Option<Vec<u8>>| serde_json::from_slice::<Map<String, Value>>(&bytes?).ok();
    let (Some(head), Some(claims)) = (read(part()), read(part())) else {
        return Err(refused("it cannot be read"));
    };
    if head.contains_key("crit") {
        return Err(refused("its head has critical fields (`crit`), which this gateway does not know"));
    }
    if let Some(kind) = head.get("typ") {
        let known = ["jwt", "at+jwt", "application/at+jwt"];
        if !kind.as_str().is_some_and(|kind| known.contains(&kind.to_ascii_lowercase().as_str())) {
            return Err(refused("it is of another type (`typ`) than `JWT` or `at+jwt`"));
        }
    }
    let named = head.get("alg").and_then(Value::as_str).filter(|name| config::ALGORITHMS.contains(name));
    let algorithm = named.and_then(|name| Algorithm::from_str(name).ok());
    let kid = match head.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(refused("its key's id (`kid`) is no text")),
    };
    Ok(Head {
        algorithm: algorithm.ok_or_else(|| refused("its algorithm (`alg`) is none that signs with a private key"))?,
        kid,
        issuer: text(&claims, "iss").ok_or_else(|| refused("it does not say who made it (`iss`)"))?,
    })
}

/// Those of `keys` that may have signed it.
pub(super) fn candidates<'k>(keys: &'k [Key], head: &Head) -> Vec<&'k Key> {
    let fits = |key: &&Key| {
        key.fits(head.algorithm) && head.kid.as_ref().is_none_or(|kid| key.kid.as_ref().is_some_and(|own| own == kid))
    };
    keys.iter().filter(fits).take(MOST_TRIED).collect()
}

/// What the token says, once one of `keys` has signed it, and it is for us, and now.
pub(super) fn claims(
    token: &str,
    head: &Head,
    keys: &[&Key],
    settings: &config::Issuer,
    now_ms: u64,
) -> Result<Map<String, Value>, Error> {
    if !settings.algorithms.iter().any(|name| Algorithm::from_str(name).is_ok_and(|one| one == head.algorithm)) {
        return Err(refused(&format!("its algorithm is none of {}", settings.algorithms.join(", "))));
    }
    // The signature alone: what follows is checked below, on the gateway's own clock and in words of its own.
    let mut signature = Validation::new(head.algorithm);
    signature.required_spec_claims.clear();
    (signature.validate_exp, signature.validate_nbf, signature.validate_aud) = (false, false, false);
    let signed = keys.iter().find_map(|key| decode::<Map<String, Value>>(token, &key.key, &signature).ok());
    let claims = signed.ok_or_else(|| refused("its signature is wrong"))?.claims;
    if text(&claims, "iss").as_deref() != Some(settings.issuer.as_str()) {
        return Err(refused("it is from another issuer"));
    }
    if !audiences(&claims).iter().any(|one| settings.audiences.iter().any(|own| own == one)) {
        return Err(refused("it is for somebody else (`aud`)"));
    }
    in_time(&claims, settings, now_ms)?;
    Ok(claims)
}

/// Until when it is valid, in milliseconds since 1970: its end, and what clocks may differ.
pub(super) fn until_ms(claims: &Map<String, Value>, settings: &config::Issuer) -> u64 {
    let end = seconds(claims, "exp").unwrap_or(0.0) + settings.clock_skew.as_secs_f64();
    (end * 1000.0) as u64
}

fn in_time(claims: &Map<String, Value>, settings: &config::Issuer, now_ms: u64) -> Result<(), Error> {
    let (now, skew) = (now_ms as f64 / 1000.0, settings.clock_skew.as_secs_f64());
    let Some(end) = seconds(claims, "exp") else { return Err(refused("it does not say when it ends (`exp`)")) };
    if end + skew <= now {
        let error = Error::new(ErrorKind::Unauthenticated, "This token has expired: get a new one from its issuer.");
        return Err(error.with_code("expired_token"));
    }
    for (name, what) in [("nbf", "it is not valid yet (`nbf`)"), ("iat", "it is from the future (`iat`)")] {
        match claims.get(name) {
            None => {}
            Some(_) if seconds(claims, name).is_some_and(|at| at <= now + skew) => {}
            Some(_) => return Err(refused(what)),
        }
    }
    Ok(())
}

fn seconds(claims: &Map<String, Value>, name: &str) -> Option<f64> {
    claims.get(name)?.as_f64().filter(|at| at.is_finite() && (0.0..1e12).contains(at))
}

/// For whom it is: one, or several.
fn audiences(claims: &Map<String, Value>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The text of a claim, if it is one.
pub(super) fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The refusal of a token.
pub(super) fn refused(why: &str) -> Error {
    let message = format!("This token is not accepted: {why}.");
    Error::new(ErrorKind::Unauthenticated, message).with_code("invalid_token")
}
