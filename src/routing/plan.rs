//! `Router`: a model's name → its route. Knows the configured models, the lanes to them, and the default provider.

use super::canary::Canary;
use super::cap::Cap;
use super::condition::When;
use super::course::Seen;
use super::lane::{KeyState, Lane, LaneId, LaneSettings};
use super::route::{Counts, Leg, Route, Target};
use crate::config::{self, After, Strategy};
use crate::types::error::{Error, ErrorKind};
use crate::types::money::Price;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

mod planned;
mod shadow;

use planned::Planned;
pub use shadow::Shadow;

/// The one request that finds out about a failing lane keeps others from doing so no longer than this.
const PROBE_LEASE: Duration = Duration::from_secs(5);

/// Knows where every model is to be had.
#[derive(Debug, Default)]
pub struct Router {
    models: HashMap<String, Arc<Route>>,
    /// Models whose name has a `*`, the longest name first.
    patterns: Vec<Pattern>,
    providers: HashMap<String, Provider>,
    /// By provider, at the prices of the lists.
    planned: HashMap<String, Planned, ahash::RandomState>,
    /// What the providers were made of.
    made_of: Vec<config::Provider>,
    lanes: Lanes,
    /// Of those models that have a target on trial, by name.
    canaries: HashMap<String, Trial>,
    /// By the names and aliases of their models.
    shadows: HashMap<String, Arc<Shadow>>,
    default_provider: Option<String>,
    /// What the operator says that models cost at providers, exact names first, then the longest pattern.
    prices: Vec<config::OwnPrice>,
}

/// A target on trial, as it is configured, and how that goes.
#[derive(Debug, Clone)]
struct Trial {
    target: config::Target,
    others: Vec<config::Target>,
    canary: Arc<Canary>,
}

/// A model whose name stands for many.
#[derive(Debug)]
struct Pattern {
    before: String,
    after: String,
    model: config::Model,
    counts: Arc<Counts>,
    shared: Shared,
    planned: Planned,
}

/// What the routes of one configured model have in common, whatever its `*` stands for.
#[derive(Debug)]
struct Shared {
    whens: Vec<Option<Arc<When>>>,
    canary: Option<Arc<Canary>>,
}

/// What the router knows of a provider.
#[derive(Debug, Clone)]
struct Provider {
    name: String,
    /// What the price list calls it, where its list prices hold.
    listed: Option<String>,
    probe_lease: Duration,
    keys: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    /// `None`: it has no keys of ours.
    name: Option<String>,
    weight: f64,
    models: Vec<String>,
    state: Option<Arc<KeyState>>,
    cap: Option<Arc<Cap>>,
}

/// All lanes there are.
#[derive(Debug, Default)]
struct Lanes {
    lanes: HashMap<LaneId, Arc<Lane>>,
    /// By provider and model.
    caps: HashMap<(String, String), Arc<Cap>>,
    breaker: Option<config::Breaker>,
    retry_percent: u32,
}

impl Router {
    /// A router over the configured models and providers. What was learned by the one `before` of lanes, places and targets on
    /// trial whose settings are the same stays; keys that were refused are tried again.
    pub fn new(settings: &config::Resolved, before: Option<&Router>) -> Router {
        Router::over(
            &settings.models,
            &settings.providers,
            &settings.prices,
            settings.default_provider.as_deref(),
            settings.breaker,
            settings.retry.budget_percent,
            before,
        )
    }

