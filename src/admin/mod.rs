//! Floor 5b: the admin door. What each route takes stands in one table, `table`, and is decided in one layer before it.
//!
//! - `GET /admin/cache`: what the cache holds
//! - `POST /admin/cache/purge`: forget by entry, tag, scope, tenant, model, likeness, or everything; `purge`
//! - `GET /admin/cache/scopes`: what the judgement knows of each scope; `scopes`
//! - `POST /admin/cache/explain`: what would happen to a request, and why; `explain`
//! - `POST /admin/cache/warm`: store questions and answers of the operator's own; `warm_up`
//! - `GET` and `DELETE /admin/cache/entries/{id}`: one entry
//! - `/admin/accounts` and `/admin/keys`: accounts and virtual keys; `objects`
//! - `/admin/providers`, `/admin/models` and `/admin/prices`: what is beside that of the file; `definitions`
//! - `GET /admin/config/export`, `POST /admin/config/import`: all of these at once; `transfer`
//! - `GET /admin/audit`, `/admin/audit/checkpoints`, `/admin/audit/exports`: who did what, and who is sent it; `audit`
//! - `GET /admin/usage`: what was used; `usage`, with `csv` and `span`
//! - `GET /admin/requests`: the log of requests; `requests`
//! - `GET /admin/routes`: where requests may go, and how each way there is; `routes`
//! - `GET`, `POST` and `DELETE /admin/tokens`: tokens of programs; `tokens`
//! - `/admin/auth/…`: signing in and out; `sign_in`
//! - `/scim/v2/…`: people and groups, as an identity provider tells them; `scim`
//! - `GET /admin/roles`, `GET /admin/self`: what each role allows; who asks; `roles`
//! - `GET /admin/secrets`: what the settings refer to, and how it is read; `secrets`
//! - `GET /admin/openapi.json`: all of this as a document; `openapi`

mod audit;
mod csv;
mod definitions;
mod explain;
mod objects;
pub mod openapi;
mod purge;
mod requests;
mod roles;
mod routes;
mod scim;
mod scopes;
mod secrets;
mod shadow;
mod sign_in;
mod span;
mod tokens;
mod transfer;
mod usage;
mod warm_up;

use crate::cache::{Purge, Purged};
use crate::config::Section;
use crate::edge::officer::{Gate, Guard, Reach, gate, refuse};
use crate::edge::{Doors, reject};
use crate::types::entry::Entry;
use crate::types::error::{Error, ErrorKind};
use crate::types::ids::EntryId;
use crate::types::permission::{Action, Resource};
use axum::Router;
use axum::extract::{Path, State};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use http::Method;
use http::header::CONTENT_TYPE;
use std::sync::Arc;

/// One route of the admin surface.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// What it takes.
    pub guard: Guard,
    handler: MethodRouter<Arc<Doors>>,
}

