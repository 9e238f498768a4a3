//! Models with a route or a price of their own, and the provider of all others.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::Strategy;
use super::kinds::{quoted, shortened};
use super::nearest::nearest;
use super::resolved::{Model, Price, Provider, Target};
use super::shadow;
use super::target;

/// More than any model costs, in US dollars per million tokens.
const MAX_USD: f64 = 1_000_000.0;

pub(super) const KEYS: &[&str] =
    &["name", "aliases", "strategy", "targets", "hedge", "price", "max_output_tokens", "shadow"];

/// The keys of a price: of prompt and completion tokens, of parts of these, and of a request.
const PRICE_KEYS: [&str; 6] = [
    "input_usd_per_million_tokens",
    "output_usd_per_million_tokens",
    "cached_input_usd_per_million_tokens",
    "cache_write_usd_per_million_tokens",
    "reasoning_usd_per_million_tokens",
    "request_usd",
];

/// Reads `models`.
pub(super) fn models(root: &Fields<'_>, providers: &[Provider]) -> Result<Vec<Model>, ConfigError> {
    let mut models: Vec<Model> = Vec::new();
    let judge = root.get("cache").is_some_and(|cache| cache.has("judge"));
    for item in root.list("models")? {
        let model = model(&item, providers, judge)?;
        for name in names(&model) {
            if models.iter().flat_map(names).any(|other| other == name) {
                let error = item.error(format!("another model has the name `{}`", shortened(name)));
                return Err(error.with_suggestion("put all its targets into one entry"));
            }
        }
        for target in &model.targets {
            let same = |one: &&Target| (&one.provider, &one.model) == (&target.provider, &target.model);
            let others = models.iter().chain([&model]).flat_map(|model| &model.targets).filter(same);
            if let Some(most) =
                others.filter_map(|one| one.max_in_flight).find(|most| Some(*most) != target.max_in_flight)
                && target.max_in_flight.is_some()
            {
                let shown = shortened(&target.model);
                let error =
                    item.error(format!("`max_in_flight` of `{shown}` at `{}` is {most} elsewhere", target.provider));
                return Err(
                    error.with_suggestion("all targets of one provider and model share the limit: write one number")
                );
            }
        }
        models.push(model);
    }
    Ok(models)
}

/// All that callers may call a model.
fn names(model: &Model) -> impl Iterator<Item = &String> {
    std::iter::once(&model.name).chain(&model.aliases)
}

/// Reads `default_provider`. The only one of the file, whose first `of_file` providers are its own, stays everybody's when others are
/// made beside it.
pub(super) fn default_provider(
    root: &Fields<'_>,
    of_file: usize,
    providers: &[Provider],
) -> Result<Option<String>, ConfigError> {
    match root.text("default_provider")? {
        Some(name) => provider_name(name, root.get("default_provider").as_ref(), providers).map(Some),
        None if of_file == 1 && providers.len() > 1 => Ok(providers.first().map(|only| only.name.clone())),
        None => Ok(None),
    }
}

