//! A signed assertion of a service account: a JSON Web Token by RS256
//! (<https://developers.google.com/identity/protocols/oauth2/service-account>).

use crate::wire::write;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use std::time::{SystemTime, UNIX_EPOCH};

/// An assertion holds so long; Google allows no more.
const LIFE_S: u64 = 3600;

/// What an assertion says.
pub(super) struct Claims<'c> {
    /// The service account.
    pub(super) issuer: &'c str,
    /// Who is to believe it: the token endpoint.
    pub(super) audience: &'c str,
    /// What the token is to allow.
    pub(super) scope: &'c str,
    /// When it is made, in seconds since the Unix epoch.
    pub(super) now: u64,
}

/// Seconds since the Unix epoch.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The key of a PEM text (PKCS #8), as Google writes it.
pub(super) fn key(pem: &str) -> Result<RsaKeyPair, String> {
    let inside: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let wrong = || "holds a private key that is no RSA key in PKCS #8".to_owned();
    let der = STANDARD.decode(inside).map_err(|_| wrong())?;
    RsaKeyPair::from_pkcs8(&der).map_err(|_| wrong())
}

/// The assertion, signed with that key.
pub(super) fn signed(pem: &str, key_id: Option<&str>, claims: &Claims<'_>) -> Result<String, String> {
    let head = write::to_vec(|o| {
        o.text("alg", "RS256");
        o.text("typ", "JWT");
        o.maybe_text("kid", key_id);
    });
    let body = write::to_vec(|o| {
        o.text("iss", claims.issuer);
        o.text("scope", claims.scope);
        o.text("aud", claims.audience);
        o.integer("iat", claims.now);
        o.integer("exp", claims.now + LIFE_S);
    });
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(body));
    let key = key(pem)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .map_err(|_| "holds a key that does not sign".to_owned())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
