//! Shadows of models: where the requests for one are sent once more, to compare. On lanes of their own: what befalls a shadow is
//! not held against a target that callers wait for, nor the other way round.

use super::{DEFAULT_BREAKER, Key, Provider, Router};
use crate::config::{self, Strategy};
use crate::routing::{Lane, LaneId, LaneSettings, Leg, Look, Moment, Pass, Route, Seen, Target};
use std::sync::Arc;

/// The shadow of one configured model.
#[derive(Debug)]
pub struct Shadow {
    /// The model, as it is configured.
    pub model: String,
    /// What is wanted of it.
    pub settings: Arc<config::Shadow>,
    provider: Provider,
    /// One for each key that it may be asked with.
    lanes: Vec<(Key, Arc<Lane>)>,
}

impl Shadow {
    /// Its lanes.
    pub fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().map(|(_, lane)| lane)
    }

    /// Where it is to be had for a model that is called `stands_for` where its name has a `*`.
    pub fn route(&self, stands_for: Option<&str>) -> Route {
        let settings = &self.settings;
        let model = stands_for.map_or_else(|| settings.model.clone(), |by| settings.model.replacen('*', by, 1));
        let params = settings.params.as_slice().into();
        let target = Target { params, ..Target::new(settings.provider.as_str(), model) };
        let price = settings.price.or_else(|| config::list_price(self.provider.listed.as_deref()?, &target.model));
        let fit: Vec<_> = self.lanes.iter().filter(|(key, _)| key.is_for(&target.model)).collect();
        // Where no key is for it, the provider says so itself.
        let lanes = if fit.is_empty() { self.lanes.iter().collect() } else { fit };
        let leg = |(key, lane): &(Key, Arc<Lane>)| Leg {
            lane: lane.clone(),
            target: 0,
            tier: 0,
            weight: key.weight,
            cost: None,
            price,
            after: Seen::default(),
            when: None,
            first_token_timeout: None,
        };
        Route::new(vec![target], lanes.into_iter().map(leg).collect(), Strategy::Weighted, None, price)
    }

    /// A place on one of the lanes of `route`, by weight; `chance` is in [0, 1). `None`: all of them are left alone just now, or
    /// have as many requests as they take. A shadow waits for nothing.
    pub fn begin(route: &Route, now: Moment, chance: f64) -> Option<(usize, Pass)> {
        let looks = route.legs.iter().enumerate().map(|(at, leg)| (at, leg, leg.lane.look(now)));
        let mut ready: Vec<(usize, f64)> = looks
            .clone()
            .filter_map(
                |(at, leg, look)| if let Look::Ready(share) = look { Some((at, leg.weight * share)) } else { None },
            )
            .collect();
        while !ready.is_empty() {
            let mut left = chance * ready.iter().map(|(_, weight)| weight).sum::<f64>();
            let chosen = ready.iter().position(|(_, weight)| {
                left -= weight;
                left < 0.0
            });
            let (at, _) = ready.swap_remove(chosen.unwrap_or(0));
            if let Some(pass) = route.legs[at].lane.begin(now) {
                return Some((at, pass));
            }
        }
        // Who finds out is let past a limit; a shadow is not worth that.
        let is_free = |leg: &Leg| leg.lane.caps().iter().all(|cap| !cap.is_full() && cap.waiting() == 0);
        let mut due = looks.filter(|(_, leg, look)| *look == Look::Due && is_free(leg));
        due.find_map(|(at, leg, _)| Some((at, leg.lane.begin_probe(now, false)?)))
    }
}

impl Router {
    /// The shadow of what callers call `model`, and what the `*` of the configured name stands for in it.
    pub fn shadow<'m>(&self, model: &'m str) -> Option<(&Arc<Shadow>, Option<&'m str>)> {
        if !self.has_shadows() {
            return None;
        }
        if self.models.contains_key(model) {
            return Some((self.shadows.get(model)?, None));
        }
        let (pattern, stands_for) = self.patterns.iter().find_map(|one| Some((one, one.stands_for(model)?)))?;
        let shadow = self.shadows.get(&format!("{}*{}", pattern.before, pattern.after))?;
        Some((shadow, Some(stands_for)))
    }

    /// Has any model a shadow?
    pub fn has_shadows(&self) -> bool {
        !self.shadows.is_empty()
    }

    /// All shadows, by the names and aliases of their models as they are configured.
    pub fn shadows(&self) -> impl Iterator<Item = (&str, &Arc<Shadow>)> {
        self.shadows.iter().map(|(name, shadow)| (name.as_str(), shadow))
    }

    /// Adds the shadow of `model`, if it has one: that of the router `before`, where it is the same.
    pub(super) fn add_shadow(&mut self, model: &config::Model, before: Option<&Router>) {
        let Some(settings) = &model.shadow else { return };
        let Some(provider) = self.providers.get(&settings.provider) else { return };
        let keys = provider.keys.iter().filter(|key| settings.key.is_none() || key.name == settings.key);
        let lane = |key: &Key| {
            let id =
                LaneId { provider: provider.name.clone(), model: Some(settings.model.clone()), key: key.name.clone() };
            let settings = LaneSettings {
                breaker: self.lanes.breaker.unwrap_or(DEFAULT_BREAKER),
                probe_lease: provider.probe_lease,
                retry_percent: 0,
                // What a key may have under way is the provider's limit, whoever asks.
                caps: key.cap.iter().cloned().collect(),
                key: key.state.as_ref().map(|_| Arc::default()),
            };
            (key.clone(), Arc::new(Lane::new(id, settings)))
        };
        let before = before.filter(|before| before.lanes.breaker == self.lanes.breaker);
        let known = before.and_then(|before| before.shadows.get(&model.name));
        let shadow = known.filter(|known| *known.settings == *settings).cloned().unwrap_or_else(|| {
            Arc::new(Shadow {
                model: model.name.clone(),
                settings: Arc::new(settings.clone()),
                lanes: keys.map(lane).collect(),
                provider: provider.clone(),
            })
        });
        shadow.lanes().for_each(|lane| lane.forgive());
        for name in std::iter::once(&model.name).chain(&model.aliases) {
            self.shadows.insert(name.clone(), shadow.clone());
        }
    }
}