    fn over(
        models: &[config::Model],
        providers: &[config::Provider],
        prices: &[config::OwnPrice],
        default_provider: Option<&str>,
        breaker: config::Breaker,
        retry_percent: u32,
        before: Option<&Router>,
    ) -> Router {
        let default_provider = match (default_provider, providers) {
            (Some(name), _) => Some(name.to_owned()),
            // A single provider is everybody's default.
            (None, [only]) => Some(only.name.clone()),
            (None, _) => None,
        };
        let mut router = Router {
            providers: providers.iter().map(|one| (one.name.clone(), Provider::kept(one, before))).collect(),
            planned: providers.iter().map(|one| (one.name.clone(), Planned::default())).collect(),
            made_of: providers.to_vec(),
            lanes: Lanes { breaker: Some(breaker), retry_percent, ..Lanes::default() },
            default_provider,
            prices: prices.to_vec(),
            ..Router::default()
        };
        router.prices.sort_by_key(|one| (one.model.contains('*'), std::cmp::Reverse(one.model.len())));
        for target in models.iter().flat_map(|model| &model.targets) {
            router.lanes.cap(target, before);
        }
        for provider in router.providers.values() {
            router.lanes.add(provider, None, Router::with(before, &provider.name, providers));
        }
        for target in models.iter().flat_map(|model| &model.targets) {
            if let Some(provider) = router.providers.get(&target.provider) {
                let before = Router::with(before, &provider.name, providers);
                router.lanes.add(provider, Some(&target.model), before);
            }
        }
        for model in models {
            let known = model.shadow.as_ref().and_then(|shadow| Router::with(before, &shadow.provider, providers));
            router.add_shadow(model, known);
            let counts = Arc::new(Counts::new(model.hedge.as_ref()));
            let trial = trial(model, providers, before);
            let canary = trial.as_ref().map(|trial| trial.canary.clone());
            let shared = || Shared { whens: whens(model), canary: canary.clone() };
            router.canaries.extend(trial.map(|trial| (model.name.clone(), trial)));
            for name in std::iter::once(&model.name).chain(&model.aliases) {
                match name.split_once('*') {
                    Some((before, after)) => router.patterns.push(Pattern {
                        before: before.to_owned(),
                        after: after.to_owned(),
                        model: model.clone(),
                        counts: counts.clone(),
                        shared: shared(),
                        planned: Planned::default(),
                    }),
                    None => {
                        let route = router.models.get(&model.name).cloned();
                        let route = route.unwrap_or_else(|| Arc::new(router.route(model, &shared(), None)));
                        router.models.insert(name.clone(), route);
                    }
                }
            }
        }
        router.patterns.sort_by_key(|one| std::cmp::Reverse(one.before.len() + one.after.len()));
        router
    }

