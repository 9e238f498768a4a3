//! Providers, models and prices: listed, made, changed, taken away; with versions and dry runs, as accounts and keys have them.
//!
//! Secrets are taken, and never told again.

use super::objects::{Wish, condition, owned, tagged, told};
use super::reply;
use crate::config::{Section, mask};
use crate::edge::{Doors, body, reject};
use crate::types::error::Error;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::header::HeaderMap;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `GET` and `POST` of a list.
pub(super) fn all(
    section: Section,
) -> impl Fn(State<Arc<Doors>>, Query<Wish>, Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static {
    move |State(doors), Query(wish), request| {
        Box::pin(async move {
            let result = match *request.method() {
                Method::POST => make(&doors, section, &wish, request).await,
                _ => list(&doors, section, &wish).await,
            };
            result.unwrap_or_else(|error| reject::reply(&error))
        })
    }
}

/// `GET`, `PATCH` and `DELETE` of an entry.
pub(super) fn one(
    section: Section,
) -> impl Fn(State<Arc<Doors>>, Path<String>, Query<Wish>, Request) -> BoxFuture<'static, Response>
+ Clone
+ Send
+ Sync
+ 'static {
    move |State(doors), Path(name), Query(wish), request| {
        Box::pin(async move {
            let result = match *request.method() {
                Method::PATCH => change(&doors, section, &name, &wish, request).await,
                Method::DELETE => remove(&doors, section, &name, &wish, request.headers().clone()).await,
                _ => look(&doors, section, &name).await,
            };
            result.unwrap_or_else(|error| reject::reply(&error))
        })
    }
}

async fn list(doors: &Doors, section: Section, wish: &Wish) -> Result<Response, Error> {
    let limit = usize::try_from(wish.page()?).unwrap_or(usize::MAX);
    let after = wish.cursor.as_deref().unwrap_or_default();
    let (page, more) = doors.definitions.page(section, after, limit).await?;
    let cursor = page.last().filter(|_| more).map(|last| last.name().to_owned());
    let data: Vec<Value> = page.iter().map(|object| Value::Object(owned(object))).collect();
    Ok(reply(Ok(json!({"object": "list", "data": data, "next_cursor": cursor}))))
}

async fn make(doors: &Doors, section: Section, wish: &Wish, request: Request) -> Result<Response, Error> {
    let body = body::read(&doors.edge, request).await?;
    let object = doors.definitions.create(section, &body, wish.dry_run, doors.pipeline.cache().now_ms()).await?;
    let response = tagged(Value::Object(owned(&object)), object.version, StatusCode::CREATED);
    Ok(told(response, object.name(), wish, &json!({"settings": object.settings})))
}

async fn look(doors: &Doors, section: Section, name: &str) -> Result<Response, Error> {
    let object = doors.definitions.get(section, name).await?;
    Ok(tagged(Value::Object(owned(&object)), object.version, StatusCode::OK))
}

async fn change(doors: &Doors, section: Section, name: &str, wish: &Wish, request: Request) -> Result<Response, Error> {
    let condition = condition(request.headers(), wish)?;
    let body = body::read(&doors.edge, request).await?;
    let object = doors.definitions.patch(section, name, &body, condition, doors.pipeline.cache().now_ms()).await?;
    let mut patch: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    mask(section, &mut patch);
    let response = tagged(Value::Object(owned(&object)), object.version, StatusCode::OK);
    Ok(told(response, name, wish, &json!({"patch": patch, "version": object.version})))
}

async fn remove(
    doors: &Doors,
    section: Section,
    name: &str,
    wish: &Wish,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let condition = condition(&headers, wish)?;
    doors.definitions.delete(section, name, condition, doors.pipeline.cache().now_ms()).await?;
    Ok(told(StatusCode::NO_CONTENT.into_response(), name, wish, &json!({})))
}
