//! `GET /admin/cache/scopes`: what the judgement knows of each scope, those with the highest estimated error first.

use super::reply;
use crate::cache::{ScopeState, Stats};
use crate::edge::Doors;
use crate::types::error::{Error, ErrorKind};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Scopes that a reply has, where the request does not say, and at most.
const LISTED: usize = 100;
const MOST_LISTED: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    limit: Option<usize>,
    order: Option<String>,
    tenant: Option<String>,
}

pub(super) async fn scopes(State(doors): State<Arc<Doors>>, wish: Result<Query<Wish>, QueryRejection>) -> Response {
    reply(list(&doors, wish))
}

fn list(doors: &Doors, wish: Result<Query<Wish>, QueryRejection>) -> Result<Value, Error> {
    let Query(wish) = wish.map_err(|why| {
        let message = format!("Expected `limit`, `order` and `tenant` in the query at most: {why}.");
        Error::new(ErrorKind::InvalidRequest, message)
    })?;
    let limit = wish.limit.unwrap_or(LISTED);
    if limit > MOST_LISTED {
        return Err(Error::invalid("limit", format!("`limit` may be at most {MOST_LISTED}; got {limit}.")));
    }
    let cache = doors.pipeline.cache();
    let mut scopes = cache.scopes();
    let known = scopes.len();
    if let Some(tenant) = &wish.tenant {
        scopes.retain(|one| one.owner.as_ref().is_some_and(|owner| owner.tenant.name() == tenant));
    }
    let rank: fn(&ScopeState) -> f64 = match wish.order.as_deref() {
        None | Some("error") => |one| one.report.error,
        Some("error_upper") => |one| one.report.error_upper,
        Some("requests") => |one| one.report.requests as f64,
        Some("hits") => |one| one.report.hits as f64,
        Some("labels") => |one| one.report.labels as f64,
        Some(other) => {
            let expected = "`error`, `error_upper`, `requests`, `hits` or `labels`";
            return Err(Error::invalid("order", format!("`order` is {expected}; got `{other}`.")));
        }
    };
    scopes.sort_by(|one, other| rank(other).total_cmp(&rank(one)).then(one.key.cmp(&other.key)));
    let shown: Value = scopes.iter().take(limit).map(shown).collect();
    Ok(json!({"known": known, "scopes": shown, "judgement": overview(&cache.stats(), &cache.lambdas())}))
}

fn shown(state: &ScopeState) -> Value {
    let (owner, report) = (state.owner.as_ref(), &state.report);
    json!({
        "key": format!("{:032x}", state.key),
        "scope": owner.map(|owner| owner.scope.to_string()),
        "tenant": owner.map(|owner| owner.tenant.name()),
        "model": owner.map(|owner| owner.model.as_str()),
        "requests": report.requests,
        "hits": report.hits,
        "labels": report.labels,
        "error": report.error,
        "error_upper": report.error_upper,
        "error_budget": report.error_budget,
        "lambda": report.lambda,
        "fallback": report.fallback,
        "weights": report.weights,
    })
}

/// What the judgement has learned as a whole; null where it is static.
pub(super) fn overview(stats: &Stats, lambdas: &[(f64, f32)]) -> Value {
    let Some(judgement) = &stats.judgement else { return Value::Null };
    let budgets = lambdas.iter().map(|(budget, lambda)| json!({"error_budget": budget, "lambda": lambda}));
    json!({
        "scopes": judgement.scopes,
        "fallback": judgement.fallback_scopes,
        "requests": judgement.requests,
        "hits": judgement.hits,
        "labels": judgement.labels,
        "entries": judgement.entries,
        "clusters": judgement.clusters,
        "error": judgement.error,
        "error_upper": judgement.error_upper,
        "shadow_share": judgement.shadow_share,
        "budgets": budgets.collect::<Value>(),
    })
}
