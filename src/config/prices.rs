//! `ListPrice`: what models cost by the vendors' lists, as data that is compiled in (`src/providers/prices.yaml`).

use std::collections::HashMap;
use std::sync::LazyLock;

use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::file;
use super::kinds::shortened;
use super::model::{self, micro_usd_per_million};
use super::name;
use super::resolved::Provider;
use crate::types::money::Price;

/// The price table that is compiled in.
const PRICES: &str = include_str!("../providers/prices.yaml");

const KEYS: &[&str] = &["provider", "source", "vendor", "as_of", "read", "second_hand", "models"];

const PRICE_KEYS: &[&str] = &["input", "output", "cached_input", "cache_write", "reasoning", "request"];

/// The list price of one model at one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPrice {
    /// The provider, as the catalogue calls it.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// What its tokens cost.
    pub price: Price,
    /// The page that it was read from.
    pub source: String,
    /// The vendor's page that the source names, where it is not the vendor's own.
    pub vendor: Option<String>,
    /// The day that the page gives for it, as in `2026-11-22`.
    pub as_of: Option<String>,
    /// The day that the page was read on.
    pub read: String,
    /// Whether the source is not the vendor's own page.
    pub second_hand: bool,
}

/// What the operator says a model costs at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPrice {
    /// What it is called by. Unique.
    pub name: String,
    /// The provider, by its name.
    pub provider: String,
    /// The model, as the provider calls it; one `*` stands for any text.
    pub model: String,
    /// What its tokens cost.
    pub price: Price,
}

/// Reads `prices`.
pub(super) fn prices(root: &Fields<'_>, providers: &[Provider]) -> Result<Vec<OwnPrice>, ConfigError> {
    let mut prices: Vec<OwnPrice> = Vec::new();
    for item in root.list("prices")? {
        let fields = item.fields(&["name", "provider", "model", "price"])?;
        let provider = fields.require("provider")?;
        let own = OwnPrice {
            name: name::read(&fields.require("name")?)?,
            provider: model::provider_name(provider.text()?, Some(&provider), providers)?,
            model: model::pattern(&fields.require("model")?)?,
            price: model::price(&fields)?.ok_or_else(|| fields.error("the key `price` is missing"))?,
        };
        if prices.iter().any(|other| other.name == own.name) {
            let error = item.error(format!("another price has the name `{}`", own.name));
            return Err(error.with_suggestion("give each price a name of its own"));
        }
        if prices.iter().any(|other| (&other.provider, &other.model) == (&own.provider, &own.model)) {
            let error = item.error(format!("another price is for `{}` at `{}`", shortened(&own.model), own.provider));
            return Err(error.with_suggestion("keep one of them"));
        }
        prices.push(own);
    }
    Ok(prices)
}

/// All list prices, in the order of the table.
pub fn list_prices() -> &'static [ListPrice] {
    &table().rows
}

/// What `model` costs at `provider` of the catalogue, by its list.
pub fn list_price(provider: &str, model: &str) -> Option<Price> {
    let table = table();
    let row = *table.by_name.get(provider)?.get(model)?;
    table.rows.get(row).map(|row| row.price)
}

/// What `model` costs by the lists, whoever serves it: `provider/model` at that provider, else what all that list it ask
/// for it. `None` where they do not agree.
pub fn list_price_of(model: &str) -> Option<Price> {
    let named = model.split_once('/').and_then(|(provider, model)| list_price(provider, model));
    let mut prices = list_prices().iter().filter(|row| row.model == model).map(|row| row.price);
    named.or_else(|| {
        let first = prices.next()?;
        prices.all(|other| other == first).then_some(first)
    })
}

#[derive(Default)]
struct Table {
    rows: Vec<ListPrice>,
    /// Rows by provider and model.
    by_name: HashMap<String, HashMap<String, usize>>,
}

fn table() -> &'static Table {
    // A test reads it, so that what ships is never the empty one.
    static TABLE: LazyLock<Table> = LazyLock::new(|| read().map(Table::of).unwrap_or_default());
    &TABLE
}

impl Table {
    fn of(rows: Vec<ListPrice>) -> Self {
        let mut by_name: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for (number, row) in rows.iter().enumerate() {
            by_name.entry(row.provider.clone()).or_default().insert(row.model.clone(), number);
        }
        Self { rows, by_name }
    }
}

fn read() -> Result<Vec<ListPrice>, ConfigError> {
    let node = file::read(PRICES)?;
    let Some(item) = Item::root(&node) else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for item in item.list()? {
        let fields = item.fields(KEYS)?;
        for (model, item) in fields.require("models")?.entries()? {
            rows.push(row(&fields, model.text.clone(), &item.fields(PRICE_KEYS)?)?);
        }
    }
    Ok(rows)
}

