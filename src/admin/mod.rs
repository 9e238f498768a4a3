//! Floor 5b: the admin door. Every route wants the admin key.
//!
//! - `GET /admin/cache`: what the cache holds
//! - `POST /admin/cache/purge`: forget by entry, tag, scope, tenant, model, likeness, or everything; `purge`
//! - `GET /admin/cache/scopes`: what the judgement knows of each scope; `scopes`
//! - `POST /admin/cache/explain`: what would happen to a request, and why; `explain`
//! - `POST /admin/cache/warm`: store questions and answers of the operator's own; `warm_up`
//! - `GET` and `DELETE /admin/cache/entries/{id}`: one entry
//! - `GET /admin/routes`: where requests may go, and how each way there is; `routes`

mod explain;
mod purge;
mod routes;
mod scopes;
mod shadow;
mod warm_up;

use crate::cache::{Purge, Purged};
use crate::edge::{Doors, caller, reject};
use crate::types::entry::Entry;
use crate::types::error::{Error, ErrorKind};
use crate::types::ids::EntryId;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use std::sync::Arc;

/// The routes of the admin surface.
pub fn routes(doors: Arc<Doors>) -> Router {
    Router::new()
        .route("/admin/cache", get(cache))
        .route("/admin/cache/purge", post(purge::purge))
        .route("/admin/cache/scopes", get(scopes::scopes))
        .route("/admin/cache/explain", post(explain::explain))
        .route("/admin/cache/warm", post(warm_up::warm_up))
        .route("/admin/cache/entries/{id}", get(entry).delete(forget))
        .route("/admin/routes", get(routes::routes))
        .with_state(doors)
}

async fn cache(State(doors): State<Arc<Doors>>, headers: HeaderMap) -> Response {
    reply(authorise(&doors, &headers).map(|()| {
        let cache = doors.pipeline.cache();
        let (stats, settings) = (cache.stats(), cache.settings());
        serde_json::json!({
            "entries": stats.entries,
            "bytes": stats.bytes,
            "memory_bytes": settings.memory_bytes,
            "evicted": stats.evicted.memory + stats.evicted.scope + stats.evicted.tenant,
            "evicted_for": {
                "memory": stats.evicted.memory,
                "scope_quota": stats.evicted.scope,
                "tenant_quota": stats.evicted.tenant,
            },
            "expired": stats.expired,
            "wrong": stats.wrong,
            "write_errors": stats.write_errors,
            "vectors": stats.vectors,
            "scopes": stats.scopes,
            "index_bytes": stats.index_bytes,
            "flights": cache.flights().len(),
            "judgement": scopes::overview(&stats, &cache.lambdas()),
        })
    }))
}

async fn entry(State(doors): State<Arc<Doors>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    reply(authorise(&doors, &headers).and_then(|()| {
        let id = id.parse::<EntryId>().map_err(|why| Error::invalid("id", why))?;
        let cache = doors.pipeline.cache();
        cache.entry(id).map(|entry| shown(&entry, cache.uses(id))).ok_or_else(|| no_entry(id))
    }))
}

async fn forget(State(doors): State<Arc<Doors>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let id = authorise(&doors, &headers).and_then(|()| id.parse::<EntryId>().map_err(|why| Error::invalid("id", why)));
    match id {
        Ok(id) => match doors.pipeline.cache().purge(&Purge::Entry(id), 0).await {
            Ok(Purged { entries: 0, .. }) => reject::reply(&no_entry(id)),
            purged => reply(purged.map_err(purge::refused).and_then(purge::told)),
        },
        Err(error) => reject::reply(&error),
    }
}

fn shown(entry: &Entry, uses: u64) -> serde_json::Value {
    serde_json::json!({
        "id": entry.id.to_string(),
        "tenant": entry.tenant.name(),
        "surface": entry.surface.as_str(),
        "model": entry.model,
        "provider": entry.provider,
        "scope": entry.scope.to_string(),
        "question": entry.question,
        "semantic": entry.semantic,
        "answer": serde_json::from_slice::<serde_json::Value>(&entry.answer.body).unwrap_or_default(),
        "dropped": entry.answer.lost.names(),
        "cost_usd": entry.cost.map(|cost| cost.to_string()),
        "latency_ms": entry.latency_ms,
        "source": entry.source.as_str(),
        "uses": uses,
        "created_ms": entry.created_ms,
        "expires_ms": entry.expires_ms,
        "tags": entry.tags,
        "bytes": entry.bytes(),
    })
}

fn no_entry(id: EntryId) -> Error {
    Error::new(ErrorKind::NotFound, format!("There is no entry {id}.")).with_code("entry_not_found")
}

fn authorise(doors: &Doors, headers: &HeaderMap) -> Result<(), Error> {
    if doors.keys.load().is_admin(caller::bearer(headers)) {
        return Ok(());
    }
    let message = "The admin surface wants the admin key as `Authorization: Bearer KEY`: `admin.key` in the \
                   configuration, or the one in the file `admin.key` of the data directory.";
    Err(Error::new(ErrorKind::Unauthenticated, message).with_code("admin_key_required"))
}

fn reply(result: Result<serde_json::Value, Error>) -> Response {
    match result {
        Ok(value) => ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response(),
        Err(error) => reject::reply(&error),
    }
}