    /// Names of the configured models; those with a `*` are none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The configured routes, by name.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &Arc<Route>)> {
        self.models.iter().map(|(name, route)| (name.as_str(), route))
    }

    /// The configured routes whose name has a `*`, as they are for a model that is called `*` itself; by name.
    pub fn patterns(&self) -> impl Iterator<Item = (String, Route)> {
        self.patterns
            .iter()
            .map(|one| (format!("{}*{}", one.before, one.after), self.route(&one.model, &one.shared, Some("*"))))
    }

    /// All lanes.
    pub fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.lanes.values()
    }

    /// The provider of what names none; a single provider is everybody's.
    pub fn default_provider(&self) -> Option<&str> {
        self.default_provider.as_deref()
    }

    /// The route for `model`. `having` says which provider is known to have a model.
    ///
    /// A configured name comes first, then one with a `*` that fits, the longest first, then a model that a provider is known to
    /// have, then `provider/model`, then the default provider.
    pub fn plan<'h>(&self, model: &str, having: impl Fn(&str) -> Option<&'h str>) -> Result<Arc<Route>, Error> {
        if let Some(route) = self.models.get(model) {
            return Ok(route.clone());
        }
        if let Some((pattern, stands_for)) = self.patterns.iter().find_map(|one| Some((one, one.stands_for(model)?))) {
            let make = || self.route(&pattern.model, &pattern.shared, Some(stands_for)).counted(pattern.counts.clone());
            return Ok(pattern.planned.of(stands_for, || Arc::new(make())));
        }
        if let Some(provider) = having(model) {
            return Ok(self.to(provider, model, None));
        }
        if let Some((provider, rest)) = model.split_once('/')
            && !rest.is_empty()
            && self.providers.contains_key(provider)
        {
            let price = self.models.get(rest).and_then(|route| route.price);
            return Ok(self.to(provider, rest, price));
        }
        match &self.default_provider {
            Some(provider) => Ok(self.to(provider, model, None)),
            None => Err(unknown(model)),
        }
    }

    /// The route to one provider, for what no configuration names. One of the host itself has a lane of its own.
    pub fn to(&self, provider: &str, model: &str, price: Option<Price>) -> Arc<Route> {
        match (self.planned.get(provider), price) {
            (Some(planned), None) => planned.of(model, || self.made(provider, model, None)),
            (_, price) => self.made(provider, model, price),
        }
    }

    fn made(&self, provider: &str, model: &str, price: Option<Price>) -> Arc<Route> {
        let target = Target::new(provider, model);
        let known = self.providers.get(provider).cloned().unwrap_or_else(|| Provider::plain(provider));
        let legs = self.legs(&known, model, model, 0, |_| true);
        let price = price.or_else(|| self.configured_price(&target)).or_else(|| self.list_price(&target));
        Arc::new(Route::new(vec![target], legs, Strategy::Weighted, None, price))
    }

    /// What a configured model costs at `target`, by whatever name it is asked for: the dearest, where several models say so.
    fn configured_price(&self, target: &Target) -> Option<Price> {
        let prices = self.models.values().filter_map(|route| {
            let is_there = |one: &Target| one.provider == target.provider && one.model == target.model;
            let at = route.targets.iter().position(is_there)?;
            let leg = route.legs.iter().find(|leg| leg.target == at)?;
            leg.price.or(route.price)
        });
        prices.max_by_key(|price| price.input_micro_usd_per_million.saturating_add(price.output_micro_usd_per_million))
    }

    /// The route of a configured model; `stands_for` is what the `*` of its name stood for.
    fn route(&self, model: &config::Model, shared: &Shared, stands_for: Option<&str>) -> Route {
        let filled = |text: &str| stands_for.map_or_else(|| text.to_owned(), |by| text.replacen('*', by, 1));
        let mut targets: Vec<Target> = Vec::new();
        let mut legs: Vec<Leg> = Vec::new();
        let mut on_trial = None;
        for (target, when) in model.targets.iter().zip(&shared.whens) {
            let params = target.params.as_slice().into();
            let one = Target { params, ..Target::new(target.provider.as_str(), filled(&target.model)) };
            let known = targets.iter().position(|known| *known == one);
            let at = known.filter(|at| target.canary.is_none() && Some(*at) != on_trial).unwrap_or(targets.len());
            let Some(provider) = self.providers.get(&one.provider) else { continue };
            let is_for = |key: &Key| target.key.is_none() || key.name == target.key;
            // Whatever its `*` stands for, it is one target.
            let shares = self.legs(provider, &target.model, &one.model, at, is_for);
            let after = Seen {
                context_length: target.after.contains(&After::ContextLength),
                content_filter: target.after.contains(&After::ContentFilter),
            };
            let price = model.price.or_else(|| self.list_price(&one));
            let cost = price.map(|price| price.input_micro_usd_per_million + price.output_micro_usd_per_million);
            let all: f64 = shares.iter().map(|leg| leg.weight).sum();
            for leg in shares {
                add(
                    &mut legs,
                    Leg {
                        tier: target.tier,
                        // The keys of a target share its weight.
                        weight: target.weight * leg.weight / all,
                        cost,
                        price,
                        after,
                        when: when.clone(),
                        first_token_timeout: target.first_token_timeout,
                        ..leg
                    },
                );
            }
            if target.canary.is_some() {
                on_trial = Some(at);
            }
            if at == targets.len() {
                targets.push(one);
            }
        }
        let steady = targets.iter().enumerate().filter(|(at, _)| Some(*at) != on_trial).map(|(_, target)| target);
        let price = model.price.or_else(|| self.price_of_all(steady));
        let mut route = Route::new(targets, legs, model.strategy, model.hedge, price);
        route.max_output_tokens = model.max_output_tokens;
        match on_trial.zip(shared.canary.clone()) {
            Some((target, canary)) => route.with_canary(target, canary),
            None => route,
        }
    }

    /// The lanes to `model` of a provider, which the configuration has as `written`: one for each key that is for it.
    fn legs(
        &self,
        provider: &Provider,
        written: &str,
        model: &str,
        target: usize,
        is_for: impl Fn(&Key) -> bool,
    ) -> Vec<Leg> {
        let keys = provider.keys.iter().filter(|key| is_for(key));
        let fit: Vec<&Key> = keys.clone().filter(|key| key.is_for(model)).collect();
        // Where no key is for it, the provider says so itself.
        let keys = if fit.is_empty() { keys.collect() } else { fit };
        let leg = |key: &Key| Leg {
            lane: self.lanes.of(provider, written, key),
            target,
            tier: 0,
            weight: key.weight,
            cost: None,
            price: None,
            after: Seen::default(),
            when: None,
            first_token_timeout: None,
        };
        keys.into_iter().map(leg).collect()
    }

    /// What the targets cost by the price list, where that is the same for all: nobody knows yet which of them will answer.
    fn price_of_all<'t>(&self, mut targets: impl Iterator<Item = &'t Target>) -> Option<Price> {
        let first = self.list_price(targets.next()?)?;
        targets.all(|target| self.list_price(target) == Some(first)).then_some(first)
    }

    /// What the router `before` has learned of the lanes to a provider, where that is the same.
    fn with<'b>(before: Option<&'b Router>, name: &str, providers: &[config::Provider]) -> Option<&'b Router> {
        let named = |one: &&config::Provider| one.name == name;
        before.filter(|before| before.made_of.iter().find(named) == providers.iter().find(named))
    }

    /// What the operator says, else the vendor's list.
    fn list_price(&self, target: &Target) -> Option<Price> {
        let is_for = |own: &&config::OwnPrice| own.provider == target.provider && fits(&own.model, &target.model);
        if let Some(own) = self.prices.iter().find(is_for) {
            return Some(own.price);
        }
        config::list_price(self.providers.get(&target.provider)?.listed.as_deref()?, &target.model)
    }
}

