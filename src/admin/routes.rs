//! `GET /admin/routes`: every configured route with its targets, and how each lane to them is; then the lanes of what no route names.

use super::{reply, shadow};
use crate::edge::Doors;
use crate::routing::{CanaryHealth, Health, Lane, Leg, Look, Moment, Phase, Route, Taking};
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn routes(State(doors): State<Arc<Doors>>) -> Response {
    reply(Ok(list(&doors)))
}

fn list(doors: &Doors) -> Value {
    let setup = doors.pipeline.setup();
    let (router, now) = (&setup.router, setup.clock.now());
    // A route has a name for each of its aliases, too.
    let mut named: BTreeMap<*const Route, (Vec<&str>, &Route)> = BTreeMap::new();
    for (name, route) in router.routes() {
        named.entry(Arc::as_ptr(route)).or_insert_with(|| (Vec::new(), route)).0.push(name);
    }
    let patterns: Vec<(String, Route)> = router.patterns().collect();
    let mut all: Vec<(Vec<&str>, &Route)> = named.into_values().collect();
    all.iter_mut().for_each(|(names, _)| names.sort_unstable());
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all.extend(patterns.iter().map(|(name, route)| (vec![name.as_str()], route)));
    let shown: HashSet<*const Lane> =
        all.iter().flat_map(|(_, route)| &route.legs).map(|leg| Arc::as_ptr(&leg.lane)).collect();
    let mut others: Vec<&Arc<Lane>> = router.lanes().filter(|lane| !shown.contains(&Arc::as_ptr(lane))).collect();
    others.sort_by(|one, other| one.id.cmp(&other.id));
    json!({
        "routes": all
            .iter()
            .map(|(names, route)| {
                let mut shown = of_route(names, route, now);
                shown["shadow"] = shadow::of_names(doors, router, names, now);
                shown
            })
            .collect::<Value>(),
        "other_lanes": others.into_iter().map(|lane| of_lane(lane, now)).collect::<Value>(),
    })
}

fn of_route(names: &[&str], route: &Route, now: Moment) -> Value {
    let hedge = route.hedge.as_ref().map(|hedge| {
        json!({
            "percentile": (hedge.share * 1000.0).round() / 10.0,
            "at_least_ms": ms(hedge.at_least),
            "budget_percent": hedge.budget_percent,
        })
    });
    let targets = route.targets.iter().map(|target| json!({"provider": target.provider, "model": target.model}));
    json!({
        "names": names,
        "strategy": route.strategy.as_str(),
        "hedge": hedge,
        "targets": targets.collect::<Value>(),
        "canary": of_canary(route),
        "lanes": route.legs.iter().map(|leg| of_leg(leg, now)).collect::<Value>(),
    })
}

/// How the target that is on trial is doing.
fn of_canary(route: &Route) -> Option<Value> {
    let (target, canary) = route.canary()?;
    let CanaryHealth { asked, failed, others_asked, others_failed, rolled_back } = canary.health();
    Some(json!({
        "target": target,
        "state": if rolled_back { "rolled_back" } else { "on" },
        "percent": canary.settings.percent,
        "error_percent": canary.settings.error_percent,
        "min_requests": canary.settings.min_requests,
        "asked": asked,
        "failed": failed,
        "others": {"asked": others_asked, "failed": others_failed},
    }))
}

/// A lane as one route uses it.
fn of_leg(leg: &Leg, now: Moment) -> Value {
    let mut shown = of_lane(&leg.lane, now);
    let seen = [("context_length", leg.after.context_length), ("content_filter", leg.after.content_filter)];
    let after: Vec<&str> = seen.into_iter().filter(|(_, after)| *after).map(|(word, _)| word).collect();
    shown["target"] = json!(leg.target);
    shown["tier"] = json!(leg.tier);
    shown["weight"] = json!(leg.weight);
    shown["cost_micro_usd_per_million_tokens"] = json!(leg.cost);
    shown["after"] = json!(after);
    shown["first_token_timeout_ms"] = json!(leg.first_token_timeout.map(ms));
    shown
}

/// A lane and how it is. Its key is told by name only.
pub(super) fn of_lane(lane: &Lane, now: Moment) -> Value {
    let Health { phase, failing, first_token, answer, in_flight, sent, failed, look } = lane.health(now);
    let (state, share, until) = match look {
        Look::Ready(share) => ("ready", share, None),
        Look::Due => ("due", 0.0, None),
        Look::Resting(until) => ("resting", 0.0, Some(until)),
        Look::Limited(until) => ("limited", 0.0, Some(until)),
        Look::Full => ("full", 0.0, None),
        Look::Dead => ("dead", 0.0, None),
    };
    let breaker = match phase {
        Phase::Closed => "closed",
        Phase::HalfOpen => "half_open",
        Phase::Open => "open",
    };
    json!({
        "provider": lane.id.provider,
        "model": lane.id.model,
        "key": lane.id.key,
        "state": state,
        "share": share,
        "left_alone_ms": until.map(|until| ms(until.since(now))),
        "breaker": breaker,
        "failing": failing,
        "first_token_ms": mean_ms(first_token),
        "first_token_p95_ms": p95_ms(first_token),
        "answer_ms": mean_ms(answer),
        "answer_p95_ms": p95_ms(answer),
        "in_flight": in_flight,
        "sent": sent,
        "failed": failed,
    })
}

/// The mean, where it is known.
fn mean_ms(taking: Taking) -> Option<f64> {
    (taking.mean_us > 0.0).then_some(taking.mean_us / 1e3)
}

fn p95_ms(taking: Taking) -> Option<f64> {
    taking.p95.map(|within| within.as_secs_f64() * 1e3)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
