//! Where a model is to be had: one target, and when a second one is asked beside it.

use super::condition::Condition;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::file::Key;
use super::limits::MAX_MS;
use super::model::provider_name;
use super::nearest::nearest;
use super::resolved::{Canary, Hedge, Provider, Target};
use crate::types::params::Param;
use std::time::Duration;

pub(super) const KEYS: &[&str] = &[
    "provider",
    "model",
    "key",
    "when",
    "weight",
    "tier",
    "after",
    "max_in_flight",
    "first_token_timeout_ms",
    "params",
    "canary",
];

/// Fields by which the gateway itself knows what it sends and what comes back.
const OWN_FIELDS: [&str; 3] = ["model", "stream", "stream_options"];

/// More than any request has.
const MOST_PARAMS: usize = 64;

const CANARY_KEYS: &[&str] = &["percent", "error_percent", "min_requests"];

const HEDGE_KEYS: &[&str] = &["percentile", "at_least_ms", "budget_percent"];

/// Reads one of `targets` of the model `name`.
pub(super) fn target(item: &Item<'_>, name: &str, providers: &[Provider]) -> Result<Target, ConfigError> {
    let fields = item.fields(KEYS)?;
    let (provider, model) = at_provider(&fields, name, providers)?;
    let weight = fields.get("weight").map(|item| item.float(f64::MIN_POSITIVE..=1_000_000.0)).transpose()?;
    let most = |item: Item<'_>| item.integer(1..=1_000_000);
    let timeout = |item: Item<'_>| item.integer(1..=MAX_MS).map(Duration::from_millis);
    Ok(Target {
        key: fields.get("key").map(|item| key(&item, &provider, providers)).transpose()?,
        model,
        weight: weight.unwrap_or(1.0),
        tier: small(fields.integer("tier", 0, 0..=1000)?),
        after: fields.list("after")?.iter().map(Item::word).collect::<Result<Vec<_>, _>>()?,
        max_in_flight: fields.get("max_in_flight").map(most).transpose()?.map(small),
        first_token_timeout: fields.get("first_token_timeout_ms").map(timeout).transpose()?,
        when: fields.get("when").map(|item| when(&item)).transpose()?,
        canary: fields.get("canary").map(|item| canary(&item, &fields)).transpose()?,
        params: fields.get("params").map_or_else(|| Ok(Vec::new()), |item| params(&item))?,
        provider,
    })
}

/// Reads `provider` and `model` of a target of the model `name`.
pub(super) fn at_provider(
    fields: &Fields<'_>,
    name: &str,
    providers: &[Provider],
) -> Result<(String, String), ConfigError> {
    let provider = fields.require("provider")?;
    let provider = provider_name(provider.text()?, Some(&provider), providers)?;
    let Some(item) = fields.get("model") else { return Ok((provider, name.to_owned())) };
    let model = item.text()?;
    if model.contains('*') && !name.contains('*') {
        return Err(item.error("a `*` stands for what the `*` of the model's `name` stood for, which has none"));
    }
    Ok((provider, model))
}

/// Reads `when`.
fn when(item: &Item<'_>) -> Result<Condition, ConfigError> {
    let text = item.text()?;
    Condition::new(&text).map_err(|why| {
        let error = item.error(format!("expected a condition in CEL, such as `tokens > 8000`; {why}"));
        error.with_suggestion("docs/routing.md has what conditions may ask about")
    })
}

/// Reads `params`.
pub(super) fn params(item: &Item<'_>) -> Result<Vec<Param>, ConfigError> {
    let entries = item.entries()?;
    if entries.len() > MOST_PARAMS {
        return Err(item.error(format!("expected at most {MOST_PARAMS} fields, found {}", entries.len())));
    }
    let param = |(key, value): &(&Key, Item<'_>)| {
        if OWN_FIELDS.contains(&key.text.as_str()) {
            let error = value.error(format!("the field `{}` is set by the gateway alone", key.text));
            return Err(error.with_suggestion("`model` of the target names the model; callers say whether they stream"));
        }
        Ok(Param { name: key.text.clone(), value: value.json()? })
    };
    entries.iter().map(param).collect()
}

/// Reads `canary` of a target that has `fields`.
fn canary(item: &Item<'_>, target: &Fields<'_>) -> Result<Canary, ConfigError> {
    for key in ["weight", "tier", "after"] {
        if let Some(other) = target.get(key) {
            let error = other.error("a canary gets its `percent` of the requests, before the other targets are asked");
            return Err(error.with_suggestion(format!("take `{key}` from this target")));
        }
    }
    let fields = item.fields(CANARY_KEYS)?;
    let error_percent = fields.get("error_percent").map(|item| item.float(0.0..=100.0)).transpose()?;
    Ok(Canary {
        percent: fields.require("percent")?.float(0.001..=100.0)?,
        error_percent: error_percent.unwrap_or(5.0),
        min_requests: small(fields.integer("min_requests", 20, 1..=1000)?),
    })
}

/// Reads `hedge` of a model.
pub(super) fn hedge(model: &Fields<'_>) -> Result<Option<Hedge>, ConfigError> {
    let Some(item) = model.get("hedge") else { return Ok(None) };
    let fields = item.fields(HEDGE_KEYS)?;
    let percentile = fields.get("percentile").map(|item| item.float(50.0..=99.9)).transpose()?;
    Ok(Some(Hedge {
        share: percentile.unwrap_or(95.0) / 100.0,
        at_least: fields.millis("at_least_ms", 10, 0..=MAX_MS)?,
        budget_percent: small(fields.integer("budget_percent", 5, 1..=100)?),
    }))
}

/// The name of one of the provider's keys.
pub(super) fn key(item: &Item<'_>, provider: &str, providers: &[Provider]) -> Result<String, ConfigError> {
    let name = item.text()?;
    let keys = providers.iter().find(|one| one.name == provider).map(|one| one.keys.as_slice()).unwrap_or_default();
    if keys.iter().any(|key| key.name == name) {
        return Ok(name);
    }
    let error = item.error(format!("provider `{provider}` has no key of this name"));
    Err(match nearest(&name, keys.iter().map(|key| key.name.as_str())) {
        Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
        None => error.with_suggestion("its `keys` have the names"),
    })
}

/// `number`, whose range was checked.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