/// Is `model` called so? One `*` stands for any text.
fn fits(pattern: &str, model: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => {
            model.len() >= before.len() + after.len() && model.starts_with(before) && model.ends_with(after)
        }
        None => pattern == model,
    }
}

/// Adds a lane to a route. One that is there already, for the same requests, gets both weights.
fn add(legs: &mut Vec<Leg>, leg: Leg) {
    let same_when = |one: &Leg| match (&one.when, &leg.when) {
        (Some(one), Some(other)) => one.says(other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let same = |one: &&mut Leg| {
        Arc::ptr_eq(&one.lane, &leg.lane)
            && (one.target, one.tier, one.after) == (leg.target, leg.tier, leg.after)
            && one.first_token_timeout == leg.first_token_timeout
            && same_when(one)
    };
    match legs.iter_mut().find(same) {
        Some(known) => known.weight += leg.weight,
        None => legs.push(leg),
    }
}

/// How the target of `model` that is on trial is doing: as it was `before`, where it is the same, at a provider that is.
fn trial(model: &config::Model, providers: &[config::Provider], before: Option<&Router>) -> Option<Trial> {
    let (target, settings) = model.targets.iter().find_map(|target| Some((target, target.canary?)))?;
    let others: Vec<config::Target> = model.targets.iter().filter(|one| one.canary.is_none()).cloned().collect();
    let before = Router::with(before, &target.provider, providers);
    let known = before.and_then(|before| before.canaries.get(&model.name)).filter(|known| known.target == *target);
    let canary = match known {
        Some(known) => known.canary.clone(),
        None => Arc::new(Canary::new(settings, &target.provider, &target.model)),
    };
    if known.is_some_and(|known| known.others != others) {
        canary.forget_others();
    }
    Some(Trial { target: target.clone(), others, canary })
}

/// The conditions of a model's targets. They are made once, so that each is logged once.
fn whens(model: &config::Model) -> Vec<Option<Arc<When>>> {
    let when = |target: &config::Target| {
        let condition = target.when.as_ref()?;
        Some(Arc::new(When::new(condition, &model.name, &target.provider)))
    };
    model.targets.iter().map(when).collect()
}

impl Pattern {
    /// What the `*` stands for in `name`, if that fits.
    fn stands_for<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())
    }
}

impl Provider {
    /// As it was `before`, where its settings are the same.
    fn kept(settings: &config::Provider, before: Option<&Router>) -> Provider {
        let known = before.and_then(|before| before.providers.get(&settings.name));
        if let (Some(known), Some(before)) = (known, before)
            && before.made_of.iter().any(|one| one == settings)
        {
            return known.clone();
        }
        let mut provider = Provider::new(settings);
        // What is under way goes on counting for a limit that stays.
        for key in &mut provider.keys {
            let same = known.and_then(|known| known.keys.iter().find(|one| one.name == key.name));
            let cap = same.and_then(|one| one.cap.as_ref());
            let most = key.cap.as_ref().map(|cap| cap.most());
            if let Some(cap) = cap.filter(|cap| Some(cap.most()) == most) {
                key.cap = Some(cap.clone());
            }
        }
        provider
    }

