//! `keys` of a provider: several keys, each with its share, its models and its limits.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::name;
use super::resolved::{KeyLimits, ProviderKey};

/// What logs call the key of `api_key`.
pub(super) const ALONE: &str = "default";

const KEYS: &[&str] = &["name", "key", "weight", "models", "limits"];

/// A share is a number from this on.
const LEAST_WEIGHT: f64 = 0.000_001;
const MOST_WEIGHT: f64 = 1_000_000.0;
/// Each counted request of a minute is remembered.
const MOST_PER_MINUTE: u64 = 100_000;
const MOST_CONCURRENT: u64 = 1_000_000;

/// Reads `keys`. `alone`: there is an `api_key` beside them.
pub(super) fn keys(fields: &Fields<'_>, alone: bool) -> Result<Vec<ProviderKey>, ConfigError> {
    let mut keys: Vec<ProviderKey> = Vec::new();
    for item in fields.list("keys")? {
        let key = key(&item)?;
        if alone && key.name == ALONE {
            let error = item.error(format!("`{ALONE}` is the name of the key in `api_key`"));
            return Err(error.with_suggestion("choose another name"));
        }
        if keys.iter().any(|other| other.name == key.name) {
            let error = item.error(format!("another key has the name `{}`", key.name));
            return Err(error.with_suggestion("give each key a name of its own"));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(item: &Item<'_>) -> Result<ProviderKey, ConfigError> {
    let fields = item.fields(KEYS)?;
    let secret = fields.require("key")?;
    let Some(key) = secret.secret_if_any()? else { return Err(secret.error("expected a key, found none")) };
    Ok(ProviderKey {
        name: name::read(&fields.require("name")?)?,
        key,
        weight: fields.get("weight").map_or(Ok(1.0), |item| item.float(LEAST_WEIGHT..=MOST_WEIGHT))?,
        models: super::provider::models(&fields)?,
        limits: limits(&fields)?,
    })
}

fn limits(fields: &Fields<'_>) -> Result<KeyLimits, ConfigError> {
    let fields = fields.child("limits", &["requests_per_minute", "concurrent"])?;
    let count = |key: &str, most: u64| {
        let Some(item) = fields.get(key) else { return Ok(None) };
        let count = item.integer(1..=most)?;
        usize::try_from(count).map(Some).map_err(|_| item.error("the number is too large for this machine"))
    };
    Ok(KeyLimits {
        requests_per_minute: count("requests_per_minute", MOST_PER_MINUTE)?,
        concurrent: count("concurrent", MOST_CONCURRENT)?,
    })
}
