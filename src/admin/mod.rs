//! Floor 5b: the admin door. Every route wants the admin key.
//!
//! - `GET /admin/cache`: what the cache holds
//! - `POST /admin/cache/purge`: forget by entry, tag, tenant, model, or everything
//! - `GET` and `DELETE /admin/cache/entries/{id}`: one entry

use crate::cache::{Purge, Purged};
use crate::edge::{Doors, caller, reject};
use crate::types::entry::Entry;
use crate::types::error::{Error, ErrorKind};
use crate::types::ids::EntryId;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use std::sync::Arc;

/// The routes of the admin surface.
pub fn routes(doors: Arc<Doors>) -> Router {
    Router::new()
        .route("/admin/cache", get(cache))
        .route("/admin/cache/purge", post(purge))
        .route("/admin/cache/entries/{id}", get(entry).delete(forget))
        .with_state(doors)
}

/// What to purge: exactly one of the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeBody {
    entry: Option<String>,
    tag: Option<String>,
    tenant: Option<String>,
    model: Option<String>,
    all: Option<bool>,
}

async fn cache(State(doors): State<Arc<Doors>>, headers: HeaderMap) -> Response {
    reply(authorise(&doors, &headers).map(|()| {
        let cache = doors.pipeline.cache();
        let (stats, settings) = (cache.stats(), cache.settings());
        serde_json::json!({
            "entries": stats.entries,
            "bytes": stats.bytes,
            "memory_bytes": settings.memory_bytes,
            "evicted": stats.evicted,
            "expired": stats.expired,
            "write_errors": stats.write_errors,
            "vectors": stats.vectors,
            "scopes": stats.scopes,
            "index_bytes": stats.index_bytes,
            "flights": cache.flights().len(),
        })
    }))
}

async fn purge(State(doors): State<Arc<Doors>>, headers: HeaderMap, body: Bytes) -> Response {
    let purge = authorise(&doors, &headers).and_then(|()| read_purge(&body));
    match purge {
        Ok(purge) => {
            let purged = doors.pipeline.cache().purge(&purge).await;
            tracing::info!(?purged, ?purge, "purged");
            reply(told(purged))
        }
        Err(error) => reject::reply(&error),
    }
}

fn read_purge(body: &[u8]) -> Result<Purge, Error> {
    const EXPECTED: &str =
        r#"expected one of {"entry": "ID"}, {"tag": "..."}, {"tenant": "..."}, {"model": "..."}, {"all": true}"#;
    let body: PurgeBody = serde_json::from_slice(body).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("The purge cannot be read: {error}; {EXPECTED}."))
    })?;
    let entry = body.entry.map(|text| text.parse::<EntryId>().map(Purge::Entry)).transpose();
    let entry = entry.map_err(|why| Error::invalid("entry", why))?;
    let all = body.all.and_then(|all| all.then_some(Purge::All));
    let named = [entry, body.tag.map(Purge::Tag), body.tenant.map(Purge::Tenant), body.model.map(Purge::Model), all];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(purge), None) => Ok(purge),
        _ => Err(Error::new(ErrorKind::InvalidRequest, format!("The purge is not clear: {EXPECTED}."))),
    }
}

async fn entry(State(doors): State<Arc<Doors>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    reply(authorise(&doors, &headers).and_then(|()| {
        let id = id.parse::<EntryId>().map_err(|why| Error::invalid("id", why))?;
        doors.pipeline.cache().entry(id).map(|entry| shown(&entry)).ok_or_else(|| no_entry(id))
    }))
}

async fn forget(State(doors): State<Arc<Doors>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let id = authorise(&doors, &headers).and_then(|()| id.parse::<EntryId>().map_err(|why| Error::invalid("id", why)));
    match id {
        Ok(id) => match doors.pipeline.cache().purge(&Purge::Entry(id)).await {
            Purged { entries: 0, .. } => reject::reply(&no_entry(id)),
            purged => reply(told(purged)),
        },
        Err(error) => reject::reply(&error),
    }
}

fn told(purged: Purged) -> Result<serde_json::Value, Error> {
    if purged.on_disk {
        return Ok(serde_json::json!({"purged": purged.entries}));
    }
    let message = format!(
        "{} entries are gone from memory, but the disk could not be written: a restart brings them back. Make room, and \
         purge again.",
        purged.entries
    );
    Err(Error::new(ErrorKind::Internal, message).with_code("purge_not_written"))
}

fn shown(entry: &Entry) -> serde_json::Value {
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
        "cost_usd": entry.cost.map(|cost| cost.to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_names_exactly_one_thing() {
        let table = [
            (r#"{"tag":"x"}"#, Some(Purge::Tag("x".to_owned()))),
            (r#"{"entry":"00000000000000ff"}"#, Some(Purge::Entry(EntryId(255)))),
            (r#"{"all":true}"#, Some(Purge::All)),
            (r#"{"all":false}"#, None),
            (r#"{"all":true,"tag":"x"}"#, None),
            (r#"{"entry":"zz"}"#, None),
            (r#"{}"#, None),
            (r#"{"everything":true}"#, None),
            ("", None),
        ];
        for (body, expected) in table {
            assert_eq!(read_purge(body.as_bytes()).ok(), expected, "{body}");
        }
    }
}