    fn new(settings: &config::Provider) -> Provider {
        let alone = settings.api_key.as_ref().map(|_| Key {
            name: Some("default".to_owned()),
            weight: 1.0,
            models: Vec::new(),
            state: Some(Arc::default()),
            cap: None,
        });
        let key = |key: &config::ProviderKey| Key {
            name: Some(key.name.clone()),
            weight: key.weight,
            models: key.models.clone(),
            state: Some(Arc::default()),
            cap: key.limits.concurrent.map(|most| Arc::new(Cap::new(u32::try_from(most).unwrap_or(u32::MAX)))),
        };
        let mut keys: Vec<Key> = alone.into_iter().chain(settings.keys.iter().map(key)).collect();
        if keys.is_empty() {
            keys.push(Key::none());
        }
        Provider {
            name: settings.name.clone(),
            listed: settings.catalogue.clone().filter(|_| settings.list_prices),
            probe_lease: settings.first_byte_timeout.min(PROBE_LEASE),
            keys,
        }
    }

    /// One of the host itself.
    fn plain(name: &str) -> Provider {
        Provider { name: name.to_owned(), listed: None, probe_lease: PROBE_LEASE, keys: vec![Key::none()] }
    }
}

impl Key {
    fn none() -> Key {
        Key { name: None, weight: 1.0, models: Vec::new(), state: None, cap: None }
    }

    fn is_for(&self, model: &str) -> bool {
        model.is_empty() || self.models.is_empty() || self.models.iter().any(|one| one == model)
    }
}

impl Lanes {
    /// What bounds the requests under way to a target.
    fn cap(&mut self, target: &config::Target, before: Option<&Router>) {
        if let Some(most) = target.max_in_flight {
            let at = (target.provider.clone(), target.model.clone());
            let known = before.and_then(|before| before.lanes.caps.get(&at)).filter(|cap| cap.most() == most);
            let cap = known.cloned().unwrap_or_else(|| Arc::new(Cap::new(most)));
            self.caps.entry(at).or_insert(cap);
        }
    }

    fn add(&mut self, provider: &Provider, model: Option<&str>, before: Option<&Router>) {
        for key in &provider.keys {
            let (id, settings) = self.made_with(provider, model, key);
            if self.lanes.contains_key(&id) {
                continue;
            }
            let known = before.and_then(|before| before.lanes.lanes.get(&id));
            let lane = match known.filter(|lane| lane.is_made_with(&settings)) {
                Some(lane) => {
                    lane.forgive();
                    lane.clone()
                }
                None => Arc::new(Lane::new(id.clone(), settings)),
            };
            self.lanes.insert(id, lane);
        }
    }

    fn made_with(&self, provider: &Provider, model: Option<&str>, key: &Key) -> (LaneId, LaneSettings) {
        let id = LaneId { provider: provider.name.clone(), model: model.map(str::to_owned), key: key.name.clone() };
        let cap = model.and_then(|model| self.caps.get(&(provider.name.clone(), model.to_owned())));
        let settings = LaneSettings {
            breaker: self.breaker.unwrap_or(DEFAULT_BREAKER),
            probe_lease: provider.probe_lease,
            retry_percent: self.retry_percent,
            caps: cap.into_iter().chain(&key.cap).cloned().collect(),
            key: key.state.clone(),
        };
        (id, settings)
    }

    /// The lane to a model under a key: its own where it is configured, else the one of all others there.
    fn of(&self, provider: &Provider, model: &str, key: &Key) -> Arc<Lane> {
        let id = |model: Option<&str>| LaneId {
            provider: provider.name.clone(),
            model: model.map(str::to_owned),
            key: key.name.clone(),
        };
        let known = self.lanes.get(&id(Some(model))).or_else(|| self.lanes.get(&id(None)));
        known.cloned().unwrap_or_else(|| {
            let (id, settings) = self.made_with(provider, None, key);
            Arc::new(Lane::new(id, settings))
        })
    }
}

/// Where there are no settings, as for the host's own provider in tests.
const DEFAULT_BREAKER: config::Breaker = config::Breaker {
    failures: 5,
    open: Duration::from_secs(1),
    open_max: Duration::from_secs(60),
    slow_start: Duration::from_secs(10),
    probe_interval: None,
};

fn unknown(model: &str) -> Error {
    let shown: String = model.chars().take(100).collect();
    let message = format!(
        "The model `{shown}` does not exist: no provider is known to have it. GET /v1/models lists the models; \
         `provider/model` names a provider directly."
    );
    Error { param: Some("model".into()), ..Error::new(ErrorKind::NotFound, message).with_code("model_not_found") }
}

#[cfg(test)]
mod tests;
