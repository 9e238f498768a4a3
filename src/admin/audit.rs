//! The audit log: looked up, exported, and what verifies it.

use super::reply;
use crate::edge::{Doors, reject};
use crate::store::audit_chain::AuditRow;
use crate::store::database::{AuditQuery, DatabaseError};
use crate::types::error::{Error, ErrorKind};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

const PAGE: u64 = 100;
const MOST_ON_A_PAGE: u64 = 1_000;
/// Rows that are read at a time for an export.
const CHUNK: u64 = 500;
const LINES: &str = "application/x-ndjson";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    #[serde(default)]
    from_ms: u64,
    to_ms: Option<u64>,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    outcome: String,
    limit: Option<u64>,
    #[serde(default)]
    cursor: u64,
}

impl Wish {
    fn query(self) -> AuditQuery {
        let Wish { from_ms, to_ms, actor, action, target, outcome, limit, cursor } = self;
        let most = limit.unwrap_or(PAGE);
        AuditQuery { after: cursor, backwards: true, from_ms, to_ms, actor, action, target, outcome, most }
    }
}

/// `GET /admin/audit`: a page, the latest first; or, as lines of JSON, all of it, the first first.
pub(super) async fn list(State(doors): State<Arc<Doors>>, Query(wish): Query<Wish>, headers: HeaderMap) -> Response {
    let lines = headers.get(ACCEPT).is_some_and(|value| value == LINES);
    let query = wish.query();
    if !(1..=MOST_ON_A_PAGE).contains(&query.most) {
        let message = format!("`limit` is from 1 to {MOST_ON_A_PAGE}; got {}.", query.most);
        return reject::reply(&Error::invalid("limit", message));
    }
    if lines {
        return export(doors, query);
    }
    reply(match doors.database.audit(&query).await {
        Ok(rows) => {
            let full = rows.len() as u64 == query.most;
            let cursor = rows.last().filter(|row| full && row.seq > 1).map(|row| row.seq);
            Ok(json!({"object": "list", "data": rows, "next_cursor": cursor}))
        }
        Err(error) => Err(unavailable(&error)),
    })
}

/// All rows as lines of JSON, as they come from the database. One that cannot be read breaks the body off.
fn export(doors: Arc<Doors>, query: AuditQuery) -> Response {
    let first = AuditQuery { backwards: false, most: CHUNK, ..query };
    let chunks = stream::try_unfold(Some((doors, first)), |state| async move {
        let Some((doors, query)) = state else { return Ok(None) };
        let rows = doors.database.audit(&query).await?;
        let lines: String = rows.iter().map(line).collect();
        let next = rows.last().filter(|_| rows.len() as u64 == CHUNK).map(|row| row.seq);
        let next = next.map(|after| (doors, AuditQuery { after, ..query }));
        Ok::<_, DatabaseError>(Some((lines, next)))
    });
    ([(CONTENT_TYPE, LINES)], Body::from_stream(chunks)).into_response()
}

fn line(row: &AuditRow) -> String {
    serde_json::to_string(row).map(|line| line + "\n").unwrap_or_default()
}

/// `GET /admin/audit/checkpoints`: what was signed, and what verifies it.
pub(super) async fn checkpoints(State(doors): State<Arc<Doors>>) -> Response {
    let checkpoints = doors.database.audit_checkpoints().await.map_err(|error| unavailable(&error));
    let (key, broken) = (doors.audit.public_key(), doors.audit.broken());
    reply(checkpoints.map(|all| json!({"object": "list", "data": all, "public_key": key, "broken": broken})))
}

/// `GET /admin/audit/exports`: where rows are sent to, and how far that is.
pub(super) async fn exports(State(doors): State<Arc<Doors>>) -> Response {
    let (exported, now_ms) = (doors.audit.exports(), doors.pipeline.cache().now_ms());
    let told = doors.database.audit_exports().await.map_err(|error| unavailable(&error));
    reply(told.map(|(rows, last)| {
        let one = |(name, kind): &(String, &'static str)| {
            // One that has only just been written into the settings has no row yet.
            let row = rows.iter().find(|row| row.name == *name).cloned().unwrap_or_default();
            let (had, at_ms) = (!row.node.is_empty() && row.until_ms >= now_ms, row.delivered_at_ms);
            json!({
                "name": name,
                "kind": kind,
                "delivered": row.delivered,
                "delivered_at_ms": Some(at_ms).filter(|at| *at > 0),
                "lag_rows": last.saturating_sub(row.delivered),
                "missing_rows": row.missing,
                "failures": row.failures,
                "error": Some(row.error).filter(|error| !error.is_empty()),
                "node": Some(&row.node).filter(|_| had),
                "is_here": had && row.node == exported.node,
            })
        };
        let data: Vec<serde_json::Value> = exported.names.iter().map(one).collect();
        json!({"object": "list", "data": data, "last": last, "node": exported.node})
    }))
}

fn unavailable(error: &DatabaseError) -> Error {
    tracing::error!(%error, "the database");
    let message = "The database does not answer just now; see the log of the gateway.";
    Error::new(ErrorKind::Overloaded, message).with_code("store_unavailable")
}
