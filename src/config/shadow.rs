//! `models[].shadow`: another target that some of a model's requests are sent to as well, to compare.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::model::price;
use super::resolved::{Price, Provider};
use super::target;
use crate::types::params::Param;

const KEYS: &[&str] =
    &["provider", "model", "key", "params", "price", "percent", "judge", "usd_per_day", "max_in_flight", "labels"];

/// A share of requests that is sent a second time, after they were answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// The name of one of the providers.
    pub provider: String,
    /// What the provider calls the model. A `*` stands for what the `*` of the model's name stood for.
    pub model: String,
    /// The name of the only one of the provider's keys that it is asked with. `None`: any.
    pub key: Option<String>,
    /// Fields that are set in the requests to it.
    pub params: Vec<Param>,
    /// What it costs. `None`: the list price, where that is known.
    pub price: Option<Price>,
    /// The share of the requests that went upstream, in percent, above 0.
    pub percent: f64,
    /// Whether the model of `cache.judge` is asked where words and vectors cannot tell.
    pub judge: bool,
    /// What it may cost from midnight to midnight UTC, in US dollars, where its price is known. `None`: no limit.
    pub usd_per_day: Option<f64>,
    /// Requests that it is sent at a time.
    pub max_in_flight: usize,
    /// Whether questions are kept in a file, each with whether its answer said the same.
    pub labels: bool,
}

/// Reads `shadow` of the model `name`, if it is there. `has_judge`: there is a `cache.judge`.
pub(super) fn shadow(
    model: &Fields<'_>,
    name: &str,
    providers: &[Provider],
    has_judge: bool,
) -> Result<Option<Shadow>, ConfigError> {
    let Some(item) = model.get("shadow") else { return Ok(None) };
    let fields = item.fields(KEYS)?;
    let judge = fields.bool("judge", false)?;
    if let Some(item) = fields.get("judge").filter(|_| judge && !has_judge) {
        let error = item.error("there is no model that could be asked");
        return Err(error.with_suggestion("name one in `cache.judge`, or leave this out"));
    }
    let (provider, at_provider) = target::at_provider(&fields, name, providers)?;
    Ok(Some(Shadow {
        key: fields.get("key").map(|item| target::key(&item, &provider, providers)).transpose()?,
        model: at_provider,
        params: fields.get("params").map_or_else(|| Ok(Vec::new()), |item| target::params(&item))?,
        price: price(&fields)?,
        percent: percent(&fields.require("percent")?)?,
        judge,
        usd_per_day: fields.get("usd_per_day").map(|item| item.float(0.000_001..=1_000_000.0)).transpose()?,
        max_in_flight: fields.count("max_in_flight", 4, 1..=1_000)?,
        labels: fields.bool("labels", false)?,
        provider,
    }))
}

/// Who wants none leaves `shadow` out; a share that is nearly none is a slip.
fn percent(item: &Item<'_>) -> Result<f64, ConfigError> {
    item.float(0.001..=100.0)
}
