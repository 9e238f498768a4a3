//! `Route`: where the requests for one model may go.

use super::canary::Canary;
use super::condition::When;
use super::course::Seen;
use super::lane::Lane;
use super::retry_budget::RetryBudget;
use crate::config::{self, Strategy};
use crate::types::error::{Error, ErrorKind};
use crate::types::money::Price;
use crate::types::params::Param;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One provider, the name the model has there, and what is set in the requests for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The provider's name.
    pub provider: String,
    /// What the provider calls the model.
    pub model: String,
    /// Fields that are set in the requests to it.
    pub params: Arc<[Param]>,
}

/// Where the requests for one model may go, and how they are shared.
#[derive(Debug)]
pub struct Route {
    /// The targets in their order; never empty.
    pub targets: Vec<Target>,
    /// The lanes to them, by tier.
    pub legs: Vec<Leg>,
    /// How a tier shares the requests.
    pub strategy: Strategy,
    /// When a second attempt is made beside a slow one.
    pub hedge: Option<config::Hedge>,
    /// What the model costs, where that is known.
    pub price: Option<Price>,
    /// The longest answer that the model gives, in tokens, where that is known.
    pub max_output_tokens: Option<u64>,
    counts: Arc<Counts>,
    canary: Option<Trial>,
}

/// A target on trial.
#[derive(Debug)]
struct Trial {
    target: usize,
    canary: Arc<Canary>,
}

/// What the requests of one model have in common, whatever its `*` stands for.
#[derive(Debug)]
pub struct Counts {
    /// Second attempts as a share of requests.
    pub hedges: RetryBudget,
    turn: AtomicU64,
}

impl Counts {
    /// Counts of a model that hedges like this.
    pub fn new(hedge: Option<&config::Hedge>) -> Counts {
        let percent = hedge.map_or(0, |hedge| hedge.budget_percent);
        Counts { hedges: RetryBudget::new(percent), turn: AtomicU64::new(0) }
    }
}

/// A lane, as one route uses it.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The lane.
    pub lane: Arc<Lane>,
    /// Its target's place in the route.
    pub target: usize,
    /// Lower tiers are asked first.
    pub tier: u32,
    /// Its share of its tier's requests, against those of the others.
    pub weight: f64,
    /// What a million tokens cost there, prompt and completion together, in micro-dollars.
    pub cost: Option<u64>,
    /// What the model costs there, where that is known.
    pub price: Option<Price>,
    /// It is asked only after another target failed in one of these ways. None: always.
    pub after: Seen,
    /// Whether it takes part in a request. `None`: in all.
    pub when: Option<Arc<When>>,
    /// How long it may take to the first piece of its answer. `None`: the provider's time for the first byte.
    pub first_token_timeout: Option<Duration>,
}

impl Target {
    /// A model at a provider, with nothing set.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Target {
        Target { provider: provider.into(), model: model.into(), params: Arc::default() }
    }
}

impl Route {
    /// A route over `legs`, which are put in the order of their tiers.
    pub fn new(
        targets: Vec<Target>,
        mut legs: Vec<Leg>,
        strategy: Strategy,
        hedge: Option<config::Hedge>,
        price: Option<Price>,
    ) -> Route {
        legs.sort_by_key(|leg| leg.tier);
        let counts = Arc::new(Counts::new(hedge.as_ref()));
        Route { targets, legs, strategy, hedge, price, max_output_tokens: None, counts, canary: None }
    }

    /// The same, where the target at `target` is on trial: its lanes come first, for those requests that are drawn for it.
    pub fn with_canary(mut self, target: usize, canary: Arc<Canary>) -> Route {
        self.legs.sort_by_key(|leg| (leg.target != target, leg.tier));
        Route { canary: Some(Trial { target, canary }), ..self }
    }

    /// The target that is on trial, by its place, and how that goes.
    pub fn canary(&self) -> Option<(usize, &Arc<Canary>)> {
        self.canary.as_ref().map(|trial| (trial.target, &trial.canary))
    }

    /// Is the lane one to the target that is on trial?
    pub fn is_on_trial(&self, leg: &Leg) -> bool {
        self.canary.as_ref().is_some_and(|trial| trial.target == leg.target)
    }

    /// The same, counted together with others.
    pub fn counted(self, counts: Arc<Counts>) -> Route {
        Route { counts, ..self }
    }

    /// Second attempts as a share of requests.
    pub(super) fn hedges(&self) -> &RetryBudget {
        &self.counts.hedges
    }

    /// The target of the leg at `at`, and how long it may take to the first piece of its answer.
    pub fn leg(&self, at: usize) -> Result<(&Target, Option<Duration>), Error> {
        let leg = self.legs.get(at);
        let found = leg.and_then(|leg| Some((self.targets.get(leg.target)?, leg.first_token_timeout)));
        found.ok_or_else(|| Error::new(ErrorKind::Internal, "The route has no such leg."))
    }

    /// Counts the requests.
    pub(super) fn next_turn(&self) -> u64 {
        self.counts.turn.fetch_add(1, Ordering::Relaxed)
    }
}
