//! The public keys of an identity provider: fetched in the background, looked at again now and then, and when a token names one that
//! is not known. What is not listed any more is no key; what is listed stays, also while the provider cannot be reached.

use crate::config;
use crate::governance::fetch;
use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use parking_lot::Mutex;
use serde_json::Value;
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// Of one provider.
const MOST_KEYS: usize = 64;
/// Shorter RSA keys are no protection, longer ones a load.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// A request whose key is not known waits so long for the provider.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many fetches are made for keys that are not known; another one after each pause.
const BURST: u32 = 3;
const PAUSE: Duration = Duration::from_secs(10);
/// After a failure it is tried again; ever more slowly.
const AGAIN: Duration = Duration::from_secs(1);

/// A key that signs tokens.
pub(in crate::governance) struct Key {
    pub(in crate::governance) kid: Option<String>,
    pub(in crate::governance) key: DecodingKey,
    family: AlgorithmFamily,
    /// The only algorithm that it is for, where that is known.
    only: Option<Algorithm>,
    digest: [u8; 32],
}

impl Key {
    /// May it have signed by `algorithm`?
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.family.algorithms().contains(&algorithm) && self.only.is_none_or(|only| only == algorithm)
    }
}

/// The keys that a document lists. Those that this gateway has no use for are passed over.
pub(super) fn listed(document: &Value) -> Result<Vec<Key>, String> {
    let all = document["keys"].as_array().ok_or("it is no list of keys: `keys` is missing")?;
    Ok(all.iter().filter_map(key).take(MOST_KEYS).collect())
}

fn key(written: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(written.clone()).ok()?;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let named = match jwk.common.key_algorithm {
        Some(KeyAlgorithm::UNKNOWN_ALGORITHM) => return None,
        Some(named) => Some(Algorithm::from_str(&named.to_string()).ok()?),
        None => None,
    };
    let (family, of_curve) = match &jwk.algorithm {
        AlgorithmParameters::RSA(parameters) => {
            // Four letters stand for three bytes.
            RSA_BYTES.contains(&(parameters.n.len() * 3 / 4)).then_some((AlgorithmFamily::Rsa, None))?
        }
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => (AlgorithmFamily::Ec, Some(Algorithm::ES256)),
            EllipticCurve::P384 => (AlgorithmFamily::Ec, Some(Algorithm::ES384)),
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => (AlgorithmFamily::Ed, Some(Algorithm::EdDSA)),
        // A secret in a public list is nobody's.
        _ => return None,
    };
    if named.is_some_and(|named| of_curve.is_some_and(|only| only != named) || !family.algorithms().contains(&named)) {
        return None;
    }
    Some(Key {
        kid: jwk.common.key_id.clone(),
        key: DecodingKey::from_jwk(&jwk).ok()?,
        family,
        only: of_curve.or(named),
        digest: *blake3::hash(written.to_string().as_bytes()).as_bytes(),
    })
}

/// An identity provider, and its keys.
pub(super) struct Source {
    pub(super) settings: config::Issuer,
    client: reqwest::Client,
    keys: ArcSwap<Vec<Key>>,
    /// Counts how often a key was taken back: what it signed is believed no more.
    taken_back: std::sync::atomic::AtomicU64,
    /// Somebody wants a key that is not known.
    wanted: Notify,
    /// Counts fetches that have ended.
    ended: watch::Sender<u64>,
    allowed: Mutex<Allowed>,
}

/// How many fetches may be made for keys that are not known.
#[derive(Debug)]
struct Allowed {
    left: u32,
    since: Instant,
}

impl Source {
    /// Begins to fetch the keys of that provider.
    pub(super) fn begin(settings: &config::Issuer) -> Result<Arc<Source>, String> {
        let source = Arc::new(Source {
            settings: settings.clone(),
            client: fetch::client(settings.jwks_url.as_deref().unwrap_or(&settings.issuer))?,
            keys: ArcSwap::default(),
            taken_back: Default::default(),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            allowed: Mutex::new(Allowed { left: BURST, since: Instant::now() }),
        });
        tokio::spawn(keep(Arc::downgrade(&source)));
        Ok(source)
    }

    /// The keys that are known.
    pub(super) fn keys(&self) -> arc_swap::Guard<Arc<Vec<Key>>> {
        self.keys.load()
    }