fn model(item: &Item<'_>, providers: &[Provider], judge: bool) -> Result<Model, ConfigError> {
    let fields = item.fields(KEYS)?;
    let name = pattern(&fields.require("name")?)?;
    let aliases = fields.list("aliases")?.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
    if let Some(alias) =
        fields.get("aliases").filter(|_| name.contains('*') && aliases.iter().any(|one| !one.contains('*')))
    {
        return Err(
            alias.error("expected a `*` in each, as in the `name`: what it stands for is part of the target's model")
        );
    }
    let list = fields.require("targets")?;
    let items = list.list()?;
    let weighted = items.iter().any(|item| item.has("weight"));
    let mut targets: Vec<Target> = Vec::new();
    for item in items {
        let target = target::target(&item, &name, providers)?;
        let same = |one: &Target| {
            (&one.provider, &one.model, &one.key, &one.when, &one.params)
                == (&target.provider, &target.model, &target.key, &target.when, &target.params)
                && one.canary.is_some() == target.canary.is_some()
        };
        if targets.iter().any(same) {
            return Err(item
                .error("this target is there twice")
                .with_suggestion("`retry.attempts` says how often each is tried, `weight` its share"));
        }
        if target.canary.is_some() && targets.iter().any(|one| one.canary.is_some()) {
            return Err(item.error("another target of this model is a canary").with_suggestion("try one at a time"));
        }
        targets.push(target);
    }
    if targets.len() == 1 && targets.iter().all(|target| target.canary.is_some()) {
        let error = list.error("the only target is a canary: nobody takes over what it fails");
        return Err(error.with_suggestion("add the target that all other requests go to"));
    }
    if targets.iter().all(|target| !target.after.is_empty() || target.canary.is_some()) {
        let error = match targets.is_empty() {
            true => list.error("expected at least one target, found none").with_suggestion("add `- provider: NAME`"),
            false => list
                .error("every target is asked only after another has failed")
                .with_suggestion("take `after` from the one that is asked first"),
        };
        return Err(error);
    }
    let default = if weighted { Strategy::Weighted } else { Strategy::Ordered };
    let strategy = fields.word("strategy", default)?;
    let shadow = shadow::shadow(&fields, &name, providers, judge)?;
    let max_output_tokens =
        fields.get("max_output_tokens").map(|item| item.integer(1..=super::rights::MAX_OUTPUT_TOKENS)).transpose()?;
    let (hedge, price) = (target::hedge(&fields)?, price(&fields)?);
    Ok(Model { name, aliases, strategy, targets, hedge, price, max_output_tokens, shadow })
}

/// A model's name, in which one `*` may stand for any text.
pub(super) fn pattern(item: &Item<'_>) -> Result<String, ConfigError> {
    let name = item.text()?;
    if name.matches('*').count() > 1 {
        return Err(item.error("expected one `*` at most").with_suggestion("write an entry for each pattern"));
    }
    Ok(name)
}

/// `name`, if there is a provider of that name.
pub(super) fn provider_name(
    name: String,
    item: Option<&Item<'_>>,
    providers: &[Provider],
) -> Result<String, ConfigError> {
    let names: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
    if names.contains(&name.as_str()) {
        return Ok(name);
    }
    let shown = item.and_then(Item::written).unwrap_or(&name);
    let message = format!("there is no provider `{}`", shortened(shown));
    let error = item.map_or_else(|| ConfigError::new("", None, &*message), |item| item.error(&*message));
    Err(match nearest(&name, names.iter().copied()) {
        Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.with_suggestion("add one to `providers`"),
        None => error.with_suggestion(format!("the providers are {}", quoted(&names))),
    })
}

/// Reads `price`, if it is there.
pub(super) fn price(fields: &Fields<'_>) -> Result<Option<Price>, ConfigError> {
    let Some(item) = fields.get("price") else {
        return Ok(None);
    };
    let fields = item.fields(&PRICE_KEYS)?;
    let part = |key: &str| fields.get(key).map(|item| micro_usd_per_million(&item)).transpose();
    let [input, output, cached, written, reasoning, request] = PRICE_KEYS;
    Ok(Some(Price {
        input_micro_usd_per_million: micro_usd_per_million(&fields.require(input)?)?,
        output_micro_usd_per_million: micro_usd_per_million(&fields.require(output)?)?,
        cached_input_micro_usd_per_million: part(cached)?,
        cache_write_micro_usd_per_million: part(written)?,
        reasoning_micro_usd_per_million: part(reasoning)?,
        request_micro_usd: part(request)?.unwrap_or(0),
    }))
}

/// US dollars at `item`, as a rule per million tokens, in micro-dollars.
pub(super) fn micro_usd_per_million(item: &Item<'_>) -> Result<u64, ConfigError> {
    item.float(0.0..=MAX_USD).map(micro_usd)
}

/// Micro-dollars nearest to `usd`, which is from zero to [`MAX_USD`].
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked: it fits")]
fn micro_usd(usd: f64) -> u64 {
    (usd * 1e6).round() as u64
}