/// A route to things that belong to no account.
fn whole<H, T>(method: Method, path: &'static str, (resource, action): (Resource, Action), handler: H) -> Route
where
    H: Handler<T, Arc<Doors>>,
    T: 'static,
{
    guarded(method, path, Guard::Permission(resource, action, Reach::Whole), handler)
}

fn guarded<H, T>(method: Method, path: &'static str, guard: Guard, handler: H) -> Route
where
    H: Handler<T, Arc<Doors>>,
    T: 'static,
{
    let handler = match method {
        Method::GET => get(handler),
        Method::PUT => put(handler),
        Method::PATCH => patch(handler),
        Method::DELETE => delete(handler),
        _ => post(handler),
    };
    Route { method, path, guard, handler }
}

/// Every route of the admin surface, and what it takes. There is no other way in.
pub fn table() -> Vec<Route> {
    use Action::{Create, Delete, Read, Update};
    use Resource::{Accounts, Audit, Cache, Config, Keys, Providers, Requests, Roles, Routes, Tokens, Usage};
    let own = |action| Guard::Permission(Tokens, action, Reach::Accounts);
    let mut all = vec![
        guarded(Method::GET, "/admin/openapi.json", Guard::Somebody, openapi::openapi),
        whole(Method::GET, "/admin/cache", (Cache, Read), cache),
        whole(Method::POST, "/admin/cache/purge", (Cache, Delete), purge::purge),
        whole(Method::GET, "/admin/cache/scopes", (Cache, Read), scopes::scopes),
        whole(Method::POST, "/admin/cache/explain", (Cache, Read), explain::explain),
        whole(Method::POST, "/admin/cache/warm", (Cache, Create), warm_up::warm_up),
        whole(Method::GET, "/admin/cache/entries/{id}", (Cache, Read), entry),
        whole(Method::DELETE, "/admin/cache/entries/{id}", (Cache, Delete), forget),
        whole(Method::GET, "/admin/routes", (Routes, Read), routes::routes),
        guarded(Method::GET, "/admin/accounts", Guard::Permission(Accounts, Read, Reach::Accounts), objects::accounts),
        guarded(
            Method::POST,
            "/admin/accounts",
            Guard::Permission(Accounts, Create, Reach::Accounts),
            objects::accounts,
        ),
        guarded(
            Method::GET,
            "/admin/accounts/{name}",
            Guard::Permission(Accounts, Read, Reach::Accounts),
            objects::account,
        ),
        guarded(
            Method::PATCH,
            "/admin/accounts/{name}",
            Guard::Permission(Accounts, Update, Reach::Accounts),
            objects::account,
        ),
        guarded(
            Method::DELETE,
            "/admin/accounts/{name}",
            Guard::Permission(Accounts, Delete, Reach::Accounts),
            objects::account,
        ),
        guarded(Method::GET, "/admin/keys", Guard::Permission(Keys, Read, Reach::Accounts), objects::keys),
        guarded(Method::POST, "/admin/keys", Guard::Permission(Keys, Create, Reach::Accounts), objects::keys),
        guarded(Method::GET, "/admin/keys/{name}", Guard::Permission(Keys, Read, Reach::Accounts), objects::key),
        guarded(Method::PATCH, "/admin/keys/{name}", Guard::Permission(Keys, Update, Reach::Accounts), objects::key),
        guarded(Method::DELETE, "/admin/keys/{name}", Guard::Permission(Keys, Delete, Reach::Accounts), objects::key),
        guarded(
            Method::POST,
            "/admin/keys/{name}/rotate",
            Guard::Permission(Keys, Update, Reach::Accounts),
            objects::rotate,
        ),
        whole(Method::GET, "/admin/config/export", (Config, Read), transfer::export),
        whole(Method::POST, "/admin/config/import", (Config, Update), transfer::import),
        whole(Method::GET, "/admin/secrets", (Providers, Read), secrets::secrets),
        guarded(Method::GET, "/admin/usage", Guard::Permission(Usage, Read, Reach::Accounts), usage::usage),
        whole(Method::GET, "/admin/requests", (Requests, Read), requests::requests),
        whole(Method::GET, "/admin/requests/{id}", (Requests, Read), requests::request),
        whole(Method::GET, "/admin/audit", (Audit, Read), audit::list),
        whole(Method::GET, "/admin/audit/checkpoints", (Audit, Read), audit::checkpoints),
        whole(Method::GET, "/admin/audit/exports", (Audit, Read), audit::exports),
        guarded(Method::GET, "/admin/roles", Guard::Permission(Roles, Read, Reach::Accounts), roles::list),
        guarded(Method::GET, "/admin/self", Guard::Somebody, roles::oneself),
        guarded(Method::GET, "/admin/tokens", own(Read), tokens::list),
        guarded(Method::POST, "/admin/tokens", own(Create), tokens::make),
        guarded(Method::DELETE, "/admin/tokens/{id}", own(Delete), tokens::take_away),
        guarded(Method::GET, "/admin/auth/login", Guard::Open, sign_in::login),
        guarded(Method::GET, "/admin/auth/callback", Guard::Open, sign_in::callback),
        guarded(Method::GET, "/admin/auth/session", Guard::Somebody, roles::oneself),
        guarded(Method::POST, "/admin/auth/refresh", Guard::Somebody, sign_in::refresh),
        guarded(Method::POST, "/admin/auth/logout", Guard::Somebody, sign_in::logout),
    ];
    all.extend(Section::ALL.into_iter().flat_map(of_section));
    all.extend(scim::routes());
    all
}

/// The routes of providers, models or prices.
fn of_section(section: Section) -> [Route; 5] {
    use Action::{Create, Delete, Read, Update};
    let (all, one, resource) = match section {
        Section::Providers => ("/admin/providers", "/admin/providers/{name}", Resource::Providers),
        Section::Models => ("/admin/models", "/admin/models/{name}", Resource::Routes),
        Section::Prices => ("/admin/prices", "/admin/prices/{name}", Resource::Providers),
    };
    [
        whole(Method::GET, all, (resource, Read), definitions::all(section)),
        whole(Method::POST, all, (resource, Create), definitions::all(section)),
        whole(Method::GET, one, (resource, Read), definitions::one(section)),
        whole(Method::PATCH, one, (resource, Update), definitions::one(section)),
        whole(Method::DELETE, one, (resource, Delete), definitions::one(section)),
    ]
}

/// The routes of the admin surface, each behind what it takes.
pub fn routes(doors: Arc<Doors>) -> Router {
    let behind = |routes: Router<Arc<Doors>>, Route { path, guard, handler, .. }: Route| {
        let refuse = if path.starts_with("/scim/") { scim::refused } else { refuse };
        let before = Gate { doors: doors.clone(), guard, refuse };
        routes.route(path, handler.route_layer(from_fn_with_state(before, gate)))
    };
    table().into_iter().fold(Router::new(), behind).with_state(doors.clone())
}

async fn cache(State(doors): State<Arc<Doors>>) -> Response {
    let cache = doors.pipeline.cache();
    let (stats, settings) = (cache.stats(), cache.settings());
    reply(Ok(serde_json::json!({
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
    })))
}

async fn entry(State(doors): State<Arc<Doors>>, Path(id): Path<String>) -> Response {
    reply(id.parse::<EntryId>().map_err(|why| Error::invalid("id", why)).and_then(|id| {
        let cache = doors.pipeline.cache();
        cache.entry(id).map(|entry| shown(&entry, cache.uses(id))).ok_or_else(|| no_entry(id))
    }))
}

async fn forget(State(doors): State<Arc<Doors>>, Path(id): Path<String>) -> Response {
    match id.parse::<EntryId>().map_err(|why| Error::invalid("id", why)) {
        Ok(id) => {
            let purged = doors.pipeline.cache().purge(&Purge::Entry(id), 0).await;
            doors.pipeline.forget();
            match purged {
                Ok(Purged { entries: 0, .. }) => reject::reply(&no_entry(id)),
                purged => reply(purged.map_err(purge::refused).and_then(purge::told)),
            }
        }
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

fn reply(result: Result<serde_json::Value, Error>) -> Response {
    match result {
        Ok(value) => ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response(),
        Err(error) => reject::reply(&error),
    }
}