    /// How often a key was taken back.
    pub(super) fn taken_back(&self) -> u64 {
        self.taken_back.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Waits for the provider to be asked once more, and no longer than there is patience; at once, where it was asked too often.
    pub(super) async fn look_again(&self) {
        let mut ended = self.ended.subscribe();
        let first = *ended.borrow_and_update() == 0;
        if !first {
            if !self.take_one() {
                return;
            }
            self.wanted.notify_one();
        }
        let _ = timeout(PATIENCE, ended.changed()).await;
    }

    fn take_one(&self) -> bool {
        let mut allowed = self.allowed.lock();
        let back = u32::try_from(allowed.since.elapsed().as_millis() / PAUSE.as_millis()).unwrap_or(BURST);
        if back > 0 {
            (allowed.left, allowed.since) = (allowed.left.saturating_add(back).min(BURST), Instant::now());
        }
        let may = allowed.left > 0;
        allowed.left = allowed.left.saturating_sub(1);
        may
    }

    async fn fetch(&self) -> Result<(), String> {
        let issuer = &self.settings.issuer;
        let url = match &self.settings.jwks_url {
            Some(url) => url.clone(),
            None => {
                let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let document = fetch::json(&self.client, &at).await?;
                if document["issuer"].as_str() != Some(issuer.as_str()) {
                    return Err(format!("{at} is of another issuer than `{issuer}`"));
                }
                let url = document["jwks_uri"].as_str().ok_or_else(|| format!("{at} has no `jwks_uri`"))?;
                if !fetch::may_lead_to(issuer, url) {
                    return Err(format!("{at} leads to keys at an address that is not taken"));
                }
                url.to_owned()
            }
        };
        let new = listed(&fetch::json(&self.client, &url).await?).map_err(|why| format!("{url}: {why}"))?;
        if new.is_empty() {
            return Err(format!("{url} lists no key that could be used"));
        }
        let before = self.keys.swap(Arc::new(new));
        let now = self.keys.load();
        if before.iter().any(|key| !now.iter().any(|other| other.digest == key.digest)) {
            self.taken_back.fetch_add(1, std::sync::atomic::Ordering::Release);
        }
        Ok(())
    }
}

/// Fetches now and then, until the source is gone.
async fn keep(source: Weak<Source>) {
    let mut again = AGAIN;
    loop {
        let Some(held) = source.upgrade() else { return };
        let pause = match held.fetch().await {
            Ok(()) => {
                again = AGAIN;
                held.settings.refresh
            }
            Err(why) => {
                tracing::warn!(issuer = held.settings.name, why, "the keys of an identity provider cannot be fetched");
                again = (again * 2).min(Duration::from_secs(60));
                (again / 2).min(held.settings.refresh)
            }
        };
        held.ended.send_modify(|count| *count += 1);
        // Looked at now and then, so that nothing is kept for its own sake.
        let end = Instant::now() + pause;
        let mut held = Some(held);
        while let Some(now) = held.take() {
            let step = (end - Instant::now()).min(Duration::from_secs(1));
            if step.is_zero() || timeout(step, now.wanted.notified()).await.is_ok() {
                break;
            }
            drop(now);
            match source.upgrade() {
                Some(again) => held = Some(again),
                None => return,
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_that_are_of_no_use_are_passed_over() {
        let n = "u".repeat(341) + "w";
        let p256 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let with = |key: &Value, more: Value| {
            let mut key = key.clone();
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let rsa = json!({"kty": "RSA", "n": n, "e": "AQAB"});
        let good = [
            with(&p256, json!({"kid": "a"})),
            with(&p256, json!({"alg": "ES256", "use": "sig"})),
            with(&rsa, json!({"kid": "b", "alg": "PS256"})),
        ];
        for key in &good {
            assert!(super::key(key).is_some(), "{key}");
        }
        let useless = [
            with(&p256, json!({"use": "enc"})),
            with(&p256, json!({"alg": "RS256"})),
            with(&p256, json!({"crv": "P-521"})),
            with(&p256, json!({"kty": "XX"})),
            with(&rsa, json!({"n": "u".repeat(100)})),
            with(&rsa, json!({"n": "u".repeat(10_000)})),
            with(&rsa, json!({"alg": "HS256"})),
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
            json!("key"),
        ];
        for key in &useless {
            assert!(super::key(key).is_none(), "{key}");
        }
        let all: Vec<Value> = useless.into_iter().chain(good).collect();
        let keys = listed(&json!({"keys": all})).unwrap();
        assert_eq!(keys.len(), 3);
        assert!(keys[2].fits(Algorithm::PS256) && !keys[2].fits(Algorithm::RS256) && !keys[2].fits(Algorithm::HS256));
        assert!(keys[0].fits(Algorithm::ES256) && !keys[0].fits(Algorithm::ES384));
        assert!(listed(&json!({})).is_err());
    }
}
