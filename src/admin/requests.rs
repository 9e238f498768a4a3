//! `GET /admin/requests` and `GET /admin/requests/{id}`: the log of requests.

use super::reply;
use super::span::{self, refused};
use crate::edge::officer::AskedBy;
use crate::edge::{Doors, reject};
use crate::store::database::{RequestQuery, RequestRow};
use crate::types::error::{Error, ErrorKind};
use crate::types::money::MicroUsd;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Requests on a page.
const PAGE: u64 = 50;
const MOST_ON_A_PAGE: u64 = 500;
/// Where nobody says from when: this much before the end.
const DAYS: u64 = 1;
/// The longest text that is looked for.
const TEXT_BYTES: usize = 256;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    from: Option<String>,
    to: Option<String>,
    time_zone: Option<String>,
    key: Option<String>,
    account: Option<String>,
    tenant: Option<String>,
    tag: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    cache: Option<String>,
    request_id: Option<String>,
    status: Option<String>,
    q: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
}

pub(super) async fn requests(State(doors): State<Arc<Doors>>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    listed(&doors, asked).await.map_or_else(|error| reject::reply(&error), |value| reply(Ok(value)))
}

async fn listed(doors: &Doors, asked: Result<Query<Asked>, QueryRejection>) -> Result<Value, Error> {
    let asked = asked.map_err(|rejection| refused(&rejection))?.0;
    let query = query(asked, doors.pipeline.cache().now_ms())?;
    let most = query.most;
    // One more than is told tells whether there are more.
    let query = RequestQuery { most: most + 1, ..query };
    let mut rows = doors.pipeline.records().requests(&query).await.map_err(unreadable)?;
    let is_more = rows.len() as u64 > most;
    rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let next = rows.last().filter(|_| is_more).map(|row| row.id.clone());
    let data: Vec<Value> = rows.iter().map(shown).collect();
    Ok(json!({"object": "list", "data": data, "next_cursor": next}))
}

pub(super) async fn request(
    State(doors): State<Arc<Doors>>,
    Extension(asked): Extension<AskedBy>,
    Path(id): Path<String>,
) -> Response {
    reply(one(&doors, &asked, &id).await)
}

async fn one(doors: &Doors, asked: &AskedBy, id: &str) -> Result<Value, Error> {
    let row = doors.pipeline.records().request(id).await.map_err(unreadable)?;
    let row = row.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "There is no such request in the log.").with_code("request_not_found")
    })?;
    let mut value = shown(&row);
    if !(row.request.is_empty() && row.answer.is_empty()) {
        // Who reads what others wrote leaves a trace.
        doors.audit.record(asked.event("requests.read", &row.id));
    }
    value["request"] = body(&row.request);
    value["answer"] = body(&row.answer);
    Ok(value)
}

fn query(asked: Asked, now_ms: u64) -> Result<RequestQuery, Error> {
    let zone = span::zone(asked.time_zone.as_deref())?;
    let (from_ms, to_ms) = span::read(asked.from.as_deref(), asked.to.as_deref(), &zone, (DAYS, now_ms))?;
    let most = asked.limit.unwrap_or(PAGE);
    if !(1..=MOST_ON_A_PAGE).contains(&most) {
        return Err(Error::invalid("limit", format!("`limit` is from 1 to {MOST_ON_A_PAGE}; got {most}.")));
    }
    if let Some(text) = asked.q.as_ref().filter(|text| text.len() > TEXT_BYTES) {
        let message = format!("`q` has at most {TEXT_BYTES} bytes; got {}.", text.len());
        return Err(Error::invalid("q", message));
    }
    Ok(RequestQuery {
        from_ms,
        to_ms,
        key: asked.key,
        account: asked.account,
        tenant: asked.tenant,
        tag: asked.tag,
        model: asked.model,
        provider: asked.provider,
        cache: asked.cache,
        request_id: asked.request_id,
        status: asked.status.as_deref().map(status).transpose()?,
        text: asked.q.filter(|text| !text.is_empty()),
        before: asked.cursor,
        most,
    })
}

/// `429`, or `4xx` for all of them.
fn status(text: &str) -> Result<(u64, u64), Error> {
    if let Some(class) = text.strip_suffix("xx").and_then(|class| class.parse::<u64>().ok()).filter(|class| *class < 10)
    {
        return Ok((class * 100, class * 100 + 99));
    }
    let exact = text.parse().ok().filter(|status| (100..1_000).contains(status));
    exact
        .map(|status| (status, status))
        .ok_or_else(|| Error::invalid("status", "`status` is a status, or a class of them, as in `429` or `5xx`."))
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("The log of requests cannot be read: {error}."))
}

/// One request, but for its bodies.
fn shown(row: &RequestRow) -> Value {
    let at = i64::try_from(row.at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    json!({
        "id": row.id,
        "at": at.map(|at| at.to_string()),
        "at_ms": row.at_ms,
        "request_id": row.request_id,
        "key": row.key,
        "accounts": names(&row.accounts),
        "tenant": row.tenant,
        "tags": names(&row.tags),
        "surface": row.surface,
        "model": row.model,
        "provider": row.provider,
        "provider_model": row.provider_model,
        "cache": row.cache,
        "status": row.status,
        "error": Some(&row.error).filter(|error| !error.is_empty()),
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cached_tokens": row.cached_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "saved_tokens": row.saved_tokens,
        "cost_usd": MicroUsd(row.cost).to_string(),
        "saved_usd": MicroUsd(row.saved).to_string(),
        "latency_ms": row.took_ms,
        "attempts": row.attempts,
    })
}

fn names(listed: &str) -> Vec<&str> {
    listed.split(',').filter(|name| !name.is_empty()).collect()
}

/// A body as JSON, where it is whole; else as text. `null` where none is kept.
fn body(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_or_a_class_of_them() {
        assert_eq!((status("429").unwrap(), status("5xx").unwrap()), ((429, 429), (500, 599)));
        for text in ["", "x", "xx", "42xx", "99", "1000", "-1"] {
            assert!(status(text).is_err(), "{text}");
        }
        let long = Asked { q: Some("x".repeat(TEXT_BYTES + 1)), ..Asked::default() };
        assert_eq!(query(long, 1).unwrap_err().param.unwrap(), "q");
        assert_eq!(query(Asked { limit: Some(501), ..Asked::default() }, 1).unwrap_err().param.unwrap(), "limit");
    }
}