fn row(group: &Fields<'_>, model: String, prices: &Fields<'_>) -> Result<ListPrice, ConfigError> {
    let part = |key: &str| prices.get(key).map(|item| micro_usd_per_million(&item)).transpose();
    Ok(ListPrice {
        provider: group.require("provider")?.text()?,
        model,
        price: Price {
            input_micro_usd_per_million: micro_usd_per_million(&prices.require("input")?)?,
            output_micro_usd_per_million: micro_usd_per_million(&prices.require("output")?)?,
            cached_input_micro_usd_per_million: part("cached_input")?,
            cache_write_micro_usd_per_million: part("cache_write")?,
            reasoning_micro_usd_per_million: part("reasoning")?,
            request_micro_usd: part("request")?.unwrap_or(0),
        },
        source: group.require("source")?.text()?,
        vendor: group.text("vendor")?,
        as_of: group.text("as_of")?,
        read: group.require("read")?.text()?,
        second_hand: group.bool("second_hand", false)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::known::known_providers;
    use super::*;
    use std::collections::HashSet;

    /// `2026-11-22`, in digits and hyphens.
    fn is_day(text: &str) -> bool {
        let parts: Vec<Option<u32>> = text.split('-').map(|part| part.parse().ok()).collect();
        text.len() == 10 && matches!(parts[..], [Some(2024..=2100), Some(1..=12), Some(1..=31)])
    }

    #[test]
    fn every_price_is_whole() {
        let rows = read().unwrap();
        assert!(rows.len() >= 50, "{}", rows.len());
        let mut seen = HashSet::new();
        for row in &rows {
            let name = format!("{}/{}", row.provider, row.model);
            assert!(seen.insert(name.clone()), "{name} is there twice");
            assert!(known_providers().iter().any(|known| known.name == row.provider), "{name}: no such provider");
            assert!(row.source.starts_with("https://"), "{name}");
            assert!(is_day(&row.read) && row.as_of.as_deref().is_none_or(is_day), "{name}");
            assert!(row.as_of.as_ref().is_none_or(|as_of| *as_of <= row.read), "{name}");
            assert_eq!(row.second_hand, row.vendor.is_some(), "{name}: `vendor` is for what is second hand");
            let price = row.price;
            let (input, output) = (price.input_micro_usd_per_million, price.output_micro_usd_per_million);
            assert!(input > 0 && (output == 0 || output >= input), "{name}: {input} in, {output} out");
            let (most, most_output) = (100_000_000, 1_000_000_000);
            assert!(input < most && output < most_output, "{name}: is this in dollars per million tokens?");
            assert!(price.cached_input_micro_usd_per_million.is_none_or(|cached| cached <= input), "{name}");
            // To write to a cache costs about what reading afresh does: nobody asks for less than half or more than double.
            let written = price.cache_write_micro_usd_per_million;
            assert!(written.is_none_or(|written| input <= 2 * written && written <= 2 * input), "{name}");
            assert!(price.reasoning_micro_usd_per_million.is_none_or(|thought| thought > 0), "{name}");
            assert!(price.request_micro_usd < 1_000_000, "{name}: is a request that dear?");
        }
    }

    #[test]
    fn finds_a_price_by_provider_and_model() {
        let plain = Price::new(150_000, 600_000);
        let price = Price { cached_input_micro_usd_per_million: Some(75_000), ..plain };
        assert_eq!(list_price("openai", "gpt-4o-mini"), Some(price));
        assert_eq!(list_price("openai", "gpt-4o-mini-2"), None);
        assert_eq!(list_price("nobody", "gpt-4o-mini"), None);
        assert_eq!(list_prices().len(), read().unwrap().len());
        assert_eq!(list_price_of("gpt-4o-mini"), Some(price));
        assert_eq!(list_price_of("openai/gpt-4o-mini"), Some(price));
        assert_eq!(list_price_of("openai/gpt-oss-120b"), None, "those that list it do not agree");
        assert_eq!(list_price_of("groq/openai/gpt-oss-120b"), list_price("groq", "openai/gpt-oss-120b"));
    }

    #[test]
    fn every_kind_of_its_own_has_prices() {
        for kind in ["openai", "azure", "anthropic", "gemini", "vertex", "bedrock", "cohere"] {
            assert!(list_prices().iter().any(|row| row.provider == kind), "{kind}");
        }
        let claude = list_price("anthropic", "claude-haiku-4-5").unwrap();
        assert_eq!(claude.cache_write_micro_usd_per_million, Some(1_250_000));
    }
}
